//! The rows of an ordered aggregate with their groups, as they came.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{concat, filter, take};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err};

/// The rows.
#[derive(Debug, Default)]
pub(super) struct Rows {
    batches: Vec<Vec<ArrayRef>>,
    groups: Vec<u32>,
    bytes: usize,
}

impl Rows {
    /// Adds rows and their groups.
    pub(super) fn push(&mut self, columns: &[ArrayRef], groups: impl IntoIterator<Item = u32>) {
        self.bytes += columns.iter().map(Array::get_array_memory_size).sum::<usize>();
        self.batches.push(columns.to_vec());
        self.groups.extend(groups);
    }

    /// Adds the rows that a filter lets pass.
    pub(super) fn push_filtered(
        &mut self,
        columns: &[ArrayRef],
        groups: &[usize],
        passes: Option<&BooleanArray>,
    ) -> Result<()> {
        let Some(passes) = passes else {
            let groups = groups.iter().map(|g| group(*g)).collect::<Result<Vec<_>>>()?;
            self.push(columns, groups);
            return Ok(());
        };
        let columns = columns.iter().map(|c| filter(c, passes));
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        let kept = groups.iter().zip(passes).filter(|(_, p)| *p == Some(true));
        let kept = kept.map(|(g, _)| group(*g)).collect::<Result<Vec<_>>>()?;
        self.push(&columns, kept);
        Ok(())
    }

    /// Adds rows that [`Rows::lists`] wrote; list `i` of each column holds those of group `groups[i]`.
    pub(super) fn push_lists(&mut self, lists: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let (mut columns, mut owners) = (Vec::with_capacity(lists.len()), Vec::new());
        for (i, list) in lists.iter().enumerate() {
            let Some(list) = list.as_list_opt::<i32>() else {
                return exec_err!("the state of an ordered aggregate is no list");
            };
            if i == 0 {
                for (row, owner) in groups.iter().enumerate() {
                    let length = usize::try_from(list.value_length(row)).unwrap_or(0);
                    owners.extend(std::iter::repeat_n(group(*owner)?, length));
                }
            }
            let offsets = list.value_offsets();
            let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
            let at = |offset: i32| usize::try_from(offset).unwrap_or(0);
            columns.push(list.values().slice(at(first), at(last) - at(first)));
        }
        self.push(&columns, owners);
        Ok(())
    }

    /// The rows as single columns, with the group of each.
    pub(super) fn columns(&self, width: usize) -> Result<Option<(Vec<ArrayRef>, &[u32])>> {
        if let [only] = &self.batches[..] {
            return Ok(Some((only.clone(), &self.groups)));
        }
        if self.batches.is_empty() {
            return Ok(None);
        }
        let column = |i: usize| {
            let parts: Vec<&dyn Array> = self.batches.iter().map(|b| b[i].as_ref()).collect();
            concat(&parts)
        };
        let columns = (0..width).map(column).collect::<std::result::Result<_, _>>()?;
        Ok(Some((columns, &self.groups)))
    }

    /// Takes out the rows of the groups below `below`; the others count from zero then.
    pub(super) fn split(&mut self, below: usize, width: usize) -> Result<Self> {
        let below = group(below)?;
        let mut first = Self::default();
        let mut rest = Self::default();
        if let Some((columns, groups)) = self.columns(width)? {
            let indices = 0..group(groups.len())?;
            let (low, high): (Vec<u32>, Vec<u32>) =
                indices.partition(|i| groups[*i as usize] < below);
            let pick = |rows: &[u32]| {
                let rows = UInt32Array::from(rows.to_vec());
                columns
                    .iter()
                    .map(|c| take(c, &rows, None))
                    .collect::<std::result::Result<Vec<_>, _>>()
            };
            first.push(&pick(&low)?, low.iter().map(|i| groups[*i as usize]));
            rest.push(&pick(&high)?, high.iter().map(|i| groups[*i as usize] - below));
        }
        *self = rest;
        Ok(first)
    }

    /// One list per group and column; `types` are those of the columns.
    pub(super) fn lists(&self, types: &[DataType], total: usize) -> Result<Vec<ArrayRef>> {
        let found = self.columns(types.len())?;
        let groups = found.as_ref().map_or(&[][..], |(_, groups)| groups);
        let mut order: Vec<u32> = (0..group(groups.len())?).collect();
        order.sort_by_key(|i| groups[*i as usize]);
        let mut lengths = vec![0; total];
        groups.iter().for_each(|g| lengths[*g as usize] += 1);
        let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
        let order = UInt32Array::from(order);
        let list = |(i, data_type): (usize, &DataType)| {
            let values = match &found {
                Some((columns, _)) => take(&columns[i], &order, None)?,
                None => arrow::array::new_empty_array(data_type),
            };
            let field = Arc::new(Field::new_list_field(data_type.clone(), true));
            let list = ListArray::try_new(field, offsets.clone(), values, None)?;
            Ok(Arc::new(list) as ArrayRef)
        };
        types.iter().enumerate().map(list).collect()
    }

    /// Bytes they occupy.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.groups.capacity() * size_of::<u32>()
    }
}

fn group(index: usize) -> Result<u32> {
    u32::try_from(index).or_else(|_large| exec_err!("too many groups or rows in one aggregate"))
}
