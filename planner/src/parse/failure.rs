//! Errors in `PostgreSQL`'s words and at its positions.
//!
//! sqlparser's errors are sentences with a line and a column at their end; what users see is
//! `syntax error at or near "word"` or `syntax error at end of input`, at the token, and a hint
//! where a keyword was misspelt.

use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenizerError};

use crate::error::Error;
use crate::parse::stream::Stream;
use crate::parse::text::position_at;
use crate::parse::word::nearest;

/// Words that start statements and clauses: what a misspelt one was probably meant to be.
const COMMON: &str = "\
    SELECT FROM WHERE GROUP ORDER BY HAVING LIMIT OFFSET JOIN LEFT RIGHT INNER OUTER FULL CROSS \
    USING UNION INTERSECT EXCEPT WITH VALUES INSERT INTO UPDATE DELETE TRUNCATE CREATE ALTER \
    DROP TABLE VIEW MATERIALIZED SOURCE SINK PIPELINE SCHEMA FORMAT FILES GENERATOR PRIMARY KEY \
    DEFAULT RETURNING DISTINCT BETWEEN LIKE CASE WHEN THEN ELSE EXPLAIN COPY SHOW BEGIN COMMIT \
    ROLLBACK CASCADE AND SET";

/// The error of a text that falls into no tokens.
pub(super) fn token(sql: &str, error: &TokenizerError) -> Error {
    let position = position_at(sql, error.location.line, error.location.column);
    let rest = || sql.chars().skip(position.saturating_sub(1));
    let what = if error.message.contains("multi-line comment") {
        "unterminated /* comment"
    } else if error.message.contains("dollar-quoted") {
        "unterminated dollar-quoted string"
    } else if error.message.contains("close delimiter") {
        "unterminated quoted identifier"
    } else if error.message.contains("string") {
        "unterminated quoted string"
    } else {
        return Error::syntax(
            rest().next().map_or_else(
                || "syntax error at end of input".to_owned(),
                |c| format!("syntax error at or near \"{c}\""),
            ),
            position,
        );
    };
    let near: String = rest().take_while(|c| *c != '\n').take(60).collect();
    let message = if near.is_empty() {
        format!("{what} at end of input")
    } else {
        format!("{what} at or near \"{near}\"")
    };
    Error::syntax(message, position)
}

/// The error of sqlparser while it read `stream`.
pub(super) fn statement(stream: &Stream<'_>, error: &ParserError) -> Error {
    let message = match error {
        ParserError::RecursionLimitExceeded => {
            return Error::TooDeep { position: stream.position() };
        }
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
    };
    let (sentence, location) = split_location(message);
    let (wanted, found) = sentence.split_once(", found: ").unwrap_or((sentence, ""));
    let index = match location.and_then(|location| stream.token_at(location)) {
        Some(index) => blamed(stream, index, found),
        None if found == "EOF" => stream.last_index(),
        None => stream.index().saturating_sub(1),
    };
    match wanted.strip_prefix("Expected") {
        Some(": end of statement") => stray(stream, index),
        Some(wanted) => documented(stream, index)
            .unwrap_or_else(|| unexpected_at(stream, index, hint(stream, index, wanted))),
        None => unexpected_at(stream, index, Some(format!("{}.", sentence.trim_end_matches('.')))),
    }
}

/// The token found, where the location is that of the one behind it.
fn blamed(stream: &Stream<'_>, index: usize, found: &str) -> usize {
    let is = |index: usize| stream.near(index).0.eq_ignore_ascii_case(found);
    match index.checked_sub(1) {
        Some(before) if !found.is_empty() && !is(index) && is(before) => before,
        _ => index,
    }
}

/// The error of a token behind the end of a statement.
pub(super) fn stray(stream: &Stream<'_>, index: usize) -> Error {
    let index = misread_alias(stream, index).unwrap_or(index);
    let half = ["ORDER", "GROUP"]
        .iter()
        .any(|word| stream.bare_word(index).is_some_and(|found| found.eq_ignore_ascii_case(word)));
    if half {
        return expected_at(stream, index + 1, &["BY"]);
    }
    documented(stream, index)
        .unwrap_or_else(|| unexpected_at(stream, index, hint(stream, index, "")))
}

/// `syntax error` at a token of the stream.
pub(super) fn unexpected_at(stream: &Stream<'_>, index: usize, hint: Option<String>) -> Error {
    let (near, position) = stream.near(index);
    let message = if near.is_empty() {
        "syntax error at end of input".to_owned()
    } else {
        format!("syntax error at or near \"{near}\"")
    };
    Error::Syntax { message, position, hint }
}

/// `syntax error` at a token where one of some phrases was expected.
pub(super) fn expected_at(stream: &Stream<'_>, index: usize, phrases: &[&str]) -> Error {
    let first_words = phrases.iter().filter_map(|phrase| phrase.split(' ').next());
    let word = stream.bare_word(index);
    let meant = word.and_then(|word| nearest(word, first_words));
    let hint = match (meant, phrases) {
        (Some(meant), _) => {
            (!word.is_some_and(|word| word.eq_ignore_ascii_case(meant))).then(|| perhaps(meant))
        }
        (None, []) => None,
        (None, [one]) => Some(format!("Expected {one}.")),
        (None, [others @ .., last]) => Some(format!("Expected {} or {last}.", others.join(", "))),
    };
    unexpected_at(stream, index, hint)
}

fn perhaps(word: &str) -> String {
    format!("Perhaps you meant \"{word}\".")
}

/// `... at Line: 3, Column: 7` as a sentence and a location.
fn split_location(message: &str) -> (&str, Option<Location>) {
    let Some((sentence, place)) = message.rsplit_once(" at Line: ") else {
        return (message, None);
    };
    let location = place.split_once(", Column: ").and_then(|(line, column)| {
        Some(Location::new(line.trim().parse().ok()?, column.trim().parse().ok()?))
    });
    (sentence, location)
}

/// A misspelt keyword after `*` is read as an alias, and the error appears one word later.
fn misread_alias(stream: &Stream<'_>, index: usize) -> Option<usize> {
    let before = index.checked_sub(1)?;
    let star = matches!(stream.token(before.checked_sub(1)?), Some(Token::Mul));
    let word = stream.bare_word(before)?;
    (star && nearest(word, COMMON.split(' ')).is_some()).then_some(before)
}

/// The keyword that a word at or just before the error was meant to be.
fn hint(stream: &Stream<'_>, index: usize, wanted: &str) -> Option<String> {
    let wanted: Vec<&str> =
        wanted.split([' ', ',', '/', ':']).filter(|word| is_keyword(word)).collect();
    (index.saturating_sub(2)..=index).rev().find_map(|index| {
        let word = stream.unknown_word(index)?;
        let meant = nearest(word, wanted.iter().copied().chain(COMMON.split(' ')))?;
        (!meant.eq_ignore_ascii_case(word)).then(|| perhaps(meant))
    })
}

fn is_keyword(word: &str) -> bool {
    word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase())
}

/// Constructs of the documented SQL that sqlparser stumbles over, at or behind their second word.
fn documented(stream: &Stream<'_>, index: usize) -> Option<Error> {
    let is = |index: usize, word: &str| {
        stream.bare_word(index).is_some_and(|found| found.eq_ignore_ascii_case(word))
    };
    if let Some(start) = index.checked_sub(1)
        && is(start, "FOR")
        && is(index, "SYSTEM_TIME")
    {
        return Some(Error::unsupported("FOR SYSTEM_TIME AS OF", stream.position_of(start)));
    }
    (index.saturating_sub(3)..index).find_map(|start| {
        let function = ["TUMBLE", "HOP", "CUMULATE", "SESSION"]
            .into_iter()
            .find(|function| is(start, function))?;
        let open = matches!(stream.token(start + 1), Some(Token::LParen));
        (open && is(start + 2, "TABLE")).then(|| {
            Error::unsupported(format!("{function}(TABLE ...)"), stream.position_of(start))
        })
    })
}
