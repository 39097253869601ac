//! Fixed rows.
//!
//! **Meaning**     VALUES ..., as a bag: each row with weight 1.
//! **Delta rule**  all rows in the first step, nothing after.
//! **State**       whether the rows have been emitted.
//! **Cost**        the rows, once.
//! **Time**        unbounded from the first step on.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use levada_storage::delta::{Delta, DeltaBatch};

use crate::error::Result;
use crate::operator::{Operator, OperatorMetrics, RunSink, StateRun, Tick};

/// The operator.
#[derive(Debug)]
pub struct Constant {
    rows: RecordBatch,
    emitted: bool,
    /// Whether `emitted` is in a run.
    frozen: bool,
    metrics: OperatorMetrics,
}

impl Constant {
    /// The rows of `rows`.
    #[must_use]
    pub fn new(rows: RecordBatch) -> Self {
        Self { rows, emitted: false, frozen: false, metrics: OperatorMetrics::default() }
    }
}

impl Operator for Constant {
    fn step(&mut self, _tick: &Tick, _inputs: &[&Delta]) -> Result<Delta> {
        if std::mem::replace(&mut self.emitted, true) {
            return Ok(Delta::default());
        }
        self.metrics.rows_out += self.rows.num_rows() as u64;
        Ok(Delta::of([DeltaBatch::inserts(self.rows.clone())]))
    }

    fn freeze(&mut self, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        if !self.emitted || (self.frozen && !full) {
            return Ok(());
        }
        self.frozen = true;
        let field = Field::new("emitted", DataType::Boolean, false);
        let column = Arc::new(BooleanArray::from(vec![true]));
        let rows = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column])?;
        out(StateRun { part: 0, replaces: true, rows })
    }

    fn restore(&mut self, runs: &[StateRun]) -> Result<()> {
        self.emitted = !runs.is_empty();
        self.frozen = self.emitted;
        Ok(())
    }

    fn metrics(&self) -> OperatorMetrics {
        self.metrics
    }
}
