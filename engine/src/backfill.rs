//! New views on their way into the graph.
//!
//! ```text
//! begin     at epoch E: operators and relations in a dataflow of their own, the relations read are pinned
//! fill      the pinned rows go through them, slice by slice
//! catch up  what the relations changed by since E, a few epochs at a time
//! join      at epoch S, which logs the definition: the rest, then relations and operators move over
//! ```
//! Up to the last step nothing of it is in the log and ticks go on: a crash or a cancelled statement leaves
//! nothing behind. The contents at S do not depend on E: deltas add up. Replay begins at S, fills and joins.
//!
//! A materialized view that is given another query keeps its relation. Its new rows are made beside it like
//! those of a new view; what goes to whoever reads it is the difference.

mod claim;
mod late;
mod progress;
mod revision;
mod running;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use levada_catalog::{Change, Detail, Object, ObjectId};
use levada_planner::delta_plan::DeltaPlan;
use levada_storage::delta::{Delta, DeltaBatch, ErrorRow};

pub(crate) use self::claim::Claim;
pub(crate) use self::late::{Late, LateDeltas};
pub(crate) use self::progress::{Phase, Progress};
pub(crate) use self::revision::Revision;
pub(crate) use self::running::{Backfills, Filled};
pub(crate) use self::wanted::Wanted;
use crate::batch;
use crate::dataflow::Dataflow;
use crate::error::{Error, Result};
use crate::graph::{NodeKey, Work};
use crate::relation::Relation;
use crate::snapshot::RelationSnapshot;
use crate::transaction::Transaction;

/// Rows that are read at once, about: enough to be worth several threads.
const FILL_ROWS: usize = 1 << 16;
/// Rows of deltas that one catching-up tick takes, about.
const SLICE_ROWS: usize = 1 << 18;

/// A transaction with new views, and the views.
pub(crate) struct Backfill {
    /// What becomes an epoch when the views are filled.
    pub(crate) transaction: Transaction,
    /// The new operators, and the relations that the transaction makes.
    pub(crate) flow: Dataflow,
    /// What changed in the relations read since they were pinned.
    pub(crate) late: Arc<LateDeltas>,
    /// How far it is.
    pub(crate) progress: Arc<Progress>,
    /// Views that get another query, by identifier.
    pub(crate) revisions: BTreeMap<ObjectId, Revision>,
    /// What becomes of a relation that cannot be read.
    pub(crate) unreadable: Unreadable,
    /// The relations read, until they were.
    pinned: BTreeMap<u32, Pinned>,
}

/// What becomes of a relation that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The statement fails.
    Refuse,
    /// The views report it when they are read: a database opens as far as it can.
    Report,
}

/// The contents of a relation at an epoch.
#[derive(Clone)]
pub(crate) struct Pinned {
    /// Its rows.
    pub(crate) rows: Arc<RelationSnapshot>,
    /// Its failed rows.
    pub(crate) errors: Vec<(ErrorRow, i64)>,
}

impl Backfill {
    /// Makes the relations and operators of `transaction` and pins what they read of `flow`.
    ///
    /// # Errors
    /// When an operator cannot be made.
    pub(crate) fn begin(flow: &mut Dataflow, transaction: Transaction) -> Result<Self> {
        let mut own = flow.beside();
        let mut catalog = flow.catalog.as_ref().clone();
        catalog.reserve_ids_below(transaction.next_object_id);
        catalog.apply(&transaction.catalog);
        let plans: BTreeMap<ObjectId, &DeltaPlan> =
            transaction.views.iter().map(|(id, plan)| (*id, plan)).collect();
        let mut revised = BTreeSet::new();
        for change in &transaction.catalog.changes {
            let (Change::Create(object) | Change::Replace(object)) = change else { continue };
            let plan = plans.get(&object.id).copied();
            if matches!(change, Change::Replace(_)) {
                if plan.is_none() {
                    continue;
                }
                revised.insert(object.id);
            }
            let name = catalog.qualified_name(object);
            if let Some(relation) = relation_of(object, &name, plan) {
                own.relations.insert(relation);
            }
        }
        own.catalog = Arc::new(catalog);
        let mut shared = BTreeMap::new();
        // Views over views: what is read comes first.
        for object in own.catalog.in_order() {
            if let Some(plan) = plans.get(&object.id) {
                own.graph.add(object.id, plan, &mut shared)?;
            }
        }
        let read = transaction.views.iter().flat_map(|(_, plan)| plan.reads());
        let read: BTreeSet<u32> = read.filter(|id| own.relations.get(*id).is_none()).collect();
        let pinned = read.iter().filter_map(|id| Some((*id, flow.pin(*id)?))).collect();
        let revisions = revised.iter().filter_map(|id| Some((*id, Revision::new(flow.pin(*id)?))));
        let revisions = revisions.collect();
        let recomputes =
            transaction.views.iter().any(|(_, plan)| !plan.recompute_reasons().is_empty());
        let late = read.union(&revised).copied().collect();
        let late = LateDeltas::of(late, recomputes, &own.shared.memory);
        let mut made = Self {
            progress: Progress::of(&own, &transaction),
            transaction,
            flow: own,
            late: Arc::new(late),
            revisions,
            unreadable: Unreadable::Refuse,
            pinned,
        };
        made.flow.wanted = Some(made.wanted());
        made.flow.foreign = made.pinned.iter().map(|(id, p)| (*id, Arc::clone(&p.rows))).collect();
        made.flow.undigested.extend(made.revisions.keys());
        made.progress.expect(made.pinned.values().map(|pinned| pinned.rows.row_count()).sum());
        Ok(made)
    }

    /// Rows that are to be read, those of views that get another query included.
    pub(crate) fn rows(&self) -> u64 {
        self.contents().map(|pinned| pinned.rows.row_count()).sum()
    }

    fn contents(&self) -> impl Iterator<Item = &Pinned> {
        self.pinned.values().chain(self.revisions.values().filter_map(Revision::old))
    }

    /// Paths of the files that hold what is pinned.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        let files = self.contents().flat_map(|pinned| pinned.rows.files.iter());
        files.map(|file| file.path.clone()).collect()
    }

    /// Fills the views where nothing changes meanwhile.
    ///
    /// # Errors
    /// When it was told to stop, or old rows cannot be read.
    pub(crate) fn fill_at_once(&mut self) -> Result<()> {
        self.fill()?;
        self.prepare_differences()
    }

    /// Fills the views from what is pinned.
    ///
    /// # Errors
    /// When it was told to stop.
    fn fill(&mut self) -> Result<()> {
        let keys: BTreeSet<NodeKey> = self.flow.graph.keys().collect();
        let tick = self.flow.tick();
        self.flow.deferred = Some(BTreeSet::new());
        self.flow.pass(&tick, BTreeMap::new(), keys);
        for (id, pinned) in std::mem::take(&mut self.pinned) {
            if let Err(error) = self.fill_from(id, pinned) {
                self.go_on()?;
                if self.unreadable == Unreadable::Refuse {
                    return Err(error);
                }
                tracing::error!(relation = id, %error, "could not read a relation to fill a view");
                let delta = Delta { ok: Vec::new(), err: vec![(unreadable(&error), 1)] };
                let deltas = BTreeMap::from([(id, Arc::new(delta))]);
                self.flow.pass(&tick, deltas, BTreeSet::new());
            }
        }
        // A recomputed node may feed another one: those of lower number run first.
        while let Some(key) = self.flow.deferred.as_mut().and_then(BTreeSet::pop_first) {
            self.go_on()?;
            let waiting = self.flow.deferred.take();
            self.flow.pass(&tick, BTreeMap::new(), BTreeSet::from([key]));
            // What it feeds has run; those that read what it changed run once more.
            let behind = self.recomputed_behind(key);
            let mut deferred = waiting.unwrap_or_default();
            deferred.retain(|waiting| !behind.contains(waiting));
            self.flow.deferred = Some(deferred);
        }
        self.flow.deferred = None;
        self.flow.end_tick();
        // A pass that nobody waits for breaks off.
        self.go_on()
    }

    fn fill_from(&mut self, id: u32, pinned: Pinned) -> Result<()> {
        let tick = self.flow.tick();
        let first = Delta { ok: Vec::new(), err: pinned.errors };
        self.flow.pass(&tick, BTreeMap::from([(id, Arc::new(first))]), BTreeSet::new());
        let runtime = self.flow.runtime.clone();
        let mut rows = batch::rows(Arc::clone(&self.flow.shared.blob), pinned.rows, None);
        let mut slice = Delta::default();
        loop {
            let next = runtime.block_on(rows.next()).transpose()?;
            let ended = next.is_none();
            slice.ok.extend(next.map(DeltaBatch::inserts));
            if slice.rows() < FILL_ROWS && !ended {
                continue;
            }
            self.go_on()?;
            self.progress.read(slice.rows());
            let delta = Arc::new(std::mem::take(&mut slice));
            self.flow.pass(&tick, BTreeMap::from([(id, delta)]), BTreeSet::new());
            self.flow.end_tick();
            if ended {
                return Ok(());
            }
        }
    }

    /// Takes what changed since, until little is left; then what is left can be taken between two ticks.
    ///
    /// # Errors
    /// When it was told to stop.
    pub(crate) fn fill_and_catch_up(&mut self) -> Result<()> {
        self.fill()?;
        self.progress.enter(Phase::CatchUp);
        // Each round takes what came during the one before, and is shorter where the machine keeps up.
        let mut before = usize::MAX;
        loop {
            let late = self.late.take();
            let rows: usize = late.iter().map(Late::rows).sum();
            self.catch_up(late)?;
            if rows == 0 || rows >= before {
                break;
            }
            before = rows;
        }
        self.prepare_differences()?;
        let late = self.late.take();
        self.catch_up(late)?;
        self.progress.enter(Phase::Join);
        Ok(())
    }

    /// Steps over later epochs, in order.
    ///
    /// # Errors
    /// When it was told to stop.
    pub(crate) fn catch_up(&mut self, late: Vec<Late>) -> Result<()> {
        let mut slice = Late::default();
        for next in late {
            if slice.rows() + next.rows() > SLICE_ROWS && !slice.is_empty() {
                self.go_on()?;
                self.take(std::mem::take(&mut slice));
            }
            slice.append(next);
        }
        if !slice.is_empty() {
            self.take(slice);
        }
        self.go_on()
    }

    /// Steps over changes of the relations it reads.
    pub(crate) fn take(&mut self, mut late: Late) {
        self.flow.foreign.extend(late.relations);
        self.flow.epoch = late.tick.epoch;
        self.flow.now_us = late.tick.now_us;
        for (id, revision) in &mut self.revisions {
            // Readers in here read the new rows.
            if let Some(delta) = late.deltas.remove(id) {
                revision.retract(&delta);
            }
        }
        let changed = self.flow.pass(&late.tick, late.deltas, BTreeSet::new());
        for (id, revision) in &mut self.revisions {
            if let Some(delta) = changed.get(id) {
                revision.insert(delta);
            }
        }
        self.flow.end_tick();
    }

    /// Compares the views that get another query with what they hold.
    ///
    /// # Errors
    /// When the old rows cannot be read.
    fn prepare_differences(&mut self) -> Result<()> {
        let runtime = self.flow.runtime.clone();
        let epoch = self.flow.epoch;
        for (id, revision) in &mut self.revisions {
            if revision.old().is_none() {
                continue;
            }
            let Some(relation) = self.flow.relations.get_mut(*id) else { continue };
            let errors = relation.errors().iter().map(|(row, w)| (row.clone(), *w)).collect();
            let new = Pinned { rows: relation.snapshot(epoch), errors };
            let wanted = self.flow.wanted.as_ref();
            runtime.block_on(revision.compare(&self.flow.shared.blob, new, wanted))?;
        }
        Ok(())
    }

    /// Fails when nobody wants it any more.
    fn go_on(&self) -> Result<()> {
        self.wanted().go_on()
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            progress: Arc::clone(&self.progress),
            commitment: Arc::clone(&self.transaction.commitment),
        }
    }

    /// The recomputed nodes behind `key`.
    fn recomputed_behind(&self, key: NodeKey) -> BTreeSet<NodeKey> {
        let mut behind = BTreeSet::new();
        let mut todo = BTreeSet::from([key]);
        while let Some(next) = todo.pop_first() {
            let graph = &self.flow.graph;
            let views = graph.views_of(next);
            let leaves = views.into_iter().flat_map(|view| graph.readers(view));
            for user in graph.node(next).users.iter().copied().chain(leaves) {
                if matches!(graph.node(user).work, Work::Recompute(_)) {
                    behind.insert(user);
                }
                todo.insert(user);
            }
        }
        behind
    }
}

impl Dataflow {
    /// The contents of a relation now, if it exists.
    pub(crate) fn pin(&mut self, id: u32) -> Option<Pinned> {
        let epoch = self.epoch;
        let relation = self.relations.get_mut(id)?;
        let errors = relation.errors().iter().map(|(row, weight)| (row.clone(), *weight)).collect();
        Some(Pinned { rows: relation.snapshot(epoch), errors })
    }
}

/// What stands in a view for rows that could not be read.
fn unreadable(error: &Error) -> ErrorRow {
    ErrorRow { sqlstate: "XX001".to_owned(), message: error.to_string(), row_hash: 0 }
}

/// The store of a new object, if it has one.
pub(crate) fn relation_of(
    object: &Object,
    name: &str,
    plan: Option<&DeltaPlan>,
) -> Option<Relation> {
    let schema = object.arrow_schema()?;
    match &object.detail {
        Detail::Source { .. } => Some(Relation::append(object.id, name.to_owned(), schema)),
        Detail::Table { primary_key, .. } => {
            let key = primary_key.iter().filter_map(|k| schema.index_of(k).ok()).collect();
            Some(Relation::resident(object.id, name.to_owned(), schema, key))
        }
        Detail::MaterializedView { revision, .. } => {
            // Another query takes rows away.
            let append = plan.is_some_and(|p| p.nodes[p.root].properties.insert_only);
            Some(if append && *revision == 0 {
                Relation::append(object.id, name.to_owned(), schema)
            } else {
                Relation::resident(object.id, name.to_owned(), schema, Vec::new())
            })
        }
        Detail::Schema { .. }
        | Detail::View { .. }
        | Detail::Pipeline { .. }
        | Detail::Sink { .. } => None,
    }
}
