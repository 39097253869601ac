//! How many partners the rows of one side have on the other.
//!
//! An outer join, a semijoin and their kin depend on whether a row has a partner at all, so they watch the
//! number cross zero. When equal keys are all it takes to be partners, one number per key is enough; else
//! every row has its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::ArrayRef;

use crate::arrangement::keyed::KeyedState;
use crate::arrangement::log::Moves;
use crate::arrangement::pages::Pages;
use crate::error::{Error, Result};
use crate::spill::SpillSpace;

/// What is known of the partners of a side's rows.
#[derive(Debug)]
pub(super) enum Partners {
    /// They do not matter.
    Ignored,
    /// The number of partners of a key; a key without any is not there.
    ByKey(Box<KeyedState>),
    /// The number of partners of each row.
    ByRow(ByRow),
}

/// The number of partners by row id.
#[derive(Debug)]
pub(super) struct ByRow {
    counts: Pages<i64>,
    /// Changes of the running phase.
    pending: BTreeMap<u32, i64>,
}

/// What crossed zero.
#[derive(Debug, Default)]
pub(super) struct Flips<T> {
    /// Has partners and had none.
    pub(super) gained: T,
    /// Had partners and has none.
    pub(super) lost: T,
}

impl Partners {
    /// Whether anything is known.
    pub(super) fn matter(&self) -> bool {
        !matches!(self, Self::Ignored)
    }
}

/// The number of partners of each of `rows` keys.
pub(super) fn partners_of(counts: &KeyedState, keys: &[ArrayRef], rows: usize) -> Result<Vec<i64>> {
    let found = counts.lookup(keys, rows)?;
    Ok(found.into_iter().map(|slot| slot.map_or(0, |s| counts.weight(s))).collect())
}

/// Keys whose number of partners changes in a phase.
#[derive(Debug, Default)]
pub(super) struct KeyChanges {
    slots: Vec<u32>,
    hashes: Vec<u64>,
    had: Vec<bool>,
}

impl KeyChanges {
    /// Adds partners to keys.
    pub(super) fn add(
        &mut self,
        counts: &mut KeyedState,
        keys: &[ArrayRef],
        weights: &[i64],
    ) -> Result<()> {
        let found = counts.find_or_insert(keys, weights.len())?;
        for ((slot, hash), weight) in found.slots.iter().zip(found.hashes).zip(weights) {
            if counts.touch(*slot) {
                self.slots.push(*slot);
                self.hashes.push(hash);
                self.had.push(counts.weight(*slot) > 0);
            }
            counts.add_weight(*slot, *weight);
        }
        Ok(())
    }

    /// The keys that crossed zero; those without partners leave the state.
    pub(super) fn settle(self, counts: &mut KeyedState) -> Result<Flips<(Vec<ArrayRef>, usize)>> {
        let (mut gained, mut lost) = (Vec::new(), Vec::new());
        for (slot, had) in self.slots.iter().zip(&self.had) {
            match (had, counts.weight(*slot)) {
                (_, ..0) => return Err(negative()),
                (false, 1..) => gained.push(*slot),
                (true, 0) => lost.push(*slot),
                (false, 0) | (true, 1..) => {}
            }
        }
        let flips = Flips {
            gained: (counts.gather_keys(&gained)?, gained.len()),
            lost: (counts.gather_keys(&lost)?, lost.len()),
        };
        for (slot, hash) in self.slots.into_iter().zip(self.hashes) {
            if counts.weight(slot) == 0 {
                counts.remove(slot, hash);
            }
        }
        Ok(flips)
    }
}

impl ByRow {
    pub(super) fn new() -> Self {
        Self { counts: Pages::new(1), pending: BTreeMap::new() }
    }

    /// Sets the numbers of new rows from `first` on.
    pub(super) fn insert(&mut self, first: u32, counts: impl Iterator<Item = i64>) {
        for (row, count) in (first..).zip(counts) {
            self.counts.grow(row as usize + 1);
            self.counts.get_mut(row)[0] = count;
        }
    }

    /// Notes a change of a row's number.
    pub(super) fn add(&mut self, row: u32, weight: i64) {
        *self.pending.entry(row).or_default() += weight;
    }

    /// The rows that crossed zero, ascending.
    pub(super) fn settle(&mut self) -> Result<Flips<Vec<u32>>> {
        let mut flips: Flips<Vec<u32>> = Flips::default();
        for (row, change) in std::mem::take(&mut self.pending) {
            let count = &mut self.counts.get_mut(row)[0];
            let before = *count;
            *count += change;
            match (before > 0, *count) {
                (_, ..0) => return Err(negative()),
                (false, 1..) => flips.gained.push(row),
                (true, 0) => flips.lost.push(row),
                (false, 0) | (true, 1..) => {}
            }
        }
        Ok(flips)
    }

    /// Follows rows to their new ids; `live` are the old ids of those that live, ascending.
    pub(super) fn compacted(&mut self, live: &[u32], moves: &Moves) {
        let mut fresh = Pages::within(1, self.counts.space().cloned());
        fresh.grow(live.len());
        for row in live {
            fresh.get_mut(moves.of(*row))[0] = self.counts.get(*row)[0];
        }
        self.counts = fresh;
    }

    /// Moves all of it to spill space; how many bytes of memory that freed.
    pub(super) fn spill(&mut self, space: &Arc<SpillSpace>) -> Result<usize> {
        self.counts.spill(space)
    }

    /// Bytes of it in spill space.
    pub(super) fn spilled(&self) -> u64 {
        if self.counts.space().is_some() { self.bytes() } else { 0 }
    }

    /// Bytes it occupies.
    pub(super) fn bytes(&self) -> u64 {
        self.counts.bytes() as u64
    }
}

fn negative() -> Error {
    Error::Internal("a join's partners were retracted more often than added".to_owned())
}
