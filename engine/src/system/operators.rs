//! `sys.operators`: the running operators and what they hold and have done.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::SchemaRef;

use super::{bigint, count, text};
use crate::database::Shared;
use crate::error::Result;
use crate::graph::OperatorInfo;
use crate::operator::OperatorMetrics;
use crate::snapshot::SnapshotSet;

pub(super) fn schema() -> SchemaRef {
    super::schema([
        bigint("node"),
        text("view"),
        text("operator"),
        text("cost"),
        bigint("state_rows"),
        bigint("state_bytes"),
        bigint("spilled_bytes"),
        bigint("state_rows_touched"),
        bigint("rows_in"),
        bigint("rows_out"),
        bigint("busy_us"),
    ])
}

pub(super) fn rows(_shared: &Arc<Shared>, snapshot: &SnapshotSet) -> Result<RecordBatch> {
    let operators = snapshot.operators.as_ref();
    let views = operators.iter().map(|o| {
        let names = o.views.iter().filter_map(|id| snapshot.catalog.get(*id));
        names.map(|v| snapshot.catalog.qualified_name(v)).collect::<Vec<_>>().join(", ")
    });
    let nodes = operators.iter().map(|o| Some(count(o.node)));
    let metrics: Vec<OperatorMetrics> = operators.iter().map(|o| o.meter.get()).collect();
    let micros = |o: &OperatorInfo| i64::try_from(o.meter.busy().as_micros()).ok();
    let busy = operators.iter().map(micros);
    let numbers = |f: fn(&OperatorMetrics) -> u64| {
        Arc::new(metrics.iter().map(|m| Some(count(f(m)))).collect::<Int64Array>())
    };
    Ok(RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(nodes.collect::<Int64Array>()),
            Arc::new(StringViewArray::from_iter_values(views)),
            Arc::new(StringViewArray::from_iter_values(operators.iter().map(|o| &o.label))),
            Arc::new(StringViewArray::from_iter_values(operators.iter().map(|o| &o.cost))),
            numbers(|m| m.state_rows),
            numbers(|m| m.state_bytes),
            numbers(|m| m.spilled_bytes),
            numbers(|m| m.state_rows_touched),
            numbers(|m| m.rows_in),
            numbers(|m| m.rows_out),
            Arc::new(busy.collect::<Int64Array>()),
        ],
    )?)
}
