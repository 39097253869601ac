//! Supervised concurrency: one of the three seams to the world (clock, rng, task).
//!
//! Every task and thread has a name and an owner. The owner of a [`Task`] joins it or drops it; dropping
//! aborts, so nothing outlives what it works for. Threads cannot be aborted: a [`Thread`] is joined when
//! it is dropped, and whoever starts one gives it a way to end first.
//!
//! Work that computes for long between two of its awaits belongs in a [`Pool`]: on the current runtime it
//! would hold up sockets and timers, which nobody looks after while every worker computes.

use std::future::Future;
use std::thread::{Builder, JoinHandle};

use tokio::runtime::{Builder as RuntimeBuilder, Handle, Runtime};
use tokio::task::JoinHandle as TokioHandle;

use crate::error::{Error, Result};

/// Threads of a pool at least: what computes for long keeps one busy.
const POOL_THREADS_MIN: usize = 4;

/// Stack of a pool's threads: deep expressions are walked by recursion.
const POOL_STACK_BYTES: usize = 32 * 1024 * 1024;

/// A running future of the current tokio runtime; aborted when dropped.
#[derive(Debug)]
pub struct Task<T> {
    name: String,
    handle: Option<TokioHandle<T>>,
}

/// A named thread of the operating system; joined when dropped.
#[derive(Debug)]
pub struct Thread<T> {
    name: String,
    handle: Option<JoinHandle<T>>,
}

/// Threads for futures that compute. Dropping it aborts what still runs, without waiting for it.
#[derive(Debug)]
pub struct Pool {
    runtime: Option<Runtime>,
    handle: Handle,
}

/// Starts `future` on the current tokio runtime.
///
/// # Panics
/// Outside of a tokio runtime.
#[expect(clippy::disallowed_methods, reason = "this is the seam")]
pub fn spawn<F>(name: impl Into<String>, future: F) -> Task<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    Task { name: name.into(), handle: Some(tokio::spawn(future)) }
}

/// Runs `work` on tokio's bounded pool of blocking threads; once begun it cannot be aborted.
///
/// # Panics
/// Outside of a tokio runtime.
#[expect(clippy::disallowed_methods, reason = "this is the seam")]
pub fn spawn_blocking<T: Send + 'static>(
    name: impl Into<String>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Task<T> {
    Task { name: name.into(), handle: Some(tokio::task::spawn_blocking(work)) }
}

/// Starts a thread that `top` and debuggers show as `name`.
///
/// # Errors
/// [`Error::Io`] when the system has no thread left.
pub fn thread<T: Send + 'static>(
    name: impl Into<String>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Thread<T>> {
    let name = name.into();
    match Builder::new().name(name.clone()).spawn(work) {
        Ok(handle) => Ok(Thread { name, handle: Some(handle) }),
        Err(source) => Err(Error::Io { action: "start thread", path: name.into(), source }),
    }
}

impl Pool {
    /// A pool of one thread per processor, and a few at least, which `top` and debuggers show as `name`.
    ///
    /// # Errors
    /// [`Error::Io`] when the system has no thread left.
    pub fn new(name: &'static str) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let built = RuntimeBuilder::new_multi_thread()
            .thread_name(name)
            .worker_threads(cores.max(POOL_THREADS_MIN))
            .thread_stack_size(POOL_STACK_BYTES)
            .enable_all()
            .build();
        let runtime = built.map_err(|source| Error::Io {
            action: "start threads",
            path: name.into(),
            source,
        })?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle })
    }

    /// Starts `future` on a thread of the pool.
    pub fn spawn<F>(&self, name: impl Into<String>, future: F) -> Task<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        Task { name: name.into(), handle: Some(self.handle.spawn(future)) }
    }

    /// Runs `future` on this thread to its end; what it starts runs in the pool.
    ///
    /// # Panics
    /// Inside of a tokio runtime.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl<T> Task<T> {
    /// The name given at the start.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.as_ref().is_none_or(TokioHandle::is_finished)
    }

    /// Waits for the result. Dropping the returned future aborts the task.
    ///
    /// # Errors
    /// [`Error::TaskLost`] when the task panicked.
    pub async fn join(mut self) -> Result<T> {
        let result = match self.handle.as_mut() {
            Some(handle) => handle.await,
            None => return Err(Error::TaskLost { task: self.name.clone() }),
        };
        self.handle = None;
        result.map_err(|error| {
            tracing::error!(task = self.name, %error, "task did not finish");
            Error::TaskLost { task: self.name.clone() }
        })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.abort();
        }
    }
}

impl<T> Thread<T> {
    /// The name given at the start.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the thread has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the result; blocks.
    ///
    /// # Errors
    /// [`Error::TaskLost`] when the thread panicked.
    pub fn join(mut self) -> Result<T> {
        let joined = self.handle.take().and_then(|handle| handle.join().ok());
        joined.ok_or_else(|| Error::TaskLost { task: self.name.clone() })
    }
}

impl<T> Drop for Thread<T> {
    fn drop(&mut self) {
        if self.handle.take().is_some_and(|handle| handle.join().is_err()) {
            tracing::error!(thread = self.name, "thread panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_dropped_task_is_aborted() {
        let (sender, receiver) = oneshot::channel::<()>();
        let task = spawn("waits forever", async move {
            std::future::pending::<()>().await;
            drop(sender);
        });
        drop(task);
        assert!(receiver.await.is_err(), "the task let go of its sender");
    }

    #[tokio::test]
    async fn a_joined_task_gives_its_result_and_a_panic_is_an_error() {
        assert_eq!(spawn("adds", async { 1 + 1 }).join().await.unwrap(), 2);
        assert_eq!(spawn_blocking("adds", || 1 + 1).join().await.unwrap(), 2);
        let lost = spawn("panics", async { panic!("on purpose") }).join().await;
        assert!(matches!(lost, Err(Error::TaskLost { task }) if task == "panics"));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_pool_computes_beside_the_runtime_and_can_be_dropped_within_it() {
        let pool = Pool::new("computes").unwrap();
        let (sender, receiver) = std::sync::mpsc::sync_channel::<()>(0);
        let task = pool.spawn("never awaits", async move { receiver.recv().is_ok() });
        tokio::task::yield_now().await;
        sender.send(()).unwrap();
        assert!(task.join().await.unwrap());
        drop(pool);
    }

    #[test]
    fn a_thread_has_its_name_and_is_joined() {
        let seen = thread("worker-7", || std::thread::current().name().map(str::to_owned));
        assert_eq!(seen.unwrap().join().unwrap().as_deref(), Some("worker-7"));
    }
}
