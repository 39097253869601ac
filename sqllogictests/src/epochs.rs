//! Cuts one change of a table into epochs.
//!
//! The sum of the epochs is the change; what lies between is up to the mode. The random cut adds steps
//! that cancel out: rows deleted and inserted again in one epoch, rows absent for a while, duplicates
//! that come and go, rows that never belonged (columns mixed from others), epochs without any row.
//! With a primary key, a row is never there twice and retractions come before insertions.

use std::collections::BTreeSet;

use arrow::error::ArrowError;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

use crate::bag::{Bag, Change, RowKey};

/// One epoch of a table: weighted rows, not consolidated.
pub type EpochChanges = Vec<Change>;

/// Each row of the change is an epoch of its own, retractions first.
#[must_use]
pub fn one_row_each(changes: &[Change]) -> Vec<EpochChanges> {
    units(changes).into_iter().map(|unit| vec![unit]).collect()
}

/// Changes of weight 1 or -1, retractions first.
fn units(changes: &[Change]) -> Vec<Change> {
    let unit = |(row, weight): &Change| {
        let count = usize::try_from(weight.unsigned_abs()).unwrap_or(usize::MAX);
        std::iter::repeat_n((row.clone(), weight.signum()), count).collect::<Vec<_>>()
    };
    let retractions = changes.iter().filter(|c| c.1 < 0).flat_map(unit);
    let insertions = changes.iter().filter(|c| c.1 > 0).flat_map(unit);
    retractions.chain(insertions).collect()
}

/// A random cut of the change of a table with contents `before`; `key` are the positions of the primary
/// key's columns, if there is one.
///
/// # Errors
/// When rows cannot be decoded.
pub fn random(
    changes: &[Change],
    before: &Bag,
    key: &[usize],
    rng: &mut StdRng,
) -> Result<Vec<EpochChanges>, ArrowError> {
    let mut units = units(changes);
    if key.is_empty() {
        units.shuffle(rng);
    } else {
        let insertions = units.partition_point(|u| u.1 < 0);
        units[..insertions].shuffle(rng);
        units[insertions..].shuffle(rng);
    }
    let longest = *[1, 2, 3, 8, 1_000].choose(rng).unwrap_or(&1);
    let mut epochs = Vec::new();
    while !units.is_empty() {
        let length = rng.random_range(1..=longest).min(units.len());
        epochs.push(units.drain(..length).collect());
    }
    if epochs.is_empty() || rng.random_bool(0.3) {
        epochs.push(Vec::new());
    }
    let mut noise = Noise { changes, before, key, used: BTreeSet::new(), rng };
    for _ in 0..noise.rng.random_range(0..4) {
        noise.add(&mut epochs)?;
    }
    Ok(epochs)
}

struct Noise<'a> {
    changes: &'a [Change],
    before: &'a Bag,
    key: &'a [usize],
    used: BTreeSet<RowKey>,
    rng: &'a mut StdRng,
}

impl Noise<'_> {
    fn add(&mut self, epochs: &mut Vec<EpochChanges>) -> Result<(), ArrowError> {
        match self.rng.random_range(0..5) {
            0 => {
                let at = self.rng.random_range(0..=epochs.len());
                epochs.insert(at, Vec::new());
            }
            1 => {
                if let Some(row) = self.untouched() {
                    let at = self.rng.random_range(0..epochs.len());
                    epochs[at].extend([(row.clone(), -1), (row, 1)]);
                }
            }
            2 => {
                if let Some(row) = self.untouched() {
                    self.for_a_while(epochs, &[(row, -1)]);
                }
            }
            3 if self.key.is_empty() => {
                let rows: Vec<&RowKey> =
                    self.before.rows().keys().chain(self.changes.iter().map(|c| &c.0)).collect();
                if let Some(row) = rows.choose(self.rng) {
                    let times = self.rng.random_range(1..3);
                    self.for_a_while(epochs, &[((*row).clone(), times)]);
                }
            }
            _ => self.stranger(epochs)?,
        }
        Ok(())
    }

    /// A row that is there and that nothing else in the plan touches.
    fn untouched(&mut self) -> Option<RowKey> {
        let changed: BTreeSet<&RowKey> = self.changes.iter().map(|c| &c.0).collect();
        let rows: Vec<&RowKey> = self
            .before
            .rows()
            .keys()
            .filter(|r| !changed.contains(r) && !self.used.contains(*r))
            .collect();
        let row = (*rows.choose(self.rng)?).clone();
        self.used.insert(row.clone());
        Some(row)
    }

    /// Adds changes to one epoch and takes them back in a later one.
    fn for_a_while(&mut self, epochs: &mut Vec<EpochChanges>, changes: &[Change]) {
        let from = self.rng.random_range(0..epochs.len());
        let until = self.rng.random_range(from + 1..=epochs.len());
        if until == epochs.len() {
            epochs.push(Vec::new());
        }
        epochs[from].extend_from_slice(changes);
        epochs[until].extend(changes.iter().rev().map(|(row, weight)| (row.clone(), -weight)));
    }

    /// A row mixed from two others; with a key, it takes the place of the row whose key it has.
    fn stranger(&mut self, epochs: &mut Vec<EpochChanges>) -> Result<(), ArrowError> {
        let rows: Vec<RowKey> = self.before.rows().keys().cloned().collect();
        let Some(other) = rows.choose(self.rng).cloned() else { return Ok(()) };
        let Some(row) = self.untouched() else { return Ok(()) };
        let columns = self.before.schema().fields().len();
        let mine: Vec<bool> =
            (0..columns).map(|c| self.key.contains(&c) || self.rng.random()).collect();
        let mixed = self.before.mixed(&row, &other, &mine)?;
        if self.key.is_empty() {
            self.for_a_while(epochs, &[(mixed, 1)]);
        } else if mixed != row {
            self.for_a_while(epochs, &[(row, -1), (mixed, 1)]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatch};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::{one_row_each, random};
    use crate::bag::{Bag, Change};

    fn bag(rows: &[(i64, i64)]) -> Bag {
        let batch = RecordBatch::try_from_iter([
            ("k", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0))) as _),
            ("v", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.1))) as _),
        ])
        .unwrap();
        Bag::of(batch.schema(), &[batch]).unwrap()
    }

    fn sum(before: &[(i64, i64)], epochs: &[Vec<Change>], unique: bool) -> Bag {
        let mut bag = bag(before);
        for epoch in epochs {
            for change in epoch {
                bag.add(change);
            }
            assert!(bag.rows().values().all(|n| *n > 0 && (!unique || *n == 1)));
        }
        bag
    }

    #[test]
    fn any_cut_sums_up_to_the_change() {
        let (old, new) = ([(1, 1), (2, 2), (3, 3), (4, 4)], [(1, 1), (2, 9), (5, 5), (4, 4)]);
        let changes = bag(&new).minus(&bag(&old));
        let single = one_row_each(&changes);
        assert_eq!(single.len(), 4);
        assert_eq!(sum(&old, &single, true).rows(), bag(&new).rows());
        let mut lengths = Vec::new();
        for seed in 0..300 {
            let mut rng = StdRng::seed_from_u64(seed);
            let key: &[usize] = if seed % 2 == 0 { &[0] } else { &[] };
            let epochs = random(&changes, &bag(&old), key, &mut rng).unwrap();
            assert_eq!(sum(&old, &epochs, !key.is_empty()).rows(), bag(&new).rows());
            lengths.push(epochs.len());
        }
        assert!(lengths.iter().max() > lengths.iter().min());
    }
}
