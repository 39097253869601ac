//! What can go wrong in the engine.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

/// Result of an engine operation.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A query failed while it was planned or run.
    #[error(transparent)]
    DataFusion(Box<DataFusionError>),
    /// A broken invariant of ours (XX000).
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<DataFusionError> for Error {
    fn from(e: DataFusionError) -> Self {
        Self::DataFusion(Box::new(e))
    }
}

impl From<ArrowError> for Error {
    fn from(e: ArrowError) -> Self {
        Self::DataFusion(Box::new(DataFusionError::from(e)))
    }
}
