//! What can go wrong in the engine.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

/// Result of an engine operation.
pub type Result<T> = std::result::Result<T, Error>;

const CATALOG_CHANGED: &str =
    "could not serialize access due to a concurrent change of the catalog";

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Parsing, binding or planning failed.
    #[error(transparent)]
    Plan(Box<levada_planner::Error>),
    /// Names or dependencies.
    #[error(transparent)]
    Catalog(Box<levada_catalog::Error>),
    /// Durability.
    #[error(transparent)]
    Storage(Box<levada_storage::Error>),
    /// The outside world.
    #[error(transparent)]
    Connector(Box<levada_connectors::error::Error>),
    /// A query failed while it was planned or run.
    #[error(transparent)]
    DataFusion(Box<DataFusionError>),
    /// The statement cannot be carried out as it is.
    #[error("{}", .0.message)]
    Statement(Box<StatementError>),
    /// A row of a maintained view could not be evaluated.
    #[error("{message}")]
    Evaluation {
        /// SQLSTATE of the first failed row.
        sqlstate: Box<str>,
        /// Its message.
        message: Box<str>,
        /// The relation that was read.
        relation: Box<str>,
        /// How many rows failed.
        rows: i64,
    },
    /// The database was closed, or its writer stopped.
    #[error("database is closed")]
    Closed,
    /// A broken invariant of ours (XX000).
    #[error("internal error: {0}")]
    Internal(String),
}

/// What is wrong with a statement, in `PostgreSQL`'s terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementError {
    /// SQLSTATE.
    pub sqlstate: &'static str,
    /// Primary message.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Error {
    /// A statement error without detail and hint.
    #[must_use]
    pub fn statement(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self::Statement(Box::new(StatementError {
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
        }))
    }

    /// What a transaction defines was planned with a catalog that has changed.
    #[must_use]
    pub(crate) fn catalog_changed() -> Self {
        Self::statement("40001", CATALOG_CHANGED)
    }

    /// Whether planning again helps: [`Self::catalog_changed`].
    #[must_use]
    pub(crate) fn is_catalog_changed(&self) -> bool {
        matches!(self, Self::Statement(error) if error.message == CATALOG_CHANGED)
    }

    /// The statement was stopped on its client's behalf.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::statement("57014", "canceling statement due to user request")
    }

    /// Adds a detail to a statement error.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        if let Self::Statement(e) = &mut self {
            e.detail = Some(detail.into());
        }
        self
    }

    /// Adds a hint to a statement error.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Statement(e) = &mut self {
            e.hint = Some(hint.into());
        }
        self
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        match unwrap(error) {
            DataFusionError::External(inner) => match inner.downcast::<Self>() {
                Ok(ours) => *ours,
                Err(inner) => match inner.downcast::<levada_planner::Error>() {
                    Ok(ours) => Self::Plan(ours),
                    Err(other) => Self::DataFusion(Box::new(DataFusionError::External(other))),
                },
            },
            other => Self::DataFusion(Box::new(other)),
        }
    }
}

/// Takes context and diagnostics off an error that is one of ours inside.
fn unwrap(error: DataFusionError) -> DataFusionError {
    match error {
        DataFusionError::Context(text, inner) => match unwrap(*inner) {
            external @ DataFusionError::External(_) => external,
            other => DataFusionError::Context(text, Box::new(other)),
        },
        DataFusionError::ArrowError(inner, trace) => match *inner {
            ArrowError::ExternalError(external) => DataFusionError::External(external),
            other => DataFusionError::ArrowError(Box::new(other), trace),
        },
        other => other,
    }
}

impl From<ArrowError> for Error {
    fn from(e: ArrowError) -> Self {
        Self::from(DataFusionError::from(e))
    }
}

impl From<levada_planner::Error> for Error {
    fn from(e: levada_planner::Error) -> Self {
        match e {
            levada_planner::Error::DataFusion(inner) => Self::from(*inner),
            levada_planner::Error::Catalog(inner) => Self::from(inner),
            other => Self::Plan(Box::new(other)),
        }
    }
}

impl From<levada_catalog::Error> for Error {
    fn from(e: levada_catalog::Error) -> Self {
        Self::Catalog(Box::new(e))
    }
}

impl From<levada_storage::Error> for Error {
    fn from(e: levada_storage::Error) -> Self {
        Self::Storage(Box::new(e))
    }
}

impl From<levada_connectors::error::Error> for Error {
    fn from(e: levada_connectors::error::Error) -> Self {
        Self::Connector(Box::new(e))
    }
}

impl From<Error> for DataFusionError {
    fn from(e: Error) -> Self {
        Self::External(Box::new(e))
    }
}
