//! `sys.operators`: the running operators and what they hold and have done.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::SchemaRef;

use super::{bigint, count, text};
use crate::database::Shared;
use crate::error::Result;
use crate::snapshot::SnapshotSet;

pub(super) fn schema() -> SchemaRef {
    super::schema([
        bigint("node"),
        text("view"),
        text("operator"),
        text("cost"),
        bigint("state_rows"),
        bigint("state_bytes"),
        bigint("state_rows_touched"),
        bigint("rows_in"),
        bigint("rows_out"),
    ])
}

pub(super) fn rows(_shared: &Arc<Shared>, snapshot: &SnapshotSet) -> Result<RecordBatch> {
    let operators = snapshot.operators.as_ref();
    let views = operators.iter().map(|o| {
        let names = o.views.iter().filter_map(|id| snapshot.catalog.get(*id));
        names.map(|v| snapshot.catalog.qualified_name(v)).collect::<Vec<_>>().join(", ")
    });
    let numbers = |f: fn(&crate::graph::OperatorInfo) -> u64| {
        Arc::new(operators.iter().map(|o| Some(count(f(o)))).collect::<Int64Array>())
    };
    Ok(RecordBatch::try_new(
        schema(),
        vec![
            numbers(|o| o.node),
            Arc::new(StringViewArray::from_iter_values(views)),
            Arc::new(StringViewArray::from_iter_values(operators.iter().map(|o| &o.label))),
            Arc::new(StringViewArray::from_iter_values(operators.iter().map(|o| &o.cost))),
            numbers(|o| o.metrics.state_rows),
            numbers(|o| o.metrics.state_bytes),
            numbers(|o| o.metrics.state_rows_touched),
            numbers(|o| o.metrics.rows_in),
            numbers(|o| o.metrics.rows_out),
        ],
    )?)
}
