//! Planning errors of DataFusion: text alone, in families that clients tell apart.

use super::{between, distance, no_table, plain, postgres_word};
use crate::sqlstate::Report;

/// Words of a message, and the state that PostgreSQL has for it.
const FAMILIES: &[(&str, &str)] = &[
    ("WITH query name", "42712"),
    ("requires a boolean expression", "42804"),
    ("incompatible inputs for", "42804"),
    ("oercion from", "42804"),
    ("ype mismatch", "42804"),
    ("annot coerce", "42804"),
    ("annot infer common", "42804"),
    ("o function matches", "42883"),
    ("isn't a common type", "42883"),
    ("must appear in the GROUP BY", "42803"),
    ("must be in GROUP BY", "42803"),
    ("could not be resolved from available columns", "42803"),
    ("aggregate function calls cannot be nested", "42803"),
    ("already exists", "42P07"),
    ("no value found for placeholder", "42P02"),
    ("DISTINCT ON expressions must match", "42P10"),
    ("LIMIT must be >=", "2201W"),
    ("OFFSET must be >=", "2201X"),
    ("expected LIMIT to be", "22P02"),
    ("column count doesn't match insert query", "42601"),
    ("unsupported date_trunc granularity", "22023"),
    ("date part '", "22023"),
    ("nsupported", "0A000"),
    ("not supported", "0A000"),
];

/// A planning error.
pub(super) fn plan(message: &str) -> Report {
    let message = plain(message);
    if let Some(report) = name(&message).or_else(|| shape(&message)) {
        return report;
    }
    if message.contains("ggregate function") && message.contains("not allowed") {
        return Report::error("42803", message);
    }
    if message.contains("project") && message.contains("unique") {
        return Report::error("42701", message);
    }
    let family = FAMILIES.iter().find(|(words, _)| message.contains(words));
    Report::error(family.map_or("42000", |(_, sqlstate)| sqlstate), message)
}

/// An unknown name.
fn name(message: &str) -> Option<Report> {
    if let Some(name) = between(message, "table '", "' not found") {
        let name = name.rsplit('.').next().unwrap_or(name);
        return Some(Report::error("42P01", format!("relation \"{name}\" does not exist")));
    }
    if let Some(name) = message.strip_prefix("invalid qualifier ") {
        return Some(no_table(name));
    }
    let name = between(message, "invalid function '", "'")
        .or_else(|| between(message, "table function '", "' not found"))?;
    let report = Report::error("42883", format!("function {name} does not exist"));
    // DataFusion names the nearest of all, however far it is.
    Some(match between(message, "Did you mean '", "'") {
        Some(other) if distance(name, other) * 3 <= name.chars().count() => {
            report.with_hint(format!("Perhaps you meant {other}."))
        }
        _ => report,
    })
}

/// A statement whose parts do not fit together.
fn shape(message: &str) -> Option<Report> {
    if let Some((_, kind)) = message.split_once("non-boolean predicate")
        && let Some((predicate, kind)) = kind.rsplit_once(" returning ")
    {
        return Some(match between(predicate, "'Utf8(\"", "\")'") {
            Some(text) => {
                Report::error("22P02", format!("invalid input syntax for type boolean: \"{text}\""))
            }
            None => {
                let kind = postgres_word(kind.trim());
                let message = format!("argument of WHERE must be type boolean, not type {kind}");
                Report::error("42804", message)
            }
        });
    }
    if let Some(operation) = message
        .strip_prefix("cannot coerce arithmetic expression ")
        .and_then(|rest| rest.strip_suffix(" to valid types"))
        .or_else(|| {
            message.strip_prefix("cannot infer common argument type for comparison operation ")
        })
    {
        let words: Vec<&str> = operation.split(' ').map(postgres_word).collect();
        return Some(
            Report::error("42883", format!("operator does not exist: {}", words.join(" ")))
                .with_hint("You might need to add explicit type casts."),
        );
    }
    if let Some((operation, _)) = message.split_once(" queries have different number of columns") {
        let message = format!("each {operation} query must have the same number of columns");
        return Some(Report::error("42601", message));
    }
    if message.contains("ubquery should only return one column") {
        return Some(Report::error("42601", "subquery must return only one column"));
    }
    if message.contains("nconsistent data length across values list") {
        let message = if message.contains("in row 0") {
            "VALUES lists must have as many expressions as there are target columns"
        } else {
            "VALUES lists must all be the same length"
        };
        return Some(Report::error("42601", message));
    }
    if let Some(position) = between(message, "rder by column out of bounds, specified: ", ",") {
        let message = format!("ORDER BY position {position} is not in select list");
        return Some(Report::error("42P10", message));
    }
    if let Some(position) = between(message, "cannot find column with position ", " in SELECT") {
        let message = format!("GROUP BY position {position} is not in select list");
        return Some(Report::error("42P10", message));
    }
    None
}
