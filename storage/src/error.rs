//! The error of this crate: data, a kind and a retry class.
//!
//! Callers decide on [`Error::kind`] and [`Error::retry`] alone; texts are for people. Texts follow
//! `PostgreSQL`'s error style guide and never hold a row value or a secret.

use std::io;
use std::path::{Path, PathBuf};

use arrow::error::ArrowError;
use parquet::errors::ParquetError;

use crate::epoch::{Epoch, Generation};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong in storage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file operation failed.
    #[error("could not {action} \"{}\": {source}", path.display())]
    Io {
        /// What was attempted: `open`, `write`, ...
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The device of the data directory is full.
    #[error("could not write \"{}\": no space left on device", path.display())]
    DiskFull {
        /// The file being written.
        path: PathBuf,
    },
    /// Another process holds the data directory.
    #[error("data directory \"{}\" is in use by another process", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// The data directory cannot be read at all.
    #[error("could not read data directory \"{}\": {source}", path.display())]
    Unreadable {
        /// The data directory.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The location holds something that Levada did not write.
    #[error("\"{location}\" is not empty and holds no Levada database")]
    NotADatabase {
        /// Directory or URL.
        location: String,
    },
    /// Written by a newer release.
    #[error(
        "format version {found} of \"{object}\" is newer than the newest supported version {supported}"
    )]
    NewerFormat {
        /// The object that says so.
        object: String,
        /// Its version.
        found: u16,
        /// The newest version that this release reads.
        supported: u16,
    },
    /// Bytes of ours are wrong, missing or swapped.
    #[error("object \"{object}\" is corrupt: {detail}")]
    Corrupt {
        /// The name of the object.
        object: String,
        /// What does not fit.
        detail: String,
    },
    /// A process of a higher generation took the database over.
    #[error("database was taken over by another process (generation {by})")]
    Fenced {
        /// The generation that took over.
        by: Generation,
    },
    /// An earlier commit was given up before its outcome was known; the log has to be opened again.
    #[error("outcome of epoch {epoch} is not known")]
    Unsettled {
        /// The epoch in doubt.
        epoch: Epoch,
    },
    /// An object store request failed.
    #[error("could not {action} \"{object}\" in the object store: {source}")]
    ObjectStore {
        /// What was attempted.
        action: &'static str,
        /// The name of the object.
        object: String,
        /// The client's answer.
        source: Box<object_store::Error>,
    },
    /// The object store lacks a property that a database root needs.
    #[error("\"{location}\" cannot hold a database: {detail}")]
    UnfitStore {
        /// URL of the store.
        location: String,
        /// The property that is missing.
        detail: &'static str,
    },
    /// The text does not name a place where a database can live.
    #[error("cannot open \"{url}\": {detail}")]
    BadLocation {
        /// The text as given.
        url: String,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// Arrow could not build or read a batch.
    #[error("could not handle a record batch: {0}")]
    Arrow(#[source] Box<ArrowError>),
    /// Parquet could not write or read a file.
    #[error("could not handle a Parquet file: {0}")]
    Parquet(#[source] Box<ParquetError>),
    /// A supervised task panicked or was aborted.
    #[error("task \"{task}\" did not finish")]
    TaskLost {
        /// The name of the task.
        task: String,
    },
}

/// The class of an [`Error`], for SQLSTATE and exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request itself is wrong.
    User,
    /// Something else holds what is needed.
    Conflict,
    /// The store or the release cannot do this.
    Unsupported,
    /// A limit is reached.
    Limit,
    /// The world outside failed.
    External,
    /// Stored bytes are wrong.
    Corrupt,
    /// An invariant of ours is broken.
    Internal,
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same call fails again.
    Never,
    /// The same call may succeed later.
    AfterBackoff,
}

impl Error {
    /// The class of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotADatabase { .. } | Self::BadLocation { .. } => ErrorKind::User,
            Self::InUse { .. } | Self::Fenced { .. } => ErrorKind::Conflict,
            Self::NewerFormat { .. } | Self::UnfitStore { .. } => ErrorKind::Unsupported,
            Self::DiskFull { .. } => ErrorKind::Limit,
            Self::Io { .. }
            | Self::Unreadable { .. }
            | Self::ObjectStore { .. }
            | Self::Unsettled { .. } => ErrorKind::External,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Arrow(_) | Self::Parquet(_) | Self::TaskLost { .. } => ErrorKind::Internal,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::DiskFull { .. } | Self::ObjectStore { .. } | Self::Io { .. } => {
                Retry::AfterBackoff
            }
            _ => Retry::Never,
        }
    }

    /// Bytes of `object` that are wrong in the way `detail` says.
    #[must_use]
    pub fn corrupt(object: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Corrupt { object: object.into(), detail: detail.into() }
    }

    pub(crate) fn missing(object: impl Into<String>) -> Self {
        Self::corrupt(object, "the object is missing")
    }

    /// The error of a failed file operation; a full device gets a variant of its own.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { action, path, source },
        }
    }

    pub(crate) fn store(action: &'static str, object: &str, source: object_store::Error) -> Self {
        Self::ObjectStore { action, object: object.to_owned(), source: Box::new(source) }
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        Self::Arrow(Box::new(error))
    }
}

impl From<ParquetError> for Error {
    fn from(error: ParquetError) -> Self {
        Self::Parquet(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_stays_small_and_a_full_disk_is_told_apart() {
        assert!(size_of::<Error>() <= 72, "an Error is {} bytes", size_of::<Error>());
        let full =
            Error::io("write", Path::new("/d/log"), io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.kind(), ErrorKind::Limit);
        assert_eq!(full.to_string(), "could not write \"/d/log\": no space left on device");
    }
}
