//! One input of a join: its rows by key, and which of them have partners.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::datatypes::{Schema, SchemaRef};
use levada_storage::delta::{Delta, DeltaBatch, Weights};

use crate::arrangement::hash::HashWidth;
use crate::arrangement::{Arrangement, project};
use crate::error::Result;
use crate::operator::evaluate::batch_of;
use crate::operator::filter::kept;
use crate::operator::join::partners::Partners;
use crate::spill::SpillSpace;

/// The columns that are kept of an input, its arrangement and the partners of its rows.
#[derive(Debug)]
pub(super) struct Input {
    /// Columns of the input that are stored, ascending.
    pub(super) stored: Vec<usize>,
    /// Schema of the stored columns.
    pub(super) schema: SchemaRef,
    /// Key columns among the stored ones.
    pub(super) keys: Vec<usize>,
    pub(super) rows: Arrangement,
    /// Whether the rows are stored at all; else the other side's `partners` are all that is known of them.
    pub(super) is_kept: bool,
    /// What is known of the partners of these rows, if it matters.
    pub(super) partners: Partners,
}

/// A delta on its way into a join.
pub(super) struct Taken {
    /// The stored columns of the rows that may have partners.
    pub(super) able: Delta,
    /// Those of the rows that cannot have any: NULL is in the key and equals nothing.
    pub(super) alone: Delta,
}

impl Input {
    /// An input whose rows are stored as far as they are keys or `used`.
    pub(super) fn new(
        schema: &Schema,
        keys: &[usize],
        used: impl Iterator<Item = usize>,
        width: HashWidth,
    ) -> Result<Self> {
        let stored: Vec<usize> =
            keys.iter().copied().chain(used).collect::<BTreeSet<_>>().into_iter().collect();
        let projected = SchemaRef::new(schema.project(&stored)?);
        let place = |c: &usize| stored.binary_search(c).unwrap_or_default();
        let keys: Vec<usize> = keys.iter().map(place).collect();
        let rows = Arrangement::with_hash_width(SchemaRef::clone(&projected), keys.clone(), width);
        let partners = Partners::Ignored;
        Ok(Self { stored, schema: projected, keys, rows, is_kept: true, partners })
    }

    /// The stored columns of a delta.
    pub(super) fn take_in(&self, delta: &Delta, nulls_match: bool) -> Result<Taken> {
        let mut taken = Taken { able: Delta::default(), alone: Delta::default() };
        for batch in &delta.ok {
            let columns = project(batch.columns.columns(), &self.stored);
            let columns = batch_of(&self.schema, columns, batch.len())?;
            let batch = DeltaBatch { columns, weights: batch.weights.clone() };
            let keys = self.keys_of(&batch);
            if nulls_match || keys.iter().all(|k| k.null_count() == 0) {
                taken.able.push(batch);
                continue;
            }
            let valid = |row: usize| keys.iter().all(|k| k.is_valid(row));
            let able: BooleanArray = (0..batch.len()).map(|row| Some(valid(row))).collect();
            taken.able.ok.extend(kept(&batch, &able)?);
            if self.partners.matter() {
                let alone = arrow::compute::not(&able)?;
                taken.alone.ok.extend(kept(&batch, &alone)?);
            }
        }
        Ok(taken)
    }

    /// The key columns of a batch of stored columns.
    pub(super) fn keys_of(&self, batch: &DeltaBatch) -> Vec<ArrayRef> {
        project(batch.columns.columns(), &self.keys)
    }

    /// Stores a delta; `counts` are the numbers of partners of its rows, in order.
    pub(super) fn apply(&mut self, delta: &Delta, counts: &[i64]) -> Result<()> {
        if !self.is_kept {
            return Ok(());
        }
        let bound = self.rows.row_bound();
        self.rows.apply(delta)?;
        if let Partners::ByRow(by_row) = &mut self.partners {
            by_row.insert(bound, unit_rows(delta).map(|row| counts[row]));
        }
        Ok(())
    }

    /// Moves what it holds to spill space until that freed `want` bytes of memory; how many it freed.
    pub(super) fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        let mut freed = self.rows.spill(space, want)?;
        if freed < want {
            freed += match &mut self.partners {
                Partners::Ignored => 0,
                Partners::ByKey(counts) => counts.spill(space, want - freed)?,
                Partners::ByRow(by_row) => by_row.spill(space)?,
            };
        }
        Ok(freed)
    }

    /// Drops what is dead when it is more than what lives; between ticks only.
    pub(super) fn compact_if_worn(&mut self) -> Result<()> {
        if let Partners::ByKey(counts) = &mut self.partners {
            counts.compact_if_worn()?;
        }
        let live: Vec<u32> = match &self.partners {
            Partners::ByRow(_) if self.rows.log().is_worn() => {
                self.rows.log().live_from(0).collect()
            }
            _ => Vec::new(),
        };
        if let Some(moves) = self.rows.compact_if_worn()?
            && let Partners::ByRow(by_row) = &mut self.partners
        {
            by_row.compacted(&live, &moves);
        }
        Ok(())
    }
}

/// The rows of a delta that are inserted, each as often as its weight says, by their number in the delta.
fn unit_rows(delta: &Delta) -> impl Iterator<Item = usize> + '_ {
    let firsts = delta.ok.iter().scan(0, |next, batch| {
        let first = *next;
        *next += batch.len();
        Some(first)
    });
    delta.ok.iter().zip(firsts).flat_map(|(batch, first)| {
        (0..batch.len()).flat_map(move |i| {
            let times = match &batch.weights {
                Weights::One => 1,
                Weights::MinusOne => 0,
                Weights::Each(weights) => usize::try_from(weights[i]).unwrap_or(0),
            };
            std::iter::repeat_n(first + i, times)
        })
    })
}
