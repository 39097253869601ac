//! One output column per expression.
//!
//! **Meaning**     SELECT e1, e2, ..., as bags: each row gives one row of the same weight.
//! **Delta rule**  d(P(A)) = P(dA); expressions are deterministic, so a retraction finds its row.
//! **State**       none.
//! **Cost**        per input row: the evaluation; plain columns are shared.
//! **Time**        as the input.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use levada_planner::delta_plan::Expression;
use levada_storage::delta::{Delta, DeltaBatch};

use crate::error::Result;
use crate::operator::evaluate::{batch_of, column_value, evaluate_rows};
use crate::operator::{Operator, OperatorMetrics, Tick};

/// The operator.
#[derive(Debug)]
pub struct Project {
    expressions: Vec<Expression>,
    schema: SchemaRef,
    metrics: OperatorMetrics,
}

impl Project {
    /// A projection to `expressions`, whose output is of `schema`.
    #[must_use]
    pub fn new(expressions: Vec<Expression>, schema: SchemaRef) -> Self {
        Self { expressions, schema, metrics: OperatorMetrics::default() }
    }
}

impl Operator for Project {
    fn step(&mut self, _tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        let mut out = Delta { ok: Vec::new(), err: inputs[0].err.clone() };
        let Delta { ok, err } = &mut out;
        for batch in &inputs[0].ok {
            self.metrics.rows_in += batch.len() as u64;
            let evaluate = |rows: &RecordBatch| {
                self.expressions
                    .iter()
                    .map(|e| column_value(&e.physical, rows))
                    .collect::<datafusion::error::Result<Vec<_>>>()
            };
            let mut pass = |batch: &DeltaBatch, columns| {
                let columns = batch_of(&self.schema, columns, batch.len())?;
                ok.push(DeltaBatch { columns, weights: batch.weights.clone() });
                Ok(())
            };
            evaluate_rows(batch, &evaluate, &mut pass, err)?;
        }
        self.metrics.rows_out += out.rows() as u64;
        Ok(out)
    }

    fn metrics(&self) -> OperatorMetrics {
        self.metrics
    }
}
