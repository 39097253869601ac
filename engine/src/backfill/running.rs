//! Backfills beside the tick loop, each on a thread of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use levada_catalog::Catalog;
use levada_storage::epoch::Epoch;
use levada_storage::task::{self, Thread};
use tokio::sync::{mpsc, oneshot};

use super::{Backfill, Claim, LateDeltas, Progress};
use crate::error::{Error, Result};
use crate::operator::Tick;
use crate::pass::Deltas;
use crate::relation_set::RelationSet;
use crate::transaction::Commitment;

/// Backfills at a time, at most.
const FILLS_MAX: usize = 64;

/// The backfills that run.
pub(crate) struct Backfills {
    running: BTreeMap<u64, Running>,
    next: u64,
    done: mpsc::Sender<Filled>,
    filled: mpsc::Receiver<Filled>,
}

/// A backfill that ended.
pub(crate) struct Filled {
    number: u64,
    /// The filled views, or why there are none.
    pub(crate) result: Result<Box<Backfill>>,
    /// Who waits.
    pub(crate) answer: oneshot::Sender<Result<Epoch>>,
}

struct Running {
    claim: Claim,
    files: BTreeSet<String>,
    late: Arc<LateDeltas>,
    progress: Arc<Progress>,
    commitment: Arc<Commitment>,
    /// Whether it has come to its end by itself.
    ended: bool,
    /// Joined when this is dropped, after it was asked to stop.
    _thread: Thread<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.progress.stop();
        }
    }
}

impl Backfills {
    /// None yet.
    pub(crate) fn new() -> Self {
        let (done, filled) = mpsc::channel(FILLS_MAX);
        Self { running: BTreeMap::new(), next: 0, done, filled }
    }

    /// Fails when a transaction with this claim has to wait for one that runs.
    ///
    /// # Errors
    /// 42P07, 55006, 53400.
    pub(crate) fn check(&self, claim: &Claim, catalog: &Catalog) -> Result<()> {
        if self.running.len() >= FILLS_MAX {
            let message = "too many materialized views are being created";
            return Err(Error::statement("53400", message));
        }
        // One whose statement was cancelled will come to nothing.
        let wanted = self.running.values().filter(|running| !running.commitment.is_withdrawn());
        wanted.map(|running| &running.claim).try_for_each(|held| claim.check(held, catalog))
    }

    /// Starts one.
    ///
    /// # Errors
    /// When there is no thread; the backfill and who waits for it are lost then.
    pub(crate) fn start(
        &mut self,
        claim: Claim,
        backfill: Backfill,
        answer: oneshot::Sender<Result<Epoch>>,
    ) -> Result<()> {
        let number = self.next;
        self.next += 1;
        let (late, progress) = (Arc::clone(&backfill.late), Arc::clone(&backfill.progress));
        let commitment = Arc::clone(&backfill.transaction.commitment);
        let (files, done) = (backfill.files(), self.done.clone());
        let thread = task::thread("levada-fill", move || {
            let mut backfill = backfill;
            let run = AssertUnwindSafe(|| backfill.fill_and_catch_up());
            let panicked = |_| Err(Error::Internal("a backfill panicked".to_owned()));
            let result = catch_unwind(run).unwrap_or_else(panicked).map(|()| Box::new(backfill));
            // There is room for all; nobody listens any more when the database is closed.
            let _closed = done.try_send(Filled { number, result, answer });
        })?;
        let running =
            Running { claim, files, late, progress, commitment, ended: false, _thread: thread };
        self.running.insert(number, running);
        Ok(())
    }

    /// The next one that ended.
    pub(crate) async fn filled(&mut self) -> Option<Filled> {
        self.filled.recv().await
    }

    /// Forgets one that ended.
    pub(crate) fn end(&mut self, filled: &Filled) {
        if let Some(mut running) = self.running.remove(&filled.number) {
            running.ended = true;
        }
    }

    /// Hands what a tick changed to those that read it.
    pub(crate) fn note(&self, tick: Tick, changed: &Deltas, relations: &mut RelationSet) {
        for running in self.running.values() {
            running.late.note(tick, changed, relations);
        }
    }

    /// Whether one of them reads the file at `path`.
    pub(crate) fn reads_file(&self, path: &str) -> bool {
        let reads =
            |running: &Running| running.files.contains(path) || running.late.reads_file(path);
        self.running.values().any(reads)
    }

    /// How far they are.
    pub(crate) fn progress(&self) -> Vec<Arc<Progress>> {
        self.running.values().map(|running| Arc::clone(&running.progress)).collect()
    }
}
