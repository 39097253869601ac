//! The epoch log: one object per epoch, created once, linked to the one before.
//!
//! ```text
//! log/1 Claim g1 <- log/2 Epoch g1 <- log/3 Checkpoint g1 <- log/4 Claim g2 <- ...
//! ```
//! **An epoch is durable when its slot is.** What a commit refers to is durable first; a slot is put only
//! after the one before is settled; the caller hears of success only after the boundary was looked at
//! (module `commit`). An [`EpochLog`] is the single writer of its process: it holds the head of the log
//! and the generation under which it may write.
//!
//! [`record`] is what a slot says, `format` its bytes, `tail` reads the log on opening.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::blob::Blob;
use crate::claim::{self, Claimed};
use crate::clock::Clock;
use crate::commit::{self, Context, Settle, Verdict};
use crate::envelope::{self, Class};
use crate::epoch::{Epoch, Generation};
use crate::error::{Error, Result};
use crate::layout;
use crate::manifest::{self, Manifest};
use crate::rng::Rng;
use crate::root;

pub(crate) mod format;
pub mod record;
pub(crate) mod tail;

use self::record::{Body, CheckpointRef, Commit, Kind};

pub use self::format::INLINE_BYTES_MAX;

/// The writer's end of the epoch log of one database.
#[derive(Debug)]
pub struct EpochLog {
    pub(crate) context: Context,
    pub(crate) generation: Generation,
    head: Epoch,
    head_hash: [u8; 32],
    state: State,
    /// The newest boundary that is known to exist; 0 for none.
    pub(crate) boundary: u64,
    /// The usable checkpoints that are known, oldest first; at most two.
    pub(crate) checkpoints: VecDeque<Checkpoint>,
    /// What live slots refer to.
    pub(crate) objects: BTreeMap<Epoch, Vec<String>>,
    start: String,
}

/// What opening a log found.
#[derive(Debug)]
pub struct Recovered {
    /// The newest usable checkpoint.
    pub manifest: Option<Manifest>,
    /// The epochs after it, ascending: to be replayed. Claims and checkpoints are left out.
    pub commits: Vec<Commit>,
    /// The generation of this process.
    pub generation: Generation,
    /// The newest slot, which is this process's claim.
    pub head: Epoch,
    /// Whether the database is new.
    pub created: bool,
}

/// A checkpoint and everything it keeps alive.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) slot: Epoch,
    pub(crate) at: Epoch,
    pub(crate) objects: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Ready,
    /// A commit was given up while it was under way.
    Doubtful(Epoch),
    Fenced(Generation),
}

impl EpochLog {
    /// Opens the database in `blob`, creating it if the root is empty, and takes it over.
    ///
    /// # Errors
    /// [`Error::NotADatabase`], [`Error::NewerFormat`], [`Error::Corrupt`], [`Error::Fenced`] when another
    /// process takes over at the same time, else those of the blob.
    pub async fn open(
        blob: Arc<dyn Blob>,
        clock: Arc<dyn Clock>,
        rng: Rng,
    ) -> Result<(Self, Recovered)> {
        let (database, created) = root::open(blob.as_ref(), &rng).await?;
        let context = Context { blob, clock, rng, database };
        let Claimed { tail, claim, hash, boundary } = claim::claim(&context).await?;
        let names = tail.objects.values().flatten();
        let names = names.chain(tail.checkpoint.as_ref().map(|loaded| &loaded.name));
        for ulid in names.filter_map(|name| layout::ulid_of(name)) {
            context.rng.observe(ulid);
        }
        let checkpoints = tail
            .checkpoint
            .iter()
            .map(|loaded| Checkpoint::of(loaded.slot, &loaded.name, &loaded.manifest));
        let log = Self {
            generation: claim.generation,
            head: claim.epoch,
            head_hash: hash,
            state: State::Ready,
            boundary,
            checkpoints: checkpoints.collect(),
            objects: tail.objects,
            start: context.rng.ulid(context.clock.now_us()),
            context,
        };
        let recovered = Recovered {
            manifest: tail.checkpoint.map(|loaded| loaded.manifest),
            commits: tail.commits,
            generation: log.generation,
            head: log.head,
            created,
        };
        Ok((log, recovered))
    }

    /// Makes `body` the next epoch; durable when it returns.
    ///
    /// While the store does not answer this waits. Dropping the future leaves the outcome open, and the
    /// log refuses everything until it is opened again.
    ///
    /// # Errors
    /// [`Error::Fenced`] once another process took over; [`Error::Unsettled`] after a dropped commit.
    /// After any other error, such as [`Error::DiskFull`], nothing was written and the next commit may
    /// succeed.
    pub async fn commit(&mut self, body: Body) -> Result<Epoch> {
        self.append(Kind::Epoch, body, None).await
    }

    /// Makes `manifest` the newest checkpoint; durable when it returns. Everything the manifest names
    /// has to be durable before.
    ///
    /// # Errors
    /// Those of [`EpochLog::commit`].
    pub async fn checkpoint(&mut self, manifest: &Manifest) -> Result<Epoch> {
        self.ready()?;
        assert!(manifest.at <= self.head, "a checkpoint covers epochs that exist");
        let name = layout::manifest(&self.mint());
        let object = manifest::format::encode(manifest, self.context.database, &name);
        self.context.blob.put(&name, object).await?;
        let now_us = self.context.clock.now_us();
        let body = Body { now_us, next_object_id: manifest.next_object_id, ..Body::default() };
        let at = manifest.at;
        let reference = CheckpointRef { at, manifest: name.clone() };
        let slot = self.append(Kind::Checkpoint, body, Some(reference)).await?;
        let hint = envelope::seal(Class::Hint, &[&slot.0.to_le_bytes()]);
        if let Err(error) = self.context.blob.put(&layout::hint(slot), hint.into()).await {
            // The walk of the next opening finds the checkpoint without it.
            tracing::warn!(slot = slot.0, %error, "hint of a checkpoint was not written");
        }
        self.checkpoints.push_back(Checkpoint::of(slot, &name, manifest));
        if self.checkpoints.len() > 2 {
            self.checkpoints.pop_front();
        }
        Ok(slot)
    }

    /// The newest slot.
    #[must_use]
    pub fn head(&self) -> Epoch {
        self.head
    }

    /// The generation under which this process writes.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The id of the database.
    #[must_use]
    pub fn database(&self) -> [u8; 16] {
        self.context.database
    }

    /// The root.
    #[must_use]
    pub fn blob(&self) -> &Arc<dyn Blob> {
        &self.context.blob
    }

    /// A ULID that every name minted by earlier processes lies below and every name of this one above.
    #[must_use]
    pub fn start(&self) -> &str {
        &self.start
    }

    /// A new ULID for the name of an object.
    #[must_use]
    pub fn mint(&self) -> String {
        self.context.rng.ulid(self.context.clock.now_us())
    }

    /// Refuses to go on after a fence or a commit of unknown outcome.
    pub(crate) fn ready(&self) -> Result<()> {
        match self.state {
            State::Ready => Ok(()),
            State::Doubtful(epoch) => Err(Error::Unsettled { epoch }),
            State::Fenced(by) => Err(Error::Fenced { by }),
        }
    }

    pub(crate) fn fence(&mut self, by: Generation) -> Error {
        self.state = State::Fenced(by);
        Error::Fenced { by }
    }

    async fn append(
        &mut self,
        kind: Kind,
        body: Body,
        checkpoint: Option<CheckpointRef>,
    ) -> Result<Epoch> {
        self.ready()?;
        let commit = Commit {
            epoch: self.head.next(),
            generation: self.generation,
            kind,
            uuid: self.context.rng.uuid(),
            previous: self.head_hash,
            body,
            checkpoint,
        };
        let encoded =
            format::encode(&commit, self.context.database, || layout::input(&self.mint()))?;
        if let Some((path, object)) = &encoded.input {
            self.context.blob.put(path, object.clone()).await?;
        }
        let mut settle = Settle::new(commit.epoch, commit.uuid, self.boundary, None);
        self.state = State::Doubtful(commit.epoch);
        let verdict = commit::drive(&self.context, &mut settle, &encoded.slot).await;
        self.boundary = settle.boundary();
        match verdict {
            Ok(Verdict::Won) => {
                self.state = State::Ready;
                self.head = commit.epoch;
                self.head_hash = format::hash(&encoded.slot);
                let mut objects = commit.objects();
                objects.extend(encoded.input.map(|(path, _)| path));
                self.objects.insert(commit.epoch, objects);
                Ok(commit.epoch)
            }
            Ok(Verdict::Lost(by)) => Err(self.fence(by)),
            Ok(Verdict::Refused | Verdict::Doubtful) => {
                Err(Error::Unsettled { epoch: commit.epoch })
            }
            Err(error) => {
                if !matches!(error, Error::Corrupt { .. } | Error::NewerFormat { .. }) {
                    self.state = State::Ready;
                }
                Err(error)
            }
        }
    }
}

impl Checkpoint {
    fn of(slot: Epoch, name: &str, manifest: &Manifest) -> Self {
        let mut objects: BTreeSet<_> = manifest.objects().map(str::to_owned).collect();
        objects.insert(name.to_owned());
        Self { slot, at: manifest.at, objects }
    }
}
