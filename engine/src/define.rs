//! Changes of the catalog as epochs: views are planned before, filled beside, and join.
//!
//! A transaction that changes the catalog is one epoch of its own. Its new operators are made and filled
//! before the epoch is logged, so that what cannot run is refused; where there is much to read, that happens
//! on another thread while ticks go on ([`crate::backfill`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use levada_catalog::{Catalog, Change, ChangeSet};
use levada_planner::delta_plan::DeltaPlan;
use levada_storage::delta::{Delta, DeltaBatch};
use levada_storage::epoch::Epoch;
use levada_storage::log::record::{Body, Input, InputData};

use crate::backfill::{Backfill, Claim, Filled};
use crate::digest;
use crate::error::{Error, Result};
use crate::operator::Tick;
use crate::pass::Deltas;
use crate::tick::{Answer, Core};
use crate::transaction::Transaction;

impl Core {
    /// Makes a transaction that changes the catalog one epoch, at once or when its views are filled.
    pub(crate) fn define(&mut self, transaction: Transaction, answer: Answer) {
        let claim = Claim::of(&transaction, &self.flow.catalog);
        let begun = self.backfills.check(&claim, &self.flow.catalog);
        let begun = begun.and_then(|()| self.begin(transaction));
        let done = match begun {
            Err(error) => Err(error),
            Ok(backfill) if self.is_long(&backfill) => {
                self.reserve_ids(&backfill.transaction);
                backfill.transaction.commitment.show(&backfill.progress);
                if let Err(error) = self.backfills.start(claim, backfill, answer) {
                    tracing::warn!(%error, "could not start a backfill");
                }
                self.show_backfills();
                return;
            }
            Ok(backfill) if !backfill.transaction.commitment.take() => Err(Error::cancelled()),
            Ok(mut backfill) => backfill.fill_at_once().and_then(|()| self.join(backfill)),
        };
        let _gone = answer.send(done);
    }

    /// Takes views in that were filled on another thread.
    pub(crate) fn take_in(&mut self, filled: Filled) {
        let (backfill, answer) = (filled.result, filled.answer);
        let joined = match backfill {
            Err(error) => Err(error),
            Ok(backfill) if !backfill.transaction.commitment.take() => Err(Error::cancelled()),
            Ok(backfill) => self.join(*backfill),
        };
        let _gone = answer.send(joined);
    }

    /// Whether ticks should go on while the views are filled: there is much to read, or nobody knows how much.
    fn is_long(&self, backfill: &Backfill) -> bool {
        let plans = &backfill.transaction.views;
        let unbounded = |plan: &DeltaPlan| plan.nodes.iter().any(|node| node.op.makes_rows());
        !plans.is_empty()
            && (backfill.rows() >= self.beside_from
                || plans.iter().any(|(_, plan)| unbounded(plan)))
    }

    fn begin(&mut self, transaction: Transaction) -> Result<Backfill> {
        if transaction.catalog_version != self.flow.catalog.version() {
            return Err(Error::catalog_changed());
        }
        Backfill::begin(&mut self.flow, transaction)
    }

    /// Keeps others from the identifiers of a transaction that is not logged yet.
    fn reserve_ids(&mut self, transaction: &Transaction) {
        let mut catalog = self.flow.catalog.as_ref().clone();
        catalog.reserve_ids_below(transaction.next_object_id);
        // Whoever took the same ones meanwhile has to begin again.
        catalog.apply(&ChangeSet::default());
        self.flow.catalog = Arc::new(catalog);
        self.publish();
    }

    /// Logs the definition of filled views and makes them part of what is served.
    fn join(&mut self, mut backfill: Backfill) -> Result<Epoch> {
        let late = backfill.late.take();
        backfill.catch_up(late)?;
        // From here on nothing may be left out.
        backfill.flow.wanted = None;
        let written = std::mem::take(&mut backfill.transaction.deltas);
        let deltas = self.stage(&mut backfill, written)?;
        let inputs = deltas.iter().map(|(id, delta)| Input {
            relation: *id,
            data: InputData::Inline(vec![delta.clone()]),
        });
        let catalog = self.catalog_with(&backfill.transaction);
        let body = Body {
            now_us: self.next_now(),
            catalog: backfill.transaction.catalog.encode(),
            next_object_id: catalog.next_id(),
            inputs: inputs.collect(),
            ..Body::default()
        };
        let now_us = body.now_us;
        let epoch = match self.append(body) {
            Ok(epoch) => epoch,
            Err(error) => {
                self.undo_staged(&backfill, &deltas);
                return Err(error);
            }
        };
        let mut summed: BTreeMap<u32, Delta> = BTreeMap::new();
        for (id, delta) in deltas {
            summed.entry(id).or_default().push(delta);
        }
        self.complete(Tick { epoch, now_us }, backfill, summed);
        self.publish();
        Ok(epoch)
    }

    /// Checks and applies what a transaction writes; after an error nothing has changed.
    fn stage(
        &mut self,
        backfill: &mut Backfill,
        deltas: Vec<(u32, DeltaBatch)>,
    ) -> Result<Vec<(u32, DeltaBatch)>> {
        let mut staged: Vec<(u32, DeltaBatch)> = Vec::new();
        for (id, delta) in deltas {
            let own = backfill.flow.relations.get_mut(id);
            let result = match own.or_else(|| self.flow.relations.get_mut(id)) {
                Some(relation) => relation.stage(std::slice::from_ref(&delta)),
                None => Err(Error::statement("42P01", "relation was dropped")),
            };
            if let Err(error) = result {
                self.undo_staged(backfill, &staged);
                return Err(error);
            }
            staged.push((id, delta));
        }
        Ok(staged)
    }

    /// Takes back what was staged; what the backfill brings is gone with it.
    fn undo_staged(&mut self, backfill: &Backfill, staged: &[(u32, DeltaBatch)]) {
        let others = staged.iter().filter(|(id, _)| backfill.flow.relations.get(*id).is_none());
        self.undo(&others.cloned().collect::<Vec<_>>());
    }

    /// The catalog after a transaction.
    fn catalog_with(&self, transaction: &Transaction) -> Catalog {
        let mut catalog = self.flow.catalog.as_ref().clone();
        catalog.reserve_ids_below(transaction.next_object_id);
        catalog.apply(&transaction.catalog);
        catalog
    }

    /// Makes an epoch of filled views and of `deltas`, which were applied already.
    pub(crate) fn complete(
        &mut self,
        tick: Tick,
        mut backfill: Backfill,
        deltas: BTreeMap<u32, Delta>,
    ) {
        self.flow.catalog = Arc::new(self.catalog_with(&backfill.transaction));
        self.drop_objects(&backfill.transaction.catalog.changes);
        self.begin_tick(tick);
        let deltas = deltas.into_iter().map(|(id, delta)| (id, Arc::new(delta)));
        let (own, others): (Deltas, Deltas) =
            deltas.partition(|(id, _)| backfill.flow.relations.get(*id).is_some());
        let changed = self.flow.pass(&tick, others, BTreeSet::new());
        let mut late = backfill.late.part_of(tick, &changed, &mut self.flow.relations);
        late.deltas.extend(own);
        backfill.take(late);
        self.backfills.note(tick, &changed, &mut self.flow.relations);
        self.adopt(tick, backfill);
        self.flow.end_tick();
    }

    /// Moves the relations and operators of a backfill over.
    pub(crate) fn adopt(&mut self, tick: Tick, backfill: Backfill) {
        let Backfill { mut flow, revisions, .. } = backfill;
        self.flow.digest = self.flow.digest.wrapping_add(flow.digest);
        let renumber = !revisions.is_empty();
        let mut differences = Deltas::new();
        for (id, revision) in revisions {
            self.flow.graph.remove(id);
            let difference = revision.difference();
            match digest::of_view(id, &difference) {
                Ok(digest) => self.flow.digest = self.flow.digest.wrapping_add(digest),
                Err(error) => tracing::error!(view = id, %error, "a difference has no digest"),
            }
            let held = self.flow.relations.get_mut(id);
            if let Some(held) = held.filter(|relation| !relation.is_append()) {
                held.apply_or_fail(&difference);
                flow.relations.remove(id);
            }
            differences.insert(id, Arc::new(difference));
        }
        for id in flow.relations.ids() {
            if let Some(mut relation) = flow.relations.remove(id) {
                // Readers see it first at this epoch.
                relation.restate();
                self.flow.relations.insert(relation);
            }
        }
        if renumber {
            let changed = self.flow.pass(&tick, differences, BTreeSet::new());
            self.backfills.note(tick, &changed, &mut self.flow.relations);
        }
        let fresh = self.flow.graph.absorb(flow.graph);
        self.flow.graph.unify(&fresh);
        for key in fresh.iter().filter(|key| self.flow.graph.contains(**key)) {
            // What was saved is another node's state.
            self.runs.remove(&self.flow.graph.node(*key).fingerprint.to_string());
        }
        if renumber {
            self.flow.graph.renumber();
        }
    }

    /// Removes the relations, operators and positions of dropped objects.
    fn drop_objects(&mut self, changes: &[Change]) {
        for change in changes {
            if let Change::Drop(id) = change {
                self.flow.graph.remove(*id);
                self.flow.relations.remove(*id);
                self.shared.offsets().retain(|(source, _), _| source != id);
            }
        }
    }

    /// Shows how far backfills are.
    pub(crate) fn show_backfills(&self) {
        self.shared.set_backfills(self.backfills.progress());
    }
}
