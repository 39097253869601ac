//! A blob whose n-th call goes wrong in a chosen way.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use levada_storage::blob::{Blob, Put};
use levada_storage::error::{Error, Result};

/// How the call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails and has no effect.
    Before,
    /// It has its effect, then fails; an exclusive put gives no clear answer.
    After,
    /// An exclusive put gives no clear answer and has no effect; other calls fail.
    Lost,
    /// As `Lost`, but an exclusive put has its effect just before the next one.
    Late,
    /// It never returns and has no effect: the process is killed there.
    KillBefore,
    /// It never returns but has its effect.
    KillAfter,
}

pub(crate) const ERRORS: [Fault; 4] = [Fault::Before, Fault::After, Fault::Lost, Fault::Late];
pub(crate) const KILLS: [Fault; 2] = [Fault::KillBefore, Fault::KillAfter];

#[derive(Debug)]
pub(crate) struct FaultBlob {
    inner: Arc<dyn Blob>,
    fault: Fault,
    at: u64,
    calls: AtomicU64,
    late: std::sync::Mutex<Option<(String, Bytes)>>,
}

impl FaultBlob {
    pub(crate) fn new(inner: &Arc<dyn Blob>, fault: Fault, at: u64) -> Arc<Self> {
        let calls = AtomicU64::new(0);
        Arc::new(Self { inner: Arc::clone(inner), fault, at, calls, late: None.into() })
    }

    /// Whether the fault has happened.
    pub(crate) fn happened(&self) -> bool {
        self.calls.load(Ordering::Relaxed) >= self.at
    }

    fn due(&self) -> Option<Fault> {
        (self.calls.fetch_add(1, Ordering::Relaxed) + 1 == self.at).then_some(self.fault)
    }

    fn failure() -> Error {
        let source = io::Error::from(io::ErrorKind::TimedOut);
        Error::Io { action: "reach", path: PathBuf::from("store"), source }
    }

    async fn call<T: Send>(&self, effect: impl Future<Output = Result<T>> + Send) -> Result<T> {
        match self.due() {
            None => effect.await,
            Some(Fault::Before | Fault::Lost | Fault::Late) => Err(Self::failure()),
            Some(Fault::After) => {
                effect.await?;
                Err(Self::failure())
            }
            Some(Fault::KillBefore) => std::future::pending().await,
            Some(Fault::KillAfter) => {
                effect.await?;
                std::future::pending().await
            }
        }
    }
}

#[async_trait]
impl Blob for FaultBlob {
    async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        self.call(self.inner.put(path, bytes)).await
    }

    async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<Put> {
        let late = self.late.lock().unwrap().take();
        if let Some((path, bytes)) = late {
            self.inner.put_if_absent(&path, bytes).await?;
        }
        match self.due() {
            None => self.inner.put_if_absent(path, bytes).await,
            Some(Fault::Before) => Err(Self::failure()),
            Some(Fault::After) => {
                self.inner.put_if_absent(path, bytes).await?;
                Ok(Put::Unknown)
            }
            Some(Fault::Lost) => Ok(Put::Unknown),
            Some(Fault::Late) => {
                *self.late.lock().unwrap() = Some((path.to_owned(), bytes));
                Ok(Put::Unknown)
            }
            Some(Fault::KillBefore) => std::future::pending().await,
            Some(Fault::KillAfter) => {
                self.inner.put_if_absent(path, bytes).await?;
                std::future::pending().await
            }
        }
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        self.call(self.inner.get(path)).await
    }

    async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        self.call(self.inner.get_range(path, range)).await
    }

    async fn head(&self, path: &str) -> Result<Option<u64>> {
        self.call(self.inner.head(path)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<(String, u64)>> {
        self.call(self.inner.list(prefix, after)).await
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.call(self.inner.delete(path)).await
    }

    fn location(&self, path: &str) -> String {
        self.inner.location(path)
    }
}
