//! Changes of the catalog as epochs: views are planned before, filled within.
//!
//! A transaction that changes the catalog is one epoch of its own. Its new operators are made before the
//! epoch is logged, so that what cannot run is refused; they are filled from the relations as they are at
//! that epoch, slice by slice, before anything is published.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use levada_catalog::{Change, Detail, Object, ObjectId};
use levada_planner::delta_plan::DeltaPlan;
use levada_storage::delta::{Delta, DeltaBatch};
use levada_storage::epoch::Epoch;
use levada_storage::log::record::{Body, Input, InputData};

use crate::batch;
use crate::error::{Error, Result};
use crate::graph::{NodeKey, Work};
use crate::operator::Tick;
use crate::relation::Relation;
use crate::snapshot::RelationSnapshot;
use crate::tick::Core;
use crate::transaction::Transaction;

impl Core {
    /// Makes a transaction that changes the catalog one epoch.
    pub(crate) fn define(&mut self, transaction: Transaction) -> Result<Epoch> {
        if transaction.catalog_version != self.catalog.version() {
            return Err(Error::statement(
                "40001",
                "could not serialize access due to a concurrent change of the catalog",
            ));
        }
        let mut fresh = self.create_objects(&transaction)?;
        let mut staged: Vec<(u32, DeltaBatch)> = Vec::new();
        for (id, delta) in transaction.deltas {
            let relation = self.relations.get_mut(id);
            let relation =
                relation.ok_or_else(|| Error::statement("42P01", "relation was dropped"));
            if let Err(error) = relation.and_then(|r| r.stage(std::slice::from_ref(&delta))) {
                self.undo_define(&staged, &transaction.views, &transaction.catalog.changes);
                return Err(error);
            }
            staged.push((id, delta));
        }
        let mut catalog = self.catalog.as_ref().clone();
        catalog.reserve_ids_below(transaction.next_object_id);
        catalog.apply(&transaction.catalog);
        let inputs = staged.iter().map(|(id, delta)| Input {
            relation: *id,
            data: InputData::Inline(vec![delta.clone()]),
        });
        let body = Body {
            now_us: self.next_now(),
            catalog: transaction.catalog.encode(),
            next_object_id: catalog.next_id(),
            inputs: inputs.collect(),
            ..Body::default()
        };
        let epoch = match self.append(body) {
            Ok(epoch) => epoch,
            Err(error) => {
                self.undo_define(&staged, &transaction.views, &transaction.catalog.changes);
                return Err(error);
            }
        };
        self.catalog = Arc::new(catalog);
        self.drop_objects(&transaction.catalog.changes);
        fresh.retain(|key| self.graph.contains(*key));
        let mut deltas: BTreeMap<u32, Delta> = BTreeMap::new();
        for (id, delta) in staged {
            deltas.entry(id).or_default().push(delta);
        }
        self.step_without(epoch, deltas, &fresh);
        self.fill(epoch, &fresh);
        self.end_tick();
        self.publish();
        Ok(epoch)
    }

    /// Makes the relations and operators of new objects; after an error nothing has changed.
    pub(crate) fn create_objects(
        &mut self,
        transaction: &Transaction,
    ) -> Result<BTreeSet<NodeKey>> {
        let plans: BTreeMap<ObjectId, &DeltaPlan> =
            transaction.views.iter().map(|(id, plan)| (*id, plan)).collect();
        let mut catalog = self.catalog.as_ref().clone();
        catalog.apply(&transaction.catalog);
        for change in &transaction.catalog.changes {
            if let Change::Create(object) = change {
                let name = catalog.qualified_name(object);
                if let Some(relation) = relation_of(object, &name, plans.get(&object.id).copied()) {
                    self.relations.insert(relation);
                }
            }
        }
        let mut shared = BTreeMap::new();
        let mut fresh = BTreeSet::new();
        for (id, plan) in &transaction.views {
            match self.graph.add(*id, plan, &mut shared) {
                Ok(keys) => fresh.extend(keys),
                Err(error) => {
                    self.undo_define(&[], &transaction.views, &transaction.catalog.changes);
                    return Err(error);
                }
            }
        }
        Ok(fresh)
    }

    fn undo_define(
        &mut self,
        staged: &[(u32, DeltaBatch)],
        views: &[(ObjectId, DeltaPlan)],
        changes: &[Change],
    ) {
        self.undo(staged);
        for (id, _) in views {
            self.graph.remove(*id);
        }
        for change in changes {
            if let Change::Create(object) = change {
                self.relations.remove(object.id);
            }
        }
    }

    /// Removes the relations, operators and positions of dropped objects.
    pub(crate) fn drop_objects(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Drop(id) = change {
                self.graph.remove(*id);
                self.relations.remove(*id);
                self.shared.offsets().retain(|(source, _), _| source != id);
            }
        }
    }

    /// As `step`, for the nodes that are not new.
    pub(crate) fn step_without(
        &mut self,
        epoch: Epoch,
        deltas: BTreeMap<u32, Delta>,
        fresh: &BTreeSet<NodeKey>,
    ) {
        self.begin_tick(epoch);
        let existing: BTreeSet<NodeKey> =
            self.graph.keys().filter(|k| !fresh.contains(k)).collect();
        let tick = Tick { epoch, now_us: self.now_us };
        let deltas = deltas.into_iter().map(|(id, delta)| (id, Arc::new(delta))).collect();
        self.pass(&tick, deltas, BTreeSet::new(), Some(&existing));
    }

    /// Fills new operators from the relations as they are.
    pub(crate) fn fill(&mut self, epoch: Epoch, fresh: &BTreeSet<NodeKey>) {
        if fresh.is_empty() {
            return;
        }
        self.epoch = epoch;
        let tick = Tick { epoch, now_us: self.now_us };
        self.deferred = Some(BTreeSet::new());
        self.pass(&tick, BTreeMap::new(), fresh.clone(), Some(fresh));
        for id in self.filled_from(fresh) {
            if let Err(error) = self.fill_from(&tick, id, fresh) {
                tracing::error!(relation = id, %error, "could not read a relation to fill a view");
                let delta = Delta {
                    ok: Vec::new(),
                    err: vec![(
                        levada_storage::delta::ErrorRow {
                            sqlstate: "XX001".to_owned(),
                            message: error.to_string(),
                            row_hash: 0,
                        },
                        1,
                    )],
                };
                let deltas = BTreeMap::from([(id, Arc::new(delta))]);
                self.pass(&tick, deltas, BTreeSet::new(), Some(fresh));
            }
        }
        // A recomputed node may feed another one: those of lower number run first.
        while let Some(key) = self.deferred.as_mut().and_then(BTreeSet::pop_first) {
            let waiting = self.deferred.take();
            self.recompute_one(&tick, key, fresh);
            let mut merged = waiting.unwrap_or_default();
            merged.extend(self.deferred.take().unwrap_or_default());
            self.deferred = Some(merged);
        }
        self.deferred = None;
        self.graph.unify(fresh);
    }

    /// Runs one recomputed node and what it feeds; other recomputed nodes wait again.
    fn recompute_one(&mut self, tick: &Tick, key: NodeKey, fresh: &BTreeSet<NodeKey>) {
        let others: BTreeSet<NodeKey> = fresh
            .iter()
            .copied()
            .filter(|k| *k == key || !matches!(self.graph.node(*k).work, Work::Recompute(_)))
            .collect();
        let reached = self.recomputed_after(key, fresh);
        self.deferred = None;
        self.pass(tick, BTreeMap::new(), BTreeSet::from([key]), Some(&others));
        self.deferred = Some(reached);
    }

    /// The recomputed nodes among `fresh` that come after `key`: they run once more.
    fn recomputed_after(&self, key: NodeKey, fresh: &BTreeSet<NodeKey>) -> BTreeSet<NodeKey> {
        fresh
            .range(key + 1..)
            .copied()
            .filter(|k| matches!(self.graph.node(*k).work, Work::Recompute(_)))
            .collect()
    }

    /// Existing relations that the new leaves read.
    fn filled_from(&self, fresh: &BTreeSet<NodeKey>) -> BTreeSet<u32> {
        let made: BTreeSet<u32> = fresh.iter().flat_map(|k| self.graph.views_of(*k)).collect();
        let read = fresh.iter().filter_map(|k| match &self.graph.node(*k).work {
            Work::Relation { id, .. } => Some(*id),
            Work::Operator(_) | Work::Recompute(_) => None,
        });
        read.filter(|id| !made.contains(id)).collect()
    }

    fn fill_from(&mut self, tick: &Tick, id: u32, fresh: &BTreeSet<NodeKey>) -> Result<()> {
        let Some(relation) = self.relations.get_mut(id) else { return Ok(()) };
        let errors = relation.errors().iter().map(|(row, weight)| (row.clone(), *weight)).collect();
        let snapshot: Arc<RelationSnapshot> = relation.snapshot(self.epoch);
        let runtime = self.runtime.clone();
        let blob = Arc::clone(&self.shared.blob);
        let mut rows = batch::rows(blob, snapshot, None);
        let first = Delta { ok: Vec::new(), err: errors };
        self.pass(tick, BTreeMap::from([(id, Arc::new(first))]), BTreeSet::new(), Some(fresh));
        while let Some(batch) = runtime.block_on(rows.next()) {
            let delta = Arc::new(Delta::of([DeltaBatch::inserts(batch?)]));
            self.pass(tick, BTreeMap::from([(id, delta)]), BTreeSet::new(), Some(fresh));
        }
        Ok(())
    }
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
        Detail::MaterializedView { .. } => {
            let append = plan.is_some_and(|p| p.nodes[p.root].properties.insert_only);
            Some(if append {
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
