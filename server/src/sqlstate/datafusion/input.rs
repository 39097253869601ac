//! Values that are wrong: errors of execution and of casts.

use super::{between, plain, postgres_word};
use crate::sqlstate::Report;

/// An error of a running query.
pub(super) fn execution(message: &str) -> Report {
    let text = plain(message);
    let lower = text.to_lowercase();
    if lower.contains("divide by zero") || lower.contains("division by zero") {
        return Report::error("22012", "division by zero");
    }
    if let Some(parameter) = between(&text, "placeholder '", "' was not provided") {
        return Report::error("42P02", format!("there is no parameter {parameter}"));
    }
    if lower.contains("too large to store in a decimal") {
        return Report::error("22003", "numeric field overflow")
            .with_detail(super::sentence(&text));
    }
    if lower.contains("regular expression did not compile") {
        return regular_expression(message);
    }
    let families = [
        ("square root of a negative number", "2201F"),
        ("negative count not allowed", "22011"),
        ("negative substring length", "22011"),
        ("invalid unicode scalar value", "22023"),
        ("date_trunc granularity", "22023"),
        ("date part '", "22023"),
        ("overflow", "22003"),
        ("out of range", "22003"),
        ("no value found for placeholder", "42P02"),
        ("cast", "22P02"),
        ("parse", "22P02"),
        ("unsupported", "0A000"),
        ("not supported", "0A000"),
    ];
    let family = families.into_iter().find(|(words, _)| lower.contains(words));
    Report::error(family.map_or("22000", |(_, sqlstate)| sqlstate), text)
}

/// A pattern that does not compile: the reason stands at the end, `error: unclosed group`.
pub(super) fn regular_expression(message: &str) -> Report {
    let reason = message.rsplit_once("error: ").and_then(|(_, end)| end.lines().next());
    let text = match reason {
        Some(reason) => format!("invalid regular expression: {}", reason.trim()),
        None => "invalid regular expression".to_owned(),
    };
    Report::error("2201B", text)
}

/// `Cannot cast string 'abc' to value of Int64 type` and its like.
pub(super) fn cast(message: &str) -> Report {
    let text = plain(message);
    if let Some(kind) = text
        .strip_prefix("can't cast value ")
        .and_then(|rest| rest.split_once(" to type ").map(|(_, kind)| kind))
    {
        return Report::error("22003", format!("{} out of range", postgres_word(kind)));
    }
    if let Some(value) = between(&text, "cast string '", "'")
        && let Some(kind) = between(&text, "to value of ", " type")
    {
        return literal(value, postgres_word(kind));
    }
    if let Some(value) = between(&text, "arsing timestamp from '", "'") {
        return literal(value, "timestamp");
    }
    if let Some(kind) = between(&text, "invalid input syntax for type ", ":")
        && let Some(value) = between(&text, ": \"", "\"")
    {
        return literal(value, kind);
    }
    if text.contains("overflow") || text.contains("out of range") || text.contains("too large") {
        return Report::error("22003", text);
    }
    Report::error("22P02", text)
}

/// A text that is no value of a type: not its form, or its form with a number that is too great.
fn literal(value: &str, kind: &str) -> Report {
    let of_digits = |also: &str| {
        value.contains(|c: char| c.is_ascii_digit())
            && value.chars().all(|c| c.is_ascii_digit() || also.contains(c))
    };
    match kind {
        "date" | "time" | "timestamp" if of_digits("-:. +TZ") => {
            Report::error("22008", format!("date/time field value out of range: \"{value}\""))
        }
        "date" | "time" | "timestamp" | "interval" => {
            Report::error("22007", format!("invalid input syntax for type {kind}: \"{value}\""))
        }
        "smallint" | "integer" | "bigint" if value.trim().parse::<i128>().is_ok() => {
            Report::error("22003", format!("value \"{value}\" is out of range for type {kind}"))
        }
        _ => Report::error("22P02", format!("invalid input syntax for type {kind}: \"{value}\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_texts_are_told_from_numbers_too_great() {
        let cases = [
            ("Cannot cast string 'x' to value of Int32 type", "22P02"),
            ("Cannot cast string '99999999999' to value of Int32 type", "22003"),
            ("Cannot cast string 'x' to value of Date32 type", "22007"),
            ("Cannot cast string '2024-02-30' to value of Date32 type", "22008"),
            ("Error parsing timestamp from '2024-01-01 25:00:00': error parsing time", "22008"),
            ("Can't cast value 100000 to type Int16", "22003"),
        ];
        for (message, sqlstate) in cases {
            assert_eq!(cast(message).sqlstate, sqlstate, "{message}");
        }
    }
}
