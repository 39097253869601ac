//! All rows of all inputs.
//!
//! **Meaning**     UNION ALL, as bags: weights add up.
//! **Delta rule**  d(A + B) = dA + dB.
//! **State**       none.
//! **Cost**        per batch: its column pointers.
//! **Time**        the least of the inputs.

use arrow::datatypes::SchemaRef;
use levada_storage::delta::{Delta, DeltaBatch};

use crate::error::Result;
use crate::operator::evaluate::batch_of;
use crate::operator::{Operator, OperatorMetrics, Tick};

/// The operator.
#[derive(Debug)]
pub struct Union {
    schema: SchemaRef,
    metrics: OperatorMetrics,
}

impl Union {
    /// A union of inputs with the column types of `schema`.
    #[must_use]
    pub fn new(schema: SchemaRef) -> Self {
        Self { schema, metrics: OperatorMetrics::default() }
    }
}

impl Operator for Union {
    fn step(&mut self, _tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        let mut out = Delta::default();
        for batch in inputs.iter().flat_map(|d| &d.ok) {
            let columns = batch_of(&self.schema, batch.columns.columns().to_vec(), batch.len())?;
            out.push(DeltaBatch { columns, weights: batch.weights.clone() });
        }
        out.err = inputs.iter().flat_map(|d| d.err.iter().cloned()).collect();
        let rows = out.rows() as u64;
        self.metrics.rows_in += rows;
        self.metrics.rows_out += rows;
        Ok(out)
    }

    fn metrics(&self) -> OperatorMetrics {
        self.metrics
    }
}
