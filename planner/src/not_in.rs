//! `NOT IN` over a correlated subquery.
//!
//! DataFusion's NULL-aware antijoin knows one pair of keys and nothing else. With further conditions the
//! answer is an ordinary antijoin that takes an unknown comparison for a match:
//!
//! ```text
//! a.k NOT IN (SELECT b.k FROM b WHERE b.g = a.g)   =   a ANTI JOIN b ON b.g = a.g AND (a.k = b.k) IS NOT FALSE
//! ```

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// The rule; it runs right after the one that makes the joins, when `NOT IN` is the first condition.
#[derive(Debug)]
pub(crate) struct CorrelatedNotIn;

impl OptimizerRule for CorrelatedNotIn {
    fn name(&self) -> &'static str {
        "correlated_not_in"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        if !join.null_aware || !join.on.is_empty() {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        let Some(filter) = join.filter.take() else {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        };
        let mut conditions = split_conjunction_owned(filter);
        if conditions.len() < 2 {
            join.filter = conjunction(conditions);
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        let compared = conditions.remove(0);
        conditions.insert(0, Expr::IsNotFalse(Box::new(compared)));
        join.filter = conjunction(conditions);
        join.null_aware = false;
        Ok(Transformed::yes(LogicalPlan::Join(join)))
    }
}
