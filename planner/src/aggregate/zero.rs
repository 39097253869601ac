//! One zero for aggregates over distinct floats.
//!
//! `-0.0` and `0.0` are equal, yet of different bits, and DataFusion's distinct aggregates compare bits. The
//! rule adds `0.0` to their arguments, and to the same expressions in their `ORDER BY`: that turns `-0.0` into `0.0` and leaves every other value as it is.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, binary_expr};
use datafusion::optimizer::AnalyzerRule;

use crate::named::rewrite_parts;

/// The analyzer rule.
#[derive(Debug)]
pub(crate) struct OneZero;

impl AnalyzerRule for OneZero {
    fn name(&self) -> &'static str {
        "one_zero"
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
    rewrite_parts(plan, |e| Ok(with_one_zero(e, &schema)))
}

fn with_one_zero(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Expr::AggregateFunction(AggregateFunction { func, mut params }) = expr else {
        return Transformed::no(expr);
    };
    let mut changed = false;
    if params.distinct {
        for argument in &mut params.args {
            let zero = argument.get_type(schema).and_then(|t| ScalarValue::new_zero(&t));
            let Some(zero) = zero.ok().filter(|z| z.data_type().is_floating()) else { continue };
            let value = std::mem::replace(argument, Expr::Literal(ScalarValue::Null, None));
            *argument = binary_expr(value.clone(), Operator::Plus, Expr::Literal(zero, None));
            for sort in params.order_by.iter_mut().filter(|sort| sort.expr == value) {
                sort.expr = argument.clone();
            }
            changed = true;
        }
    }
    let expr = Expr::AggregateFunction(AggregateFunction { func, params });
    if changed { Transformed::yes(expr) } else { Transformed::no(expr) }
}
