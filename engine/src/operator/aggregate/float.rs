//! `sum` of floats and `avg`: an exact window in two words, the number of values, and a side table.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Float64Array, Int32Array, RecordBatch, UInt32Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Schema, UInt32Type};
use levada_planner::aggregate::exact_float::{Base, Wide, round};
use levada_planner::aggregate::float::Reading;

use crate::arrangement::keyed::KeyedState;
use crate::error::{Error, Result};
use crate::operator::aggregate::call::{Class, Failures, Side, Slice};
use crate::operator::aggregate::integer::{read_i128, write_i128};
use crate::operator::{RunSink, StateRun};

/// The class. The batch functions add with the same code.
pub(super) struct Sum {
    reading: Reading,
    base: Option<Base>,
    /// What does not fit the windows, by group.
    wide: HashMap<u32, Wide>,
    changed: bool,
}

impl Sum {
    pub(super) fn new(reading: Reading) -> Self {
        Self { reading, base: None, wide: HashMap::new(), changed: false }
    }

    fn add_wide(&mut self, slot: u32, x: f64, weight: i64) {
        self.changed = true;
        let wide = self.wide.entry(slot).or_default();
        wide.add(x, weight);
        if weight < 0 && wide.is_empty() {
            self.wide.remove(&slot);
        }
    }
}

impl Class for Sum {
    fn words(&self) -> usize {
        3
    }

    fn update(&mut self, groups: &mut KeyedState, at: usize, slice: &Slice) -> Result<()> {
        let Some(values) = slice.values else { return Ok(()) };
        let values = cast(values, &DataType::Float64)?;
        let values = values.as_primitive::<Float64Type>();
        if self.base.is_none() {
            self.base = values.iter().flatten().find_map(Base::around);
            self.changed |= self.base.is_some();
        }
        let base = self.base.unwrap_or(Base::new(0));
        let values = values.values();
        slice.each(|i, slot, weight| {
            let words = &mut groups.words_mut(slot)[at..at + 3];
            words[2] = words[2].wrapping_add(weight.cast_unsigned());
            let mut window = read_i128(words);
            if base.add(&mut window, values[i], weight) {
                write_i128(words, window);
            } else {
                self.add_wide(slot, values[i], weight);
            }
        });
        Ok(())
    }

    fn evaluate(
        &mut self,
        _: usize,
        (groups, at): (&KeyedState, usize),
        slots: &[u32],
        _: &mut Failures,
    ) -> Result<ArrayRef> {
        let base = self.base.unwrap_or(Base::new(0));
        let values = slots.iter().map(|slot| {
            let words = &groups.words(*slot)[at..at + 3];
            let wide = if self.wide.is_empty() { None } else { self.wide.get(slot) };
            let sum = || round(read_i128(words), base, wide);
            (words[2] != 0).then(|| self.reading.of(sum(), words[2].cast_signed()))
        });
        Ok(Arc::new(values.collect::<Float64Array>()))
    }

    fn release(&mut self, slot: u32) -> Result<()> {
        // The window may hold what the side table takes back; together they are zero.
        self.changed |= self.wide.remove(&slot).is_some();
        Ok(())
    }

    /// One replacing run: the base as a row of slot 2^32 - 1, then the side table by slot.
    fn freeze(&mut self, part: u32, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        if !self.changed && !full {
            return Ok(());
        }
        self.changed = false;
        let mut rows: Vec<(u32, Option<i32>, Vec<u8>)> =
            self.wide.iter().map(|(slot, wide)| (*slot, None, wide.encode())).collect();
        rows.extend(self.base.map(|base| (u32::MAX, Some(base.exponent()), Vec::new())));
        rows.sort_unstable();
        let schema = Schema::new(vec![
            Field::new("__slot", DataType::UInt32, false),
            Field::new("base", DataType::Int32, true),
            Field::new("wide", DataType::Binary, false),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt32Array::from_iter_values(rows.iter().map(|r| r.0))),
            Arc::new(rows.iter().map(|r| r.1).collect::<Int32Array>()),
            Arc::new(BinaryArray::from_iter_values(rows.iter().map(|r| &r.2))),
        ];
        let rows = RecordBatch::try_new(Arc::new(schema), columns)?;
        out(StateRun { part, replaces: true, rows })
    }

    fn restore(&mut self, part: u32, runs: &[StateRun]) -> Result<()> {
        let malformed = || Error::Internal("a state run of a float sum is malformed".to_owned());
        let Some(run) = runs.iter().rfind(|r| r.part == part) else { return Ok(()) };
        let [slots, bases, wides] = run.rows.columns() else { return Err(malformed()) };
        let slots = slots.as_primitive_opt::<UInt32Type>().ok_or_else(malformed)?;
        let bases = bases.as_primitive_opt::<Int32Type>().ok_or_else(malformed)?;
        let wides = wides.as_binary_opt::<i32>().ok_or_else(malformed)?;
        for row in 0..run.rows.num_rows() {
            if bases.is_valid(row) {
                self.base = Some(Base::new(bases.value(row)));
            } else {
                let wide = Wide::decode(wides.value(row)).ok_or_else(malformed)?;
                self.wide.insert(slots.value(row), wide);
            }
        }
        Ok(())
    }

    fn side(&self) -> Side {
        let rows = self.wide.len() as u64;
        Side { bytes: rows * 160, ..Side::default() }
    }
}
