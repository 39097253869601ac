//! What changes while a backfill is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use levada_storage::delta::Delta;
use levada_storage::epoch::Epoch;

use crate::database::lock;
use crate::operator::Tick;
use crate::pass::Deltas;
use crate::relation_set::RelationSet;
use crate::snapshot::RelationSnapshot;

/// The changes of some relations, from the tick loop to a backfill.
pub(crate) struct LateDeltas {
    relations: BTreeSet<u32>,
    queue: Mutex<Vec<Late>>,
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
    pub(crate) fn of(relations: BTreeSet<u32>) -> Self {
        Self { relations, queue: Mutex::default() }
    }

    /// Notes what a tick changed.
    pub(crate) fn note(&self, tick: Tick, changed: &Deltas, relations: &mut RelationSet) {
        let late = self.part_of(tick, changed, relations);
        if !late.is_empty() {
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
            if let Some(relation) = relations.get_mut(*id) {
                late.relations.insert(*id, relation.snapshot(tick.epoch));
            }
        }
        late
    }

    /// Takes what was noted since the last call, oldest first.
    pub(crate) fn take(&self) -> Vec<Late> {
        std::mem::take(&mut *lock(&self.queue))
    }
}

impl Late {
    /// Rows that changed.
    pub(crate) fn rows(&self) -> usize {
        self.deltas.values().map(|delta| delta.rows()).sum()
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
                std::collections::btree_map::Entry::Vacant(free) => {
                    free.insert(delta);
                }
                std::collections::btree_map::Entry::Occupied(mut held) => {
                    let sum: &mut Delta = Arc::make_mut(held.get_mut());
                    sum.extend(&delta);
                }
            }
        }
    }
}
