//! Opening a database: the newest checkpoint, then the epochs after it, replayed.
//!
//! Views are planned from their SQL again. Operators whose fingerprint is in the manifest load their state;
//! a view with an operator that is not (its plan changed with a release) or with failed rows is filled anew
//! from the relations at the checkpoint. Replay runs the same code as live ticks, without logging.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use levada_catalog::{Catalog, Change, ChangeSet, Detail, Object, ObjectId, ObjectKind};
use levada_planner::delta_plan::DeltaPlan;
use levada_storage::delta::{Delta, DeltaBatch};
use levada_storage::epoch::Epoch;
use levada_storage::error::ErrorKind;
use levada_storage::log::record::{Commit, InputData};
use levada_storage::manifest::Manifest;
use levada_storage::state::{RunRef, read_run};

use crate::arrangement::log::ColumnLog;
use crate::backfill::{Backfill, Unreadable, relation_of};
use crate::checkpoint::{CLOCK, ERRORS, HISTORY, read_file};
use crate::dataflow::Dataflow;
use crate::definition::plan_stored_view;
use crate::error::{Error, Result};
use crate::graph::{NodeKey, Work};
use crate::image::Image;
use crate::operator::{RUN_VERSION, StateRun, Tick};
use crate::relation::{Relation, Store};
use crate::system;
use crate::tick::{Backlog, Core};
use crate::transaction::Transaction;

impl Core {
    /// Brings an empty core to the state after `commits`.
    ///
    /// # Errors
    /// When saved objects are missing or do not decode.
    pub(crate) fn recover(
        &mut self,
        manifest: Option<Manifest>,
        commits: Vec<Commit>,
    ) -> Result<()> {
        for (id, name, schema, append) in system::stored() {
            let name = name.to_owned();
            let relation = if append {
                Relation::append(id, name, schema)
            } else {
                Relation::resident(id, name, schema, Vec::new())
            };
            self.flow.relations.insert(relation);
        }
        if let Some(manifest) = manifest {
            self.load(manifest)?;
        }
        let began = Some(self.shared.clock.monotonic());
        let backlog = Backlog { epochs: commits.len() as u64, began, ..Backlog::default() };
        for commit in commits {
            self.replay(commit)?;
        }
        self.since_checkpoint = backlog;
        self.publish();
        Ok(())
    }

    fn load(&mut self, manifest: Manifest) -> Result<()> {
        let mut catalog = Catalog::new();
        catalog.apply(&ChangeSet::decode(&manifest.catalog)?);
        catalog.reserve_ids_below(manifest.next_object_id);
        self.flow.catalog = Arc::new(catalog);
        self.flow.epoch = manifest.at;
        self.loaded = manifest.at;
        self.shared.take_offsets(manifest.offsets);
        let extra: BTreeMap<String, Vec<u8>> = manifest.extra.into_iter().collect();
        if let Some(history) = extra.get(HISTORY) {
            self.shared.decode_history(history);
        }
        if let Some(clock) = extra.get(CLOCK).and_then(|bytes| bytes.as_slice().try_into().ok()) {
            self.flow.now_us = i64::from_le_bytes(clock);
        }
        let failed: BTreeMap<u32, serde_json::Value> = match extra.get(ERRORS) {
            Some(errors) => {
                serde_json::from_slice(errors).map_err(|_lost| Error::unfit("failed rows"))?
            }
            None => BTreeMap::new(),
        };
        self.runs = manifest.operators.into_iter().map(|o| (o.fingerprint, o.runs)).collect();
        let files: BTreeMap<u32, Vec<_>> =
            manifest.relations.into_iter().map(|r| (r.relation, r.files)).collect();
        for (id, _, _, _) in system::stored() {
            self.load_rows(id, files.get(&id))?;
        }
        let mut unfilled = BTreeSet::new();
        let objects = self.flow.catalog.in_order();
        for object in objects.iter().filter(|o| o.is_stored()) {
            let plan = self.plan_of(object.id)?;
            let name = self.flow.catalog.qualified_name(object);
            let relation = relation_of(object, &name, plan.as_ref());
            self.flow.relations.insert(relation.ok_or_else(|| Error::unfit("relation"))?);
            let Some(plan) = plan else {
                self.load_rows(object.id, files.get(&object.id))?;
                continue;
            };
            let keys = self.flow.graph.add(object.id, &plan, &mut BTreeMap::new())?;
            let again = failed.contains_key(&object.id)
                || plan.reads().any(|id| unfilled.contains(&id))
                || !self.load_view(object.id, &name, &keys, files.get(&object.id))?;
            if again {
                unfilled.insert(object.id);
                let empty = relation_of(object, &name, Some(&plan));
                self.flow.relations.insert(empty.ok_or_else(|| Error::unfit("relation"))?);
                self.fill_again(object, plan)?;
            } else {
                self.flow.graph.unify(&keys.into_iter().collect());
            }
        }
        self.shared.set_files(files);
        Ok(())
    }

    /// The plan of a materialized view; [`None`] for other relations.
    fn plan_of(&self, id: ObjectId) -> Result<Option<DeltaPlan>> {
        let object = self.flow.catalog.get(id).ok_or_else(|| Error::unfit("object"))?;
        if object.kind() != ObjectKind::MaterializedView {
            return Ok(None);
        }
        let relations = &self.flow.relations;
        let insert_only = |id: u32| relations.get(id).is_some_and(Relation::is_append);
        plan_stored_view(&self.shared, &self.flow.catalog, object, &insert_only).map(Some)
    }

    fn load_rows(
        &mut self,
        id: u32,
        files: Option<&Vec<levada_storage::table::DataFile>>,
    ) -> Result<()> {
        let Some(files) = files else { return Ok(()) };
        let mut relation =
            self.flow.relations.remove(id).ok_or_else(|| Error::unfit("relation"))?;
        let loaded = self.load_into(&mut relation, files);
        self.flow.relations.insert(relation);
        loaded
    }

    fn load_into(
        &self,
        relation: &mut Relation,
        files: &[levada_storage::table::DataFile],
    ) -> Result<()> {
        match &mut relation.store {
            Store::Append { files: held, young } => {
                *held = Arc::new(files.to_vec());
                *young = ColumnLog::new(Arc::clone(&relation.schema));
            }
            Store::Resident { rows, image } => {
                for file in files {
                    for batch in read_file(&self.runtime, &self.shared.blob, file)? {
                        let columns = batch.columns().to_vec();
                        let batch = RecordBatch::try_new(Arc::clone(&relation.schema), columns)?;
                        rows.insert(&DeltaBatch::inserts(batch))?;
                    }
                }
                rows.begin_tick();
                *image = Image::loaded(files.to_vec(), rows);
            }
        }
        relation.restate();
        Ok(())
    }

    /// Loads a view's operators and rows; `false` when it must be made anew, because they were not saved or
    /// what was saved is damaged.
    fn load_view(
        &mut self,
        id: ObjectId,
        name: &str,
        keys: &[NodeKey],
        files: Option<&Vec<levada_storage::table::DataFile>>,
    ) -> Result<bool> {
        let loaded = match self.load_operators(keys) {
            Ok(true) => self.load_rows(id, files).map(|()| true),
            other => other,
        };
        match loaded {
            Err(Error::Storage(error)) if error.kind() == ErrorKind::Corrupt => {
                tracing::warn!(view = name, %error, "a view's saved state is damaged; it is made anew");
                Ok(false)
            }
            other => other,
        }
    }

    /// Loads the state of new nodes; `false` when one of them was not saved.
    fn load_operators(&mut self, keys: &[NodeKey]) -> Result<bool> {
        let mut loaded = Vec::new();
        for key in keys {
            if matches!(self.flow.graph.node(*key).work, Work::Relation { .. }) {
                continue;
            }
            let fingerprint = self.flow.graph.node(*key).fingerprint.to_string();
            let Some(refs) = self.runs.get(&fingerprint) else { return Ok(false) };
            if refs.iter().any(|r| r.hash_version != RUN_VERSION) {
                return Ok(false);
            }
            loaded.push((*key, self.read_runs(refs)?));
        }
        for (key, runs) in loaded {
            match &mut self.flow.graph.node_mut(key).work {
                Work::Relation { .. } => {}
                Work::Operator(operator) => operator.restore(&runs)?,
                Work::Recompute(state) => state.last.restore(&runs)?,
            }
            self.flow.graph.node(key).measure();
        }
        Ok(true)
    }

    fn read_runs(&self, refs: &[RunRef]) -> Result<Vec<StateRun>> {
        let read = |run: &RunRef| -> Result<StateRun> {
            let rows = self.runtime.block_on(read_run(&self.shared.blob, run))?;
            Ok(StateRun { part: run.part, replaces: run.replaces, rows })
        };
        refs.iter().map(read).collect()
    }

    /// Makes a view anew from the relations it reads.
    fn fill_again(&mut self, object: &Object, plan: DeltaPlan) -> Result<()> {
        self.flow.graph.remove(object.id);
        for node in &plan.nodes {
            self.runs.remove(&node.fingerprint.to_string());
        }
        let changes = vec![Change::Create(object.clone())];
        let views = vec![(object.id, plan)];
        let catalog = ChangeSet { changes };
        let transaction = Transaction { catalog, views, ..Transaction::default() };
        let mut backfill = Backfill::begin(&mut self.flow, transaction)?;
        backfill.unreadable = Unreadable::Report;
        backfill.fill_at_once()?;
        self.adopt(self.flow.tick(), backfill);
        self.flow.end_tick();
        Ok(())
    }

    fn replay(&mut self, commit: Commit) -> Result<()> {
        let body = commit.body;
        self.compare_digest(body.digest)?;
        let tick = Tick { epoch: commit.epoch, now_us: self.flow.now_us.max(body.now_us) };
        let set = if body.catalog.is_empty() {
            ChangeSet::default()
        } else {
            ChangeSet::decode(&body.catalog)?
        };
        let mut deltas: BTreeMap<u32, Delta> = BTreeMap::new();
        self.shared.take_offsets(body.offsets);
        if set.is_empty() {
            for input in body.inputs {
                let delta = replay_input(&mut self.flow, input.relation, input.data)?;
                deltas.entry(input.relation).or_default().extend(&delta);
            }
            self.step(tick, deltas);
        } else {
            let transaction = self.replayed(set, body.next_object_id)?;
            let mut backfill = Backfill::begin(&mut self.flow, transaction)?;
            backfill.unreadable = Unreadable::Report;
            backfill.fill_at_once()?;
            for input in body.inputs {
                let own = backfill.flow.relations.get(input.relation).is_some();
                let flow = if own { &mut backfill.flow } else { &mut self.flow };
                let delta = replay_input(flow, input.relation, input.data)?;
                deltas.entry(input.relation).or_default().extend(&delta);
            }
            self.complete(tick, backfill, deltas);
        }
        self.note_rows();
        Ok(())
    }

    /// Reports a tick that was replayed and came out differently; where this program is tested, it is the
    /// end.
    fn compare_digest(&self, logged: Option<(Epoch, u64)>) -> Result<()> {
        let Some((epoch, digest)) = logged else { return Ok(()) };
        if epoch != self.flow.epoch || epoch == self.loaded || digest == self.flow.digest {
            return Ok(());
        }
        let text = format!("replay of epoch {} changed the views differently than before", epoch.0);
        if cfg!(debug_assertions) {
            return Err(Error::Internal(text));
        }
        tracing::error!("{text}; CHECK INCREMENTAL tells which view is wrong");
        Ok(())
    }

    /// A logged change of the catalog with the plans that it needs.
    fn replayed(&self, set: ChangeSet, next_object_id: u32) -> Result<Transaction> {
        let mut catalog = self.flow.catalog.as_ref().clone();
        catalog.reserve_ids_below(next_object_id);
        catalog.apply(&set);
        let mut views = Vec::new();
        let mut append: BTreeMap<u32, bool> = BTreeMap::new();
        let made = set.changes.iter().filter_map(|change| match change {
            Change::Create(object) | Change::Replace(object) => Some(object.id),
            Change::Drop(_) => None,
        });
        let made: BTreeSet<ObjectId> = made.collect();
        for object in catalog.in_order().iter().filter(|object| made.contains(&object.id)) {
            let Detail::MaterializedView { revision, .. } = &object.detail else {
                append.insert(object.id, object.kind() == ObjectKind::Source);
                continue;
            };
            if !self.is_revised(object) {
                continue;
            }
            let plan = {
                let relations = &self.flow.relations;
                let insert_only = |id: u32| match append.get(&id) {
                    Some(append) => *append,
                    None => relations.get(id).is_some_and(Relation::is_append),
                };
                plan_stored_view(&self.shared, &catalog, object, &insert_only)?
            };
            let stays = *revision == 0 && plan.nodes[plan.root].properties.insert_only;
            append.insert(object.id, stays);
            views.push((object.id, plan));
        }
        Ok(Transaction { catalog: set, next_object_id, views, ..Transaction::default() })
    }

    /// Whether the view is new, or has another query than now.
    fn is_revised(&self, view: &Object) -> bool {
        let revision = |object: &Object| match &object.detail {
            Detail::MaterializedView { revision, .. } => Some(*revision),
            _ => None,
        };
        self.flow.catalog.get(view.id).is_none_or(|now| revision(now) != revision(view))
    }
}

/// Applies a logged input to its relation.
fn replay_input(flow: &mut Dataflow, id: u32, data: InputData) -> Result<Delta> {
    // A table of the log that a later epoch of it dropped.
    let Some(relation) = flow.relations.get_mut(id) else { return Ok(Delta::default()) };
    let delta = match &data {
        InputData::Inline(batches) => fit(relation, batches)?,
        InputData::Files(files) => {
            let mut rows = Vec::new();
            for file in files {
                let read = read_file(&flow.runtime, &flow.shared.blob, file)?;
                rows.extend(read.into_iter().map(DeltaBatch::inserts));
            }
            fit(relation, &rows)?
        }
    };
    match data {
        InputData::Files(files) if relation.young_rows() == 0 => relation.add_files(&files)?,
        InputData::Files(_) | InputData::Inline(_) => relation.apply(&delta)?,
    }
    Ok(delta)
}

/// The rows with the relation's own schema: files do not keep whether a column is nullable.
fn fit(relation: &Relation, batches: &[DeltaBatch]) -> Result<Delta> {
    let mut delta = Delta::default();
    for batch in batches {
        let columns = batch.columns.columns().to_vec();
        let columns = RecordBatch::try_new(Arc::clone(&relation.schema), columns)?;
        delta.push(DeltaBatch { columns, weights: batch.weights.clone() });
    }
    Ok(delta)
}
