//! `FETCH FIRST n ROWS WITH TIES`: as many rows of an order, and those equal to the last of them in it.
//!
//! ```text
//! Limit skip=m, fetch=with_ties(n)        Sort o
//!   Sort o                            ->    Filter rank <= m + n AND row > m
//!     rows                                    rank() OVER (ORDER BY o), row_number() OVER (ORDER BY o)
//!                                               rows
//! ```
//! So a maintained view reads the first rows alone, as with any bound on a rank.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result, internal_err};
use datafusion::logical_expr::expr::{ScalarFunction, WindowFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprFunctionExt, Limit, LogicalPlan, LogicalPlanBuilder, Projection,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Sort, SortExpr, Volatility, WindowUDF,
};

use crate::pg_compat;
use crate::window::{rank, row_number};

/// Name of the function that stands for the clause.
pub(crate) const WITH_TIES: &str = "__with_ties";

/// Names of the columns that number rows.
const RANK: &str = "__rank";
const ROW: &str = "__row";

/// The function to register.
pub(crate) fn function() -> Arc<ScalarUDF> {
    let signature = Signature::exact(vec![DataType::Int64], Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(WithTies { signature }))
}

/// What marks the number of rows; it is never evaluated.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WithTies {
    signature: Signature,
}

impl ScalarUDFImpl for WithTies {
    fn name(&self) -> &'static str {
        WITH_TIES
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("{WITH_TIES} is no function to call")
    }
}

/// `plan` with the clause expanded.
///
/// # Errors
/// When there is no order (42601).
pub(crate) fn expand(plan: LogicalPlan) -> Result<LogicalPlan> {
    let expanded = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Limit(limit) => match rows_of(&limit) {
            Some(rows) => Ok(Transformed::yes(first_rows(limit, &rows)?)),
            None => Ok(Transformed::no(LogicalPlan::Limit(limit))),
        },
        other => Ok(Transformed::no(other)),
    })?;
    Ok(expanded.data)
}

/// The number of rows that a limit takes with ties.
fn rows_of(limit: &Limit) -> Option<Expr> {
    match limit.fetch.as_deref()? {
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == WITH_TIES => {
            args.first().cloned()
        }
        _ => None,
    }
}

fn first_rows(limit: Limit, rows: &Expr) -> Result<LogicalPlan> {
    let skip = limit.skip.map(|skip| *skip);
    below_projections(Arc::unwrap_or_clone(limit.input), &|sort| {
        first_of(sort, skip.as_ref(), rows)
    })
}

/// Replaces the sort below projections.
fn below_projections(
    plan: LogicalPlan,
    replace: &dyn Fn(Sort) -> Result<LogicalPlan>,
) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let below = below_projections(Arc::unwrap_or_clone(projection.input), replace)?;
            let input = Arc::new(below);
            let made = Projection::try_new_with_schema(projection.expr, input, projection.schema)?;
            Ok(LogicalPlan::Projection(made))
        }
        LogicalPlan::Sort(sort) => replace(sort),
        _ => {
            let message = "WITH TIES cannot be specified without ORDER BY clause";
            Err(pg_compat::error("42601", message.to_owned()))
        }
    }
}

fn first_of(sort: Sort, skip: Option<&Expr>, rows: &Expr) -> Result<LogicalPlan> {
    let columns = sort.input.schema().columns().into_iter().map(Expr::Column);
    let columns: Vec<Expr> = columns.collect();
    let number = |function: Arc<WindowUDF>, order: Vec<SortExpr>, name: &str| {
        let call = Expr::from(WindowFunction::new(function, Vec::new()));
        Ok::<Expr, datafusion::error::DataFusionError>(call.order_by(order).build()?.alias(name))
    };
    let column = |name: &str| Expr::Column(Column::from_name(name));
    let mut plan = LogicalPlanBuilder::from(Arc::unwrap_or_clone(sort.input));
    let mut shown = rows.clone();
    if let Some(skip) = skip {
        plan = plan.window([number(row_number(), sort.expr.clone(), ROW)?])?;
        shown = skip.clone() + shown;
    }
    plan = plan.window([number(rank(), sort.expr.clone(), RANK)?])?;
    plan = plan.filter(column(RANK).lt_eq(shown))?;
    if let Some(skip) = skip {
        plan = plan.filter(column(ROW).gt(skip.clone()))?;
    }
    plan.project(columns)?.sort(sort.expr)?.build()
}
