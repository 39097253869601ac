//! The root of a checkpoint: every live object at one epoch.
//!
//! ```text
//! log/<n>.commit (Checkpoint) -> manifest/<u> -> data files and their dead rows
//!                                             -> runs of operator state
//!                                             -> catalog, offsets, sink positions
//! ```
//! A manifest and the epochs logged after [`Manifest::at`] are enough to restart. Files and runs that did
//! not change since the checkpoint before are named again, not written again.

use crate::epoch::Epoch;
use crate::log::record::SplitOffset;
use crate::state::RunRef;
use crate::table::DataFile;

pub(crate) mod format;

/// Every live object at the end of one epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// The last epoch that is in it.
    pub at: Epoch,
    /// The catalog in its own encoding.
    pub catalog: Vec<u8>,
    /// The next object id that is free.
    pub next_object_id: u32,
    /// Rows of tables and materialized views.
    pub relations: Vec<RelationFiles>,
    /// State of operators.
    pub operators: Vec<OperatorRuns>,
    /// Where sources go on reading.
    pub offsets: Vec<SplitOffset>,
    /// Where sinks go on writing.
    pub sinks: Vec<SinkPosition>,
    /// Named values of the layers above.
    pub extra: Vec<(String, Vec<u8>)>,
}

/// The files of one relation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RelationFiles {
    /// The object id of the relation.
    pub relation: u32,
    /// Live rows.
    pub rows: u64,
    /// The files, in the order in which they were added.
    pub files: Vec<DataFile>,
}

/// The state of one operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorRuns {
    /// What the state means: plan, kernels and hash version; unequal means that it cannot be used.
    pub fingerprint: String,
    /// The runs, oldest first.
    pub runs: Vec<RunRef>,
}

/// What a sink has been given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkPosition {
    /// The object id of the sink.
    pub sink: u32,
    /// The last epoch that the target holds.
    pub epoch: Epoch,
    /// Deltas after that epoch which the target does not hold yet.
    pub spool: Vec<RunRef>,
}

impl Manifest {
    /// Names of all objects that the manifest keeps alive.
    pub fn objects(&self) -> impl Iterator<Item = &str> {
        let files = self.relations.iter().flat_map(|relation| &relation.files);
        let runs = self.operators.iter().flat_map(|operator| &operator.runs);
        let spooled = self.sinks.iter().flat_map(|sink| &sink.spool);
        files.map(|file| file.path.as_str()).chain(runs.chain(spooled).map(|run| run.path.as_str()))
    }
}
