//! All stored relations of a database, the writer's side, and which of them a tick has touched.
//!
//! A tick that changes three relations of a thousand settles and publishes three: whoever may change a
//! relation takes it from here, and is written down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use levada_storage::epoch::Epoch;

use crate::error::Result;
use crate::relation::Relation;
use crate::snapshot::Relations;
use crate::spill::{Holder, SpillSpace};
use crate::workers::Workers;

/// The relations by identifier.
pub(crate) struct RelationSet {
    relations: BTreeMap<u32, Relation>,
    memory: Arc<dyn MemoryPool>,
    workers: Workers,
    /// What each relation takes of it.
    held: BTreeMap<u32, MemoryReservation>,
    /// May have changed since the last publication.
    touched: BTreeSet<u32>,
    published: Relations,
}

/// A relation and what it takes of memory.
pub(crate) struct HeldRelation<'a> {
    relation: &'a mut Relation,
    held: Option<&'a MemoryReservation>,
}

impl Holder for HeldRelation<'_> {
    fn in_memory(&self) -> usize {
        self.relation.in_memory()
    }

    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        let freed = self.relation.spill(space, want)?;
        if let Some(held) = self.held {
            held.resize(self.relation.in_memory());
        }
        Ok(freed)
    }
}

impl RelationSet {
    /// No relations; those to come take from `memory`, and `workers` share their large deltas.
    pub(crate) fn new(memory: Arc<dyn MemoryPool>, workers: Workers) -> Self {
        Self {
            relations: BTreeMap::new(),
            memory,
            workers,
            held: BTreeMap::new(),
            touched: BTreeSet::new(),
            published: Relations::default(),
        }
    }

    /// The relation `id`, to read it.
    pub(crate) fn get(&self, id: u32) -> Option<&Relation> {
        self.relations.get(&id)
    }

    /// The relation `id`, to change it.
    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut Relation> {
        let relation = self.relations.get_mut(&id)?;
        self.touched.insert(id);
        Some(relation)
    }

    /// Adds a relation, or puts one back.
    pub(crate) fn insert(&mut self, mut relation: Relation) {
        relation.workers = self.workers.clone();
        self.touched.insert(relation.id);
        self.relations.insert(relation.id, relation);
    }

    /// Takes a relation out.
    pub(crate) fn remove(&mut self, id: u32) -> Option<Relation> {
        self.touched.insert(id);
        self.relations.remove(&id)
    }

    /// The identifiers in order.
    pub(crate) fn ids(&self) -> Vec<u32> {
        self.relations.keys().copied().collect()
    }

    /// All relations in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Relation> {
        self.relations.values()
    }

    /// The relations that may have changed since the last publication.
    pub(crate) fn touched(&self) -> &BTreeSet<u32> {
        &self.touched
    }

    /// Settles what changed: the next tick starts from here.
    ///
    /// # Errors
    /// When dead rows cannot be dropped.
    pub(crate) fn end_tick(&mut self) -> Result<()> {
        for id in &self.touched {
            let Some(relation) = self.relations.get_mut(id) else {
                self.held.remove(id);
                continue;
            };
            if relation.is_changed() {
                relation.begin_tick()?;
                let held = self.held.entry(*id).or_insert_with(|| {
                    MemoryConsumer::new(relation.name.clone()).register(&self.memory)
                });
                held.resize(relation.in_memory());
            }
        }
        Ok(())
    }

    /// All relations with what they take of memory, to move rows out of it.
    pub(crate) fn holders(&mut self) -> Vec<HeldRelation<'_>> {
        let Self { relations, held, .. } = self;
        let holder = |(id, relation)| HeldRelation { held: held.get(id), relation };
        relations.iter_mut().map(holder).collect()
    }

    /// Publishes again what has moved.
    pub(crate) fn moved(&mut self) {
        let moved = self.relations.values().filter(|relation| relation.is_changed());
        self.touched.extend(moved.map(|relation| relation.id));
    }

    /// What readers see of all relations now.
    pub(crate) fn publish(&mut self, epoch: Epoch) -> Relations {
        for id in std::mem::take(&mut self.touched) {
            match self.relations.get_mut(&id) {
                Some(relation) => self.published.insert(id, relation.snapshot(epoch)),
                None => self.published.remove(id),
            }
        }
        self.published.clone()
    }
}
