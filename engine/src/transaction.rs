//! What sessions, sources and the database ask of the tick loop.
//!
//! A transaction may be withdrawn as long as the loop has not taken it; [`Commitment`] decides who was
//! first, so that a cancelled commit is either undone for certain or answered.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use levada_catalog::{ChangeSet, ObjectId};
use levada_planner::delta_plan::DeltaPlan;
use levada_storage::delta::DeltaBatch;
use levada_storage::epoch::Epoch;
use levada_storage::log::record::SplitOffset;
use levada_storage::table::DataFile;
use tokio::sync::oneshot;

use crate::backfill::{Filled, Progress};
use crate::error::Result;

/// One request to the tick loop, with where the answer goes.
pub(crate) enum Request {
    /// A transaction of a session.
    Commit(Box<Transaction>, oneshot::Sender<Result<Epoch>>),
    /// A chunk of a source.
    Ingest(Box<Ingest>, oneshot::Sender<Result<Epoch>>),
    /// Views that were filled join.
    Filled(Box<Filled>),
    /// Bring the views to the time that it is.
    Time(oneshot::Sender<Result<Epoch>>),
    /// Write a checkpoint if anything changed.
    Checkpoint(oneshot::Sender<Result<Epoch>>),
    /// Write a last checkpoint and stop.
    Close(oneshot::Sender<Result<Epoch>>),
}

/// Changes that become one epoch, or none.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    /// Changes of the catalog, made at version `catalog_version`.
    pub(crate) catalog: ChangeSet,
    /// The version of the catalog that `catalog` was made for.
    pub(crate) catalog_version: u64,
    /// The next free identifier after this transaction.
    pub(crate) next_object_id: u32,
    /// Plans of the materialized views in `catalog`.
    pub(crate) views: Vec<(ObjectId, DeltaPlan)>,
    /// Changes of tables, in order.
    pub(crate) deltas: Vec<(u32, DeltaBatch)>,
    /// Whether it may still be withdrawn.
    pub(crate) commitment: Arc<Commitment>,
}

/// Whose a transaction is: still its session's, or already the tick loop's.
#[derive(Debug, Default)]
pub(crate) struct Commitment {
    state: AtomicU8,
    /// How far its views are, when they are filled beside ticks.
    progress: OnceLock<Arc<Progress>>,
}

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Commitment {
    /// The tick loop takes the transaction; `false` when it was withdrawn.
    pub(crate) fn take(&self) -> bool {
        self.settle(TAKEN) == TAKEN
    }

    /// The session withdraws the transaction; `false` when it was taken.
    pub(crate) fn withdraw(&self) -> bool {
        self.settle(WITHDRAWN) == WITHDRAWN
    }

    /// How far its views are, when they are filled beside ticks.
    pub(crate) fn progress(&self) -> Option<&Progress> {
        self.progress.get().map(AsRef::as_ref)
    }

    /// Shows the session how far its views are.
    pub(crate) fn show(&self, progress: &Arc<Progress>) {
        self.progress.get_or_init(|| Arc::clone(progress));
    }

    /// Whether the session withdrew the transaction.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.state.load(Ordering::Acquire) == WITHDRAWN
    }

    fn settle(&self, wanted: u8) -> u8 {
        let settled =
            self.state.compare_exchange(WAITING, wanted, Ordering::AcqRel, Ordering::Acquire);
        settled.map_or_else(|before| before, |_waiting| wanted)
    }
}

/// Rows that a source read, with the positions they make durable.
#[derive(Debug, Default)]
pub(crate) struct Ingest {
    /// The source.
    pub(crate) source: u32,
    /// The rows.
    pub(crate) rows: Vec<arrow::array::RecordBatch>,
    /// Files that hold exactly `rows` already; empty when they go into the commit.
    pub(crate) files: Vec<DataFile>,
    /// Bad records, as rows of `sys.quarantine`.
    pub(crate) rejects: Option<arrow::array::RecordBatch>,
    /// Positions after them.
    pub(crate) offsets: Vec<SplitOffset>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_first_has_the_transaction() {
        let taken = Commitment::default();
        assert!(taken.take() && !taken.withdraw(), "too late to withdraw");
        let withdrawn = Commitment::default();
        assert!(withdrawn.withdraw() && !withdrawn.take(), "not to be carried out");
    }
}
