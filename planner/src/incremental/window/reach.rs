//! Reaches: which rows of its partition a window function looks at.
//!
//! | call | reach |
//! |---|---|
//! | `lag`, `lead` | so many rows before or after |
//! | a frame of `ROWS` with both ends so many rows away | those rows |
//! | a frame from the first row to the current one; `row_number`, `rank`, `dense_rank` | all rows before |
//! | all else | the partition |
//!
//! Only functions whose value follows from the bag of values they see, bit for bit, have a reach below the
//! partition; so do only arguments that cannot fail, since an error belongs to all rows that see it.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, ExprSchemable, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition,
};

use crate::delta_plan::{Reach, Running};
use crate::fallible::may_fail;

/// What a call over rows of `schema` looks at, whose value is of type `output`.
pub(super) fn reach_of(call: &WindowFunction, schema: &DFSchema, output: &DataType) -> Reach {
    let params = &call.params;
    let exprs = params.args.iter().chain(params.filter.as_deref());
    if exprs.into_iter().any(|e| may_fail(e, schema)) {
        return Reach::Partition;
    }
    let found = match &call.fun {
        WindowFunctionDefinition::WindowUDF(function) => by_place(function.name(), params, output),
        WindowFunctionDefinition::AggregateUDF(function) => {
            let argument = params.args.first().and_then(|a| a.get_type(schema).ok());
            aggregated(function.name(), params, argument.as_ref())
        }
    };
    found.unwrap_or(Reach::Partition)
}

/// The reach of a function that picks a row or counts rows.
fn by_place(name: &str, params: &WindowFunctionParams, output: &DataType) -> Option<Reach> {
    let counts = |reach| (*output == DataType::Int64).then_some(reach);
    let frame = &params.window_frame;
    match name {
        "row_number" => counts(Reach::Before { running: Running::Number, peers: false }),
        "rank" => counts(Reach::Before { running: Running::Rank, peers: true }),
        "dense_rank" => counts(Reach::Before { running: Running::DenseRank, peers: true }),
        "lag" => shifted(params, 1),
        "lead" => shifted(params, -1),
        "first_value" => rows(frame).or_else(|| before(frame, params, Running::First)),
        "last_value" => rows(frame).or_else(|| before(frame, params, Running::Last)),
        "nth_value" => rows(frame),
        _ => None,
    }
}

/// The reach of an aggregate over the rows of a frame.
fn aggregated(
    name: &str,
    params: &WindowFunctionParams,
    argument: Option<&DataType>,
) -> Option<Reach> {
    if params.distinct || params.order_by.is_empty() {
        return None;
    }
    let frame = &params.window_frame;
    let is_float = argument.is_some_and(DataType::is_floating);
    let is_exact =
        argument.is_some_and(|t| t.is_integer() || matches!(t, DataType::Float64) || is_decimal(t));
    match name {
        "count" => {}
        "sum" | "avg" if is_exact => {}
        // Over moving frames they compare floats by DataFusion's order, which is not total.
        "min" | "max" if is_float => return before(frame, params, Running::Aggregate),
        "min" | "max" => {}
        _ => return None,
    }
    rows(frame).or_else(|| before(frame, params, Running::Aggregate))
}

fn is_decimal(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Decimal128(..) | DataType::Decimal256(..))
}

/// `lag` (1) or `lead` (-1) by a constant.
fn shifted(params: &WindowFunctionParams, direction: i64) -> Option<Reach> {
    if params.null_treatment == Some(NullTreatment::IgnoreNulls) {
        return None;
    }
    let offset = match params.args.get(1) {
        None => 1,
        Some(Expr::Literal(value, _)) => match value.cast_to(&DataType::Int64).ok()? {
            ScalarValue::Int64(Some(offset)) => offset,
            _ => return None,
        },
        Some(_) => return None,
    };
    let back = offset.checked_mul(direction)?;
    let (before, after) = (u64::try_from(back).ok(), u64::try_from(back.checked_neg()?).ok());
    Some(Reach::Rows { before: before.unwrap_or(0), after: after.unwrap_or(0) })
}

/// The rows of a frame whose ends are so many rows away.
fn rows(frame: &WindowFrame) -> Option<Reach> {
    if frame.units != WindowFrameUnits::Rows {
        return None;
    }
    // Rows from the current one to the end, negative ones before it.
    let end = |bound: &WindowFrameBound| -> Option<i64> {
        Some(match bound {
            WindowFrameBound::CurrentRow => 0,
            WindowFrameBound::Preceding(rows) => -count(rows)?,
            WindowFrameBound::Following(rows) => count(rows)?,
        })
    };
    let (first, last) = (end(&frame.start_bound)?, end(&frame.end_bound)?);
    let side = |rows: i64| u64::try_from(rows).unwrap_or(0);
    Some(Reach::Rows { before: side(-first), after: side(last) })
}

/// A number of rows; none if there is no bound.
fn count(rows: &ScalarValue) -> Option<i64> {
    match rows.cast_to(&DataType::Int64).ok()? {
        ScalarValue::Int64(rows) => rows.filter(|n| *n >= 0),
        _ => None,
    }
}

/// The rows of a frame from the first of the partition to the current one.
fn before(frame: &WindowFrame, params: &WindowFunctionParams, running: Running) -> Option<Reach> {
    let is_running = frame.start_bound.is_unbounded()
        && matches!(frame.start_bound, WindowFrameBound::Preceding(_))
        && frame.end_bound == WindowFrameBound::CurrentRow
        && !params.order_by.is_empty();
    let peers = frame.units != WindowFrameUnits::Rows;
    is_running.then_some(Reach::Before { running, peers })
}
