//! What can go wrong between Levada and the outside world.
//!
//! Variants carry data, not sentences. Callers decide on two answers alone: [`Error::kind`] says whose
//! fault it is, [`Error::retry`] whether the same call may succeed later. Bad *records* are no errors:
//! they are [`Reject`](crate::source::Reject)s and travel beside the good rows.

use std::io;

use arrow::error::ArrowError;
use parquet::errors::ParquetError;

/// A result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose fault an error is; the server maps each kind to a class of SQLSTATEs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The statement is wrong: the user can correct it.
    User,
    /// What was asked for belongs to somebody else.
    InUse,
    /// Something named does not exist.
    NotFound,
    /// The access was refused.
    Denied,
    /// What was asked for is not there in this release.
    Unsupported,
    /// The outside world failed.
    External,
    /// Bytes from outside or of ours cannot be right.
    Corrupt,
}

/// Whether trying the same call again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It fails again until somebody acts.
    Never,
    /// It may succeed after a pause.
    AfterBackoff,
}

/// An error of a connector, an option or a format.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connector has this name.
    #[error("connector \"{name}\" does not exist")]
    UnknownConnector {
        /// The name as given.
        name: String,
        /// The valid name most like it.
        nearest: Option<&'static str>,
    },
    /// No format has this name.
    #[error("format \"{name}\" does not exist")]
    UnknownFormat {
        /// The name as given.
        name: String,
        /// The valid name most like it.
        nearest: Option<&'static str>,
    },
    /// The connector or format takes no such option.
    #[error("option \"{name}\" does not exist for {owner}")]
    UnknownOption {
        /// The name as given.
        name: String,
        /// The valid name most like it.
        nearest: Option<&'static str>,
        /// The connector or format that was asked.
        owner: &'static str,
    },
    /// An option has a value that cannot be used.
    #[error("invalid value for option \"{name}\": \"{value}\"")]
    OptionValue {
        /// The option.
        name: &'static str,
        /// The value as given.
        value: String,
        /// What would be accepted, such as `an integer`.
        expected: Box<str>,
    },
    /// A required option is missing.
    #[error("option \"{name}\" is required for {owner}")]
    MissingOption {
        /// The option.
        name: &'static str,
        /// The connector or format that needs it.
        owner: &'static str,
    },
    /// An option is given twice.
    #[error("option \"{name}\" is given more than once")]
    RepeatedOption {
        /// The option.
        name: &'static str,
    },
    /// The positional arguments are not those the connector takes.
    #[error("{connector} takes {expected}")]
    Arguments {
        /// The connector.
        connector: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// The connector cannot play the role asked for, or not in that way.
    #[error("{construct} is not supported")]
    Unsupported {
        /// What was asked for.
        construct: Box<str>,
    },
    /// A path or pattern matches no file.
    #[error("no file matches \"{pattern}\"")]
    NoFilesMatch {
        /// The pattern as given.
        pattern: String,
    },
    /// A folder holds files that are not the sink's.
    #[error("folder \"{folder}\" holds {}", held(by.as_deref()))]
    FolderInUse {
        /// The folder.
        folder: String,
        /// The sink that wrote them, if one did.
        by: Option<Box<str>>,
    },
    /// A pattern cannot be understood.
    #[error("invalid file pattern \"{pattern}\": {message}")]
    Pattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        message: &'static str,
    },
    /// Data do not have the declared columns.
    #[error("\"{place}\" does not match the declared columns: {message}")]
    SchemaMismatch {
        /// The file or other split.
        place: String,
        /// Which column, and how it differs.
        message: Box<str>,
    },
    /// No columns are declared and none can be found in the data.
    #[error("could not infer columns from \"{place}\": {message}")]
    Inference {
        /// The file or other split.
        place: String,
        /// Why not.
        message: Box<str>,
    },
    /// A resume position was written by another version or is damaged.
    #[error("invalid offset of split \"{split}\": {message}")]
    Offset {
        /// The split.
        split: String,
        /// What is wrong with it.
        message: &'static str,
    },
    /// Bytes outside are damaged as a whole.
    #[error("could not read \"{place}\": {message}")]
    Corrupt {
        /// The file.
        place: String,
        /// What the decoder says.
        message: Box<str>,
    },
    /// The operating system refused or failed.
    #[error("could not {action} \"{path}\": {source}")]
    Io {
        /// The attempted act, such as `open`.
        action: &'static str,
        /// The file or folder.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// Arrow could not build or convert a batch.
    #[error("could not {action}: {source}")]
    Arrow {
        /// The attempted act.
        action: &'static str,
        /// Arrow's error.
        source: Box<ArrowError>,
    },
    /// A Parquet file could not be written.
    #[error("could not write \"{path}\": {source}")]
    Parquet {
        /// The file.
        path: String,
        /// The writer's error.
        source: Box<ParquetError>,
    },
}

impl Error {
    /// Whose fault it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::UnknownConnector { .. }
            | Self::UnknownFormat { .. }
            | Self::UnknownOption { .. }
            | Self::OptionValue { .. }
            | Self::MissingOption { .. }
            | Self::RepeatedOption { .. }
            | Self::Arguments { .. }
            | Self::Pattern { .. }
            | Self::SchemaMismatch { .. }
            | Self::Inference { .. } => Kind::User,
            Self::NoFilesMatch { .. } => Kind::NotFound,
            Self::FolderInUse { .. } => Kind::InUse,
            Self::Unsupported { .. } => Kind::Unsupported,
            Self::Offset { .. } | Self::Corrupt { .. } => Kind::Corrupt,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => Kind::NotFound,
                io::ErrorKind::PermissionDenied => Kind::Denied,
                _ => Kind::External,
            },
            Self::Arrow { .. } | Self::Parquet { .. } => Kind::External,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Io { .. } if matches!(self.kind(), Kind::External | Kind::NotFound) => {
                Retry::AfterBackoff
            }
            _ => Retry::Never,
        }
    }

    /// The text beside the name of the split that it is about: without that name.
    #[must_use]
    pub fn about(&self, split: &str) -> String {
        match self {
            Self::SchemaMismatch { place, message } if place == split => {
                format!("file does not match the declared columns: {message}")
            }
            Self::Corrupt { place, message } if place == split => {
                format!("could not read the file: {message}")
            }
            Self::Io { action, path, source } if path == split => {
                format!("could not {action} the file: {source}")
            }
            Self::Offset { split: of, message } if of == split => {
                format!("invalid offset: {message}")
            }
            other => other.to_string(),
        }
    }

    /// A sentence that helps to correct the statement.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownConnector { nearest: Some(n), .. }
            | Self::UnknownFormat { nearest: Some(n), .. }
            | Self::UnknownOption { nearest: Some(n), .. } => {
                Some(format!("Perhaps you meant \"{n}\"."))
            }
            Self::OptionValue { expected, .. } => Some(format!("The option takes {expected}.")),
            Self::NoFilesMatch { .. } => Some(
                "Declare the columns to create the source before its first file is there."
                    .to_owned(),
            ),
            Self::FolderInUse { by: Some(_), .. } => Some(
                "Remove the folder or choose another one, or write (OVERWRITE true) behind its name \
                 to have those files removed."
                    .to_owned(),
            ),
            Self::FolderInUse { by: None, .. } => {
                Some("A sink needs a folder that is empty or does not exist yet.".to_owned())
            }
            _ => None,
        }
    }

    pub(crate) fn io(action: &'static str, path: impl Into<String>, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }

    pub(crate) fn arrow(action: &'static str, source: ArrowError) -> Self {
        Self::Arrow { action, source: Box::new(source) }
    }
}

/// What stands in a sink's way.
fn held(by: Option<&str>) -> String {
    by.map_or_else(|| "other files".to_owned(), |name| format!("the files of sink \"{name}\""))
}

#[cfg(test)]
mod tests {
    use super::{Error, Kind, Retry};
    use std::io;

    #[test]
    fn a_vanished_file_may_come_back_but_a_wrong_option_may_not() {
        let gone = Error::io("open", "a.csv", io::Error::from(io::ErrorKind::NotFound));
        assert_eq!((gone.kind(), gone.retry()), (Kind::NotFound, Retry::AfterBackoff));
        let wrong = Error::UnknownOption { name: "x".into(), nearest: None, owner: "files" };
        assert_eq!((wrong.kind(), wrong.retry()), (Kind::User, Retry::Never));
    }

    #[test]
    fn beside_the_name_of_its_split_an_error_does_not_repeat_it() {
        let gone = Error::io("open", "a.csv", io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(gone.about("a.csv"), "could not open the file: entity not found");
        assert_eq!(gone.about("b.csv"), "could not open \"a.csv\": entity not found");
    }

    #[test]
    fn errors_stay_small() {
        assert!(size_of::<Error>() <= 72, "{} bytes", size_of::<Error>());
    }
}
