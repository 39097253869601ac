//! Sort keys that others decide.
//!
//! DataFusion drops a sort key that the keys before it determine. It takes what is unique on one side of a join
//! for unique in the result, and the one row of an empty grouping set for the only one; so it may drop keys
//! that matter. Here the rule sees sorts only over rows that come from one relation, where what it knows
//! (the table's primary key) holds.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::eliminate_duplicated_expr::EliminateDuplicatedExpr;
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// DataFusion's rule, for these sorts and for groupings.
#[derive(Debug, Default)]
pub(crate) struct SortKeys {
    inner: EliminateDuplicatedExpr,
}

impl OptimizerRule for SortKeys {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.inner.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Sort(sort) if !is_one_relation(&sort.input) => {
                Ok(Transformed::no(LogicalPlan::Sort(sort)))
            }
            plan => self.inner.rewrite(plan, config),
        }
    }
}

/// Whether each row of `plan` is a row of one relation, with more columns perhaps.
fn is_one_relation(plan: &LogicalPlan) -> bool {
    let keeps_rows = |node: &LogicalPlan| {
        matches!(
            node,
            LogicalPlan::TableScan(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::Projection(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::Window(_)
                | LogicalPlan::Sort(_)
                | LogicalPlan::Limit(_)
        )
    };
    let other = plan.exists(|node| Ok(!keeps_rows(node)));
    !other.expect("the test never fails")
}
