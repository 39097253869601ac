//! Inner joins: equality keys become columns, the rest is a residual condition.

use datafusion::common::NullEquality;
use datafusion::logical_expr::{Expr, Join as LogicalJoin, LogicalPlan};

use super::{Builder, compile, has_subquery, is_hashable, output_schema};
use crate::delta_plan::{Expression, Join, NodeId, Op, Properties};
use crate::error::Result;

impl Builder<'_> {
    pub(super) fn join(&mut self, plan: &LogicalPlan, join: &LogicalJoin) -> Result<NodeId> {
        let exprs = || join.on.iter().flat_map(|(l, r)| [l, r]).chain(&join.filter);
        if exprs().any(has_subquery) {
            return self.recompute(plan, "correlated subquery");
        }
        let left = self.plan(&join.left)?;
        let right = self.plan(&join.right)?;
        let widths = (join.left.schema().fields().len(), join.right.schema().fields().len());
        let left_exprs: Vec<&Expr> = join.on.iter().map(|(l, _)| l).collect();
        let right_exprs: Vec<&Expr> = join.on.iter().map(|(_, r)| r).collect();
        let (left, left_keys) = self.with_columns(left, join.left.schema(), &left_exprs)?;
        let (right, right_keys) = self.with_columns(right, join.right.schema(), &right_exprs)?;
        let key_type = |k: &usize| self.nodes[left].schema.field(*k).data_type();
        if !left_keys.iter().all(|k| is_hashable(key_type(k))) {
            return self.recompute(plan, "join on a type without equality");
        }
        let left_width = self.nodes[left].schema.fields().len();
        let residual = match &join.filter {
            None => None,
            Some(filter) => {
                let physical = compile(filter, &join.schema)?;
                let physical = shift_columns(physical, widths.0, left_width)?;
                Some(Expression { text: physical.to_string(), physical })
            }
        };
        let output =
            (0..widths.0).chain((0..widths.1).map(|i| left_width + i)).collect::<Vec<usize>>();
        let properties = self.join_properties([left, right], &left_keys, &right_keys, widths);
        let op = Op::Join(Join {
            left_keys,
            right_keys,
            null_equals_null: join.null_equality == NullEquality::NullEqualsNull,
            residual,
            output,
        });
        Ok(self.add(op, vec![left, right], output_schema(&join.schema), properties))
    }

    /// A left key stays unique when each left row meets at most one right row, and the other way round.
    fn join_properties(
        &self,
        sides: [NodeId; 2],
        left_keys: &[usize],
        right_keys: &[usize],
        widths: (usize, usize),
    ) -> Properties {
        let [left, right] = sides.map(|s| &self.nodes[s].properties);
        let covers = |keys: &[usize], p: &Properties| {
            p.unique_keys.iter().any(|u| u.iter().all(|c| keys.contains(c)))
        };
        let inside = |u: &Vec<usize>, width: usize| u.iter().all(|c| *c < width);
        let shifted = |u: &Vec<usize>| u.iter().map(|c| widths.0 + c).collect::<Vec<_>>();
        let left_unique: Vec<_> =
            left.unique_keys.iter().filter(|u| inside(u, widths.0)).cloned().collect();
        let right_unique: Vec<_> =
            right.unique_keys.iter().filter(|u| inside(u, widths.1)).map(shifted).collect();
        let mut unique_keys = Vec::new();
        if covers(right_keys, right) {
            unique_keys.extend(left_unique.iter().cloned());
        }
        if covers(left_keys, left) {
            unique_keys.extend(right_unique.iter().cloned());
        }
        if let (Some(l), Some(r)) = (left_unique.first(), right_unique.first()) {
            unique_keys.push(l.iter().chain(r).copied().collect());
        }
        Properties { insert_only: left.insert_only && right.insert_only, unique_keys }
    }
}

/// Moves references to the right side by as many columns as keys were added to the left one.
fn shift_columns(
    expr: std::sync::Arc<dyn datafusion::physical_expr::PhysicalExpr>,
    left_width: usize,
    widened: usize,
) -> Result<std::sync::Arc<dyn datafusion::physical_expr::PhysicalExpr>> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    use datafusion::physical_expr::expressions::Column;
    let moved = expr.transform_up(|e| {
        let index = e.downcast_ref::<Column>().map(|c| (c.name().to_owned(), c.index()));
        Ok(match index {
            Some((name, i)) if i >= left_width => {
                let moved = Column::new(&name, i + widened - left_width);
                Transformed::yes(std::sync::Arc::new(moved))
            }
            _ => Transformed::no(e),
        })
    })?;
    Ok(moved.data)
}
