//! Reading the log: the newest usable checkpoint and every slot after it.
//!
//! ```text
//! newest hint -> its commit -> manifest            an unusable one: the hint before
//! slots at+1, at+2, ... to the first that is absent = the head
//! ```
//! Each slot must name the hash of the one before and a generation that fits, so a slot that was lost,
//! swapped or written by a fenced process is noticed. A checkpoint whose hint was never written is found
//! in the walk.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::format::{self, Decoded};
use super::record::{CheckpointRef, Commit, Kind};
use crate::blob::Blob;
use crate::boundary;
use crate::epoch::{Epoch, Generation};
use crate::error::{Error, Result};
use crate::layout;
use crate::manifest::{self, Manifest};

/// Slots that are fetched at the same time.
const FETCHES: usize = 16;

/// What the log says from its newest usable checkpoint on.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) checkpoint: Option<Loaded>,
    /// Epochs after the checkpoint, ascending; claims and checkpoints are left out.
    pub(crate) commits: Vec<Commit>,
    /// What each slot that was read refers to.
    pub(crate) objects: BTreeMap<Epoch, Vec<String>>,
    pub(crate) head: Epoch,
    pub(crate) head_hash: [u8; 32],
    pub(crate) generation: Generation,
    /// The newest boundary, 0 for none.
    pub(crate) boundary: u64,
    /// The floor of the newest boundary; empty for none.
    pub(crate) floor: String,
}

/// A checkpoint that can be started from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) slot: Epoch,
    pub(crate) name: String,
    pub(crate) manifest: Manifest,
}

struct Reader<'a> {
    blob: &'a dyn Blob,
    database: [u8; 16],
    /// Checkpoints that were found to be unusable, by slot.
    rejected: BTreeSet<Epoch>,
    /// Slots below it are dead.
    alive: Epoch,
}

/// A slot of the walk.
struct Slot {
    epoch: Epoch,
    decoded: Decoded,
}

/// The slots of a walk and what links to the next one.
struct Walk {
    slots: Vec<Slot>,
    head: Epoch,
    hash: [u8; 32],
    generation: Generation,
}

/// Reads the log of `database`.
///
/// # Errors
/// [`Error::Corrupt`] when a slot that is needed is wrong or missing or no checkpoint is usable,
/// [`Error::NewerFormat`] when a newer release wrote one, else those of the blob.
pub(crate) async fn read(blob: &dyn Blob, database: [u8; 16]) -> Result<Tail> {
    let (number, mark) = boundary::newest(blob, database).await?;
    let alive = mark.as_ref().map_or(Epoch(1), |mark| mark.epoch);
    let mut reader = Reader { blob, database, rejected: BTreeSet::new(), alive };
    let mut checkpoint = reader.hinted().await?;
    let from = checkpoint.as_ref().map_or(alive, |loaded| loaded.manifest.at.next());
    let mut walk = reader.walk(from).await?;
    if let Some(newer) = reader.unhinted(&walk, checkpoint.as_ref()).await? {
        checkpoint = Some(newer);
    }
    if checkpoint.is_none() && alive > Epoch(1) {
        return Err(Error::corrupt(layout::HINT, "no checkpoint is usable"));
    }
    if checkpoint.is_none() && walk.head == Epoch(0) {
        reader.refuse_leftovers().await?;
    }
    let at = checkpoint.as_ref().map_or(Epoch(0), |loaded| loaded.manifest.at);
    let objects = walk.slots.iter().map(|slot| (slot.epoch, slot.decoded.objects())).collect();
    let mut commits = Vec::new();
    for slot in walk.slots.drain(..) {
        if slot.decoded.head().kind == Kind::Epoch && slot.epoch > at {
            commits.push(reader.finish(slot).await?);
        }
    }
    let Walk { head, hash, generation, .. } = walk;
    let floor = mark.map_or_else(String::new, |mark| mark.floor);
    Ok(Tail {
        checkpoint,
        commits,
        objects,
        head,
        head_hash: hash,
        generation,
        boundary: number,
        floor,
    })
}

impl Reader<'_> {
    /// The newest usable checkpoint that has a hint.
    async fn hinted(&mut self) -> Result<Option<Loaded>> {
        let listed = self.blob.list(layout::HINT, None).await?;
        for slot in listed.iter().rev().filter_map(|(name, _)| layout::hint_epoch(name)) {
            if let Some(loaded) = self.usable(slot).await? {
                return Ok(Some(loaded));
            }
        }
        Ok(None)
    }

    /// Refuses a log without slots beside objects that only a log can have led to: it was lost, and an
    /// empty database in its place would have them removed.
    async fn refuse_leftovers(&self) -> Result<()> {
        for prefix in layout::COLLECTED.into_iter().chain([layout::HINT]) {
            if !self.blob.list(prefix, None).await?.is_empty() {
                let text = format!("the log is missing, but there are objects in {prefix}");
                return Err(Error::corrupt(layout::LOG, text));
            }
        }
        Ok(())
    }

    /// The newest usable checkpoint of the walk that is newer than `known`.
    async fn unhinted(&mut self, walk: &Walk, known: Option<&Loaded>) -> Result<Option<Loaded>> {
        for slot in walk.slots.iter().rev() {
            if known.is_some_and(|known| known.slot >= slot.epoch) {
                return Ok(None);
            }
            if let Some(checkpoint) = slot.decoded.checkpoint()
                && !self.rejected.contains(&slot.epoch)
                && let Some(loaded) = self.load(slot.epoch, checkpoint).await?
            {
                return Ok(Some(loaded));
            }
        }
        Ok(None)
    }

    /// The checkpoint in `slot`, unless it is unusable.
    async fn usable(&mut self, slot: Epoch) -> Result<Option<Loaded>> {
        let name = layout::slot(slot);
        let decoded = match self.blob.get(&name).await? {
            Some(bytes) => format::decode(&name, &bytes, self.database, slot),
            None => Err(Error::missing(name.as_str())),
        };
        match decoded {
            Ok(decoded) => match decoded.checkpoint() {
                Some(checkpoint) => self.load(slot, checkpoint).await,
                None => self.reject(slot, &Error::corrupt(name, "it is no checkpoint")),
            },
            Err(error @ Error::Corrupt { .. }) => self.reject(slot, &error),
            Err(error) => Err(error),
        }
    }

    async fn load(&mut self, slot: Epoch, checkpoint: CheckpointRef) -> Result<Option<Loaded>> {
        let CheckpointRef { at, manifest: name } = checkpoint;
        if at.next() < self.alive || at >= slot {
            let detail = format!("slots after epoch {at} are dead");
            return self.reject(slot, &Error::corrupt(layout::slot(slot), detail));
        }
        let manifest = match self.blob.get(&name).await? {
            Some(bytes) => manifest::format::decode(&name, &bytes, self.database),
            None => Err(Error::missing(name.as_str())),
        };
        match manifest {
            Ok(manifest) if manifest.at == at => Ok(Some(Loaded { slot, name, manifest })),
            Ok(_) => self.reject(slot, &Error::corrupt(name, "it is of another epoch")),
            Err(error @ Error::Corrupt { .. }) => self.reject(slot, &error),
            Err(error) => Err(error),
        }
    }

    fn reject(&mut self, slot: Epoch, error: &Error) -> Result<Option<Loaded>> {
        tracing::warn!(slot = slot.0, %error, "checkpoint is unusable, trying the one before");
        self.rejected.insert(slot);
        Ok(None)
    }

    /// All slots from `from` to the head, with every link checked.
    async fn walk(&self, from: Epoch) -> Result<Walk> {
        let before = from.0.saturating_sub(1);
        let mut walk = Walk {
            slots: Vec::new(),
            head: Epoch(before),
            hash: [0; 32],
            generation: Generation(0),
        };
        let first = layout::slot(Epoch(before));
        let listed = self.blob.list(layout::LOG, Some(&first)).await?;
        let last = listed.iter().filter_map(|(name, _)| layout::slot_epoch(name)).max();
        let last = last.map_or(before, |last| last.0);
        let mut slots = stream::iter(from.0..=last)
            .map(|epoch| async move {
                let name = layout::slot(Epoch(epoch));
                self.blob.get(&name).await?.ok_or_else(|| Error::missing(name))
            })
            .buffered(FETCHES);
        while let Some(bytes) = slots.try_next().await? {
            self.link(&mut walk, from, &bytes)?;
        }
        // The list may be older than the log: the head is where a slot is absent.
        while let Some(bytes) = self.blob.get(&layout::slot(walk.head.next())).await? {
            self.link(&mut walk, from, &bytes)?;
        }
        Ok(walk)
    }

    fn link(&self, walk: &mut Walk, from: Epoch, bytes: &Bytes) -> Result<()> {
        let epoch = walk.head.next();
        let name = layout::slot(epoch);
        let decoded = format::decode(&name, bytes, self.database, epoch)?;
        let head = decoded.head();
        // What came before the first slot of the walk was not read, unless nothing came before.
        let known = epoch > from || epoch == Epoch(1);
        if known && head.previous != walk.hash {
            return Err(Error::corrupt(name, "it does not follow the slot before"));
        }
        let fits = match head.kind {
            Kind::Claim => head.generation > walk.generation,
            Kind::Epoch | Kind::Checkpoint => head.generation == walk.generation,
        };
        if known && !fits {
            let detail = format!("its generation {} does not fit", head.generation);
            return Err(Error::corrupt(name, detail));
        }
        walk.head = epoch;
        walk.hash = format::hash(bytes);
        walk.generation = head.generation;
        walk.slots.push(Slot { epoch, decoded });
        Ok(())
    }

    /// The whole commit, with its input object if it has one.
    async fn finish(&self, slot: Slot) -> Result<Commit> {
        let input = match slot.decoded.stored_input() {
            Some(path) => {
                let object = self.blob.get(path).await?;
                Some(object.ok_or_else(|| Error::missing(path))?)
            }
            None => None,
        };
        slot.decoded.finish(&layout::slot(slot.epoch), self.database, input.as_ref())
    }
}
