//! Quoting, and patterns with an escape character of their own.

use datafusion::common::Result;
use levada_catalog::pg::name::{quote_identifier, quote_literal};

use super::{Cell, Kind, Snapshot, Spec, argument, spec};

pub(super) const FUNCTIONS: &[Spec] = &[
    spec("quote_ident", 1..=1, Kind::Text, identifier),
    spec("quote_literal", 1..=1, Kind::Text, literal),
    spec("quote_nullable", 1..=1, Kind::Text, nullable),
    spec("like_escape", 2..=2, Kind::Text, like_escape),
];

fn identifier(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(argument(row, 0).text().map(|t| quote_identifier(&t)).into())
}

fn literal(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(argument(row, 0).text().map(|t| quote_literal(&t)).into())
}

fn nullable(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let quoted = argument(row, 0).text().map(|t| quote_literal(&t));
    Ok(quoted.unwrap_or_else(|| "NULL".to_owned()).into())
}

fn like_escape(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let (pattern, escape) = (argument(row, 0).text(), argument(row, 1).text());
    Ok(pattern.zip(escape).map(|(pattern, escape)| with_backslashes(&pattern, &escape)).into())
}

/// A LIKE pattern that escapes with the given character, made to escape with a backslash.
pub(in crate::pg_compat) fn with_backslashes(pattern: &str, escape: &str) -> String {
    let escape = escape.chars().next();
    let mut result = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            let Some(next) = chars.next() else { break };
            if matches!(next, '%' | '_' | '\\') {
                result.push('\\');
            }
            result.push(next);
        } else {
            if c == '\\' {
                result.push('\\');
            }
            result.push(c);
        }
    }
    result
}
