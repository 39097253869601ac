//! Files of a folder: read as they come and grow, written exactly once.
//!
//! ```text
//! listing   patterns to files                     position  how far a file is read, and what it was
//! source    which files hold more, what is wrong  text, parquet  readers
//! sink      epochs as Parquet, CSV or JSON files  publish   a file that appears as a whole
//!                                                 owner     which sink a folder belongs to
//! ```
//! A split is one file. A file may grow at its end; one that vanished, shrank or was changed in place is
//! a problem of that file alone, reported and never read again. Paths are used as they are given: the
//! engine passes absolute ones below the roots that it allows.

pub(crate) mod listing;
pub(crate) mod owner;
mod parquet;
pub(crate) mod position;
mod publish;
pub(crate) mod sink;
pub(crate) mod source;
mod text;
