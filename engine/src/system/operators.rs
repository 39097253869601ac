//! `sys.operators`, `sys.operator_state`: the running operators, what they hold and have done.

use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, SchemaRef};

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
    let views = operators.iter().map(|o| views_of(snapshot, o));
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

pub(super) fn state_schema() -> SchemaRef {
    super::schema([
        bigint("node"),
        text("view"),
        text("operator"),
        bigint("rows"),
        bigint("bytes"),
        bigint("spilled_bytes"),
        Field::new("skew", DataType::Float64, true),
    ])
}

/// `sys.operator_state`: what operators with state hold.
pub(super) fn state_rows(_shared: &Arc<Shared>, snapshot: &SnapshotSet) -> Result<RecordBatch> {
    let held = |o: &&OperatorInfo| {
        let metrics = o.meter.get();
        metrics.state_rows > 0 || metrics.state_bytes > 0
    };
    let operators: Vec<&OperatorInfo> = snapshot.operators.iter().filter(held).collect();
    let numbers = |f: fn(&OperatorMetrics) -> u64| {
        let numbers = operators.iter().map(|o| Some(count(f(&o.meter.get()))));
        Arc::new(numbers.collect::<Int64Array>())
    };
    let nodes = operators.iter().map(|o| Some(count(o.node)));
    let views = operators.iter().map(|o| views_of(snapshot, o));
    let skews = operators.iter().map(|o| o.meter.skew());
    Ok(RecordBatch::try_new(
        state_schema(),
        vec![
            Arc::new(nodes.collect::<Int64Array>()),
            Arc::new(StringViewArray::from_iter_values(views)),
            Arc::new(StringViewArray::from_iter_values(operators.iter().map(|o| &o.label))),
            numbers(|m| m.state_rows),
            numbers(|m| m.state_bytes),
            numbers(|m| m.spilled_bytes),
            Arc::new(Float64Array::from_iter_values(skews)),
        ],
    )?)
}

/// The views that an operator works for.
fn views_of(snapshot: &SnapshotSet, operator: &OperatorInfo) -> String {
    let views = operator.views.iter().filter_map(|id| snapshot.catalog.get(*id));
    views.map(|v| snapshot.catalog.qualified_name(v)).collect::<Vec<_>>().join(", ")
}
