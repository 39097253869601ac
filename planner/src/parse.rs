//! SQL text to statements.
//!
//! ```text
//! text -> tokens, each with its place -> cut at `;` outside parentheses
//!      -> per statement, the first words decide -> our own parsers, or sqlparser's, on one stream
//! ```
//!
//! The text is tokenised once. Words of ours are no keywords of sqlparser and none is reserved: they
//! are matched by position, as unquoted words. Queries, expressions, types and column definitions
//! inside our statements are read by sqlparser from the same tokens, so that the spans in the syntax
//! tree count lines and columns of the whole string.
//!
//! Bounds: text of [`TEXT_BYTES_MAX`] in [`STATEMENTS_MAX`] statements; nesting of [`DEPTH_MAX`]; and as binary operators make trees
//! as deep as the chain is long, [`CHAIN_TOKENS_MAX`] tokens and [`OPERATORS_MAX`] operators without a
//! comma or a clause between them. Within these no input makes the stack overflow.
//!
//! What Levada's SQL describes but this release does not carry out is refused here by its name, with
//! `0A000`; what `PostgreSQL` knows and sqlparser reads becomes [`Statement::Sql`], for the engine to
//! decide.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::parser::Parser;

use crate::error::{Error, Result};
use crate::statement::{Parsed, Statement};
use stream::Stream;
use text::Text;

mod alter;
mod bound;
mod connector;
mod copy;
mod create;
mod dialect;
mod explain;
mod failure;
mod fixed;
mod option;
mod pipeline;
mod prepared;
mod reserved;
mod setting;
mod show;
mod stream;
mod text;
mod transaction;
mod unsupported;
mod verb;
mod word;

#[cfg(test)]
mod tests;

pub(crate) use reserved::is_reserved;
pub use word::nearest;

/// Longest text, in bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Most statements in one text: all of them are kept until the last has run.
pub const STATEMENTS_MAX: usize = 10_000;
/// Deepest nesting of expressions and queries.
pub const DEPTH_MAX: usize = 256;
/// Most tokens between commas and clauses, at one level of parentheses.
pub const CHAIN_TOKENS_MAX: usize = 4_000;
/// Most binary operators other than AND and OR in one expression, between commas: types are asked for at
/// each of them, which walks all below it.
pub const OPERATORS_MAX: usize = 100;
/// Most set operations (`UNION` and so on) at one level of parentheses.
pub const SET_OPERATIONS_MAX: usize = 500;

/// The statements of `sql`, which may be none.
///
/// # Errors
/// The first that does not parse: nothing of the string is to be carried out then, as in `PostgreSQL`.
pub fn parse(sql: &str) -> Result<Vec<Parsed>> {
    let text = Text::read(sql)?;
    let ranges = text.statements();
    if let Some(first) = ranges.get(STATEMENTS_MAX) {
        let position = text.position(first.start);
        return Err(Error::TooManyStatements { limit: STATEMENTS_MAX, position });
    }
    ranges.into_iter().map(|range| parsed(&text, range)).collect()
}

/// One query, for text that the catalog keeps.
///
/// # Errors
/// If `sql` is not exactly one query.
pub fn query(sql: &str) -> Result<Box<ast::Query>> {
    let text = Text::read(sql)?;
    let mut stream = Stream::new(&text, text.all());
    let query = stream.query()?;
    stream.end()?;
    Ok(query.query)
}

/// One expression, for text that the catalog keeps.
///
/// # Errors
/// If `sql` is not exactly one expression.
pub fn expression(sql: &str) -> Result<ast::Expr> {
    let text = Text::read(sql)?;
    let mut stream = Stream::new(&text, text.all());
    let expression = stream.tree(Parser::parse_expr)?;
    stream.end()?;
    Ok(expression)
}

/// The 1-based character at a line and column (both from 1) of `sql`, as sqlparser and DataFusion
/// count them; 0 if there is no such line.
#[must_use]
pub fn position_at(sql: &str, line: u64, column: u64) -> usize {
    text::position_at(sql, line, column)
}

fn parsed(text: &Text<'_>, range: std::ops::Range<usize>) -> Result<Parsed> {
    let (own, offset) = text.slice(range.clone());
    let mut stream = Stream::new(text, range);
    let statement = verb::statement(&mut stream)?;
    stream.end()?;
    Ok(Parsed { statement, text: own.to_owned(), offset })
}

/// The statement inside another one (`EXPLAIN`, `PREPARE`), up to the end.
fn inner(stream: &mut Stream<'_>) -> Result<Box<Parsed>> {
    let start = stream.index();
    let statement = verb::statement(stream)?;
    let (own, offset) = stream.slice(start);
    Ok(Box::new(Parsed { statement, text: own.to_owned(), offset }))
}

/// Whether a statement returns rows of a query or changes rows: what may stand after `EXPLAIN` and
/// in `PREPARE`.
fn is_plannable(statement: &Statement) -> bool {
    let Statement::Sql(sql) = statement else { return false };
    matches!(
        **sql,
        ast::Statement::Query(_)
            | ast::Statement::Insert(_)
            | ast::Statement::Update(_)
            | ast::Statement::Delete(_)
            | ast::Statement::Merge(_)
    )
}

/// An error that names a construct of the documented SQL.
fn refuse<T>(construct: impl Into<String>, position: usize) -> Result<T> {
    Err(Error::unsupported(construct, position))
}
