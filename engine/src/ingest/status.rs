//! How a source is doing: written by its task, read by sessions.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

use crate::database::lock;
use crate::error::Error;

/// How a source is doing, for `sys.sources` and `WAIT FOR`.
pub(crate) struct SourceStatus {
    state: Mutex<State>,
    rejected: AtomicU64,
    requested: AtomicU64,
    completed: watch::Sender<u64>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    word: &'static str,
    problems: BTreeMap<String, String>,
    error: Option<String>,
}

impl SourceStatus {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State { word: "starting", ..State::default() }),
            rejected: AtomicU64::new(0),
            requested: AtomicU64::new(0),
            completed: watch::Sender::new(0),
            wake: Notify::new(),
        }
    }

    /// One word: starting, running, failing.
    pub(crate) fn state(&self) -> &'static str {
        lock(&self.state).word
    }

    /// What is wrong, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let state = lock(&self.state);
        let problems = state.problems.iter().map(|(split, text)| format!("{split}: {text}"));
        let all: Vec<String> = state.error.iter().cloned().chain(problems).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Bad records since the database was opened.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Waits until everything that was there when this was called is committed.
    pub(crate) async fn wait_until_drained(&self) {
        let mut completed = self.completed.subscribe();
        let wanted = self.requested.fetch_add(1, Ordering::AcqRel) + 1;
        self.wake.notify_one();
        // The sender lives as long as this status.
        let _closed = completed.wait_for(|done| *done >= wanted).await;
    }

    /// What keeps splits from being read, if anything.
    pub(super) fn set_problems(&self, problems: impl Iterator<Item = (String, String)>) {
        let mut state = lock(&self.state);
        state.problems = problems.collect();
        state.error = None;
        state.word = if state.problems.is_empty() { "running" } else { "problem" };
    }

    /// What keeps the source from being read.
    pub(super) fn set_error(&self, error: &Error) {
        let mut state = lock(&self.state);
        state.error = Some(error.to_string());
        state.word = "failing";
    }

    /// Counts bad records.
    pub(super) fn reject(&self, records: usize) {
        self.rejected.fetch_add(records as u64, Ordering::Relaxed);
    }

    /// How many waits for a drained source have begun.
    pub(super) fn requested(&self) -> u64 {
        self.requested.load(Ordering::Acquire)
    }

    /// Ends the waits that had begun when [`SourceStatus::requested`] was `wanted`.
    pub(super) fn drained(&self, wanted: u64) {
        self.completed.send_replace(wanted);
    }

    /// Returns when somebody begins to wait.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}
