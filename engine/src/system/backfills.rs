//! `sys.backfill_progress`: materialized views that are being filled.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};

use super::{bigint, count, text};
use crate::backfill::Progress;
use crate::database::Shared;
use crate::error::Result;
use crate::snapshot::SnapshotSet;

pub(super) fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    super::schema([
        text("views"),
        text("phase"),
        bigint("rows_read"),
        bigint("rows_total"),
        bigint("epoch"),
        Field::new("started_at", time, true),
    ])
}

pub(super) fn rows(shared: &Arc<Shared>, _snapshot: &SnapshotSet) -> Result<RecordBatch> {
    let running = shared.backfills();
    let numbers = |of: &dyn Fn(&Progress) -> u64| -> Int64Array {
        running.iter().map(|progress| Some(count(of(progress)))).collect()
    };
    let started = running.iter().map(|progress| Some(progress.began_us));
    let started: TimestampMicrosecondArray = started.collect();
    Ok(RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(StringViewArray::from_iter_values(
                running.iter().map(|progress| progress.views.join(", ")),
            )),
            Arc::new(StringViewArray::from_iter_values(
                running.iter().map(|progress| progress.phase().word()),
            )),
            Arc::new(numbers(&|progress| progress.rows().0)),
            Arc::new(numbers(&|progress| progress.rows().1)),
            Arc::new(numbers(&|progress| progress.epoch.0)),
            Arc::new(started.with_timezone("+00:00")),
        ],
    )?)
}
