//! `x > (SELECT max(y) ...)`: a comparison with a value that a relation of one row gives.
//!
//! DataFusion makes a cross join of it, where each move of the value touches every row. Kept in the order
//! of `x`, just the rows between the old value and the new one come or go.
//!
//! ```text
//! Filter a.x > u.max            Threshold #x > #max
//!   Join cross              ->    a
//!     a, u                        u
//! ```
//! The side of the one row is evaluated for a row that may meet no other, the other side for all rows, and
//! further conditions for fewer rows than in the query; so none may fail where that makes a difference.

use std::sync::Arc;

use datafusion::common::{DFSchema, JoinType};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Join as LogicalJoin, LogicalPlan};

use super::clock::is_relation;
use super::order::Ordered;
use super::{Builder, expression, has_subquery, output_schema};
use crate::delta_plan::{Comparison, NodeId, Op, Properties, Threshold};
use crate::error::Result;
use crate::fallible::{may_fail, may_fail_near_now};

/// A comparison of the rows of one side with the one row of the other.
struct Compared<'a> {
    /// Which of the conditions.
    which: usize,
    row: &'a Expr,
    comparison: Comparison,
    value: &'a Expr,
}

impl Builder<'_> {
    /// A cross join with one row below `predicate`, if that bounds the rows of the other side by it.
    pub(super) fn threshold(
        &mut self,
        join: &LogicalJoin,
        predicate: Option<&Expr>,
    ) -> Result<Option<NodeId>> {
        if join.join_type != JoinType::Inner || !join.on.is_empty() {
            return Ok(None);
        }
        let conditions = predicate.into_iter().chain(&join.filter).flat_map(split_conjunction);
        let conditions: Vec<&Expr> = conditions.collect();
        if conditions.iter().any(|c| has_subquery(c)) {
            return Ok(None);
        }
        let [left, right] = [join.left.as_ref(), join.right.as_ref()];
        // A row without input (the clock) counts as none.
        let (rows, one) = match (left.max_rows(), right.max_rows()) {
            (_, Some(..=1)) => (left, right),
            (Some(..=1), _) => (right, left),
            _ => return Ok(None),
        };
        let Some(found) = compared(&conditions, rows, one) else { return Ok(None) };
        let mut others = conditions.iter().enumerate().filter(|(i, _)| *i != found.which);
        if others.any(|(_, condition)| may_fail(condition, &join.schema)) {
            return Ok(None);
        }
        let schemas = [rows.schema(), one.schema()];
        let widths = schemas.map(|s| s.fields().len());
        let rows_node = self.plan(rows)?;
        let by_row = [found.row.clone().sort(true, false)];
        let Some(ordered) = self.ordered(rows_node, schemas[0], &[], &by_row)? else {
            return Ok(None);
        };
        let Ordered { input, order, .. } = ordered;
        let one_node = self.plan(one)?;
        let (one_node, value) = self.with_columns(one_node, schemas[1], &[found.value])?;
        let kept = self.nodes[input].schema.fields().len();
        let of_rows = 0..widths[0];
        let of_one = kept..kept + widths[1];
        let output = if std::ptr::eq(rows, left) {
            of_rows.chain(of_one).collect()
        } else {
            of_one.chain(of_rows).collect()
        };
        let comparison = found.comparison;
        let op = Op::Threshold(Threshold { order, comparison, value: value[0], output });
        let node =
            self.add(op, vec![input, one_node], output_schema(&join.schema), Properties::default());
        let rest = conditions.iter().enumerate().filter(|(i, _)| *i != found.which);
        let Some(rest) = conjunction(rest.map(|(_, c)| (*c).clone())) else {
            return Ok(Some(node));
        };
        let predicate = expression(&rest, &join.schema)?;
        let schema = Arc::clone(&self.nodes[node].schema);
        Ok(Some(self.add(Op::Filter(predicate), vec![node], schema, Properties::default())))
    }
}

/// The first condition that compares the rows with the one row.
fn compared<'a>(
    conditions: &[&'a Expr],
    rows: &LogicalPlan,
    one: &LogicalPlan,
) -> Option<Compared<'a>> {
    let (row_schema, one_schema) = (rows.schema(), one.schema());
    let total = |row: &Expr, value: &Expr| {
        let is_alone = conditions.len() == 1 && has_always_a_row(one);
        let value_fails = match one {
            LogicalPlan::Projection(clock) if is_relation(clock) => {
                may_fail_near_now(value, one_schema)
            }
            _ => may_fail(value, one_schema),
        };
        (is_alone || !may_fail(row, row_schema)) && !value_fails
    };
    conditions.iter().enumerate().find_map(|(which, condition)| {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
        let (row, op, value) = match (is_of(left, row_schema), is_of(left, one_schema)) {
            (true, false) if is_of(right, one_schema) => (left, *op, right),
            (false, true) if is_of(right, row_schema) => (right, op.swap()?, left),
            _ => return None,
        };
        let comparison = Comparison::of(op)?;
        let fits = Comparison::orders(row, row_schema, value, one_schema);
        (fits && total(row, value)).then_some(Compared { which, row, comparison, value })
    })
}

/// Whether an expression reads columns, and only such of `schema`.
fn is_of(expr: &Expr, schema: &DFSchema) -> bool {
    let columns = expr.column_refs();
    !columns.is_empty() && columns.iter().all(|column| schema.has_column(column))
}

/// Whether a plan of one row at most never has none.
fn has_always_a_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => has_always_a_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_always_a_row(&alias.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        _ => false,
    }
}
