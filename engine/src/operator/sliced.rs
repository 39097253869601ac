//! An operator without state, whose large deltas are worked on in parts.
//!
//! Each row goes by itself, so a delta may be cut anywhere; the parts come back in order. Small deltas go
//! through one instance as they are.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use levada_storage::delta::{Delta, DeltaBatch};

use crate::error::Result;
use crate::operator::sharded::SHARDS;
use crate::operator::{Operator, OperatorMetrics, Tick};
use crate::workers::Workers;

/// The operator.
pub struct Sliced {
    instances: Vec<Box<dyn Operator>>,
    workers: Workers,
}

impl Sliced {
    /// The operator that works as any of `instances`, which are equal and have one input and no state.
    #[must_use]
    pub fn new(instances: Vec<Box<dyn Operator>>, workers: Workers) -> Self {
        assert_eq!(instances.len(), SHARDS, "an instance for each part");
        Self { instances, workers }
    }
}

impl Operator for Sliced {
    fn step(&mut self, tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        if !self.workers.pays(inputs[0].rows()) {
            return self.instances[0].step(tick, inputs);
        }
        let mut parts = cut(inputs[0], SHARDS);
        parts[0].err.clone_from(&inputs[0].err);
        let (work, tick) = (std::mem::take(&mut self.instances).into_iter().zip(parts), *tick);
        let stepped = self.workers.map(work.collect(), move |(mut instance, part)| {
            let run = AssertUnwindSafe(|| instance.step(&tick, &[&part]));
            let output = catch_unwind(run);
            (instance, output)
        });
        let (instances, outputs): (Vec<_>, Vec<_>) = stepped.into_iter().unzip();
        self.instances = instances;
        let mut out = Delta::default();
        for output in outputs {
            match output {
                Ok(delta) => out.append(delta?),
                Err(panic) => resume_unwind(panic),
            }
        }
        Ok(out)
    }

    fn metrics(&self) -> OperatorMetrics {
        self.instances.iter().map(|instance| instance.metrics()).sum()
    }
}

/// The rows of a delta in `parts` parts of about equal size, in order.
fn cut(delta: &Delta, parts: usize) -> Vec<Delta> {
    let most = delta.rows().div_ceil(parts).max(1);
    let mut cut = vec![Delta::default(); parts];
    let (mut part, mut room) = (0, most);
    for batch in &delta.ok {
        let mut from = 0;
        while from < batch.len() {
            if room == 0 {
                (part, room) = (part + 1, most);
            }
            let rows = room.min(batch.len() - from);
            cut[part].push(piece(batch, from, rows));
            (from, room) = (from + rows, room - rows);
        }
    }
    cut
}

fn piece(batch: &DeltaBatch, from: usize, rows: usize) -> DeltaBatch {
    if rows == batch.len() { batch.clone() } else { batch.slice(from, rows) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::Int64Type;

    use super::*;

    fn numbers(from: i64, to: i64) -> DeltaBatch {
        let column = Arc::new(Int64Array::from_iter_values(from..to));
        let rows = RecordBatch::try_from_iter([("n", column as _)]).expect("a batch");
        DeltaBatch::inserts(rows)
    }

    #[test]
    fn parts_are_even_and_in_order() {
        for sizes in [vec![10], vec![1, 1, 1], vec![3, 0, 9, 1], vec![4, 4, 4, 4], vec![1]] {
            let mut next = 0;
            let batches = sizes.iter().map(|size| {
                next += size;
                numbers(next - size, next)
            });
            let delta = Delta::of(batches);
            let parts = cut(&delta, 4);
            let most = delta.rows().div_ceil(4);
            assert!(parts.iter().all(|part| part.rows() <= most), "{sizes:?}");
            let rows = parts.iter().flat_map(|part| &part.ok).flat_map(|batch| {
                batch.columns.column(0).as_primitive::<Int64Type>().values().to_vec()
            });
            assert_eq!(rows.collect::<Vec<_>>(), (0..next).collect::<Vec<_>>(), "{sizes:?}");
        }
    }
}
