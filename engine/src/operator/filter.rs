//! Rows for which a predicate is true.
//!
//! **Meaning**     WHERE p, as bags: `weight(r)` if p(r) is true, else 0.
//! **Delta rule**  d(F(A)) = F(dA).
//! **State**       none.
//! **Cost**        per input row: one evaluation; a batch that passes as a whole is not copied.
//! **Time**        as the input.

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use levada_planner::delta_plan::Expression;
use levada_storage::delta::{Delta, DeltaBatch, Weights};

use crate::error::Result;
use crate::operator::evaluate::{evaluate_rows, true_rows};
use crate::operator::{Operator, OperatorMetrics, Tick};

/// The operator.
#[derive(Debug)]
pub struct Filter {
    predicate: Expression,
    metrics: OperatorMetrics,
}

impl Filter {
    /// A filter on `predicate`.
    #[must_use]
    pub fn new(predicate: Expression) -> Self {
        Self { predicate, metrics: OperatorMetrics::default() }
    }
}

impl Operator for Filter {
    fn step(&mut self, _tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        let mut out = Delta { ok: Vec::new(), err: inputs[0].err.clone() };
        let Delta { ok, err } = &mut out;
        for batch in &inputs[0].ok {
            self.metrics.rows_in += batch.len() as u64;
            let evaluate = |rows: &_| true_rows(&self.predicate.physical, rows);
            let mut pass = |batch: &DeltaBatch, mask: BooleanArray| {
                ok.extend(kept(batch, &mask)?);
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

/// The rows of the mask, unless there are none.
pub(crate) fn kept(batch: &DeltaBatch, mask: &BooleanArray) -> Result<Option<DeltaBatch>> {
    let count = mask.true_count();
    if count == 0 {
        return Ok(None);
    }
    if count == mask.len() {
        return Ok(Some(batch.clone()));
    }
    let weights = match &batch.weights {
        Weights::Each(w) => {
            let kept = w.iter().zip(mask.values()).filter(|(_, keep)| *keep);
            Weights::Each(kept.map(|(w, _)| *w).collect())
        }
        same => same.clone(),
    };
    let columns = filter_record_batch(&batch.columns, mask)?;
    Ok(Some(DeltaBatch { columns, weights }))
}
