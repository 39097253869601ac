//! The distinct values of an aggregate, and how often each has come.

use std::collections::HashMap;
use std::hash::Hash;

/// A bag of values of which only the kinds count; a value may be taken away as often as it came.
#[derive(Debug)]
pub(super) struct Distinct<V> {
    counts: HashMap<V, i64>,
}

impl<V: Copy + Eq + Hash + Ord> Distinct<V> {
    /// No values.
    pub(super) fn new() -> Self {
        Self { counts: HashMap::new() }
    }

    /// Adds a value `weight` times.
    pub(super) fn add(&mut self, value: V, weight: i64) {
        let count = self.counts.entry(value).or_insert(0);
        *count += weight;
        if *count == 0 {
            self.counts.remove(&value);
        }
    }

    /// How many values differ.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// The values in order: what is made of them does not depend on how they came.
    pub(super) fn sorted(&self) -> Vec<V> {
        let mut values: Vec<V> = self.counts.keys().copied().collect();
        values.sort_unstable();
        values
    }

    /// Bytes of the table: a value, its count and the table's own word each.
    pub(super) fn bytes(&self) -> usize {
        self.counts.capacity() * (size_of::<V>() + 16)
    }
}

#[cfg(test)]
mod tests {
    use super::Distinct;

    #[test]
    fn a_value_is_there_as_long_as_it_came_more_often_than_it_went() {
        let mut values = Distinct::new();
        for (value, weight) in [(7, 1), (3, 1), (7, 1), (3, -1), (7, -1)] {
            values.add(value, weight);
        }
        assert_eq!((values.sorted(), values.len()), (vec![7], 1), "7 came twice and went once");
    }
}
