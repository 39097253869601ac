//! What parsing promises: printing and reading back agree, errors stand where they belong, clients'
//! statements are read, and no text makes it panic or overflow.

mod bounds;
mod clients;
mod errors;
mod garbage;
mod places;
mod printing;
mod refusals;

use crate::error::Error;
use crate::parse::parse;
use crate::statement::{Parsed, Statement};

/// The one statement of a text.
fn one(sql: &str) -> Statement {
    let mut all = all(sql);
    assert_eq!(all.len(), 1, "one statement in {sql}");
    all.remove(0).statement
}

/// The statements of a text.
fn all(sql: &str) -> Vec<Parsed> {
    match parse(sql) {
        Ok(parsed) => parsed,
        Err(error) => panic!("{}", render(sql, &error)),
    }
}

/// The error of a text.
fn fail(sql: &str) -> Error {
    match parse(sql) {
        Ok(parsed) => panic!("{sql} is read as {parsed:?}"),
        Err(error) => error,
    }
}

/// An error as psql shows it: SQLSTATE and text, the line with a caret, the hint.
fn render(sql: &str, error: &Error) -> String {
    let mut lines = vec![format!("{} {error}", error.sqlstate())];
    if let Some(position) = error.position() {
        let chars: Vec<char> = sql.chars().collect();
        let before = chars.get(..position - 1).unwrap_or(&chars);
        let start = before.iter().rposition(|c| *c == '\n').map_or(0, |index| index + 1);
        let line: String = chars[start..].iter().take_while(|c| **c != '\n').collect();
        lines.push(line);
        lines.push(format!("{}^", " ".repeat(position - 1 - start)));
    }
    lines.extend(error.hint().map(|hint| format!("hint: {hint}")));
    lines.join("\n")
}
