//! The clock beside rows: where an expression calls it, its value becomes a column.
//!
//! ```text
//! Projection [now() - at]                Projection [__clock_0 - at]
//!   t                           ->         Join cross
//!                                            t
//!                                            Projection [now() AS __clock_0]  (one row)
//! ```
//! A move of the clock then changes every row that meets it. Conditions that compare rows with a bound that
//! only rises stand apart, above the others: each row passes such a bound once, so they stay as they are.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{
    Column, DFSchema, JoinConstraint, JoinType, NullEquality, Result, internal_datafusion_err,
};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Between, BinaryExpr, EmptyRelation, Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder,
    Operator,
};

use super::{calls, is_call, is_monotonic, is_read_in, rises};
use crate::delta_plan::Comparison;
use crate::fallible::may_fail_near_now;

/// A comparison of rows with a bound that only rises.
#[derive(Clone, Debug)]
pub(crate) struct Temporal {
    /// What is compared of a row.
    pub(crate) row: Expr,
    /// How.
    pub(crate) comparison: Comparison,
    /// The bound.
    pub(crate) bound: Expr,
}

/// `plan` in which only such comparisons, alone in their filters, and relations of one row call the clock.
/// Parts that cannot be brought into that form are left as they are.
///
/// # Errors
/// When the plan cannot be rebuilt.
pub(crate) fn give_rows(plan: LogicalPlan) -> Result<LogicalPlan> {
    let given = plan.transform_up(|node| {
        if !is_read_in(&node) {
            return Ok(Transformed::no(node));
        }
        Ok(Transformed::yes(match node {
            LogicalPlan::Filter(filter) => filtered(filter)?,
            LogicalPlan::Join(join) => joined(join)?,
            LogicalPlan::Projection(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Sort(_) => beside(&node)?,
            other => other,
        }))
    })?;
    Ok(given.data)
}

/// The comparisons that a filter consists of; none if it has any other condition.
pub(crate) fn temporal(filter: &Filter) -> Option<Vec<Temporal>> {
    let conditions = split_conjunction(&filter.predicate);
    let alone = conditions.len() == 1;
    let compared = |condition: &&Expr| compared(condition, filter.input.schema(), alone);
    let all: Option<Vec<Vec<Temporal>>> = conditions.iter().map(compared).collect();
    Some(all?.into_iter().flatten().collect())
}

/// The comparisons that a condition consists of, if it has no other parts. One that is not `alone` must not
/// fail for rows that the others keep away.
fn compared(condition: &Expr, schema: &DFSchema, alone: bool) -> Option<Vec<Temporal>> {
    if !calls(condition) {
        return None;
    }
    let pairs: Vec<(&Expr, Operator, &Expr)> = match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            vec![(left, Operator::GtEq, right), (left, Operator::LtEq, right)]
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => vec![(left, *op, right)],
        Expr::Between(Between { expr, negated: false, low, high }) => {
            vec![(expr, Operator::GtEq, low), (expr, Operator::LtEq, high)]
        }
        _ => return None,
    };
    let one = |(left, op, right): (&Expr, Operator, &Expr)| {
        let (row, op, bound) = match (rises(left), rises(right)) {
            (false, true) => (left, op, right),
            (true, false) => (right, op.swap()?, left),
            _ => return None,
        };
        let comparison = Comparison::of(op)?;
        let fits = Comparison::orders(row, schema, bound, &DFSchema::empty())
            && !calls(row)
            && !row.is_volatile();
        let fails = !alone && may_fail_near_now(row, schema);
        (fits && !fails && !row.column_refs().is_empty()).then(|| Temporal {
            row: row.clone(),
            comparison,
            bound: bound.clone(),
        })
    };
    pairs.into_iter().map(one).collect()
}

/// A filter as one of conditions without the clock, below one of comparisons with rising bounds, below one
/// of the other conditions.
fn filtered(filter: Filter) -> Result<LogicalPlan> {
    let schema = Arc::clone(filter.input.schema());
    let (reading, plain): (Vec<Expr>, Vec<Expr>) =
        split_conjunction_owned(filter.predicate).into_iter().partition(calls);
    let alone = reading.len() == 1 && plain.is_empty();
    // Conditions that may fail see the rows that they see in the query: together with the others.
    let together = !alone && plain.iter().chain(&reading).any(|e| may_fail_near_now(e, &schema));
    let (rising, others): (Vec<Expr>, Vec<Expr>) = reading
        .into_iter()
        .partition(|condition| !together && compared(condition, &schema, alone).is_some());
    let mut plan = Arc::unwrap_or_clone(filter.input);
    let (below, above) = if together { (Vec::new(), plain) } else { (plain, Vec::new()) };
    for conditions in [below, rising] {
        if let Some(predicate) = conjunction(conditions) {
            plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?);
        }
    }
    match conjunction(above.into_iter().chain(others)) {
        None => Ok(plan),
        Some(rest) => meeting(plan, rest),
    }
}

/// The rows that meet a condition which calls the clock, by a join with it: its conditions may compare rows with one
/// value, which has an operator of its own.
fn meeting(rows: LogicalPlan, condition: Expr) -> Result<LogicalPlan> {
    let mut hoisted = Hoisted::default();
    let columns = rows.schema().columns();
    let condition = Some(hoisted.out_of(condition)?);
    let (rows, clock) = (Arc::new(rows), Arc::new(hoisted.relation()?));
    let (kind, nulls) = (JoinType::Inner, NullEquality::NullEqualsNothing);
    let constraint = JoinConstraint::On;
    let join = Join::try_new(rows, clock, vec![], condition, kind, constraint, nulls, false)?;
    picked(LogicalPlan::Join(join), columns)
}

/// A node with one input, over that beside the clock, with the columns it had.
fn beside(node: &LogicalPlan) -> Result<LogicalPlan> {
    let mut hoisted = Hoisted::default();
    let names = NamePreserver::new(node);
    let exprs = node.expressions().into_iter().map(|expr| {
        let name = names.save(&expr);
        Ok(name.restore(hoisted.out_of(expr)?))
    });
    let exprs = exprs.collect::<Result<Vec<_>>>()?;
    let input = node.inputs().into_iter().next().cloned();
    let input =
        input.ok_or_else(|| internal_datafusion_err!("{} reads nothing", node.display()))?;
    let input = LogicalPlanBuilder::from(input).cross_join(hoisted.relation()?)?.build()?;
    let columns = node.schema().columns();
    let made = node.with_new_exprs(exprs, vec![input])?;
    picked(made, columns)
}

/// A join one side of which stands beside the clock: the one whose rows the condition only chooses.
fn joined(mut join: Join) -> Result<LogicalPlan> {
    let reads = |(left, right): &(Expr, Expr)| calls(left) || calls(right);
    if join.null_aware {
        return Ok(LogicalPlan::Join(join));
    }
    let (equal, on): (Vec<_>, Vec<_>) = join.on.into_iter().partition(reads);
    join.on = on;
    let operator = match join.null_equality {
        NullEquality::NullEqualsNothing => Operator::Eq,
        NullEquality::NullEqualsNull => Operator::IsNotDistinctFrom,
    };
    let equal = equal.into_iter().map(|(left, right)| {
        Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right)))
    });
    let condition = conjunction(equal.chain(join.filter.take()));
    let mut hoisted = Hoisted::default();
    join.filter = condition.map(|condition| hoisted.out_of(condition)).transpose()?;
    let right = !matches!(
        join.join_type,
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark
    );
    let side = if right { &mut join.right } else { &mut join.left };
    let both = LogicalPlanBuilder::from(side.as_ref().clone());
    *side = Arc::new(both.cross_join(hoisted.relation()?)?.build()?);
    let columns = join.schema.columns();
    let Join { left, right, on, filter, join_type, join_constraint, null_equality, .. } = join;
    let join =
        Join::try_new(left, right, on, filter, join_type, join_constraint, null_equality, false)?;
    picked(LogicalPlan::Join(join), columns)
}

/// A plan with just some of its columns.
fn picked(plan: LogicalPlan, columns: Vec<Column>) -> Result<LogicalPlan> {
    if plan.schema().columns() == columns {
        return Ok(plan);
    }
    LogicalPlanBuilder::from(plan).project(columns.into_iter().map(Expr::Column))?.build()
}

/// Values of the clock that expressions need.
#[derive(Default)]
struct Hoisted {
    values: Vec<Expr>,
}

impl Hoisted {
    /// An expression that reads columns where it called the clock: the largest parts that change in one direction, else
    /// the calls themselves.
    fn out_of(&mut self, expr: Expr) -> Result<Expr> {
        let read = expr.transform_down(|part| {
            let is_value = is_monotonic(&part) || is_call(&part);
            if !is_value || matches!(part, Expr::Alias(_)) {
                return Ok(Transformed::no(part));
            }
            let known = self.values.iter().position(|value| *value == part);
            let at = known.unwrap_or(self.values.len());
            if known.is_none() {
                self.values.push(part);
            }
            let column = Expr::Column(Column::from_name(name(at)));
            Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
        })?;
        Ok(read.data)
    }

    /// The relation of one row with these values.
    fn relation(self) -> Result<LogicalPlan> {
        let schema = Arc::new(DFSchema::empty());
        let one = LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, schema });
        let values = self.values.into_iter().enumerate().map(|(i, value)| value.alias(name(i)));
        LogicalPlanBuilder::from(one).project(values)?.build()
    }
}

fn name(i: usize) -> String {
    format!("__clock_{i}")
}
