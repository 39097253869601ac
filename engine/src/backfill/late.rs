//! What changes while a backfill is under way.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use levada_storage::delta::{Delta, Weights};
use levada_storage::epoch::Epoch;

use crate::database::lock;
use crate::operator::Tick;
use crate::pass::Deltas;
use crate::relation_set::RelationSet;
use crate::snapshot::RelationSnapshot;

/// The changes of some relations, from the tick loop to a backfill. What waits is counted as memory in use: state
/// makes room for it, and sources wait when there is none.
pub(crate) struct LateDeltas {
    relations: BTreeSet<u32>,
    /// Whether whole relations are read again: then they are noted too.
    recomputes: bool,
    queue: Mutex<Vec<Late>>,
    held: MemoryReservation,
    /// Files of relations that were noted.
    files: Mutex<BTreeSet<String>>,
}

/// What one epoch or several in a row changed.
pub(crate) struct Late {
    /// The last of them.
    pub(crate) tick: Tick,
    /// The changes, by relation.
    pub(crate) deltas: Deltas,
    /// The changed relations after it.
    pub(crate) relations: BTreeMap<u32, Arc<RelationSnapshot>>,
}

impl Default for Late {
    fn default() -> Self {
        let tick = Tick { epoch: Epoch(0), now_us: 0 };
        Self { tick, deltas: Deltas::new(), relations: BTreeMap::new() }
    }
}

impl LateDeltas {
    /// An empty queue for the changes of `relations`.
    pub(crate) fn of(
        relations: BTreeSet<u32>,
        recomputes: bool,
        memory: &Arc<dyn MemoryPool>,
    ) -> Self {
        let held = MemoryConsumer::new("changes during a backfill").register(memory);
        let (queue, files) = (Mutex::default(), Mutex::default());
        Self { relations, recomputes, queue, held, files }
    }

    /// Notes what a tick changed.
    pub(crate) fn note(&self, tick: Tick, changed: &Deltas, relations: &mut RelationSet) {
        let late = self.part_of(tick, changed, relations);
        if !late.is_empty() {
            self.held.grow(late.bytes());
            lock(&self.queue).push(late);
        }
    }

    /// What of a tick's changes it is about.
    pub(crate) fn part_of(
        &self,
        tick: Tick,
        changed: &Deltas,
        relations: &mut RelationSet,
    ) -> Late {
        let mut late = Late { tick, ..Late::default() };
        for (id, delta) in changed.iter().filter(|(id, _)| self.relations.contains(id)) {
            late.deltas.insert(*id, Arc::clone(delta));
            if self.recomputes
                && let Some(relation) = relations.get_mut(*id)
            {
                let relation = relation.snapshot(tick.epoch);
                lock(&self.files).extend(relation.files.iter().map(|file| file.path.clone()));
                late.relations.insert(*id, relation);
            }
        }
        late
    }

    /// Takes what was noted since the last call, oldest first.
    pub(crate) fn take(&self) -> Vec<Late> {
        let late = std::mem::take(&mut *lock(&self.queue));
        self.held.shrink(late.iter().map(Late::bytes).sum());
        late
    }

    /// Whether a relation that was noted has rows in this file.
    pub(crate) fn reads_file(&self, path: &str) -> bool {
        lock(&self.files).contains(path)
    }
}

impl Late {
    /// Rows that changed.
    pub(crate) fn rows(&self) -> usize {
        self.deltas.values().map(|delta| delta.rows()).sum()
    }

    /// Bytes of them.
    fn bytes(&self) -> usize {
        let batches = self.deltas.values().flat_map(|delta| &delta.ok);
        let bytes = batches.map(|batch| {
            let weights = match &batch.weights {
                Weights::One | Weights::MinusOne => 0,
                Weights::Each(weights) => size_of_val(weights.as_ref()),
            };
            batch.columns.get_array_memory_size() + weights
        });
        bytes.sum()
    }

    /// Whether nothing changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.deltas.is_empty()
    }

    /// Adds what a later tick changed.
    pub(crate) fn append(&mut self, next: Self) {
        self.tick = next.tick;
        self.relations.extend(next.relations);
        for (id, delta) in next.deltas {
            match self.deltas.entry(id) {
                Entry::Vacant(free) => {
                    free.insert(delta);
                }
                Entry::Occupied(mut held) => {
                    let sum: &mut Delta = Arc::make_mut(held.get_mut());
                    sum.extend(&delta);
                }
            }
        }
    }
}
