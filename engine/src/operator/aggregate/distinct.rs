//! Calls over distinct values: (group, value) -> count, whose 0 <-> 1 edges feed the plain class.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema};

use crate::arrangement::hash::HashWidth;
use crate::arrangement::keyed::KeyedState;
use crate::arrangement::to_u32;
use crate::error::{Error, Result};
use crate::operator::aggregate::call::{Class, Failures, Side, Slice};
use crate::operator::{RunSink, StateRun};
use crate::spill::SpillSpace;

/// The class around another.
pub(super) struct Distinct {
    inner: Box<dyn Class>,
    counts: KeyedState,
    /// Counts that are below zero between the slices of a tick.
    negative: i64,
    /// Of the slice that was prepared.
    edges: Edges,
}

/// Values that appear in their groups or vanish.
#[derive(Default)]
struct Edges {
    slots: Vec<u32>,
    weights: Vec<i64>,
    values: Option<ArrayRef>,
}

impl Distinct {
    /// Gives `inner` each value of type `value` once per group.
    pub(super) fn new(inner: Box<dyn Class>, value: &DataType, width: HashWidth) -> Self {
        let schema = Schema::new(vec![
            Field::new("group", DataType::UInt32, false),
            Field::new("value", value.clone(), true),
        ]);
        let counts = KeyedState::new(Arc::new(schema), 0, width);
        Self { inner, counts, negative: 0, edges: Edges::default() }
    }
}

impl Class for Distinct {
    fn words(&self) -> usize {
        self.inner.words()
    }

    fn prepares(&self) -> bool {
        true
    }

    fn prepare(&mut self, slice: &Slice) -> Result<()> {
        self.edges = Edges::default();
        let Some(values) = slice.values else { return Ok(()) };
        let (mut rows, mut slots, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        slice.each(|row, slot, weight| {
            rows.push(row);
            slots.push(slot);
            weights.push(weight);
        });
        if rows.is_empty() {
            return Ok(());
        }
        let rows = rows.into_iter().map(to_u32).collect::<Result<Vec<_>>>()?;
        let values = take(values, &UInt32Array::from(rows), None)?;
        let keys: [ArrayRef; 2] = [Arc::new(UInt32Array::from(slots.clone())), Arc::clone(&values)];
        let found = self.counts.find_or_insert(&keys, slots.len())?;
        self.counts.begin_tick();
        let mut touched = Vec::new();
        for (row, (count, weight)) in found.slots.iter().zip(&weights).enumerate() {
            if self.counts.touch(*count) {
                touched.push((row, *count, self.counts.weight(*count)));
            }
            self.counts.add_weight(*count, *weight);
        }
        let mut edges = Vec::new();
        for (row, count, before) in touched {
            let after = self.counts.weight(count);
            self.negative += i64::from(after < 0) - i64::from(before < 0);
            if (before > 0) != (after > 0) {
                edges.push(to_u32(row)?);
                self.edges.slots.push(slots[row]);
                self.edges.weights.push(if after > 0 { 1 } else { -1 });
            }
            if after == 0 {
                self.counts.remove(count, found.hashes[row]);
            }
        }
        self.edges.values = Some(take(&values, &UInt32Array::from(edges), None)?);
        Ok(())
    }

    fn update(&mut self, groups: &mut KeyedState, at: usize, _slice: &Slice) -> Result<()> {
        let Edges { slots, weights, values: Some(values) } = std::mem::take(&mut self.edges) else {
            return Ok(());
        };
        let (slots, weights) = (&slots[..], &weights[..]);
        let slice = Slice { slots, weights, values: Some(&values), columns: &[] };
        self.inner.prepare(&slice)?;
        self.inner.update(groups, at, &slice)
    }

    fn end_tick(&mut self) -> Result<()> {
        if self.negative != 0 {
            let text = "a value of DISTINCT was retracted more often than added";
            return Err(Error::Internal(text.to_owned()));
        }
        self.counts.compact_if_worn()?;
        self.inner.end_tick()
    }

    fn evaluate(
        &mut self,
        reading: usize,
        words: (&KeyedState, usize),
        slots: &[u32],
        failures: &mut Failures,
    ) -> Result<ArrayRef> {
        self.inner.evaluate(reading, words, slots, failures)
    }

    fn release(&mut self, slot: u32) -> Result<()> {
        self.inner.release(slot)
    }

    fn freeze(&mut self, part: u32, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        self.counts.freeze(part, full, out)?;
        self.inner.freeze(part + 1, full, out)
    }

    fn restore(&mut self, part: u32, runs: &[StateRun]) -> Result<()> {
        self.counts.restore(runs.iter().filter(|r| r.part == part))?;
        self.inner.restore(part + 1, runs)
    }

    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        let freed = self.counts.spill(space, want)?;
        Ok(freed + self.inner.spill(space, want.saturating_sub(freed))?)
    }

    fn side(&self) -> Side {
        let counts = Side {
            rows: self.counts.len() as u64,
            bytes: self.counts.bytes(),
            spilled: self.counts.spilled(),
            touched: self.counts.touched(),
        };
        self.inner.side().plus(counts)
    }
}
