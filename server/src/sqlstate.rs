//! Errors as PostgreSQL clients know them: one mapping from the engine's errors to SQLSTATE,
//! message, detail, hint and position.
//!
//! [`Report`] is what the wire, the shell and HTTP show. Nested errors of DataFusion are unwrapped
//! to the one that says what went wrong; `XX000` is left for bugs of ours.

use std::io;

use ::datafusion::common::Span;
use ::datafusion::error::DataFusionError;
use arrow::error::ArrowError;
use levada_catalog::{Error as CatalogError, ObjectKind};
use levada_connectors::error::{Error as ConnectorError, Kind as ConnectorKind};
use levada_engine::error::Error as EngineError;
use levada_planner::Error as PlannerError;
use levada_storage::Error as StorageError;

use crate::pg::encode;

mod datafusion;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The connection ends.
    Fatal,
}

impl Severity {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

/// A place in the text of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Characters from the start; the first is 1.
    Character(usize),
    /// Line and column in characters; the first are 1.
    LineColumn(u64, u64),
}

impl Position {
    /// The place as characters from the start of a text; the first is 1.
    #[must_use]
    pub fn character_in(self, text: &str) -> usize {
        match self {
            Self::Character(at) => at,
            Self::LineColumn(line, column) => {
                let before: usize = text
                    .split('\n')
                    .take(usize::try_from(line.saturating_sub(1)).unwrap_or(0))
                    .map(|line| line.chars().count() + 1)
                    .sum();
                before + usize::try_from(column).unwrap_or(1)
            }
        }
    }

    /// The place as line and column in a text; the first are 1.
    #[must_use]
    pub fn line_column_in(self, text: &str) -> (usize, usize) {
        let (mut line, mut column) = (1, 1);
        for character in text.chars().take(self.character_in(text).saturating_sub(1)) {
            if character == '\n' {
                line += 1;
                column = 1;
            } else {
                column += 1;
            }
        }
        (line, column)
    }
}

/// An error in the shape clients expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How bad it is.
    pub severity: Severity,
    /// Five characters of SQLSTATE.
    pub sqlstate: &'static str,
    /// What went wrong: lower case, no full stop.
    pub message: String,
    /// More about it, in sentences.
    pub detail: Option<String>,
    /// What to do about it, in sentences.
    pub hint: Option<String>,
    /// Where in the query.
    pub position: Option<Position>,
    /// Where in the data (`COPY t, line 3`).
    pub context: Option<String>,
}

impl Report {
    /// An error that ends a statement.
    pub fn error(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            context: None,
        }
    }

    /// An error that ends the connection.
    pub fn fatal(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Fatal, ..Self::error(sqlstate, message) }
    }

    /// Adds a detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the place in the data.
    #[must_use]
    pub fn with_context(mut self, context: impl Into<String>) -> Self {
        self.context = Some(context.into());
        self
    }

    fn with_span(mut self, span: Option<Span>) -> Self {
        if self.position.is_none() {
            self.position =
                span.map(|span| Position::LineColumn(span.start.line, span.start.column));
        }
        self
    }
}

impl From<EngineError> for Report {
    fn from(error: EngineError) -> Self {
        engine(&error)
    }
}

impl From<DataFusionError> for Report {
    fn from(error: DataFusionError) -> Self {
        datafusion::report(&error)
    }
}

impl From<ArrowError> for Report {
    fn from(error: ArrowError) -> Self {
        datafusion::arrow(&error)
    }
}

impl From<encode::Error> for Report {
    fn from(error: encode::Error) -> Self {
        let sqlstate = match error {
            encode::Error::OutOfRange("numeric") => "22003",
            encode::Error::OutOfRange(_) => "22008",
            encode::Error::Ragged => "2202E",
            encode::Error::Malformed => "22P02",
            encode::Error::TooLong(_) => "54000",
        };
        Self::error(sqlstate, error.to_string())
    }
}

/// An error of the engine, whichever crate it comes from.
fn engine(error: &EngineError) -> Report {
    let text = error.to_string();
    match error {
        EngineError::Plan(inner) => planner(inner),
        EngineError::Catalog(inner) => catalog(inner),
        EngineError::Storage(inner) => storage(inner),
        EngineError::Connector(inner) => connector(inner),
        EngineError::DataFusion(inner) => datafusion::report(inner),
        EngineError::Statement(inner) => Report {
            detail: inner.detail.clone(),
            hint: inner.hint.clone(),
            ..Report::error(inner.sqlstate, text)
        },
        EngineError::Evaluation { sqlstate, relation, rows, .. } => {
            let noun = if *rows == 1 { "row" } else { "rows" };
            Report::error(evaluation_state(sqlstate), text)
                .with_detail(format!("{rows} {noun} of \"{relation}\" could not be evaluated."))
                .with_hint("The relation can be read again when the input rows are corrected.")
        }
        EngineError::Closed => Report::error("57P01", text),
        _ => Report::error("XX000", text),
    }
}

/// The constant that equals the state of a row that failed, which comes as data.
fn evaluation_state(sqlstate: &str) -> &'static str {
    const KNOWN: [&str; 14] = [
        "21000", "22001", "22003", "22007", "22008", "22012", "2201B", "22021", "22023", "2202E",
        "22P02", "22P03", "0A000", "XX001",
    ];
    KNOWN.into_iter().find(|known| *known == sqlstate).unwrap_or("22000")
}

fn planner(error: &PlannerError) -> Report {
    let mut report = match error {
        PlannerError::DataFusion(inner) => datafusion::report(inner),
        PlannerError::Catalog(inner) => catalog(inner),
        PlannerError::At { source, .. } => planner(source),
        other => Report::error(other.sqlstate(), other.to_string()),
    };
    report.position = error.position().map(Position::Character).or(report.position);
    report.detail = report.detail.or_else(|| error.detail());
    report.hint = report.hint.or_else(|| error.hint());
    report
}

fn catalog(error: &CatalogError) -> Report {
    let text = error.to_string();
    match error {
        CatalogError::NotFound { kind, nearest, .. } => {
            let sqlstate = match kind {
                Some(ObjectKind::Pipeline | ObjectKind::Sink) => "42704",
                _ => "42P01",
            };
            let hint = nearest.as_ref().map(|nearest| format!("Perhaps you meant \"{nearest}\"."));
            Report { hint, ..Report::error(sqlstate, text) }
        }
        CatalogError::SchemaNotFound(_) => Report::error("3F000", text),
        CatalogError::Exists { kind, .. } => {
            let sqlstate = match kind {
                ObjectKind::Pipeline | ObjectKind::Sink => "42710",
                ObjectKind::Schema => "42P06",
                _ => "42P07",
            };
            Report::error(sqlstate, text)
        }
        CatalogError::WrongKind { found, .. } => {
            Report::error("42809", text).with_detail(format!("It is a {}.", found.words()))
        }
        CatalogError::Dependents { dependents, .. } => Report::error("2BP01", text)
            .with_detail(dependents.join("\n"))
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too."),
        CatalogError::System(_) => Report::error("42501", text),
        CatalogError::Corrupt(_) => Report::error("XX001", text),
        _ => Report::error("XX000", text),
    }
}

fn storage(error: &StorageError) -> Report {
    let text = error.to_string();
    match error {
        StorageError::Io { source, .. } | StorageError::Unreadable { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            Report::error("42501", text)
        }
        StorageError::DiskFull { .. } => Report::error("53100", text),
        StorageError::InUse { .. } => Report::error("55006", text)
            .with_hint("Only one process can have a data directory open."),
        StorageError::NewerFormat { .. } => Report::error("0A000", text)
            .with_hint("Open it with the release that wrote it, or a later one."),
        StorageError::UnfitStore { .. } => Report::error("0A000", text),
        StorageError::NotADatabase { .. } | StorageError::BadLocation { .. } => {
            Report::error("58P01", text)
        }
        StorageError::Corrupt { .. } => Report::error("XX001", text),
        StorageError::Fenced { .. } => Report::error("25006", text),
        _ => Report::error("58030", text),
    }
}

fn connector(error: &ConnectorError) -> Report {
    let sqlstate = match error.kind() {
        ConnectorKind::User
            if matches!(
                error,
                ConnectorError::UnknownConnector { .. } | ConnectorError::UnknownFormat { .. }
            ) =>
        {
            "42704"
        }
        ConnectorKind::User => "22023",
        ConnectorKind::InUse => "55006",
        ConnectorKind::NotFound => "58P01",
        ConnectorKind::Denied => "42501",
        ConnectorKind::Unsupported => "0A000",
        ConnectorKind::Corrupt => "22000",
        ConnectorKind::External => "58030",
    };
    Report { hint: error.hint(), ..Report::error(sqlstate, error.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_and_column_is_a_character_of_the_text() {
        let text = "select\n  \u{e4}x\nfrom t";
        assert_eq!(Position::LineColumn(2, 4).character_in(text), 11, "second line");
        assert_eq!(Position::Character(11).line_column_in(text), (2, 4), "and back");
    }
}
