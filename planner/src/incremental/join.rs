//! Joins: equality keys become columns, the rest is a residual condition.
//!
//! `RIGHT SEMI` and its like are the left kinds with the sides exchanged. `NOT IN`, where NULL on either
//! side makes the answer unknown, is an anti join behind a gate; see [`not_in`](super::not_in).

use arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchema, JoinType, NullEquality};
use datafusion::logical_expr::builder::build_join_schema;
use datafusion::logical_expr::{Expr, Join as LogicalJoin, LogicalPlan};

use super::{Builder, compile, has_subquery, is_hashable, output_schema};
use crate::delta_plan::{Expression, Join, JoinKind, NodeId, Op, Properties};
use crate::error::Result;

/// A logical join with the side first that decides what comes out.
struct Oriented<'a> {
    kind: JoinKind,
    sides: [&'a LogicalPlan; 2],
    on: Vec<[&'a Expr; 2]>,
}

impl<'a> Oriented<'a> {
    fn of(join: &'a LogicalJoin) -> Self {
        let (kind, swapped) = match join.join_type {
            JoinType::Inner => (JoinKind::Inner, false),
            JoinType::Left => (JoinKind::Left, false),
            JoinType::Right => (JoinKind::Right, false),
            JoinType::Full => (JoinKind::Full, false),
            JoinType::LeftSemi => (JoinKind::Semi, false),
            JoinType::LeftAnti => (JoinKind::Anti, false),
            JoinType::LeftMark => (JoinKind::Mark, false),
            JoinType::RightSemi => (JoinKind::Semi, true),
            JoinType::RightAnti => (JoinKind::Anti, true),
            JoinType::RightMark => (JoinKind::Mark, true),
        };
        let sides = [join.left.as_ref(), join.right.as_ref()];
        let on = join.on.iter().map(|(l, r)| [l, r]);
        if swapped {
            let on = on.map(|[l, r]| [r, l]).collect();
            return Self { kind, sides: [sides[1], sides[0]], on };
        }
        Self { kind, sides, on: on.collect() }
    }
}

impl Builder<'_> {
    pub(super) fn join(&mut self, plan: &LogicalPlan, join: &LogicalJoin) -> Result<NodeId> {
        let exprs = || join.on.iter().flat_map(|(l, r)| [l, r]).chain(&join.filter);
        if exprs().any(has_subquery) {
            return self.recompute(plan, "correlated subquery");
        }
        if let Some(bounded) = self.threshold(join, None)? {
            return Ok(bounded);
        }
        let Oriented { kind, sides, on } = Oriented::of(join);
        let left = self.plan(sides[0])?;
        let right = self.plan(sides[1])?;
        let widths = (sides[0].schema().fields().len(), sides[1].schema().fields().len());
        let left_exprs: Vec<&Expr> = on.iter().map(|[l, _]| *l).collect();
        let right_exprs: Vec<&Expr> = on.iter().map(|[_, r]| *r).collect();
        let (left, left_keys) = self.with_columns(left, sides[0].schema(), &left_exprs)?;
        let (right, right_keys) = self.with_columns(right, sides[1].schema(), &right_exprs)?;
        let key_type = |k: &usize| self.nodes[left].schema.field(*k).data_type();
        if !left_keys.iter().all(|k| is_hashable(key_type(k))) {
            return self.recompute(plan, "join on a type without equality");
        }
        let schema = output_schema(&join.schema);
        if join.null_aware {
            if kind != JoinKind::Anti || join.filter.is_some() || left_keys.len() != 1 {
                return self.recompute(plan, "NOT IN with further conditions");
            }
            let keys = (left_keys[0], right_keys[0]);
            return Ok(self.not_in([left, right], keys, widths.0, schema));
        }
        let left_width = self.nodes[left].schema.fields().len();
        let residual = match &join.filter {
            None => None,
            Some(filter) => {
                let [left, right] = sides.map(|s| s.schema().as_ref());
                let pairs: DFSchema = build_join_schema(left, right, &JoinType::Inner)?;
                let physical = compile(filter, &pairs)?;
                let physical = shift_columns(physical, widths.0, left_width)?;
                Some(Expression { text: physical.to_string(), physical })
            }
        };
        let mark = left_width + self.nodes[right].schema.fields().len();
        let mut output: Vec<usize> = (0..widths.0).collect();
        match kind {
            JoinKind::Inner | JoinKind::Left | JoinKind::Right | JoinKind::Full => {
                output.extend((0..widths.1).map(|i| left_width + i));
            }
            JoinKind::Semi | JoinKind::Anti => {}
            JoinKind::Mark => output.push(mark),
        }
        let node = Join {
            kind,
            left_keys,
            right_keys,
            null_equals_null: join.null_equality == NullEquality::NullEqualsNull,
            residual,
            output,
        };
        Ok(self.add_join(node, [left, right], widths, schema))
    }

    /// Adds a join of which the first `widths` columns of the inputs are output.
    pub(super) fn add_join(
        &mut self,
        join: Join,
        sides: [NodeId; 2],
        widths: (usize, usize),
        schema: SchemaRef,
    ) -> NodeId {
        let properties = self.join_properties(sides, &join, widths);
        self.add(Op::Join(join), sides.to_vec(), schema, properties)
    }

    /// A left key stays unique when each left row meets at most one right row, and the other way round.
    fn join_properties(
        &self,
        sides: [NodeId; 2],
        join: &Join,
        widths: (usize, usize),
    ) -> Properties {
        let [left, right] = sides.map(|s| &self.nodes[s].properties);
        let (kind, left_keys, right_keys) = (join.kind, &join.left_keys, &join.right_keys);
        let insert_only = matches!(kind, JoinKind::Inner | JoinKind::Semi)
            && left.insert_only
            && right.insert_only;
        let covers = |keys: &[usize], p: &Properties| {
            p.unique_keys.iter().any(|u| u.iter().all(|c| keys.contains(c)))
        };
        let inside = |u: &Vec<usize>, width: usize| u.iter().all(|c| *c < width);
        let shifted = |u: &Vec<usize>| u.iter().map(|c| widths.0 + c).collect::<Vec<_>>();
        let left_unique: Vec<_> =
            left.unique_keys.iter().filter(|u| inside(u, widths.0)).cloned().collect();
        let right_unique: Vec<_> =
            right.unique_keys.iter().filter(|u| inside(u, widths.1)).map(shifted).collect();
        if !kind.gives_pairs() {
            return Properties { insert_only, unique_keys: left_unique };
        }
        let mut unique_keys = Vec::new();
        if covers(right_keys, right) && matches!(kind, JoinKind::Inner | JoinKind::Left) {
            unique_keys.extend(left_unique.iter().cloned());
        }
        if covers(left_keys, left) && matches!(kind, JoinKind::Inner | JoinKind::Right) {
            unique_keys.extend(right_unique.iter().cloned());
        }
        if kind == JoinKind::Inner
            && let (Some(l), Some(r)) = (left_unique.first(), right_unique.first())
        {
            unique_keys.push(l.iter().chain(r).copied().collect());
        }
        Properties { insert_only, unique_keys }
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
