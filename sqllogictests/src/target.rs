//! What a script runs against, and what it answers.
//!
//! Two real implementers: the engine in this process ([`crate::embedded`] behind [`crate::modes`]) and a
//! server on a PostgreSQL wire ([`crate::wire`]), which is a spawned Levada or PostgreSQL itself as the
//! second oracle.

use std::path::Path;

use async_trait::async_trait;

/// The answer to one statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Rows affected, from the command tag.
    pub count: Option<u64>,
    /// Column letters, where the target knows its types.
    pub types: Option<String>,
    /// One line per row.
    pub rows: Vec<String>,
    /// `NOTICE: ...`, `DETAIL: ...` lines, in order.
    pub messages: Vec<String>,
}

/// An error as a client sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// SQLSTATE.
    pub sqlstate: String,
    /// Primary message.
    pub message: String,
    /// `DETAIL: ...`, `HINT: ...`, `POSITION: ...` lines.
    pub more: Vec<String>,
}

impl Failure {
    /// The form compared with `statement error`.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}: {}", self.sqlstate, self.message)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.line())?;
        self.more.iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

impl std::error::Error for Failure {}

/// Something scripts run against.
#[async_trait(?Send)]
pub trait Target {
    /// Names that `onlyif` and `skipif` know.
    fn labels(&self) -> Vec<&'static str>;

    /// Folders to keep the script's files in; files are written to each.
    fn folders(&self) -> Vec<&Path>;

    /// Runs a statement. The outer error is a finding of the target's own checks.
    async fn run(&mut self, sql: &str) -> anyhow::Result<Result<Answer, Failure>>;

    /// Moves the clock by so many microseconds and brings all views to that time.
    async fn advance(&mut self, micros: i64) -> anyhow::Result<()>;

    /// Closes in order and opens again.
    async fn reopen(&mut self) -> anyhow::Result<()>;

    /// Closes for good.
    async fn close(&mut self) -> anyhow::Result<()>;
}
