//! The clock: what `now()` means in a view.
//!
//! A view has the time of its epoch, which the commit records. `now()` and its like are *calls of the clock*:
//! functions without a value of their own. Three things become of them:
//!
//! | where | becomes |
//! |---|---|
//! | `WHERE x > now() - interval '1 hour'`, where the bound only rises ([`rising`]) | a filter that a row leaves or enters once ([`temporal`](crate::incremental)) |
//! | anywhere else in a maintained plan | a column of a relation of one row, joined where it is needed ([`rows`]) |
//! | in a plan that is run as a batch | the time of an epoch, as a literal ([`at`]) |
//!
//! Queries of a session do not come here: their functions of these names have the time of the statement.

mod function;
mod rising;
mod rows;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF, lit};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::scalar::ScalarValue;

use self::function::ClockFunction;
use crate::named::rewrite_parts;

pub(crate) use self::rising::{is_monotonic, rises};
pub(crate) use self::rows::{Temporal, give_rows, temporal};

/// The column of the clock's relation.
const NOW: &str = "now()";
/// The time zone of the clock.
const UTC: &str = "+00:00";

/// The functions that call the clock.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    function::all()
}

/// The clock's relation: one row with the time.
#[must_use]
pub fn schema() -> Arc<Schema> {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()));
    Arc::new(Schema::new(vec![Field::new(NOW, time, false)]))
}

/// `plan` as it is at a time, in microseconds since 1970 UTC.
///
/// # Errors
/// When the plan cannot be rebuilt.
pub fn at(plan: LogicalPlan, micros: i64) -> Result<LogicalPlan> {
    if !is_read_by(&plan)? {
        return Ok(plan);
    }
    let now = lit(ScalarValue::TimestampMicrosecond(Some(micros), Some(UTC.into())));
    let read = |e: Expr| -> Result<Transformed<Expr>> { Ok(reading(e, &now)) };
    Ok(plan.transform_up_with_subqueries(|node| rewrite_parts(node, read))?.data)
}

/// Whether a plan or one of its subqueries calls the clock.
///
/// # Errors
/// Never: walking a plan cannot fail.
pub fn is_read_by(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= is_read_in(node);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Whether an expression of this very node calls the clock.
pub(crate) fn is_read_in(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let visited = plan.apply_expressions(|expr| {
        found |= calls(expr);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found || visited.is_err()
}

/// Whether an expression calls the clock.
pub(crate) fn calls(expr: &Expr) -> bool {
    expr.exists(|e| Ok(is_call(e))).expect("the test never fails")
}

/// An expression of calls of the clock and constants, over the clock's relation.
pub(crate) fn over_relation(expr: Expr) -> Result<(Expr, DFSchema)> {
    let now = Expr::Column(Column::from_name(NOW));
    let expr = expr.transform_up(|e| Ok(reading(e, &now)))?.data;
    Ok((expr, DFSchema::try_from(schema().as_ref().clone())?))
}

/// What a call reads off the time `now`; other expressions stay.
fn reading(expr: Expr, now: &Expr) -> Transformed<Expr> {
    let read = match &expr {
        Expr::ScalarFunction(call) => {
            call_of(&expr).map(|function| function.of(&call.args, now.clone()))
        }
        _ => None,
    };
    read.map_or_else(|| Transformed::no(expr), Transformed::yes)
}

/// Whether an expression is a call of the clock.
pub(crate) fn is_call(expr: &Expr) -> bool {
    call_of(expr).is_some()
}

fn call_of(expr: &Expr) -> Option<&ClockFunction> {
    match expr {
        Expr::ScalarFunction(call) => call.func.inner().downcast_ref::<ClockFunction>(),
        _ => None,
    }
}

/// A rule that leaves calls of the clock where they are.
///
/// Common parts of expressions become columns of a projection below. A call among them would be a column
/// whose every value changes as time passes, where the conditions that it stood in touch few rows.
#[derive(Debug)]
pub(crate) struct KeepCalls(pub(crate) Arc<dyn OptimizerRule + Send + Sync>);

impl OptimizerRule for KeepCalls {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        if !is_read_by(&plan)? {
            return self.0.rewrite(plan, config);
        }
        let hidden = as_volatile(plan, true)?;
        self.0.rewrite(hidden, config)?.map_data(|plan| as_volatile(plan, false))
    }
}

/// The plan with its calls marked as volatile, which rules keep where they are, or not.
fn as_volatile(plan: LogicalPlan, volatile: bool) -> Result<LogicalPlan> {
    let mark = |expr: Expr| -> Result<Transformed<Expr>> {
        let marked = call_of(&expr).map(|function| function.as_volatile(volatile));
        Ok(match (marked, expr) {
            (Some(function), Expr::ScalarFunction(mut call)) => {
                call.func = function;
                Transformed::yes(Expr::ScalarFunction(call))
            }
            (_, expr) => Transformed::no(expr),
        })
    };
    let marked = plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|expr| expr.transform_up(mark))
    })?;
    Ok(marked.data)
}
