//! Variances, covariances, correlations, regressions: exact sums in windows in the group's words, and a side
//! table for what does not fit them.
//!
//! Sums and statistics are those of the batch functions: see `levada_planner::aggregate::moments`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Float64Array, Int32Array, RecordBatch, UInt32Array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, UInt32Type};
use levada_planner::aggregate::exact_float::Base;
use levada_planner::aggregate::moments::sums::{Bases, Wide};
use levada_planner::aggregate::moments::{Pairs, Statistic};

use crate::arrangement::keyed::KeyedState;
use crate::error::{Error, Result};
use crate::operator::aggregate::call::{Class, Failures, Side, Slice};
use crate::operator::{RunSink, StateRun};

/// The class.
pub(super) struct Moment {
    statistic: Statistic,
    /// The input column of the second argument, if there is one.
    second: Option<usize>,
    bases: Bases,
    /// What does not fit the windows, by group.
    wide: HashMap<u32, Wide>,
    changed: bool,
}

impl Moment {
    pub(super) fn new(statistic: Statistic, second: Option<usize>) -> Self {
        Self { statistic, second, bases: Bases::default(), wide: HashMap::new(), changed: false }
    }

    fn add_wide(&mut self, slot: u32, x: f64, y: f64, weight: i64) {
        self.changed = true;
        let wide = self.wide.entry(slot).or_default();
        wide.add(self.statistic.columns(), x, y, weight);
        if weight < 0 && wide.is_empty() {
            self.wide.remove(&slot);
        }
    }
}

impl Class for Moment {
    fn words(&self) -> usize {
        self.statistic.columns().words()
    }

    fn update(&mut self, groups: &mut KeyedState, at: usize, slice: &Slice) -> Result<()> {
        let Some(first) = slice.values else { return Ok(()) };
        let arguments = std::iter::once(first).chain(self.second.map(|c| &slice.columns[c]));
        let pairs = Pairs::of(&arguments.collect::<Vec<_>>())?;
        let columns = self.statistic.columns();
        let rows = slice.slots.iter().zip(slice.weights).enumerate();
        for (row, (slot, weight)) in rows.filter(|(_, (_, weight))| **weight != 0) {
            let Some((x, y)) = pairs.get(row) else { continue };
            self.changed |= self.bases.see(x, y);
            let words = &mut groups.words_mut(*slot)[at..at + columns.words()];
            if !columns.add(&self.bases, words, x, y, *weight) {
                self.add_wide(*slot, x, y, *weight);
            }
        }
        Ok(())
    }

    fn evaluate(
        &mut self,
        _: usize,
        (groups, at): (&KeyedState, usize),
        slots: &[u32],
        _: &mut Failures,
    ) -> Result<ArrayRef> {
        let columns = self.statistic.columns();
        let values = slots.iter().map(|slot| {
            let words = &groups.words(*slot)[at..at + columns.words()];
            self.statistic.of(&columns.read(&self.bases, words, self.wide.get(slot)))
        });
        Ok(Arc::new(values.collect::<Float64Array>()))
    }

    fn release(&mut self, slot: u32) -> Result<()> {
        // The windows may hold what the side table takes back; together they are zero.
        self.changed |= self.wide.remove(&slot).is_some();
        Ok(())
    }

    /// One replacing run: the bases as a row of slot 2^32 - 1, then the side table by slot.
    fn freeze(&mut self, part: u32, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        if !self.changed && !full {
            return Ok(());
        }
        self.changed = false;
        let mut slots: Vec<u32> = self.wide.keys().copied().collect();
        slots.sort_unstable();
        let schema = Schema::new(vec![
            Field::new("__slot", DataType::UInt32, false),
            Field::new("x", DataType::Int32, true),
            Field::new("y", DataType::Int32, true),
            Field::new("wide", DataType::Binary, true),
        ]);
        let bases = |base: Option<Base>| {
            let others = slots.iter().map(|_| None);
            std::iter::once(base.map(Base::exponent)).chain(others).collect::<Int32Array>()
        };
        let wides = slots.iter().map(|slot| self.wide.get(slot).map(Wide::encode));
        let wides: Vec<Option<Vec<u8>>> = std::iter::once(None).chain(wides).collect();
        let keys = std::iter::once(u32::MAX).chain(slots.iter().copied());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt32Array::from_iter_values(keys)),
            Arc::new(bases(self.bases.x)),
            Arc::new(bases(self.bases.y)),
            Arc::new(wides.iter().map(Option::as_deref).collect::<BinaryArray>()),
        ];
        let rows = RecordBatch::try_new(Arc::new(schema), columns)?;
        out(StateRun { part, replaces: true, rows })
    }

    fn restore(&mut self, part: u32, runs: &[StateRun]) -> Result<()> {
        let malformed = || Error::Internal("a state run of a statistic is malformed".to_owned());
        let Some(run) = runs.iter().rfind(|r| r.part == part) else { return Ok(()) };
        let [slots, x, y, wides] = run.rows.columns() else { return Err(malformed()) };
        let slots = slots.as_primitive_opt::<UInt32Type>().ok_or_else(malformed)?;
        let wides = wides.as_binary_opt::<i32>().ok_or_else(malformed)?;
        let base = |column: &ArrayRef, row: usize| {
            let column = column.as_primitive_opt::<Int32Type>().ok_or_else(malformed)?;
            Ok::<_, Error>(column.is_valid(row).then(|| Base::new(column.value(row))))
        };
        for row in 0..run.rows.num_rows() {
            if slots.value(row) == u32::MAX {
                self.bases = Bases { x: base(x, row)?, y: base(y, row)? };
            } else {
                let wide = Wide::decode(wides.value(row)).ok_or_else(malformed)?;
                self.wide.insert(slots.value(row), wide);
            }
        }
        Ok(())
    }

    fn side(&self) -> Side {
        let bytes: usize = self.wide.values().map(Wide::bytes).sum();
        Side { bytes: bytes as u64, ..Side::default() }
    }
}
