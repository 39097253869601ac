//! Bounds that only rise: expressions of the clock whose value never falls as time passes.
//!
//! A row that such a bound has passed never comes back. What is admitted cannot fail for any time within
//! some thousand years, so a bound is evaluated whether or not there is a row to compare.
//!
//! | expression | rises because |
//! |---|---|
//! | `now()`, `current_date`, `localtimestamp` | time does |
//! | a rising one plus or minus a constant; times or divided by a positive one | order is kept |
//! | `date_trunc`, `date_bin`; `extract` of `epoch` and `year`; casts between times and days | they round down |
//! | minus months, of a day or what `date_trunc` made of one | equal days stay equal |
//!
//! A month before March 30th, 23:00 is later than a month before March 31st, 1:00 in most years: minus months,
//! a time of day may fall.

use arrow::datatypes::{DataType, IntervalMonthDayNano};
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, Operator};
use datafusion::scalar::ScalarValue;

use super::{UTC, call_of};

/// Days that a constant may move a time by.
const DAYS_MAX: i32 = 400_000;
/// Months that a constant may move a time by.
const MONTHS_MAX: i32 = 12_000;
/// Numbers below which sums and products with a time stay in range.
const NUMBER_MAX: f64 = 1e9;

/// What is known of a rising expression.
#[derive(Clone, Copy)]
struct Rising {
    /// Whether its value is a day, or the start of one.
    whole_days: bool,
}

/// Whether an expression reads nothing but the clock and never falls as time passes.
pub(crate) fn rises(expr: &Expr) -> bool {
    rising(expr).is_some()
}

/// Whether an expression reads nothing but the clock, cannot fail, and never comes back to a value it has left: it
/// rises, or compares what rises with a constant.
pub(crate) fn is_monotonic(expr: &Expr) -> bool {
    use Operator::{Gt, GtEq, Lt, LtEq};
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Gt | GtEq | Lt | LtEq, right }) => {
            (rises(left) && literal(right).is_some()) || (literal(left).is_some() && rises(right))
        }
        other => rises(other),
    }
}

fn rising(expr: &Expr) -> Option<Rising> {
    if let Some(function) = call_of(expr) {
        return function.rises().then(|| Rising { whole_days: is_day(expr) });
    }
    match expr {
        Expr::Alias(alias) => rising(&alias.expr),
        Expr::Cast(Cast { expr: inner, field }) => cast_of(inner, field.data_type()),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => combined(left, *op, right),
        Expr::ScalarFunction(call) => called(call),
        _ => None,
    }
}

fn is_day(expr: &Expr) -> bool {
    matches!(type_of(expr), Some(DataType::Date32 | DataType::Date64))
}

/// The type of an expression without columns.
fn type_of(expr: &Expr) -> Option<DataType> {
    expr.get_type(&DFSchema::empty()).ok()
}

fn cast_of(inner: &Expr, to: &DataType) -> Option<Rising> {
    let (from, rising) = (type_of(inner)?, rising(inner)?);
    let is_time = |t: &DataType| match t {
        DataType::Date32 | DataType::Date64 => true,
        DataType::Timestamp(_, zone) => zone.as_deref().is_none_or(|zone| zone == UTC),
        _ => false,
    };
    let is_wide = |t: &DataType| matches!(t, DataType::Int64 | DataType::Float64);
    let is_number = |t: &DataType| t.is_integer() || t.is_floating();
    let days = matches!(to, DataType::Date32 | DataType::Date64);
    let kept = (is_time(&from) && is_time(to)) || (is_number(&from) && is_wide(to));
    kept.then_some(Rising { whole_days: days || rising.whole_days })
}

fn combined(left: &Expr, op: Operator, right: &Expr) -> Option<Rising> {
    use Operator::{Divide, Minus, Multiply, Plus};
    if !matches!(op, Plus | Minus | Multiply | Divide) {
        return None;
    }
    let (part, constant) = match (rising(left), rising(right), op) {
        (Some(part), None, _) => (part, literal(right)?),
        (None, Some(part), Plus | Multiply) => (part, literal(left)?),
        _ => return None,
    };
    let Some(interval) = interval(constant) else {
        let number = number(constant).filter(|number| number.abs() <= NUMBER_MAX)?;
        return match op {
            Plus | Minus => Some(part),
            Multiply => (0.0 < number).then_some(part),
            Divide => (number >= 1.0).then_some(part),
            _ => None,
        };
    };
    let IntervalMonthDayNano { months, days, nanoseconds } = interval;
    let in_range = months.abs() <= MONTHS_MAX && days.abs() <= DAYS_MAX;
    let moves = matches!(op, Plus | Minus);
    let keeps_order = months == 0 || part.whole_days;
    let whole_days = part.whole_days && nanoseconds == 0;
    (in_range && moves && keeps_order).then_some(Rising { whole_days })
}

fn called(call: &ScalarFunction) -> Option<Rising> {
    let [first, second, rest @ ..] = &call.args[..] else { return None };
    let unit = || literal(first)?.try_as_str().flatten().map(str::to_lowercase);
    match call.func.name() {
        "date_trunc" if rest.is_empty() => {
            let part = rising(second)?;
            let whole_days = match unit()?.as_str() {
                "microsecond" | "millisecond" | "second" | "minute" | "hour" => part.whole_days,
                "day" | "week" | "month" | "quarter" | "year" => true,
                _ => return None,
            };
            is_utc(second).then_some(Rising { whole_days })
        }
        "date_bin" if rest.iter().all(|origin| literal(origin).is_some()) => {
            let stride = interval(literal(first)?)?;
            let fixed = stride.months == 0 && stride.days >= 0 && stride.nanoseconds >= 0;
            rising(second).filter(|_| fixed && is_utc(second)).map(|_| Rising { whole_days: false })
        }
        "date_part" if rest.is_empty() => {
            rising(second)?;
            let rises = matches!(unit()?.as_str(), "epoch" | "year");
            (rises && is_utc(second)).then_some(Rising { whole_days: false })
        }
        _ => None,
    }
}

/// Whether an expression is a time whose days are those of UTC.
fn is_utc(expr: &Expr) -> bool {
    match type_of(expr) {
        Some(DataType::Timestamp(_, zone)) => zone.as_deref().is_none_or(|zone| zone == UTC),
        Some(DataType::Date32 | DataType::Date64) => true,
        _ => false,
    }
}

/// The constant that an expression is.
fn literal(expr: &Expr) -> Option<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) if !value.is_null() => Some(value),
        _ => None,
    }
}

fn interval(value: &ScalarValue) -> Option<IntervalMonthDayNano> {
    match value {
        ScalarValue::IntervalMonthDayNano(interval) => *interval,
        _ => None,
    }
}

fn number(value: &ScalarValue) -> Option<f64> {
    match value {
        ScalarValue::Int64(number) => number.map(|number| number as f64),
        ScalarValue::Float64(number) => *number,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::Expr;
    use datafusion::prelude::SessionContext;

    use super::{is_monotonic, rises};
    use crate::clock::functions;

    fn of(text: &str) -> bool {
        rises(&planned(text))
    }

    fn changes_once(text: &str) -> bool {
        is_monotonic(&planned(text))
    }

    /// The expression as the delta optimizer leaves it.
    fn planned(text: &str) -> Expr {
        let context = SessionContext::new();
        for function in functions() {
            context.register_udf(function.as_ref().clone());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let sql = format!("SELECT {text} AS bound");
        let plan = runtime.block_on(context.state().create_logical_plan(&sql)).expect("a plan");
        let state = context.state();
        let options = state.config_options();
        let plan = state.analyzer().execute_and_check(plan, options, |_, _| {}).expect("types");
        let plan = crate::environment::optimize_for_delta(&state, plan).expect("a plan");
        plan.expressions()[0].clone().unalias()
    }

    #[test]
    fn times_that_only_move_or_round_down_rise() {
        for text in [
            "now()",
            "now() - interval '5 minutes'",
            "interval '1 day' + now()",
            "current_date",
            "current_date - interval '1 month'",
            "date_trunc('day', now())",
            "date_trunc('month', now()) - interval '1 month'",
            "now()::date",
            "localtimestamp - interval '90 seconds'",
            "extract(epoch FROM now()) - 300",
            "date_bin(interval '15 minutes', now())",
        ] {
            assert!(of(text), "{text}");
        }
    }

    #[test]
    fn a_comparison_with_a_constant_changes_once() {
        assert!(changes_once("now() > timestamptz '2024-01-01 00:00:00+00'"));
        assert!(changes_once("timestamptz '2024-01-01 00:00:00+00' > now() - interval '1 day'"));
        assert!(!changes_once("current_date = date '2024-01-01'"));
        assert!(!changes_once("now() > now() - interval '1 day'"));
    }

    #[test]
    fn what_may_fall_is_none() {
        for text in [
            "now() - interval '1 month'",
            "extract(hour FROM now())",
            "current_time",
            "timestamp '2024-01-01' - (now() - localtimestamp)",
            "-extract(epoch FROM now())",
            "timestamp '2024-01-01'",
        ] {
            assert!(!of(text), "{text}");
        }
    }
}
