//! The store of immutable objects under one root: the seam to disks and object stores.
//!
//! A [`Blob`] maps names such as `log/00000000000000000007.commit` to bytes. **Success means durable**:
//! when a call returns `Ok`, the object survives the loss of power. Overwriting is never needed for
//! correctness, nor are renames, modification times or a particular listing order of the backend.
//!
//! | backend | durable through | exclusive through |
//! |---|---|---|
//! | [`local`] directory | fsync of file and directory | rename without replacing |
//! | [`memory`] | nothing: it ends with the process | a lock |
//! | [`object`] store | the store's answer | conditional put |
//!
//! The one operation with a subtle result is [`Blob::put_if_absent`]: an object store may have created
//! the object although its answer was lost. [`Put::Unknown`] says so; whoever gets it reads the object to
//! settle the question. An `Err` of `put_if_absent` is definite: nothing was written, nothing will be.

use std::fmt::Debug;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::{Error, Result};

pub mod local;
pub mod memory;
pub mod object;

pub use self::local::LocalBlob;
pub use self::memory::MemoryBlob;
pub use self::object::ObjectBlob;

/// The result of an exclusive put that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// This call created the object.
    Created,
    /// An object of that name was there; after a retry below us it may be our own.
    Exists,
    /// The answer was lost: the object may or may not be ours, and may still appear.
    Unknown,
}

/// Objects by name; every write is durable when it returns.
///
/// Names are relative, `/`-separated and made of letters, digits, `.`, `-`, `_` and `=`.
#[async_trait]
pub trait Blob: Send + Sync + Debug {
    /// Writes an object, replacing one of the same name.
    async fn put(&self, path: &str, bytes: Bytes) -> Result<()>;

    /// Creates an object unless one of that name exists.
    async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<Put>;

    /// The whole object, or `None` if there is none.
    async fn get(&self, path: &str) -> Result<Option<Bytes>>;

    /// Bytes `range` of an object that must exist and be that long, else [`Error::Corrupt`].
    async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes>;

    /// The length of an object in bytes, or `None` if there is none.
    async fn head(&self, path: &str) -> Result<Option<u64>>;

    /// Names and lengths of all objects whose name starts with `prefix` and is greater than `after`, in
    /// byte order of the names.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<(String, u64)>>;

    /// Removes an object; one that is not there is fine.
    async fn delete(&self, path: &str) -> Result<()>;

    /// Where the object lies, for people and outside readers: a file path or a URL. The empty name is
    /// the root.
    fn location(&self, path: &str) -> String;
}

/// The directory that [`open_blob`] opens for a path or URL, if it names one.
#[must_use]
pub fn local_folder(url_or_path: &str) -> Option<PathBuf> {
    match url_or_path.split_once("://") {
        None => Some(PathBuf::from(url_or_path)),
        Some(("file", rest)) => Some(PathBuf::from(rest)),
        Some(_) => None,
    }
}

/// Opens the root that a directory path or a URL names.
///
/// Accepted are a path, `file://`, `memory://`, `s3://bucket/prefix`, `gs://bucket/prefix` and
/// `az://container/prefix`; credentials of object stores come from the environment as their clients
/// define it. An object store is probed for the properties that a root needs.
///
/// # Errors
/// [`Error::BadLocation`] for another scheme, [`Error::InUse`], [`Error::Unreadable`] and
/// [`Error::NotADatabase`] for a directory, [`Error::ObjectStore`] and [`Error::UnfitStore`] for a store.
pub async fn open_blob(url_or_path: &str) -> Result<Arc<dyn Blob>> {
    if let Some(folder) = local_folder(url_or_path) {
        return Ok(Arc::new(LocalBlob::open(folder)?));
    }
    let scheme = url_or_path.split_once("://").map_or("", |(scheme, _)| scheme);
    match scheme {
        "memory" => Ok(Arc::new(MemoryBlob::new())),
        "s3" | "s3a" | "gs" | "az" | "azure" | "abfs" | "abfss" => {
            let blob = ObjectBlob::from_env(url_or_path)?;
            blob.probe().await?;
            Ok(Arc::new(blob))
        }
        _ => Err(Error::BadLocation {
            url: url_or_path.to_owned(),
            detail: "the scheme is none of file, memory, s3, gs, az",
        }),
    }
}

/// Refuses names that could leave the root or collide with the files that a backend keeps for itself.
pub(crate) fn check_name(path: &str) -> Result<()> {
    let good = !path.is_empty()
        && path.split('/').all(|part| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_=".contains(&b))
        });
    if good { Ok(()) } else { Err(Error::corrupt(path, "this is not the name of an object")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_root() {
        for good in ["format", "log/1.commit", "data/7/01AB-c_d.parquet", "data/o=1/x"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "/etc/passwd", "a//b", "a/", "../a", "a/../b", ".hidden", "a b", "a\0b"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn an_unknown_scheme_is_refused_by_name() {
        let error = open_blob("ftp://host/dir").await.unwrap_err();
        assert!(matches!(error, Error::BadLocation { .. }), "{error}");
    }
}
