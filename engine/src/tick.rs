//! The tick loop: the one thread that changes a database.
//!
//! ```text
//! gather requests -> stage (may refuse) -> log the epoch (durable) -> step the graph -> publish -> answer
//! ```
//! The time of an epoch is part of what is logged. When nothing but time passes, the graph is stepped first and logged
//! only if a view changes by it: then what was stepped becomes an epoch before a reader sees it. As the views
//! follow from the time and the inputs, however time is cut, a crash between the two loses nothing.
//!
//! Everything that was queued while the last tick ran becomes one epoch. What a transaction can be refused
//! for is decided before the epoch is logged. Readers see the epoch when its snapshot is published, all
//! views of it at once; the answer is sent after that, so a client reads its own writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use levada_catalog::{Catalog, Detail, ObjectKind};
use levada_storage::delta::{Delta, DeltaBatch};
use levada_storage::epoch::Epoch;
use levada_storage::log::EpochLog;
use levada_storage::log::record::{Body, Input, InputData, SplitOffset};
use levada_storage::state::RunRef;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::backfill::Backfills;
use crate::database::Shared;
use crate::dataflow::Dataflow;
use crate::error::{Error, Result};
use crate::operator::Tick;
use crate::pass::Deltas;
use crate::snapshot::SnapshotSet;
use crate::system::QUARANTINE_ID;
use crate::transaction::{Ingest, Request, Transaction};

/// Requests of one epoch, at most.
const GROUP_MAX: usize = 512;
/// How long a restart may have to replay.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);
/// How many bytes of rows it may have to replay.
const REPLAY_BYTES: usize = 64 << 20;
/// How many epochs it may have to replay.
const REPLAY_EPOCHS: u64 = 20_000;
/// How long nothing happens while there is nothing to do.
const IDLE: Duration = Duration::from_secs(3600);
/// How long a clock that is set anew may go unnoticed.
const CLOCK_LOOK: Duration = Duration::from_secs(60);
/// Rows in memory of one epoch, about, before the next one begins.
const GROUP_ROWS_MAX: usize = 1 << 18;

/// The writer's side of a database.
pub(crate) struct Core {
    pub(crate) shared: Arc<Shared>,
    pub(crate) runtime: Handle,
    pub(crate) log: EpochLog,
    /// What is served.
    pub(crate) flow: Dataflow,
    /// What is on its way there.
    pub(crate) backfills: Backfills,
    /// Rows to read from which on views are filled beside ticks.
    pub(crate) beside_from: u64,
    /// Saved state by fingerprint, as of the last checkpoint.
    pub(crate) runs: BTreeMap<String, Vec<RunRef>>,
    /// The epoch of the checkpoint that was loaded.
    pub(crate) loaded: Epoch,
    /// The steps in which time passes, in microseconds.
    pub(crate) clock_resolution: i64,
    /// Digest of what the clock has changed and no epoch shows yet, as the log could not be written.
    pub(crate) unlogged: Option<u64>,
    /// What happened since the last checkpoint.
    pub(crate) since_checkpoint: Backlog,
    /// The relations that sinks follow, as of a version of the catalog.
    pub(crate) followed: (Option<u64>, BTreeSet<u32>),
}

/// How much a restart would replay.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backlog {
    pub(crate) epochs: u64,
    pub(crate) bytes: usize,
    /// When the first of these epochs was logged, in the clock's monotonic time.
    pub(crate) began: Option<Duration>,
    /// After a checkpoint that failed, when to try again.
    pub(crate) not_before: Duration,
}

/// Who waits for a request.
pub(crate) type Answer = oneshot::Sender<Result<Epoch>>;

/// What a group of requests adds up to.
#[derive(Default)]
struct Group {
    inputs: Vec<Input>,
    deltas: BTreeMap<u32, Delta>,
    offsets: Vec<SplitOffset>,
    answers: Vec<Answer>,
    staged: Vec<(u32, DeltaBatch)>,
    files: Vec<(u32, Vec<levada_storage::table::DataFile>)>,
    rows: usize,
}

impl Core {
    /// Serves requests until the database is closed or dropped.
    pub(crate) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let runtime = self.runtime.clone();
        let mut carried: Option<Request> = None;
        loop {
            let request = match carried.take() {
                Some(request) => Some(request),
                None => runtime.block_on(self.next(&mut requests)),
            };
            match request {
                None => return,
                Some(Request::Time(answer)) => {
                    let kept = self.keep_time();
                    self.checkpoint_if_due();
                    let _gone = answer.send(kept);
                }
                Some(Request::Checkpoint(answer)) => {
                    let _gone = answer.send(self.checkpoint(false));
                }
                Some(Request::Close(answer)) => {
                    let closed = self.checkpoint(true);
                    drop(self);
                    let _gone = answer.send(closed);
                    return;
                }
                Some(Request::Filled(filled)) => {
                    self.backfills.end(&filled);
                    self.show_backfills();
                    self.take_in(*filled);
                }
                Some(Request::Commit(transaction, answer)) if !transaction.catalog.is_empty() => {
                    self.define(*transaction, answer);
                }
                Some(first) => carried = self.group(first, &mut requests),
            }
        }
    }

    /// The next request; when there is none for a while, to look at the clock.
    async fn next(&mut self, requests: &mut mpsc::Receiver<Request>) -> Option<Request> {
        let idle = self.until_checkpoint().min(self.until_due());
        let mut stopped = self.shared.stopped();
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => None,
            Some(filled) = self.backfills.filled() => Some(Request::Filled(Box::new(filled))),
            request = requests.recv() => request,
            () = self.shared.clock.sleep(idle) => {
                let (answer, _) = oneshot::channel();
                Some(Request::Time(answer))
            }
        }
    }

    /// How long it may take until a checkpoint is due, if nothing happens.
    fn until_checkpoint(&self) -> Duration {
        let Backlog { epochs, began, not_before, .. } = self.since_checkpoint;
        if epochs == 0 {
            return IDLE;
        }
        let now = self.shared.clock.monotonic();
        let due = began.map_or(now, |began| began + CHECKPOINT_EVERY).max(not_before);
        due.saturating_sub(now)
    }

    /// How long it takes until the clock changes a view, at the earliest.
    fn until_due(&self) -> Duration {
        let resolution = Duration::from_micros(self.clock_resolution.unsigned_abs());
        if self.unlogged.is_some() {
            return resolution.max(CHECKPOINT_EVERY);
        }
        let Some(due) = self.flow.graph.next_due() else { return IDLE };
        // Time passes in steps: what is due within one is due at its end.
        let step = due.saturating_add(self.clock_resolution - 1);
        let step = step - step.rem_euclid(self.clock_resolution);
        let micros = step.saturating_sub(self.shared.clock.now_us());
        Duration::from_micros(u64::try_from(micros).unwrap_or(0)).min(CLOCK_LOOK)
    }

    /// Makes one epoch of `first` and what is queued behind it; returns the request that did not fit.
    fn group(&mut self, first: Request, requests: &mut mpsc::Receiver<Request>) -> Option<Request> {
        let mut group = Group::default();
        let mut next = Some(first);
        let mut count = 0;
        let left = loop {
            match next {
                Some(Request::Ingest(ingest, answer)) => {
                    self.take_ingest(&mut group, *ingest, answer);
                }
                Some(Request::Commit(transaction, answer)) if transaction.catalog.is_empty() => {
                    self.take_transaction(&mut group, *transaction, answer);
                }
                other => break other,
            }
            count += 1;
            if count >= GROUP_MAX || group.rows >= GROUP_ROWS_MAX {
                break None;
            }
            next = requests.try_recv().ok();
        };
        self.commit(group);
        self.checkpoint_if_due();
        left
    }

    fn checkpoint_if_due(&mut self) {
        if self.is_checkpoint_due() {
            // A checkpoint that fails is tried again later; nothing is lost without it.
            if let Err(error) = self.checkpoint(false) {
                tracing::warn!(%error, "could not write a checkpoint");
                let again = self.shared.clock.monotonic() + CHECKPOINT_EVERY;
                self.since_checkpoint.not_before = again;
            }
        }
    }

    /// Whether a restart would have too much to replay.
    fn is_checkpoint_due(&self) -> bool {
        let Backlog { epochs, bytes, began, not_before } = self.since_checkpoint;
        let now = self.shared.clock.monotonic();
        let age = began.map_or(Duration::ZERO, |began| now.saturating_sub(began));
        let long = epochs > REPLAY_EPOCHS || bytes > REPLAY_BYTES || age >= CHECKPOINT_EVERY;
        epochs > 0 && long && now >= not_before
    }

    fn take_transaction(&mut self, group: &mut Group, transaction: Transaction, answer: Answer) {
        if !transaction.commitment.take() {
            let _gone = answer.send(Err(Error::cancelled()));
            return;
        }
        let mut staged: Vec<(u32, DeltaBatch)> = Vec::new();
        for (id, delta) in transaction.deltas {
            let result = match self.flow.relations.get_mut(id) {
                Some(relation) => relation.stage(std::slice::from_ref(&delta)),
                None => Err(Error::statement("42P01", "relation was dropped by another session")),
            };
            if let Err(error) = result {
                self.undo(&staged);
                let _gone = answer.send(Err(error));
                return;
            }
            staged.push((id, delta));
        }
        for (id, delta) in &staged {
            group.rows += delta.len();
            group.deltas.entry(*id).or_default().push(delta.clone());
            add_input(&mut group.inputs, *id, delta.clone());
        }
        group.staged.extend(staged);
        group.answers.push(answer);
    }

    fn take_ingest(&mut self, group: &mut Group, ingest: Ingest, answer: Answer) {
        let Some(relation) = self.flow.relations.get_mut(ingest.source) else {
            let _gone = answer.send(Err(Error::Closed));
            return;
        };
        let batches: Vec<DeltaBatch> =
            ingest.rows.into_iter().filter(|b| b.num_rows() > 0).map(DeltaBatch::inserts).collect();
        let delta = Delta::of(batches);
        let as_files = !ingest.files.is_empty() && relation.young_rows() == 0;
        let taken =
            if as_files { relation.add_files(&ingest.files) } else { relation.apply(&delta) };
        if let Err(error) = taken {
            let _gone = answer.send(Err(error));
            return;
        }
        if ingest.files.is_empty() {
            for batch in &delta.ok {
                add_input(&mut group.inputs, ingest.source, batch.clone());
            }
        } else {
            let data = InputData::Files(ingest.files.clone());
            group.inputs.push(Input { relation: ingest.source, data });
            group.files.push((ingest.source, ingest.files));
        }
        group.rows += delta.rows();
        group.deltas.entry(ingest.source).or_default().extend(&delta);
        if let Some(rejects) = ingest.rejects {
            let batch = DeltaBatch::inserts(rejects);
            if let Some(quarantine) = self.flow.relations.get_mut(QUARANTINE_ID)
                && let Err(error) = quarantine.apply(&Delta::of([batch.clone()]))
            {
                tracing::error!(%error, "could not keep bad records");
            }
            add_input(&mut group.inputs, QUARANTINE_ID, batch.clone());
            group.deltas.entry(QUARANTINE_ID).or_default().push(batch);
        }
        group.offsets.extend(ingest.offsets);
        group.answers.push(answer);
    }

    pub(crate) fn undo(&mut self, staged: &[(u32, DeltaBatch)]) {
        for (id, delta) in staged.iter().rev() {
            if let Some(relation) = self.flow.relations.get_mut(*id) {
                relation
                    .apply(&Delta::of([delta.negated()]))
                    .expect("what was just applied can be taken back");
            }
        }
    }

    fn commit(&mut self, group: Group) {
        if group.answers.is_empty() {
            return;
        }
        let body = Body {
            now_us: self.next_now(),
            inputs: group.inputs,
            offsets: group.offsets.clone(),
            next_object_id: self.flow.catalog.next_id(),
            ..Body::default()
        };
        let now_us = body.now_us;
        match self.append(body) {
            Err(error) => {
                self.undo(&group.staged);
                let message = error.to_string();
                for answer in group.answers {
                    let _gone = answer.send(Err(Error::statement("58030", message.clone())));
                }
            }
            Ok(epoch) => {
                self.shared.take_offsets(group.offsets);
                self.step(Tick { epoch, now_us }, group.deltas);
                self.publish();
                for answer in group.answers {
                    let _gone = answer.send(Ok(epoch));
                }
            }
        }
    }

    /// Makes `body` durable as the next epoch.
    pub(crate) fn append(&mut self, body: Body) -> Result<Epoch> {
        let body = Body { digest: Some((self.flow.epoch, self.flow.digest)), ..body };
        self.since_checkpoint.epochs += 1;
        let now = self.shared.clock.monotonic();
        self.since_checkpoint.began.get_or_insert(now);
        self.since_checkpoint.bytes += body_bytes(&body);
        let runtime = self.runtime.clone();
        Ok(runtime.block_on(self.log.commit(body))?)
    }

    /// The time of the next epoch: the clock's, in whole steps, but never earlier than the last epoch's.
    pub(crate) fn next_now(&mut self) -> i64 {
        let now = self.shared.clock.now_us();
        let now = now - now.rem_euclid(self.clock_resolution);
        self.flow.now_us = self.flow.now_us.max(now);
        self.flow.now_us
    }

    /// Brings the views to the time that it is. If one of them changes by it, that is an epoch.
    ///
    /// # Errors
    /// When the epoch cannot be logged; it is tried again later, or becomes part of the next one.
    pub(crate) fn keep_time(&mut self) -> Result<Epoch> {
        let now_us = self.next_now();
        if self.unlogged.is_none() && self.flow.graph.due_at(now_us).next().is_none() {
            return Ok(self.flow.epoch);
        }
        let last = (self.flow.epoch, self.flow.digest);
        let tick = Tick { epoch: self.log.head().next(), now_us };
        self.flow.epoch = tick.epoch;
        self.flow.digest = self.unlogged.unwrap_or(0);
        self.flow.clock_moved = Some(self.unlogged.is_some());
        let changed = self.flow.pass(&tick, Deltas::new(), BTreeSet::new());
        self.backfills.note(tick, &changed, &mut self.flow.relations);
        let moved = self.flow.clock_moved.take() == Some(true);
        let digest = self.flow.digest;
        (self.flow.epoch, self.flow.digest) = last;
        if !moved {
            self.flow.end_tick();
            return Ok(self.flow.epoch);
        }
        self.unlogged = Some(digest);
        let next_object_id = self.flow.catalog.next_id();
        let epoch = self.append(Body { now_us, next_object_id, ..Body::default() })?;
        self.begin_tick(Tick { epoch, now_us });
        self.flow.end_tick();
        self.publish();
        Ok(epoch)
    }

    /// What follows is part of `tick`, and so is what the clock has changed before.
    pub(crate) fn begin_tick(&mut self, tick: Tick) {
        self.flow.begin_tick(tick);
        self.flow.digest = self.unlogged.take().unwrap_or(0);
    }

    /// Runs the graph over the deltas of base relations, which were applied already.
    pub(crate) fn step(&mut self, tick: Tick, deltas: BTreeMap<u32, Delta>) {
        self.begin_tick(tick);
        let deltas = deltas.into_iter().map(|(id, delta)| (id, Arc::new(delta))).collect();
        let changed = self.flow.pass(&tick, deltas, BTreeSet::new());
        self.backfills.note(tick, &changed, &mut self.flow.relations);
        self.flow.end_tick();
    }

    /// Notes the row counts that sinks resume from.
    pub(crate) fn note_rows(&mut self) {
        let version = self.flow.catalog.version();
        if self.followed.0 != Some(version) {
            self.followed = (Some(version), followed(&self.flow.catalog));
        }
        let touched = self.flow.relations.touched();
        let changed: Vec<u32> = touched.intersection(&self.followed.1).copied().collect();
        for id in changed {
            if let Some(relation) = self.flow.relations.get_mut(id)
                && relation.is_append()
            {
                let rows = relation.snapshot(self.flow.epoch).row_count();
                self.shared.note_rows(id, self.flow.epoch, rows);
            }
        }
    }

    /// Shows the current state to readers.
    pub(crate) fn publish(&mut self) {
        self.note_rows();
        let relations = self.flow.relations.publish(self.flow.epoch);
        let operators = self.flow.graph.operators();
        let catalog = Arc::clone(&self.flow.catalog);
        let (epoch, now_us) = (self.flow.epoch, self.flow.now_us);
        let set = SnapshotSet { epoch, catalog, relations, now_us, operators };
        self.shared.publish(set);
    }
}

/// The relations that sinks follow.
fn followed(catalog: &Catalog) -> BTreeSet<u32> {
    let sinks = catalog.objects_of(ObjectKind::Sink);
    let from = sinks.filter_map(|sink| match &sink.detail {
        Detail::Sink { from, .. } => Some(*from),
        _ => None,
    });
    from.collect()
}

/// Adds rows to the inline input of a relation.
fn add_input(inputs: &mut Vec<Input>, relation: u32, batch: DeltaBatch) {
    let inline = inputs.iter_mut().rev().find_map(|input| match &mut input.data {
        InputData::Inline(batches) if input.relation == relation => Some(batches),
        _ => None,
    });
    match inline {
        Some(batches) => batches.push(batch),
        None => inputs.push(Input { relation, data: InputData::Inline(vec![batch]) }),
    }
}

fn body_bytes(body: &Body) -> usize {
    let inline = |input: &Input| match &input.data {
        InputData::Inline(batches) => {
            batches.iter().map(|b| b.columns.get_array_memory_size()).sum()
        }
        InputData::Files(_) => 0,
    };
    body.inputs.iter().map(inline).sum::<usize>() + body.catalog.len()
}
