//! Runs a script against a target and compares, or writes down, what it answers.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::folder;
use crate::script::{Action, Expected, Query, Record, Script, Statement};
use crate::target::{Answer, Failure, Target};

/// Whether expectations are compared or rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Compare.
    Compare,
    /// Put the answers in the place of the expectations.
    Complete,
    /// Put the answers where nothing is expected yet, compare the others.
    Fill,
}

impl Purpose {
    /// The purpose for an expectation that is empty or not.
    fn of(self, empty: bool) -> Self {
        match self {
            Self::Fill if empty => Self::Complete,
            Self::Fill => Self::Compare,
            other => other,
        }
    }
}

/// Whether a statement leaves its error or its messages open.
fn is_open(statement: &Statement) -> bool {
    statement.expected == Expected::Error(String::new())
        || statement.messages.as_ref().is_some_and(Vec::is_empty)
}

/// The first thing that was not as written.
#[derive(Debug)]
pub struct Finding {
    /// Line of the record.
    pub line: usize,
    /// What was run.
    pub sql: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "line {}: {}", self.line, self.sql)?;
        write!(f, "{}", self.what)
    }
}

/// Runs all records that apply; `corpus` is the folder `copy` reads from.
///
/// # Errors
/// The first record whose answer differs.
pub async fn run(
    script: &mut Script,
    target: &mut dyn Target,
    corpus: &Path,
    purpose: Purpose,
) -> Result<(), Finding> {
    let labels = target.labels();
    for record in &mut script.records {
        if record.action.is_none() || !record.applies(&labels) {
            continue;
        }
        if record.action == Some(Action::Halt) {
            break;
        }
        let (line, sql) = (record.line, shown(record));
        let finding = |what: String| Finding { line, sql: sql.clone(), what };
        if labels.contains(&"postgres") {
            // Notices, hints and details are worded by each server on its own.
            if let Some(Action::Statement(statement)) = &mut record.action
                && purpose != Purpose::Complete
            {
                statement.messages = None;
            }
        }
        match step(record, target, corpus, purpose).await {
            Ok(None) => {}
            Ok(Some(what)) => return Err(finding(what)),
            Err(e) => return Err(finding(format!("{e:#}"))),
        }
    }
    target.close().await.map_err(|e| Finding {
        line: 0,
        sql: "(end of file)".to_owned(),
        what: format!("{e:#}"),
    })
}

fn shown(record: &Record) -> String {
    match &record.action {
        Some(Action::Statement(s)) => s.sql.clone(),
        Some(Action::Query(q)) => q.sql.clone(),
        Some(other) => other.to_string().lines().next().unwrap_or_default().to_owned(),
        None => String::new(),
    }
}

async fn step(
    record: &mut Record,
    target: &mut dyn Target,
    corpus: &Path,
    purpose: Purpose,
) -> Result<Option<String>> {
    match record.action.as_mut().context("a record without a directive does not run")? {
        Action::Statement(statement) => {
            let answer = target.run(&statement.sql).await?;
            Ok(match purpose.of(is_open(statement)) {
                Purpose::Complete => complete_statement(statement, answer),
                _ => compare_statement(statement, &answer),
            })
        }
        Action::Query(query) => match target.run(&query.sql).await? {
            Err(failure) => Ok(Some(format!("failed: {failure}"))),
            Ok(answer) => Ok(match purpose.of(query.rows.is_empty()) {
                Purpose::Complete => {
                    complete_query(query, answer);
                    None
                }
                _ => compare_query(query, answer),
            }),
        },
        Action::Parquet(parquet) => {
            let mut difference = None;
            for folder in target.folders() {
                let (types, mut rows) = folder::read_parquet(folder, &parquet.path).await?;
                if parquet.sorted {
                    rows.sort();
                }
                if purpose.of(parquet.rows.is_empty()) == Purpose::Complete {
                    parquet.types = types;
                    parquet.rows = rows;
                } else {
                    difference = difference.or_else(|| compare_rows(&parquet.rows, &rows));
                }
            }
            Ok(difference)
        }
        Action::File(file) => {
            for folder in target.folders() {
                let write = if file.append { folder::append } else { folder::write };
                write(folder, &file.path, &file.lines)?;
            }
            Ok(None)
        }
        Action::Copy { from, to } => {
            for folder in target.folders() {
                folder::copy(&corpus.join(&*from), folder, to)?;
            }
            Ok(None)
        }
        Action::Remove(path) => {
            for folder in target.folders() {
                folder::remove(folder, path)?;
            }
            Ok(None)
        }
        Action::Include(path) => include(path, target, corpus).await,
        Action::Clock(moved) => target.advance(moved.micros).await.map(|()| None),
        Action::Reopen => target.reopen().await.map(|()| None),
        Action::Halt => Ok(None),
    }
}

/// Plays the records of another file; the first difference carries its line.
async fn include(path: &str, target: &mut dyn Target, corpus: &Path) -> Result<Option<String>> {
    let text = std::fs::read_to_string(corpus.join(path))
        .with_context(|| format!("could not read {path}"))?;
    let mut script = Script::parse(&text).with_context(|| path.to_owned())?;
    let labels = target.labels();
    for record in &mut script.records {
        if record.action.is_none() || !record.applies(&labels) {
            continue;
        }
        let (line, sql) = (record.line, shown(record));
        let place = || format!("{path} line {line}: {sql}");
        let played = Box::pin(step(record, target, corpus, Purpose::Compare)).await;
        if let Some(what) = played.with_context(place)? {
            return Ok(Some(format!("{}\n{what}", place())));
        }
    }
    Ok(None)
}

fn compare_statement(statement: &Statement, answer: &Result<Answer, Failure>) -> Option<String> {
    let messages = match (&statement.expected, answer) {
        (Expected::Ok, Ok(answer)) => &answer.messages,
        (Expected::Count(n), Ok(answer)) => {
            if answer.count != Some(*n) {
                let got = answer.count.map_or_else(|| "none".to_owned(), |c| c.to_string());
                return Some(format!("count is {got}, not {n}"));
            }
            &answer.messages
        }
        (Expected::Error(expected), Err(failure)) => {
            let line = failure.line();
            let fits = match expected.strip_suffix("...") {
                Some(start) => line.starts_with(start),
                None => line == *expected,
            };
            if !fits {
                return Some(format!("expected error: {expected}\nactual error:   {failure}"));
            }
            &failure.more
        }
        (Expected::Error(expected), Ok(_)) => {
            return Some(format!("succeeded, but this was expected: {expected}"));
        }
        (_, Err(failure)) => return Some(format!("failed: {failure}")),
    };
    let expected = statement.messages.as_ref()?;
    compare_rows(expected, messages)
}

fn complete_statement(
    statement: &mut Statement,
    answer: Result<Answer, Failure>,
) -> Option<String> {
    match (&mut statement.expected, answer) {
        (Expected::Error(expected), Err(failure)) => {
            let line = failure.line();
            if !expected.strip_suffix("...").is_some_and(|start| line.starts_with(start)) {
                *expected = line;
            }
            if statement.messages.is_some() {
                statement.messages = Some(failure.more);
            }
            None
        }
        (Expected::Ok | Expected::Count(_), Err(failure)) => Some(format!("failed: {failure}")),
        (Expected::Error(expected), Ok(_)) => {
            Some(format!("succeeded, but this was expected: {expected}"))
        }
        (expected, Ok(answer)) => {
            if let (Expected::Count(n), Some(count)) = (expected, answer.count) {
                *n = count;
            }
            if statement.messages.is_some() {
                statement.messages = Some(answer.messages);
            }
            None
        }
    }
}

fn compare_query(query: &Query, mut answer: Answer) -> Option<String> {
    if let Some(types) = &answer.types {
        let fits = types.len() == query.types.len()
            && types.chars().zip(query.types.chars()).all(|(a, b)| a == b || b == '?');
        if !fits && !query.types.is_empty() {
            return Some(format!("column types are {types}, not {}", query.types));
        }
    }
    let mut expected = query.rows.clone();
    if query.sorted {
        answer.rows.sort();
        expected.sort();
    }
    compare_rows(&expected, &answer.rows)
}

fn complete_query(query: &mut Query, mut answer: Answer) {
    if query.sorted {
        answer.rows.sort();
    }
    query.rows = answer.rows;
    if let Some(types) = answer.types {
        query.types = types;
    }
}

/// A difference of two lists of lines: lines only expected carry `-`, lines only seen `+`.
#[must_use]
pub fn compare_rows(expected: &[String], actual: &[String]) -> Option<String> {
    if expected == actual {
        return None;
    }
    let mut left: Vec<&String> = expected.iter().collect();
    let mut extra = Vec::new();
    for line in actual {
        match left.iter().position(|l| *l == line) {
            Some(at) => drop(left.remove(at)),
            None => extra.push(line),
        }
    }
    if left.is_empty() && extra.is_empty() {
        return Some(format!(
            "rows are in another order\nexpected:\n{}\nactual:\n{}",
            expected.join("\n"),
            actual.join("\n")
        ));
    }
    let mut lines = vec!["rows differ (- expected only, + actual only):".to_owned()];
    lines.extend(left.iter().map(|l| format!("- {l}")));
    lines.extend(extra.iter().map(|l| format!("+ {l}")));
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::compare_rows;

    fn lines(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn differing_rows_are_named_with_their_side() {
        let difference = compare_rows(&lines("a,b,b"), &lines("b,a,c")).unwrap();
        assert_eq!(difference, "rows differ (- expected only, + actual only):\n- b\n+ c");
        assert_eq!(compare_rows(&lines("a,b"), &lines("a,b")), None);
    }

    #[test]
    fn another_order_is_a_difference() {
        assert!(compare_rows(&lines("a,b"), &lines("b,a")).unwrap().contains("another order"));
    }
}
