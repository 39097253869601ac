//! What one slot of the epoch log says.
//!
//! A [`Commit`] records the **inputs** of an epoch: rows, catalog changes, offsets, and the time and seed
//! that the tick used. Outputs are not in it; they follow, since ticks are deterministic.

use crate::delta::DeltaBatch;
use crate::epoch::{Epoch, Generation};
use crate::table::DataFile;

/// Why a slot was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An epoch with input.
    Epoch,
    /// A process took the database over; holds no input.
    Claim,
    /// A manifest became the newest checkpoint; holds no input.
    Checkpoint,
}

/// One slot of the epoch log.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The number of the slot.
    pub epoch: Epoch,
    /// The writer.
    pub generation: Generation,
    /// Why it was written.
    pub kind: Kind,
    /// Unique to this attempt: tells an own slot from a foreign one.
    pub uuid: [u8; 16],
    /// SHA-256 of the slot before; zeros in slot 1.
    pub previous: [u8; 32],
    /// What happened.
    pub body: Body,
    /// Present exactly in a [`Kind::Checkpoint`].
    pub checkpoint: Option<CheckpointRef>,
}

/// The content of an epoch.
#[derive(Clone, Debug, Default)]
pub struct Body {
    /// `now()` of the epoch, microseconds UTC.
    pub now_us: i64,
    /// Seed of everything random in the tick.
    pub seed: u64,
    /// Changes of the catalog, in the catalog's own encoding; empty for none.
    pub catalog: Vec<u8>,
    /// The next object id that is free after this epoch.
    pub next_object_id: u32,
    /// Rows that came in, by relation.
    pub inputs: Vec<Input>,
    /// Resume positions that moved.
    pub offsets: Vec<SplitOffset>,
    /// The newest finished tick and the order-free hash of its output deltas, to be compared on replay.
    pub digest: Option<(Epoch, u64)>,
}

/// Rows that came into one relation.
#[derive(Clone, Debug)]
pub struct Input {
    /// The object id of the relation.
    pub relation: u32,
    /// The rows.
    pub data: InputData,
}

/// Where the rows of an [`Input`] are.
#[derive(Clone, Debug)]
pub enum InputData {
    /// In the commit, or in one `input/` object that it names.
    Inline(Vec<DeltaBatch>),
    /// In Parquet files that were durable before the commit; each row has weight 1.
    Files(Vec<DataFile>),
}

/// Where a source goes on reading one split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitOffset {
    /// The object id of the source.
    pub source: u32,
    /// The split, as the connector names it.
    pub split: String,
    /// The position, in the connector's encoding.
    pub offset: Vec<u8>,
    /// Rows taken from the split so far.
    pub rows: u64,
}

/// What a [`Kind::Checkpoint`] makes valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointRef {
    /// The last epoch that the manifest covers.
    pub at: Epoch,
    /// The name of the manifest.
    pub manifest: String,
}

impl Commit {
    /// Names of the data files and the manifest that the commit refers to.
    pub(crate) fn objects(&self) -> Vec<String> {
        let files = self.body.inputs.iter().flat_map(|input| match &input.data {
            InputData::Inline(_) => &[],
            InputData::Files(files) => files.as_slice(),
        });
        let manifest = self.checkpoint.iter().map(|checkpoint| checkpoint.manifest.clone());
        files.map(|file| file.path.clone()).chain(manifest).collect()
    }
}
