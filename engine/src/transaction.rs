//! What sessions, sources and the database ask of the tick loop.

use levada_catalog::{ChangeSet, ObjectId};
use levada_planner::delta_plan::DeltaPlan;
use levada_storage::delta::DeltaBatch;
use levada_storage::epoch::Epoch;
use levada_storage::log::record::SplitOffset;
use levada_storage::table::DataFile;
use tokio::sync::oneshot;

use crate::error::Result;

/// One request to the tick loop, with where the answer goes.
pub(crate) enum Request {
    /// A transaction of a session.
    Commit(Box<Transaction>, oneshot::Sender<Result<Epoch>>),
    /// A chunk of a source.
    Ingest(Box<Ingest>, oneshot::Sender<Result<Epoch>>),
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
