//! DataFusion's two faces of an ordered aggregate: for one group and for many.

use arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::call::Call;
use super::rows::Rows;

/// All rows in one group.
#[derive(Debug)]
pub(super) struct OrderedAccumulator {
    call: Call,
    rows: Rows,
}

impl OrderedAccumulator {
    pub(super) fn new(call: Call) -> Self {
        Self { call, rows: Rows::default() }
    }
}

impl Accumulator for OrderedAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values[0].len();
        self.rows.push(values, std::iter::repeat_n(0, rows));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        match self.rows.columns(self.call.width())? {
            Some((columns, _)) => self.call.value(&columns),
            None => self.call.value(&self.call.no_rows()),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let lists = self.rows.lists(&self.call.types(), 1)?;
        lists.iter().map(|list| ScalarValue::try_from_array(list, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.rows.push_lists(states, &vec![0; states[0].len()])
    }
}

/// Rows of many groups.
#[derive(Debug)]
pub(super) struct OrderedGroups {
    call: Call,
    rows: Rows,
    groups: usize,
}

impl OrderedGroups {
    pub(super) fn new(call: Call) -> Self {
        Self { call, rows: Rows::default(), groups: 0 }
    }

    /// The rows of the groups to emit, which are gone then, and the number of those groups.
    fn emitted(&mut self, emit_to: EmitTo) -> Result<(Rows, usize)> {
        match emit_to {
            EmitTo::All => {
                let groups = std::mem::take(&mut self.groups);
                Ok((std::mem::take(&mut self.rows), groups))
            }
            EmitTo::First(n) => {
                self.groups -= n;
                Ok((self.rows.split(n, self.call.width())?, n))
            }
        }
    }
}

impl GroupsAccumulator for OrderedGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups = total_num_groups;
        self.rows.push_filtered(values, group_indices, opt_filter)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (rows, groups) = self.emitted(emit_to)?;
        match rows.columns(self.call.width())? {
            Some((columns, owners)) => self.call.values(&columns, owners, groups),
            None => self.call.values(&self.call.no_rows(), &[], groups),
        }
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let types = self.call.types();
        let (rows, groups) = self.emitted(emit_to)?;
        rows.lists(&types, groups)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.groups = total_num_groups;
        self.rows.push_lists(values, group_indices)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let groups: Vec<usize> = (0..values[0].len()).collect();
        let mut rows = Rows::default();
        rows.push_filtered(values, &groups, opt_filter)?;
        rows.lists(&self.call.types(), groups.len())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.bytes()
    }
}
