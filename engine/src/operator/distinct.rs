//! Every row that occurs, once.
//!
//! **Meaning**     SELECT DISTINCT, as bags: `weight(r)` = 1 if r occurs, else 0.
//! **Delta rule**  the changes of \[weight > 0\] of the rows in dA.
//! **State**       row -> weight ([`KeyedState`]).
//! **Cost**        per input row: one lookup.
//! **Time**        as the input.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use levada_storage::delta::{Delta, DeltaBatch};

use crate::arrangement::hash::HashWidth;
use crate::arrangement::keyed::KeyedState;
use crate::error::{Error, Result};
use crate::operator::evaluate::batch_of;
use crate::operator::{Operator, OperatorMetrics, RunSink, SLICE_ROWS, StateRun, Tick, slices};
use crate::spill::SpillSpace;

/// The operator.
#[derive(Debug)]
pub struct Distinct {
    schema: SchemaRef,
    weights: KeyedState,
    metrics: OperatorMetrics,
}

/// A row met in a tick.
struct Touched {
    slot: u32,
    hash: u64,
    existed: bool,
}

impl Distinct {
    /// The distinct rows of `schema`.
    #[must_use]
    pub fn new(schema: SchemaRef, width: HashWidth) -> Self {
        let weights = KeyedState::new(SchemaRef::clone(&schema), 0, width);
        Self { schema, weights, metrics: OperatorMetrics::default() }
    }

    fn add(&mut self, batch: &DeltaBatch, touched: &mut Vec<Touched>) -> Result<()> {
        let found = self.weights.find_or_insert(batch.columns.columns(), batch.len())?;
        for (i, (slot, hash)) in found.slots.iter().zip(found.hashes).enumerate() {
            if self.weights.touch(*slot) {
                let existed = self.weights.weight(*slot) > 0;
                touched.push(Touched { slot: *slot, hash, existed });
            }
            self.weights.add_weight(*slot, batch.weights.get(i));
        }
        Ok(())
    }
}

impl Operator for Distinct {
    fn step(&mut self, _tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        self.weights.begin_tick();
        let mut touched = Vec::new();
        for batch in inputs[0].ok.iter().flat_map(|b| slices(b, SLICE_ROWS)) {
            self.metrics.rows_in += batch.len() as u64;
            self.add(&batch, &mut touched)?;
        }
        let (mut appeared, mut vanished) = (Vec::new(), Vec::new());
        for row in &touched {
            match (row.existed, self.weights.weight(row.slot)) {
                (_, ..0) => {
                    let text = "a row of DISTINCT was retracted more often than added";
                    return Err(Error::Internal(text.to_owned()));
                }
                (false, 1..) => appeared.push(row.slot),
                (true, 0) => vanished.push(row.slot),
                (false, 0) | (true, 1..) => {}
            }
        }
        let mut out = Delta { ok: Vec::new(), err: inputs[0].err.clone() };
        let gone = self.weights.gather_keys(&vanished)?;
        out.push(DeltaBatch::retractions(batch_of(&self.schema, gone, vanished.len())?));
        let new = self.weights.gather_keys(&appeared)?;
        out.push(DeltaBatch::inserts(batch_of(&self.schema, new, appeared.len())?));
        for row in touched.iter().filter(|t| self.weights.weight(t.slot) == 0).collect::<Vec<_>>() {
            self.weights.remove(row.slot, row.hash);
        }
        self.weights.compact_if_worn()?;
        self.metrics.rows_out += out.rows() as u64;
        Ok(out)
    }

    fn freeze(&mut self, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        self.weights.freeze(0, full, out)
    }

    fn restore(&mut self, runs: &[StateRun]) -> Result<()> {
        self.weights.restore(runs)
    }

    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        self.weights.spill(space, want)
    }

    fn metrics(&self) -> OperatorMetrics {
        OperatorMetrics {
            state_rows: self.weights.len() as u64,
            state_bytes: self.weights.bytes(),
            spilled_bytes: self.weights.spilled(),
            state_rows_touched: self.weights.touched(),
            ..self.metrics
        }
    }
}
