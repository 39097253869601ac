//! Conditions that may fail, and keeping them where the query has them.
//!
//! A condition such as `10 / k > 1` fails for some rows. Moved below a join it would also be asked of rows that
//! join nothing, and a view would hold an error that its query does not have. So [`PushDownFilter`] moves only
//! conditions that cannot fail; the others stay above the join, or in it, and see the rows that pass the rest.
//! Queries and maintained views share the rule, so both fail for the same rows.
//!
//! ```text
//! Filter 10 / k > 1 AND i = 3          Filter 10 / k > 1
//!   Join                         ->      Join
//!     a, b                                 Filter i = 3 (a), b
//! ```

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, Filter, Join, LogicalPlan, Operator,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::push_down_filter::PushDownFilter as Inner;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use crate::clock::{is_call, rises};

/// Functions that fail for no value; any other one is taken to fail for some.
const TOTAL: [&str; 24] = [
    "btrim",
    "character_length",
    "coalesce",
    "concat",
    "contains",
    "date_part",
    "date_trunc",
    "ends_with",
    "greatest",
    "isnan",
    "least",
    "left",
    "lower",
    "ltrim",
    "nullif",
    "octet_length",
    "replace",
    "reverse",
    "right",
    "rtrim",
    "starts_with",
    "strpos",
    "substr",
    "upper",
];

/// DataFusion's rule of the same name, for conditions that cannot fail.
#[derive(Debug, Default)]
pub(crate) struct PushDownFilter {
    inner: Inner,
}

impl OptimizerRule for PushDownFilter {
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
            // One group without keys gives a row over nothing: no condition passes below it.
            LogicalPlan::Filter(filter) if is_one_group(&filter.input) => {
                Ok(Transformed::no(LogicalPlan::Filter(filter)))
            }
            LogicalPlan::Filter(filter) => self.rewrite_filter(filter, config),
            LogicalPlan::Join(join) if join.filter.is_some() => self.rewrite_join(join, config),
            plan => self.inner.rewrite(plan, config),
        }
    }
}

impl PushDownFilter {
    fn rewrite_filter(
        &self,
        filter: Filter,
        config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let (stay, go) = split(filter.predicate.clone(), filter.input.schema());
        let Some(stay) = conjunction(stay) else {
            return self.inner.rewrite(LogicalPlan::Filter(filter), config);
        };
        let Some(go) = conjunction(go) else {
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        };
        let below = LogicalPlan::Filter(Filter::try_new(go, filter.input)?);
        let below = self.inner.rewrite(below, config)?.data;
        let above = Filter::try_new(stay, Arc::new(below))?;
        Ok(Transformed::yes(LogicalPlan::Filter(above)))
    }

    fn rewrite_join(
        &self,
        mut join: Join,
        config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let schema = join.left.schema().join(join.right.schema())?;
        let (stay, go) = join.filter.take().map_or_else(Default::default, |f| split(f, &schema));
        join.filter = conjunction(go);
        let mut rewritten = self.inner.rewrite(LogicalPlan::Join(join), config)?;
        if let Some(stay) = conjunction(stay) {
            rewritten = rewritten.map_data(|plan| put_back(plan, stay))?;
        }
        Ok(rewritten)
    }
}

fn is_one_group(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty())
}

/// Adds a condition to the join that the rule made of a join without a filter above it.
fn put_back(plan: LogicalPlan, stay: Expr) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Join(mut join) => {
            join.filter = conjunction(join.filter.into_iter().chain([stay]));
            Ok(LogicalPlan::Join(join))
        }
        other => Err(datafusion::common::internal_datafusion_err!(
            "a join became something else: {}",
            other.display()
        )),
    }
}

/// The conjuncts that may fail, and those that cannot.
fn split(predicate: Expr, schema: &DFSchema) -> (Vec<Expr>, Vec<Expr>) {
    split_conjunction_owned(predicate).into_iter().partition(|expr| may_fail(expr, schema))
}

/// Whether evaluating `expr` fails for some row. Bounds that rise with the clock do for no time.
pub(crate) fn may_fail(expr: &Expr, schema: &DFSchema) -> bool {
    let mut found = false;
    let visited = expr.apply(|part| {
        if rises(part) {
            return Ok(TreeNodeRecursion::Jump);
        }
        found |= fails_itself(part, schema);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found || visited.is_err()
}

/// As [`may_fail`], where times are within some hundred thousand years of now: a sum with an interval, or a day
/// as a point in time, then has a value.
pub(crate) fn may_fail_near_now(expr: &Expr, schema: &DFSchema) -> bool {
    let mut found = false;
    let visited = expr.apply(|part| {
        if rises(part) {
            return Ok(TreeNodeRecursion::Jump);
        }
        found |= fails_itself(part, schema) && !moves_time(part, schema);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found || visited.is_err()
}

/// Whether an expression makes a time of a time, and fails only out of range.
fn moves_time(expr: &Expr, schema: &DFSchema) -> bool {
    let is_time = |e: &Expr| {
        let found = e.get_type(schema);
        found.is_ok_and(|t| {
            matches!(t, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
        })
    };
    match expr {
        Expr::BinaryExpr(BinaryExpr { op: Operator::Plus | Operator::Minus, left, right }) => {
            let is_interval =
                |e: &Expr| e.get_type(schema).is_ok_and(|t| matches!(t, DataType::Interval(_)));
            (is_time(left) && is_interval(right)) || (is_interval(left) && is_time(right))
        }
        Expr::Cast(Cast { expr: inner, .. }) => is_time(inner) && is_time(expr),
        _ => false,
    }
}

/// As [`may_fail`], of values of its operands that did not fail.
fn fails_itself(expr: &Expr, schema: &DFSchema) -> bool {
    let is_float = |e: &Expr| e.get_type(schema).is_ok_and(|t| t.is_floating());
    match expr {
        Expr::BinaryExpr(BinaryExpr { op, left, .. }) => match op {
            Operator::Plus | Operator::Minus | Operator::Multiply => !is_float(left),
            Operator::Divide | Operator::Modulo => true,
            _ => false,
        },
        Expr::Negative(operand) => !is_float(operand),
        Expr::Cast(Cast { expr, field }) => match expr.get_type(schema) {
            Ok(from) => !widens(&from, field.data_type()),
            Err(_) => true,
        },
        Expr::ScalarFunction(ScalarFunction { func, .. }) => {
            !TOTAL.contains(&func.name()) && !is_call(expr)
        }
        _ => false,
    }
}

/// Whether every value of `from` is one of `to`.
fn widens(from: &DataType, to: &DataType) -> bool {
    let is_text =
        |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let width = |t: &DataType| t.primitive_width().unwrap_or(0);
    from == to
        || from.is_null()
        || is_text(to)
        || (from.is_integer() && to.is_floating())
        || (from.is_floating() && to.is_floating() && width(from) <= width(to))
        || (from.is_signed_integer() && to.is_signed_integer() && width(from) <= width(to))
        || matches!((from, to), (DataType::Date32, DataType::Date64))
        || matches!((from, to), (DataType::Timestamp(a, _), DataType::Timestamp(b, _)) if a == b)
}
