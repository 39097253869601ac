//! Random rows of the test relation.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use levada_storage::delta::{Delta, DeltaBatch};

/// Columns of the test relation by name.
pub(crate) const K: usize = 0;
pub(crate) const I: usize = 1;
pub(crate) const F: usize = 2;
pub(crate) const S: usize = 3;
pub(crate) const D: usize = 4;
pub(crate) const B: usize = 5;
pub(crate) const T: usize = 6;

/// A row of the test relation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    k: Option<&'static str>,
    i: Option<i64>,
    f: Option<f64>,
    s: Option<&'static str>,
    d: Option<i128>,
    b: Option<bool>,
    t: Option<i64>,
}

/// `SplitMix64`.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        levada_engine::arrangement::hash::mix(self.0)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).expect("below a usize")
    }

    fn pick<T: Copy>(&mut self, values: &[T]) -> Option<T> {
        (self.below(8) > 0).then(|| values[self.below(values.len())])
    }

    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i + 1));
        }
    }

    pub(crate) fn row(&mut self) -> Row {
        const KEYS: [&str; 6] = ["", "a", "b", "key", "a key of more than twelve bytes", "another of them"];
        const FLOATS: [f64; 12] = [
            0.0, -0.0, 0.1, 0.2, -0.3, 1e300, -1e300, 1e-300, 12345.678, f64::NAN, f64::INFINITY, -2.5e9,
        ];
        Row {
            k: self.pick(&KEYS),
            i: self.pick(&[0, 1, 2, 3, 5, -7, 1 << 45, -(1 << 45)]),
            f: self.pick(&FLOATS),
            s: self.pick(&["", "x", "y", "zeta", "a string beyond the inline limit"]),
            d: self.pick(&[0, 1, -1, 12_345, -99, 1_000_000]),
            b: self.pick(&[true, false]),
            t: self.pick(&[0, 1_000_000, -1, 1_700_000_000_000_000]),
        }
    }
}

pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Utf8View, true),
        Field::new("i", DataType::Int64, true),
        Field::new("f", DataType::Float64, true),
        Field::new("s", DataType::Utf8, true),
        Field::new("d", DataType::Decimal128(10, 2), true),
        Field::new("b", DataType::Boolean, true),
        Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, None), true),
    ]))
}

pub(crate) fn batch(rows: &[Row]) -> RecordBatch {
    let decimals: Decimal128Array = rows.iter().map(|r| r.d).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|r| r.k).collect::<StringViewArray>()),
        Arc::new(rows.iter().map(|r| r.i).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.f).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|r| r.s).collect::<StringArray>()),
        Arc::new(decimals.with_precision_and_scale(10, 2).expect("a decimal(10, 2)")),
        Arc::new(rows.iter().map(|r| r.b).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|r| r.t).collect::<TimestampMicrosecondArray>()),
    ];
    RecordBatch::try_new(schema(), columns).expect("the columns of the schema")
}

/// A relation and the random deltas that change it.
pub(crate) struct Relation {
    pub(crate) rows: Vec<Row>,
    insert_only: bool,
}

impl Relation {
    pub(crate) fn new(insert_only: bool) -> Self {
        Self { rows: Vec::new(), insert_only }
    }

    /// A random delta of about `size` rows, applied to the relation.
    pub(crate) fn tick(&mut self, rng: &mut Rng, size: usize) -> Delta {
        let mut changes: Vec<(Row, i64)> = Vec::new();
        for _ in 0..rng.below(size + 1) {
            let weight = if rng.below(5) == 0 { 2 } else { 1 };
            let row = rng.row();
            (0..weight).for_each(|_| self.rows.push(row.clone()));
            changes.push((row, weight));
        }
        if !self.insert_only {
            for _ in 0..rng.below(size) {
                if self.rows.is_empty() {
                    break;
                }
                let row = self.rows.swap_remove(rng.below(self.rows.len()));
                changes.push((row.clone(), -1));
                if rng.below(4) == 0 {
                    // Deleted and inserted again in the same tick.
                    changes.push((row.clone(), 1));
                    self.rows.push(row);
                }
            }
            for _ in 0..rng.below(3) {
                // Never there but inside the tick.
                let row = rng.row();
                changes.extend([(row.clone(), 1), (row, -1)]);
            }
        }
        rng.shuffle(&mut changes);
        delta(rng, &changes)
    }

    /// The delta that takes everything away.
    pub(crate) fn clear(&mut self, rng: &mut Rng) -> Delta {
        let mut changes: Vec<(Row, i64)> = self.rows.drain(..).map(|r| (r, -1)).collect();
        rng.shuffle(&mut changes);
        delta(rng, &changes)
    }
}

/// The changes in batches of random size and kind.
fn delta(rng: &mut Rng, mut changes: &[(Row, i64)]) -> Delta {
    let mut out = Delta::default();
    while !changes.is_empty() {
        let (part, rest) = changes.split_at(1 + rng.below(changes.len()));
        let rows: Vec<Row> = part.iter().map(|c| c.0.clone()).collect();
        let weights: Vec<i64> = part.iter().map(|c| c.1).collect();
        out.push(if weights.iter().all(|w| *w == 1) {
            DeltaBatch::inserts(batch(&rows))
        } else if weights.iter().all(|w| *w == -1) {
            DeltaBatch::retractions(batch(&rows))
        } else {
            DeltaBatch::weighted(batch(&rows), weights)
        });
        changes = rest;
    }
    out
}
