//! Threads that work on one tick together.
//!
//! ```text
//! map(items)  ->  the caller and idle threads take item after item  ->  results in the order of the items
//! ```
//! A tick of few rows never comes here: handing work to another thread costs more than a small tick. The
//! caller works too and waits only for items that somebody has taken, so work may itself hand out work. What
//! panics on another thread panics on the caller's.
//!
//! The threads start with the first work for them and end with the last handle.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::{iter, thread, vec};

use levada_storage::task::{self, Thread};

/// Threads at most: no work is cut into more parts than are worth it.
const THREADS_MAX: usize = 16;
/// Rows from which on a delta is worth a second thread: half a millisecond of work and more.
const LARGE_ROWS: usize = 8192;
/// Work that waits for a thread, at most; the caller does itself what finds no place.
const QUEUE_MAX: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// A handle to the threads. Clones share them.
#[derive(Clone, Debug)]
pub struct Workers {
    threads: usize,
    large_rows: usize,
    crew: Option<Arc<OnceLock<Crew>>>,
}

/// The started threads. They end when the queue is closed, which is dropped first.
#[derive(Debug)]
struct Crew {
    queue: SyncSender<Job>,
    _threads: Vec<Thread<()>>,
}

/// What one call is about.
struct Round<I, T, F> {
    items: Mutex<iter::Enumerate<vec::IntoIter<I>>>,
    work: F,
    done: SyncSender<(usize, thread::Result<T>)>,
}

impl Workers {
    /// `threads` of them, the caller included; by default one per processor.
    #[must_use]
    pub fn new(threads: Option<usize>) -> Self {
        let processors = || thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.unwrap_or_else(processors).clamp(1, THREADS_MAX);
        Self { threads, large_rows: LARGE_ROWS, crew: Some(Arc::default()) }
    }

    /// Just the caller.
    #[must_use]
    pub fn alone() -> Self {
        Self { threads: 1, large_rows: usize::MAX, crew: None }
    }

    /// The same threads, for deltas of at least `rows` rows.
    #[must_use]
    pub fn sharing_from(self, rows: usize) -> Self {
        Self { large_rows: rows, ..self }
    }

    /// Whether a delta of `rows` rows is worth more than one thread.
    #[inline]
    #[must_use]
    pub fn pays(&self, rows: usize) -> bool {
        rows >= self.large_rows && self.threads > 1
    }

    /// The result of `work` for each item, in order.
    ///
    /// # Panics
    /// When `work` does, after all items are done.
    pub fn map<I, T, F>(&self, items: Vec<I>, work: F) -> Vec<T>
    where
        I: Send + 'static,
        T: Send + 'static,
        F: Fn(I) -> T + Send + Sync + 'static,
    {
        let (count, helpers) = (items.len(), self.threads.min(items.len()).saturating_sub(1));
        let crew = if helpers > 0 { self.crew() } else { None };
        let Some(crew) = crew else { return items.into_iter().map(work).collect() };
        let (done, results) = sync_channel(count);
        let items = Mutex::new(items.into_iter().enumerate());
        let round = Arc::new(Round { items, work, done });
        for _ in 0..helpers {
            let round = Arc::clone(&round);
            if crew.queue.try_send(Box::new(move || round.help())).is_err() {
                break;
            }
        }
        round.help();
        let mut results: Vec<(usize, thread::Result<T>)> = results.iter().take(count).collect();
        results.sort_unstable_by_key(|(item, _)| *item);
        let result = |(_, result): (usize, thread::Result<T>)| match result {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        };
        results.into_iter().map(result).collect()
    }

    fn crew(&self) -> Option<&Crew> {
        let crew = self.crew.as_ref()?.get_or_init(|| Crew::start(self.threads - 1));
        Some(crew)
    }
}

impl Crew {
    fn start(threads: usize) -> Self {
        let (queue, jobs) = sync_channel(QUEUE_MAX);
        let jobs = Arc::new(Mutex::new(jobs));
        let start = |number: usize| {
            let jobs = Arc::clone(&jobs);
            let started = task::thread(format!("levada-step-{number}"), move || serve(&jobs));
            // The caller does without.
            started.inspect_err(|error| tracing::warn!(%error, "ticks have fewer threads")).ok()
        };
        Self { queue, _threads: (1..=threads).filter_map(start).collect() }
    }
}

/// Does job after job until nobody can send one any more.
fn serve(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = locked(jobs).recv();
        match job {
            Ok(job) => job(),
            Err(_closed) => return,
        }
    }
}

impl<I, T, F: Fn(I) -> T> Round<I, T, F> {
    /// Takes item after item until there is none.
    fn help(&self) {
        loop {
            let next = locked(&self.items).next();
            let Some((number, item)) = next else { return };
            let result = catch_unwind(AssertUnwindSafe(|| (self.work)(item)));
            // There is room for all results; the caller waits for them.
            let _heard = self.done.send((number, result));
        }
    }
}

/// No holder of these locks can leave what they guard half changed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        for threads in [1, 2, 5] {
            let workers = Workers::new(Some(threads));
            for items in [0_usize, 1, 2, 100] {
                let squares = workers.map((0..items).collect(), |i| i * i);
                assert_eq!(squares, (0..items).map(|i| i * i).collect::<Vec<_>>());
            }
        }
        assert_eq!(Workers::alone().map(vec![1, 2], |i| i + 1), [2, 3]);
    }

    #[test]
    fn work_may_hand_out_work() {
        let workers = Workers::new(Some(3));
        let inner = workers.clone();
        let sums = workers.map(vec![10_u64, 20, 30, 40], move |n| {
            inner.map((0..n).collect(), |i| i).into_iter().sum::<u64>()
        });
        assert_eq!(sums, [45, 190, 435, 780]);
    }

    #[test]
    fn a_panic_reaches_the_caller_after_all_items() {
        let workers = Workers::new(Some(2));
        let done = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&done);
        let work = move |i: usize| {
            counted.fetch_add(1, Ordering::Relaxed);
            assert_ne!(i, 3, "on purpose");
        };
        let panicked = catch_unwind(AssertUnwindSafe(|| workers.map((0..20).collect(), work)));
        assert!(panicked.is_err(), "the caller panics");
        assert_eq!(done.load(Ordering::Relaxed), 20, "the others were done");
        assert_eq!(workers.map(vec![1, 2, 3], |i| i), [1, 2, 3], "the threads live on");
    }

    #[test]
    fn few_rows_and_one_thread_do_not_pay() {
        let workers = Workers::new(Some(2));
        assert!(!workers.pays(1) && workers.pays(1 << 20));
        assert!(workers.clone().sharing_from(1).pays(1));
        assert!(!Workers::new(Some(1)).pays(1 << 20) && !Workers::alone().pays(usize::MAX - 1));
    }
}
