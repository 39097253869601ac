//! The time beside rows.
//!
//! **Meaning**     one row: the values of some expressions of `now()`.
//! **Delta rule**  the old row is taken back and the new one given, where a value differs.
//! **State**       the row.
//! **Cost**        two rows per move that changes a value; what is joined with them changes whole.
//! **Time**        follows the commit's.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use levada_planner::delta_plan::Expression;
use levada_storage::delta::{Delta, DeltaBatch};

use crate::error::Result;
use crate::operator::time::{Readings, first};
use crate::operator::{Operator, OperatorMetrics, RunSink, StateRun, Tick};

/// The operator.
#[derive(Debug)]
pub struct Clock {
    readings: Readings,
    schema: SchemaRef,
    row: Option<RecordBatch>,
    /// Whether `row` is in a run.
    frozen: bool,
    metrics: OperatorMetrics,
}

impl Clock {
    /// The row of `values`, of this schema.
    #[must_use]
    pub fn new(values: Vec<Expression>, schema: SchemaRef) -> Self {
        let (readings, metrics) = (Readings::new(values), OperatorMetrics::default());
        Self { readings, schema, row: None, frozen: false, metrics }
    }

    fn row_at(&self, now_us: i64) -> Result<RecordBatch> {
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), self.readings.at(&[now_us])?)?)
    }
}

impl Operator for Clock {
    fn step(&mut self, tick: &Tick, _inputs: &[&Delta]) -> Result<Delta> {
        let row = self.row_at(tick.now_us)?;
        if self.row.as_ref().is_some_and(|old| old.columns() == row.columns()) {
            return Ok(Delta::default());
        }
        let old = self.row.replace(row.clone()).map(DeltaBatch::retractions);
        self.frozen = false;
        let delta = Delta::of(old.into_iter().chain([DeltaBatch::inserts(row)]));
        self.metrics.rows_out += delta.rows() as u64;
        Ok(delta)
    }

    fn due(&mut self, now_us: i64) -> Result<Option<i64>> {
        let row = self.readings.at(&[now_us])?;
        let changed = |times: &[i64]| -> Result<Vec<bool>> {
            let columns = self.readings.at(times)?;
            let differs = |i: usize| {
                columns
                    .iter()
                    .zip(&row)
                    .any(|(then, now)| then.slice(i, 1).as_ref() != now.as_ref())
            };
            Ok((0..times.len()).map(differs).collect())
        };
        Ok(Some(first(now_us, Some(now_us + 1), &changed)))
    }

    fn freeze(&mut self, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        match &self.row {
            Some(row) if full || !self.frozen => {
                self.frozen = true;
                out(StateRun { part: 0, replaces: true, rows: row.clone() })
            }
            _ => Ok(()),
        }
    }

    fn restore(&mut self, runs: &[StateRun]) -> Result<()> {
        if let Some(run) = runs.last() {
            let columns = run.rows.columns().to_vec();
            self.row = Some(RecordBatch::try_new(Arc::clone(&self.schema), columns)?);
        }
        self.frozen = self.row.is_some();
        Ok(())
    }

    fn metrics(&self) -> OperatorMetrics {
        self.metrics
    }
}
