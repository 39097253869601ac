//! Rewriting of expressions under the names they had.
//!
//! The name of an output column is the text of its expression. A rule that rewrites a part of it would rename
//! the column, and what reads the column would not find it.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// `plan` with each part of its own expressions rewritten, inner parts first.
///
/// # Errors
/// Those of `rewrite`.
pub(crate) fn rewrite_parts(
    plan: LogicalPlan,
    mut rewrite: impl FnMut(Expr) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let done = expr.transform_up(&mut rewrite)?;
        Ok(if done.transformed { done.update_data(|e| name.restore(e)) } else { done })
    })
}
