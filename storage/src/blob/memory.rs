//! Objects in memory: for embedded use without files, and for tests. Ends with the process.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Blob, Put, check_name};
use crate::error::{Error, Result};

/// A root in memory; share it through an `Arc`.
#[derive(Debug, Default)]
pub struct MemoryBlob {
    objects: Mutex<BTreeMap<String, Bytes>>,
}

impl MemoryBlob {
    /// An empty root.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<String, Bytes>) -> T) -> T {
        f(&mut self.objects.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Blob for MemoryBlob {
    async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        check_name(path)?;
        self.with(|objects| objects.insert(path.to_owned(), bytes));
        Ok(())
    }

    async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<Put> {
        check_name(path)?;
        Ok(self.with(|objects| {
            if objects.contains_key(path) {
                return Put::Exists;
            }
            objects.insert(path.to_owned(), bytes);
            Put::Created
        }))
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        Ok(self.with(|objects| objects.get(path).cloned()))
    }

    async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let Some(bytes) = self.get(path).await? else { return Err(Error::missing(path)) };
        let within = |at: u64| usize::try_from(at).ok().filter(|at| *at <= bytes.len());
        match (within(range.start), within(range.end)) {
            (Some(start), Some(end)) if start <= end => Ok(bytes.slice(start..end)),
            _ => Err(Error::corrupt(path, "the object is shorter than its references say")),
        }
    }

    async fn head(&self, path: &str) -> Result<Option<u64>> {
        Ok(self.with(|objects| objects.get(path).map(|bytes| bytes.len() as u64)))
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<(String, u64)>> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after.to_owned()),
            _ => Bound::Included(prefix.to_owned()),
        };
        Ok(self.with(|objects| {
            objects
                .range((from, Bound::Unbounded))
                .take_while(|(name, _)| name.starts_with(prefix))
                .map(|(name, bytes)| (name.clone(), bytes.len() as u64))
                .collect()
        }))
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.with(|objects| objects.remove(path));
        Ok(())
    }

    fn location(&self, path: &str) -> String {
        format!("memory://{path}")
    }
}
