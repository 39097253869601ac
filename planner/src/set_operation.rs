//! `INTERSECT ALL` and `EXCEPT ALL` by the number of copies.
//!
//! DataFusion asks of each left row whether an equal right row exists, so one right row takes away all its
//! copies. The rule numbers the copies of each row on both sides and compares the numbers too:
//!
//! ```text
//! {a, a, a} EXCEPT ALL {a}  =  {(a,1), (a,2), (a,3)} without {(a,1)}  =  {a, a}
//! ```

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, JoinType, NullEquality, Result};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Distinct, Expr, ExprFunctionExt, Join, LogicalPlan, LogicalPlanBuilder,
};
use datafusion::optimizer::AnalyzerRule;

use crate::window::row_number;

/// Name of the column that holds the number of a copy.
const COPY: &str = "__copy";

/// The analyzer rule.
#[derive(Debug)]
pub(crate) struct CountCopies;

impl AnalyzerRule for CountCopies {
    fn name(&self) -> &'static str {
        "count_copies"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(rewrite)?.data)
    }
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Join(join) if is_set_operation(&join) => {
            Ok(Transformed::yes(with_copies(join)?))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Whether the join compares all columns of both sides, and the left rows may have copies.
///
/// Before subqueries are turned into joins, only set operations make such joins.
fn is_set_operation(join: &Join) -> bool {
    let kind = matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti);
    let is_counted = join.left.schema().fields().last().is_none_or(|f| f.name() == COPY);
    kind && !is_counted
        && join.null_equality == NullEquality::NullEqualsNull
        && join.filter.is_none()
        && !matches!(join.left.as_ref(), LogicalPlan::Distinct(Distinct::All(_)))
        && join.on.iter().map(|(l, _)| column_of(l)).eq(columns_of(&join.left))
        && join.on.iter().map(|(_, r)| column_of(r)).eq(columns_of(&join.right))
}

fn columns_of(plan: &LogicalPlan) -> impl Iterator<Item = Option<Column>> {
    plan.schema().columns().into_iter().map(Some)
}

/// The column that is compared, in another type perhaps.
fn column_of(expr: &Expr) -> Option<Column> {
    match expr {
        Expr::Column(column) => Some(column.clone()),
        Expr::Cast(cast) => column_of(&cast.expr),
        _ => None,
    }
}

fn with_copies(join: Join) -> Result<LogicalPlan> {
    let columns = join.left.schema().columns();
    let (mut left_keys, mut right_keys): (Vec<Expr>, Vec<Expr>) = join.on.into_iter().unzip();
    let left = numbered(&join.left, &left_keys)?;
    let right = numbered(&join.right, &right_keys)?;
    left_keys.push(Expr::Column(Column::from_name(COPY)));
    right_keys.push(Expr::Column(Column::from_name(COPY)));
    let joined = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        left_keys.into_iter().zip(right_keys).collect(),
        None,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        false,
    )?;
    LogicalPlanBuilder::from(LogicalPlan::Join(joined))
        .project(columns.into_iter().map(Expr::Column))?
        .build()
}

/// The rows of `plan` with the numbers of their copies.
fn numbered(plan: &LogicalPlan, columns: &[Expr]) -> Result<LogicalPlan> {
    let call = Expr::from(WindowFunction::new(row_number(), Vec::new()));
    let call = call.partition_by(columns.to_vec()).build()?.alias(COPY);
    LogicalPlanBuilder::from(plan.clone()).window([call])?.build()
}
