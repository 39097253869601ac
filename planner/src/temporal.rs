//! Times and intervals as `PostgreSQL` writes them, in the forms that Arrow reads.
//!
//! | written | read |
//! |---|---|
//! | `2024-01-01 9:05`, `2024-01-01 10:00+02` | seconds are added, hours get two digits |
//! | `2024-01-01 10:00+02` as `timestamp` | without the zone, which such a value does not have |
//! | `1 mon 2 days 03:04:05` | `1 mon 2 days 3 hours 4 minutes 5 seconds` |

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Cast, Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use crate::named::rewrite_parts;

/// The analyzer rule: literals that are cast to a time get a form that Arrow reads.
#[derive(Debug)]
pub(crate) struct TemporalText;

impl AnalyzerRule for TemporalText {
    fn name(&self) -> &'static str {
        "temporal_text"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let rewritten =
            plan.transform_up_with_subqueries(|node| rewrite_parts(node, |e| Ok(readable(e))))?;
        Ok(rewritten.data)
    }
}

fn readable(expr: Expr) -> Transformed<Expr> {
    let Expr::Cast(Cast { expr: inner, field }) = expr else { return Transformed::no(expr) };
    let form: Option<fn(&str) -> Option<String>> = match field.data_type() {
        DataType::Timestamp(_, None) => Some(|text| timestamp(text, false)),
        DataType::Timestamp(_, Some(_)) => Some(|text| timestamp(text, true)),
        DataType::Interval(_) => Some(interval),
        _ => None,
    };
    let text = match (&form, inner.as_ref()) {
        (Some(form), Expr::Literal(value, _)) => value.try_as_str().flatten().and_then(form),
        _ => None,
    };
    match text {
        Some(text) => {
            let literal = Box::new(Expr::Literal(ScalarValue::Utf8(Some(text)), None));
            Transformed::yes(Expr::Cast(Cast { expr: literal, field }))
        }
        None => Transformed::no(Expr::Cast(Cast { expr: inner, field })),
    }
}

/// A timestamp with seconds, and with its zone if it keeps one; [`None`] when there is nothing to change.
fn timestamp(text: &str, keeps_zone: bool) -> Option<String> {
    let trimmed = text.trim();
    let (date, rest) = trimmed.split_once([' ', 'T', 't'])?;
    if date.len() < 10 || !date.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return None;
    }
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, ':' | '.')));
    let (clock, zone) = rest.split_at(end.unwrap_or(rest.len()));
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next().unwrap_or("00"));
    let two_digits = |part: &str| matches!(part.len(), 1 | 2);
    if parts.next().is_some() || !two_digits(hour) || minute.len() != 2 || second.is_empty() {
        return None;
    }
    let zone = if keeps_zone {
        zone.trim()
    } else if is_zone(zone) {
        ""
    } else {
        return None;
    };
    let form = format!("{date} {hour:0>2}:{minute}:{second}{zone}");
    (form != text).then_some(form)
}

/// Whether what follows a time is nothing or a zone as an offset.
fn is_zone(text: &str) -> bool {
    let text = text.trim();
    let offset =
        |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit() || b == b':');
    matches!(text, "" | "Z" | "z" | "UTC") || text.strip_prefix(['+', '-']).is_some_and(offset)
}

/// An interval with its times of day spelled out; [`None`] when it has none.
pub(crate) fn interval(text: &str) -> Option<String> {
    let mut changed = false;
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| match clock(word) {
            Some(spelled) => {
                changed = true;
                spelled
            }
            None => word.to_owned(),
        })
        .collect();
    changed.then(|| words.join(" "))
}

/// `-03:04:05.5` as hours, minutes and seconds of one sign.
fn clock(word: &str) -> Option<String> {
    let (sign, digits) = match word.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", word.strip_prefix('+').unwrap_or(word)),
    };
    let mut parts = digits.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
    let whole = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (full, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    if parts.next().is_some() || ![hours, minutes, full, fraction].into_iter().all(whole) {
        return None;
    }
    Some(format!("{sign}{hours} hours {sign}{minutes} minutes {sign}{seconds} seconds"))
}

#[cfg(test)]
mod tests {
    use super::{interval, timestamp};

    #[test]
    fn times_get_the_form_that_arrow_reads() {
        let cases = [
            ("2024-01-01 10:00", true, Some("2024-01-01 10:00:00")),
            ("2024-01-01 10:00+02", true, Some("2024-01-01 10:00:00+02")),
            ("2024-01-01 10:00+02", false, Some("2024-01-01 10:00:00")),
            ("2024-01-01T9:05:07.5 Z", true, Some("2024-01-01 09:05:07.5Z")),
            ("2024-01-01 10:00:00", false, None),
            ("2024-01-01", false, None),
            ("2024-01-01 ten", false, None),
            ("2024-01-01 10:00 am", false, None),
        ];
        for (text, keeps_zone, form) in cases {
            assert_eq!(timestamp(text, keeps_zone).as_deref(), form, "{text}");
        }
    }

    #[test]
    fn times_of_day_in_intervals_are_spelled_out() {
        let cases = [
            ("03:04:05", Some("03 hours 04 minutes 05 seconds")),
            ("1 mon -00:30", Some("1 mon -00 hours -30 minutes -0 seconds")),
            ("1 day", None),
            ("1:2:3:4", None),
        ];
        for (text, form) in cases {
            assert_eq!(interval(text).as_deref(), form, "{text}");
        }
    }
}
