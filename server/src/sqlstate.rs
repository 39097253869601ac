//! Errors as PostgreSQL clients know them: one mapping from the engine's errors to SQLSTATE,
//! message, detail, hint and position.
//!
//! [`Report`] is what the wire, the shell and HTTP show. Nested errors of DataFusion are unwrapped
//! to the one that says what went wrong; `XX000` is left for bugs of ours.

use ::datafusion::common::Span;
use ::datafusion::error::DataFusionError;
use arrow::error::ArrowError;
use levada_catalog::{Error as CatalogError, ObjectKind};
use levada_connectors::error::{Error as ConnectorError, Kind as ConnectorKind};
use levada_engine::error::Error as EngineError;
use levada_planner::Error as PlannerError;
use levada_storage::error::{Error as StorageError, ErrorKind as StorageKind};

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
    match error {
        EngineError::Plan(error) => planner(error),
        EngineError::Catalog(error) => catalog(error),
        EngineError::Storage(error) => storage(error),
        EngineError::Connector(error) => connector(error),
        EngineError::DataFusion(error) => datafusion::report(error),
        EngineError::Statement(error) => Report {
            detail: error.detail.clone(),
            hint: error.hint.clone(),
            ..Report::error(error.sqlstate, error.message.clone())
        },
        EngineError::Evaluation { sqlstate, message, relation, rows } => {
            let rows_failed = if *rows == 1 { "row" } else { "rows" };
            Report::error(evaluation_state(sqlstate), message.clone()).with_detail(format!(
                "Relation \"{relation}\" has {rows} {rows_failed} that could not be evaluated."
            ))
        }
        EngineError::Closed => Report::error("57P01", error.to_string()),
        _ => Report::error("XX000", error.to_string()),
    }
}

/// Rows fail with data exceptions (class 22) only.
fn evaluation_state(sqlstate: &str) -> &'static str {
    const KNOWN: [&str; 12] = [
        "22000", "22001", "22003", "22007", "22008", "22012", "22021", "22023", "2202E", "22P02",
        "22P03", "0A000",
    ];
    KNOWN.into_iter().find(|known| *known == sqlstate).unwrap_or("22000")
}

fn planner(error: &PlannerError) -> Report {
    if let PlannerError::DataFusion(inner) = error {
        return datafusion::report(inner);
    }
    let mut report = match error {
        PlannerError::At { source, .. } => planner(source),
        other => Report::error(other.sqlstate(), other.to_string()),
    };
    report.detail = report.detail.or_else(|| error.detail());
    report.hint = report.hint.or_else(|| error.hint());
    report.position = error.position().map(Position::Character).or(report.position);
    report
}

fn catalog(error: &CatalogError) -> Report {
    let sqlstate = match error {
        CatalogError::NotFound { kind: Some(ObjectKind::Pipeline), .. } => "42704",
        CatalogError::NotFound { .. } => "42P01",
        CatalogError::SchemaNotFound(_) => "3F000",
        CatalogError::Exists { kind: ObjectKind::Schema, .. } => "42P06",
        CatalogError::Exists { kind: ObjectKind::Pipeline, .. } => "42710",
        CatalogError::Exists { .. } => "42P07",
        CatalogError::WrongKind { .. } => "42809",
        CatalogError::Dependents { .. } => "2BP01",
        CatalogError::System(_) => "42501",
        CatalogError::Corrupt(_) => "XX001",
        _ => "XX000",
    };
    let report = Report::error(sqlstate, error.to_string());
    match error {
        CatalogError::NotFound { nearest: Some(nearest), .. } => {
            report.with_hint(format!("Perhaps you meant \"{nearest}\"."))
        }
        CatalogError::Dependents { dependents, .. } => report
            .with_detail(dependents.join("\n"))
            .with_hint("Use DROP ... CASCADE to drop the dependent objects too."),
        _ => report,
    }
}

fn storage(error: &StorageError) -> Report {
    let sqlstate = match error.kind() {
        StorageKind::User => "22023",
        StorageKind::Conflict => "55006",
        StorageKind::Unsupported => "0A000",
        StorageKind::Limit => "53100",
        StorageKind::External => "58030",
        StorageKind::Corrupt => "XX001",
        StorageKind::Internal => "XX000",
    };
    Report::error(sqlstate, error.to_string())
}

fn connector(error: &ConnectorError) -> Report {
    let sqlstate = match error {
        ConnectorError::UnknownConnector { .. } | ConnectorError::UnknownFormat { .. } => "42704",
        ConnectorError::UnknownOption { .. }
        | ConnectorError::MissingOption { .. }
        | ConnectorError::RepeatedOption { .. }
        | ConnectorError::Arguments { .. } => "42601",
        ConnectorError::OptionValue { .. } | ConnectorError::Pattern { .. } => "22023",
        ConnectorError::SchemaMismatch { .. } => "42804",
        _ => match error.kind() {
            ConnectorKind::User => "22023",
            ConnectorKind::NotFound => "58P01",
            ConnectorKind::Denied => "42501",
            ConnectorKind::Unsupported => "0A000",
            ConnectorKind::External => "58030",
            ConnectorKind::Corrupt => "22000",
        },
    };
    let report = Report::error(sqlstate, error.to_string());
    match error.hint() {
        Some(hint) => report.with_hint(hint),
        None => report,
    }
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
