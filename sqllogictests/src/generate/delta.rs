//! Random epochs.
//!
//! An epoch moves the clock, or does not, and changes one table. It inserts rows, deletes rows that are there, deletes and inserts again
//! the same row, inserts duplicates, replaces rows under a key, empties the table, or does nothing.

use rand::Rng;
use rand::rngs::StdRng;

use super::schema::Table;
use super::value::{Row, Value};

/// Changes of one table, committed together.
#[derive(Clone, Debug)]
pub struct Epoch {
    /// Position of the table.
    pub table: usize,
    /// Seconds that the clock is moved by before.
    pub seconds: i64,
    /// Rows with weights; a row may come up twice.
    pub changes: Vec<(Row, i64)>,
}

/// The rows of all tables.
#[derive(Clone, Debug)]
pub struct Contents {
    tables: Vec<Vec<Row>>,
    keyed: Vec<bool>,
}

impl Contents {
    /// Empty tables.
    #[must_use]
    pub fn new(tables: &[Table]) -> Self {
        Self {
            tables: vec![Vec::new(); tables.len()],
            keyed: tables.iter().map(|t| t.keyed).collect(),
        }
    }

    /// A random epoch; the contents follow it.
    pub fn epoch(&mut self, tables: &[Table], rng: &mut StdRng) -> Epoch {
        let table = rng.random_range(0..tables.len());
        let mut changes = Vec::new();
        match rng.random_range(0..12) {
            0 => {}
            1 => changes.extend(self.tables[table].iter().map(|r| (r.clone(), -1))),
            _ => {
                for _ in 0..rng.random_range(1..6) {
                    self.step(table, &tables[table], &mut changes, rng);
                }
            }
        }
        let seconds = [0, 0, 0, 1, 14, 15, 30, 61][rng.random_range(0..8)];
        let epoch = Epoch { table, seconds, changes };
        // What a step proposed may be impossible after an earlier one of the same epoch.
        self.follow(&epoch)
    }

    fn step(&self, at: usize, table: &Table, changes: &mut Vec<(Row, i64)>, rng: &mut StdRng) {
        let rows = &self.tables[at];
        let present = if rows.is_empty() {
            None
        } else {
            Some(rows[rng.random_range(0..rows.len())].clone())
        };
        match (rng.random_range(0..8), present) {
            (0..3, Some(row)) => changes.push((row, -1)),
            (3, Some(row)) => changes.extend([(row.clone(), -1), (row, 1)]),
            (4, Some(row)) => {
                let mut other = table.row(rng);
                other[0] = row[0].clone();
                changes.extend([(row, -1), (other, 1)]);
            }
            (5, _) if !table.keyed => changes.push((table.row(rng), rng.random_range(1..4))),
            _ => changes.push((table.row(rng), 1)),
        }
    }

    /// The epochs that empty all tables.
    #[must_use]
    pub fn clearing(&self) -> Vec<Epoch> {
        let clear = |rows: &Vec<Row>| rows.iter().map(|row| (row.clone(), -1)).collect();
        let tables = self.tables.iter().enumerate();
        tables.map(|(table, rows)| Epoch { table, seconds: 0, changes: clear(rows) }).collect()
    }

    /// Applies the changes that are possible and returns them: no retraction of a row that was not
    /// there when the epoch began, no second row with one key.
    pub fn follow(&mut self, epoch: &Epoch) -> Epoch {
        let keyed = self.keyed[epoch.table];
        let rows = &mut self.tables[epoch.table];
        let mut fresh: Vec<Row> = Vec::new();
        let mut changes = Vec::new();
        for (row, weight) in &epoch.changes {
            if *weight < 0 {
                if let Some(at) = rows.iter().position(|r| r == row) {
                    rows.swap_remove(at);
                    changes.push((row.clone(), -1));
                }
            } else {
                let taken = |r: &Row| r[0] == row[0];
                let taken = keyed
                    && (row[0] == Value::Null || rows.iter().any(taken) || fresh.iter().any(taken));
                if !taken {
                    let count = usize::try_from(*weight).unwrap_or(0);
                    fresh.extend(std::iter::repeat_n(row.clone(), count));
                    changes.push((row.clone(), *weight));
                }
            }
        }
        rows.append(&mut fresh);
        Epoch { table: epoch.table, seconds: epoch.seconds, changes }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::Contents;
    use crate::generate::schema::Table;

    #[test]
    fn epochs_are_possible_and_of_every_kind() {
        let (mut empty, mut retracting, mut again) = (0, 0, 0);
        for seed in 0..50 {
            let mut rng = StdRng::seed_from_u64(seed);
            let tables = Table::random(&mut rng);
            let mut contents = Contents::new(&tables);
            for _ in 0..20 {
                let before = contents.clone();
                let epoch = contents.epoch(&tables, &mut rng);
                let followed = before.clone().follow(&epoch);
                assert_eq!(followed.changes, epoch.changes, "an epoch is possible as it stands");
                empty += usize::from(epoch.changes.is_empty());
                retracting += usize::from(epoch.changes.iter().any(|c| c.1 < 0));
                again += usize::from(epoch.changes.windows(2).any(|w| w[0].0 == w[1].0));
            }
        }
        assert!(empty > 20 && retracting > 100 && again > 20, "{empty} {retracting} {again}");
    }
}
