//! Total orders for the aggregates whose result depends on the order of their rows.
//!
//! | call | becomes |
//! |---|---|
//! | `array_agg(x ORDER BY y)` and the like | `array_agg(x ORDER BY y, x)` |
//! | `first_value(x)` and the like | `first_value(x ORDER BY x)` |
//! | `any_value(x)` | `min(x)` |
//! | `count(x ORDER BY y)` and the like | `count(x)` |
//!
//! Each argument that the `ORDER BY` does not name is added to it, ascending with NULLs last: rows that are
//! equal in all of that are equal for the function. So a query has one answer, whatever the order of its
//! scan, and a maintained view has the same.

use std::sync::Arc;

use arrow::row::{RowConverter, SortField};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{AggregateUDF, Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use super::extreme::Extreme;
use super::moments::Moment;
use super::ordered::Ordered;
use crate::named::rewrite_parts;
use crate::pg_compat;

/// Functions whose result does not depend on an order, and that ask for it nevertheless.
const ORDERLESS: [&str; 11] = [
    "approx_distinct",
    "avg",
    "bit_and",
    "bit_or",
    "bool_and",
    "bool_or",
    "count",
    "max",
    "median",
    "min",
    "sum",
];

/// The analyzer rule.
#[derive(Debug)]
pub(crate) struct TotalOrder;

impl AnalyzerRule for TotalOrder {
    fn name(&self) -> &'static str {
        "total_order"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(rewrite)?.data)
    }
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    if !matches!(plan, LogicalPlan::Aggregate(_)) {
        return Ok(Transformed::no(plan));
    }
    let schema = merge_schema(&plan.inputs());
    rewrite_parts(plan, |e| ordered(e, &schema))
}

fn ordered(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::AggregateFunction(mut call) = expr else { return Ok(Transformed::no(expr)) };
    if call.func.name() == "any_value" {
        call.func = Arc::new(AggregateUDF::from(Extreme::min()));
        call.params.order_by.clear();
        call.params.null_treatment = None;
        return Ok(Transformed::yes(Expr::AggregateFunction(call)));
    }
    let orderless = ORDERLESS.contains(&call.func.name())
        || call.func.inner().downcast_ref::<Moment>().is_some();
    if orderless && !call.params.order_by.is_empty() {
        call.params.order_by.clear();
        return Ok(Transformed::yes(Expr::AggregateFunction(call)));
    }
    if !is_ordered(&call.func, call.params.distinct) {
        return Ok(Transformed::no(Expr::AggregateFunction(call)));
    }
    if call.params.distinct {
        refuse_foreign_order(&call)?;
    }
    let missing = missing_arguments(&call);
    if missing.is_empty() || !missing.iter().all(|e| is_sortable(e, schema)) {
        return Ok(Transformed::no(Expr::AggregateFunction(call)));
    }
    call.params.order_by.extend(missing.into_iter().map(|e| e.sort(true, false)));
    Ok(Transformed::yes(Expr::AggregateFunction(call)))
}

fn is_ordered(function: &AggregateUDF, distinct: bool) -> bool {
    function.inner().downcast_ref::<Ordered>().is_some_and(|ordered| ordered.sorts(distinct))
}

/// The arguments that differ between rows and are not sorted by.
fn missing_arguments(call: &AggregateFunction) -> Vec<Expr> {
    let mut missing: Vec<Expr> = Vec::new();
    for argument in &call.params.args {
        let sorted = call.params.order_by.iter().any(|s| s.expr == *argument);
        if !is_constant(argument) && !sorted && !missing.contains(argument) {
            missing.push(argument.clone());
        }
    }
    missing
}

fn is_constant(expr: &Expr) -> bool {
    expr.column_refs().is_empty()
}

fn is_sortable(expr: &Expr, schema: &DFSchema) -> bool {
    let data_type = expr.get_type(schema);
    data_type.is_ok_and(|t| RowConverter::supports_fields(&[SortField::new(t)]))
}

/// Refuses a sort by what equal values need not have in common.
fn refuse_foreign_order(call: &AggregateFunction) -> Result<()> {
    let known = |e: &Expr| call.params.args.contains(e) || is_constant(e);
    if call.params.order_by.iter().all(|sort| known(&sort.expr)) {
        return Ok(());
    }
    let message =
        "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list";
    Err(pg_compat::error("42P10", message.to_owned()))
}
