//! Z-set runs: the state of a log on its way to and from files.
//!
//! ```text
//! run = up to 2^17 rows (hash, columns..., weight) ordered by hash
//!       +1  appended since the last run       -1  died since, appended before
//! ```
//! The sum of all runs from the last replacing one on is the contents. A run replaces all former ones
//! when ids have changed or when it and the former ones hold more than twice the live rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use levada_storage::delta::DeltaBatch;

use crate::arrangement::log::ColumnLog;
use crate::error::{Error, Result};
use crate::operator::{RunSink, StateRun};

/// Rows of one run.
pub(crate) const RUN_ROWS: usize = 1 << 17;
/// Rows that runs may have beyond twice the live ones before they are replaced.
pub(crate) const SLACK: u64 = 4096;

/// What of a log is in runs.
#[derive(Debug)]
pub(crate) struct ZSetRuns {
    schema: SchemaRef,
    /// Ids below it are in runs.
    frozen: u32,
    /// Rows below `frozen` that died since.
    dead: Vec<u32>,
    /// Whether ids have changed.
    replace: bool,
    /// Rows of the runs so far.
    run_rows: u64,
}

impl ZSetRuns {
    pub(crate) fn new(rows: &Schema) -> Self {
        let hash = Arc::new(Field::new("__hash", DataType::UInt64, false));
        let weight = Arc::new(Field::new("__weight", DataType::Int64, false));
        let fields = std::iter::once(hash).chain(rows.fields().iter().cloned()).chain([weight]);
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Self { schema, frozen: 0, dead: Vec::new(), replace: false, run_rows: 0 }
    }

    /// Notes a death.
    pub(crate) fn died(&mut self, row: u32) {
        if row < self.frozen {
            self.dead.push(row);
        }
    }

    /// Notes that ids have changed.
    pub(crate) fn compacted(&mut self) {
        self.replace = true;
        self.frozen = 0;
        self.dead.clear();
    }

    /// Notes that the first `rows` ids came from runs.
    pub(crate) fn restored(&mut self, rows: u32, run_rows: u64) {
        (self.frozen, self.run_rows, self.replace) = (rows, run_rows, false);
        self.dead.clear();
    }

    /// Hands out the runs of a part since the last call, or all of it. `hashes` gives the hash of rows.
    pub(crate) fn freeze(
        &mut self,
        (part, full): (u32, bool),
        log: &ColumnLog,
        hashes: &dyn Fn(&[u32]) -> Result<Vec<u64>>,
        out: &mut RunSink<'_>,
    ) -> Result<()> {
        let delta = u64::from(log.rows() - self.frozen) + self.dead.len() as u64;
        if delta == 0 && !full && !self.replace {
            return Ok(());
        }
        let live = u64::from(log.live_rows());
        let replaces = full || self.replace || self.run_rows + delta > 2 * live + SLACK;
        let from = if replaces { 0 } else { self.frozen };
        let dead = std::mem::take(&mut self.dead);
        let dead = dead.into_iter().filter(|_| !replaces).map(|row| (row, -1));
        let mut entries = log.live_from(from).map(|row| (row, 1)).chain(dead);
        let mut written = 0;
        loop {
            let block: Vec<(u32, i64)> = entries.by_ref().take(RUN_ROWS).collect();
            if block.is_empty() && !(replaces && written == 0) {
                break;
            }
            let ids: Vec<u32> = block.iter().map(|(row, _)| *row).collect();
            let rows = hashes(&ids)?.into_iter().zip(&block).map(|(h, (row, w))| (h, *row, *w));
            let mut sorted: Vec<(u64, u32, i64)> = rows.collect();
            sorted.sort_unstable();
            let rows = self.write(&sorted, log)?;
            out(StateRun { part, replaces: replaces && written == 0, rows })?;
            written += block.len() as u64;
            if block.is_empty() {
                break;
            }
        }
        self.run_rows = if replaces { 0 } else { self.run_rows } + written;
        self.frozen = log.rows();
        self.replace = false;
        Ok(())
    }

    fn write(&self, block: &[(u64, u32, i64)], log: &ColumnLog) -> Result<RecordBatch> {
        let rows: Vec<u32> = block.iter().map(|(_, row, _)| *row).collect();
        let hash: ArrayRef = Arc::new(UInt64Array::from_iter_values(block.iter().map(|b| b.0)));
        let weight: ArrayRef = Arc::new(Int64Array::from_iter_values(block.iter().map(|b| b.2)));
        let mut columns = vec![hash];
        columns.extend(log.gather_all(&rows)?);
        columns.push(weight);
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// The rows of a run as a delta of rows of `schema`.
    pub(crate) fn read(&self, run: &RecordBatch, schema: &SchemaRef) -> Result<DeltaBatch> {
        let fits = run.num_columns() == self.schema.fields().len();
        let weights = run.columns().last().and_then(|w| w.as_primitive_opt::<Int64Type>());
        let Some(weights) = weights.filter(|_| fits) else {
            return Err(Error::Internal(
                "a state run has other columns than its operator".to_owned(),
            ));
        };
        let columns = run.columns()[1..run.num_columns() - 1].to_vec();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(run.num_rows()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?;
        Ok(DeltaBatch::weighted(rows, weights.values().to_vec()))
    }
}
