//! Cuts a foreign `.slt` file into statements and queries.
//!
//! A record ends at an empty line. Its directive is the first line that is neither a comment nor a
//! condition; what follows, down to `----`, is SQL. `include` is followed; statements and queries that
//! must fail are left out, and so are directives that only steer the runner.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::class::{Class, classify};

/// What a script does, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Something that succeeds and is no query.
    Statement(String),
    /// A query.
    Query(Query),
}

/// A query with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Line of its directive.
    pub line: usize,
    /// Its text, without a closing semicolon.
    pub sql: String,
}

/// The folder that relative paths of a script start from: the one above `test_files`.
#[must_use]
pub fn root(path: &Path) -> PathBuf {
    let above = path.ancestors().find(|a| a.ends_with("test_files")).and_then(Path::parent);
    above.or_else(|| path.parent()).unwrap_or(path).to_owned()
}

/// Reads a script and what it includes.
///
/// # Errors
/// When a file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Item>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
    let mut items = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    let mut at = 0;
    while at < lines.len() {
        let length = lines[at..].iter().position(|l| l.trim().is_empty());
        let length = length.unwrap_or(lines.len() - at);
        record(&lines[at..at + length], at + 1, path, &mut items)?;
        at += length + 1;
    }
    Ok(items)
}

fn record(lines: &[&str], first: usize, path: &Path, items: &mut Vec<Item>) -> Result<()> {
    let is_directive =
        |l: &&str| !l.starts_with('#') && !l.starts_with("skipif") && !l.starts_with("onlyif");
    let Some(at) = lines.iter().position(is_directive) else { return Ok(()) };
    let rest: Vec<&str> = lines[at + 1..].iter().take_while(|l| **l != "----").copied().collect();
    let sql = rest.join("\n").trim().trim_end_matches(';').to_owned();
    let words: Vec<&str> = lines[at].split_whitespace().collect();
    match words.as_slice() {
        ["include", pattern] => {
            for included in matching(path, pattern)? {
                items.extend(read(&included)?);
            }
        }
        [_, "error", ..] => {}
        ["statement", ..] => items.push(Item::Statement(sql)),
        ["query", ..] => match classify(&sql) {
            Class::Read if is_select(&sql) => {
                items.push(Item::Query(Query { line: first + at, sql }));
            }
            Class::Read => {}
            _ => items.push(Item::Statement(sql)),
        },
        _ => {}
    }
    Ok(())
}

/// Whether a statement that reads is a query, not `EXPLAIN` or `SHOW`.
fn is_select(sql: &str) -> bool {
    use datafusion::sql::sqlparser::ast::Statement as Ast;
    use levada_planner::statement::Statement;
    let parsed = levada_planner::parse::parse(sql).unwrap_or_default();
    matches!(parsed.as_slice(), [one] if matches!(&one.statement, Statement::Sql(s) if matches!(s.as_ref(), Ast::Query(_))))
}

/// The files beside `path` that a pattern with at most one `*` in its last part names, in order.
fn matching(path: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let full = path.parent().unwrap_or(path).join(pattern);
    let (folder, name) = (full.parent().unwrap_or(&full), full.file_name().unwrap_or_default());
    let name = name.to_string_lossy();
    let Some((start, end)) = name.split_once('*') else { return Ok(vec![full.clone()]) };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(start) && name.ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{Item, Query, read};

    #[test]
    fn statements_and_queries_come_in_order_and_failures_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.slt");
        let text = "# a table\n\nstatement ok\nCREATE TABLE t (a int) AS VALUES (1);\n\n\
            statement error\nSELECT x FROM t\n\nquery I rowsort\nSELECT a\nFROM t;\n----\n1\n\n\
            query TT\nEXPLAIN SELECT 1\n----\nx\n";
        crate::folder::place(&path, text.as_bytes()).unwrap();
        let sql = "SELECT a\nFROM t".to_owned();
        assert_eq!(
            read(&path).unwrap(),
            [
                Item::Statement("CREATE TABLE t (a int) AS VALUES (1)".to_owned()),
                Item::Query(Query { line: 9, sql }),
            ]
        );
    }
}
