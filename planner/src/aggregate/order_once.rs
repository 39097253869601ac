//! Sort keys of aggregates, each once.
//!
//! Two expressions may become one when they are simplified. DataFusion drops the second from the order of
//! an aggregate where it runs it, but not from its requirements, and ends at the difference.

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use crate::named::rewrite_parts;

/// The rule; it comes after those that simplify.
#[derive(Debug)]
pub(crate) struct OrderOnce;

impl OptimizerRule for OrderOnce {
    fn name(&self) -> &'static str {
        "order_once"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        if !matches!(plan, LogicalPlan::Aggregate(_)) {
            return Ok(Transformed::no(plan));
        }
        rewrite_parts(plan, |e| Ok(once(e)))
    }
}

fn once(expr: Expr) -> Transformed<Expr> {
    let Expr::AggregateFunction(mut call) = expr else { return Transformed::no(expr) };
    let before = call.params.order_by.len();
    let mut kept: Vec<SortExpr> = Vec::with_capacity(before);
    for sort in std::mem::take(&mut call.params.order_by) {
        if kept.iter().all(|k| k.expr != sort.expr) {
            kept.push(sort);
        }
    }
    let changed = kept.len() < before;
    call.params.order_by = kept;
    let expr = Expr::AggregateFunction(call);
    if changed { Transformed::yes(expr) } else { Transformed::no(expr) }
}
