//! The clock as a relation of one row, and what becomes of plans that call it.
//!
//! Such a plan arrives with its calls in two places: in filters of comparisons with rising bounds, and in
//! relations of one row. What calls it elsewhere (in `VALUES`, in a subquery that no rule turned into a join)
//! is recomputed when the clock moves.

use datafusion::logical_expr::{Expr, LogicalPlan, Projection};

use super::{Builder, expression, output_schema};
use crate::clock::{is_call, is_monotonic, over_relation, temporal};
use crate::delta_plan::{Expression, NodeId, Op, Properties};
use crate::error::Result;

impl Builder<'_> {
    /// A plan whose first node calls the clock.
    pub(super) fn reading_clock(&mut self, plan: &LogicalPlan) -> Result<NodeId> {
        if let LogicalPlan::Filter(filter) = plan
            && let Some(comparisons) = temporal(filter)
            && let Some(node) = self.temporal(filter, &comparisons)?
        {
            return Ok(node);
        }
        if let LogicalPlan::Projection(projection) = plan
            && is_relation(projection)
        {
            return self.clock(projection);
        }
        self.recompute(plan, "now() where it cannot be told which rows a move of the clock touches")
    }

    fn clock(&mut self, projection: &Projection) -> Result<NodeId> {
        let values = projection.expr.iter().map(bound).collect::<Result<_>>()?;
        let schema = output_schema(&projection.schema);
        Ok(self.add(Op::Clock(values), vec![], schema, Properties::default()))
    }
}

/// An expression of the clock, compiled.
pub(super) fn bound(expr: &Expr) -> Result<Expression> {
    let (expr, schema) = over_relation(expr.clone().unalias())?;
    expression(&expr, &schema)
}

/// Whether a projection gives one row of values that follow from the clock alone and cannot fail.
pub(super) fn is_relation(projection: &Projection) -> bool {
    let is_value = |expr: &Expr| match expr {
        Expr::Alias(alias) => is_monotonic(&alias.expr) || is_call(&alias.expr),
        other => is_monotonic(other) || is_call(other),
    };
    let from = projection.input.as_ref();
    matches!(from, LogicalPlan::EmptyRelation(empty) if empty.produce_one_row)
        && projection.expr.iter().all(is_value)
}
