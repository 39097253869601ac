//! Z-set deltas: Arrow columns plus one `i64` weight per row.
//!
//! A relation is a bag; a **delta** is the difference of two bags. A row of weight 2 was added twice, a
//! row of weight -1 (a *retraction*) was taken away once. Deltas add up: the sum of all deltas of a
//! relation is its contents, so `weights >= 0` holds for every sum that starts at the empty relation.
//!
//! ```text
//! [(a, 1), (b, 1)]  then  [(a, -1), (c, 2)]   is the bag {b, c, c}
//! ```
//!
//! Rows whose evaluation failed travel beside the good ones as [`ErrorRow`]s with weights of their own:
//! when the row that failed is retracted, its error is retracted with it and the view heals.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::SchemaRef;

/// The weights of a batch; append-only data stores none.
#[derive(Clone, Debug)]
pub enum Weights {
    /// Every row has weight 1.
    One,
    /// Every row has weight -1.
    MinusOne,
    /// One weight per row, never 0.
    Each(ScalarBuffer<i64>),
}

/// Rows with weights: a part of one edge's delta in one tick. Not consolidated unless said so.
#[derive(Clone, Debug)]
pub struct DeltaBatch {
    /// The rows, without any weight column.
    pub columns: RecordBatch,
    /// One weight per row.
    pub weights: Weights,
}

/// A row that could not be evaluated: an error that is data.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorRow {
    /// SQLSTATE, for example `22012`.
    pub sqlstate: String,
    /// The primary message, `PostgreSQL` style; never holds a secret.
    pub message: String,
    /// Hash of the row that failed, so that its retraction finds it again.
    pub row_hash: u64,
}

/// What flows over one edge in one tick.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    /// Good rows.
    pub ok: Vec<DeltaBatch>,
    /// Failed rows with their weights.
    pub err: Vec<(ErrorRow, i64)>,
}

impl Weights {
    /// The weight of row `i`.
    #[must_use]
    pub fn get(&self, i: usize) -> i64 {
        match self {
            Self::One => 1,
            Self::MinusOne => -1,
            Self::Each(w) => w[i],
        }
    }

    /// The same weights with the opposite sign.
    #[must_use]
    pub fn negated(&self) -> Self {
        match self {
            Self::One => Self::MinusOne,
            Self::MinusOne => Self::One,
            Self::Each(w) => Self::Each(w.iter().map(|w| -w).collect()),
        }
    }

    /// Weights `[offset, offset + len)`.
    #[must_use]
    pub fn slice(&self, offset: usize, len: usize) -> Self {
        match self {
            Self::One => Self::One,
            Self::MinusOne => Self::MinusOne,
            Self::Each(w) => Self::Each(w.slice(offset, len)),
        }
    }

    /// The weights of the rows at `indices`, in that order.
    #[must_use]
    pub fn take(&self, indices: &[u32]) -> Self {
        match self {
            Self::One => Self::One,
            Self::MinusOne => Self::MinusOne,
            Self::Each(w) => Self::Each(indices.iter().map(|&i| w[i as usize]).collect()),
        }
    }
}

impl DeltaBatch {
    /// `columns`, each row with weight 1.
    #[must_use]
    pub fn inserts(columns: RecordBatch) -> Self {
        Self { columns, weights: Weights::One }
    }

    /// `columns`, each row with weight -1.
    #[must_use]
    pub fn retractions(columns: RecordBatch) -> Self {
        Self { columns, weights: Weights::MinusOne }
    }

    /// `columns` with one weight per row.
    ///
    /// # Panics
    /// When the lengths differ: that is a broken invariant of the caller.
    #[must_use]
    pub fn weighted(columns: RecordBatch, weights: Vec<i64>) -> Self {
        assert_eq!(columns.num_rows(), weights.len(), "one weight per row");
        Self { columns, weights: Weights::Each(weights.into()) }
    }

    /// Number of rows (not of weight).
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.num_rows()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The schema of the rows.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.columns.schema()
    }

    /// The same rows with opposite weights.
    #[must_use]
    pub fn negated(&self) -> Self {
        Self { columns: self.columns.clone(), weights: self.weights.negated() }
    }

    /// Rows `[offset, offset + len)`, zero copy.
    #[must_use]
    pub fn slice(&self, offset: usize, len: usize) -> Self {
        Self { columns: self.columns.slice(offset, len), weights: self.weights.slice(offset, len) }
    }
}

impl Delta {
    /// A delta of good rows only; empty batches are left out.
    #[must_use]
    pub fn of(batches: impl IntoIterator<Item = DeltaBatch>) -> Self {
        Self { ok: batches.into_iter().filter(|b| !b.is_empty()).collect(), err: Vec::new() }
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.err.is_empty() && self.ok.iter().all(DeltaBatch::is_empty)
    }

    /// Number of good rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.ok.iter().map(DeltaBatch::len).sum()
    }

    /// Whether no row is retracted.
    #[must_use]
    pub fn is_insert_only(&self) -> bool {
        self.ok.iter().all(|b| match &b.weights {
            Weights::One => true,
            Weights::MinusOne => b.is_empty(),
            Weights::Each(w) => w.iter().all(|w| *w > 0),
        })
    }

    /// Adds a batch unless it is empty.
    pub fn push(&mut self, batch: DeltaBatch) {
        if !batch.is_empty() {
            self.ok.push(batch);
        }
    }

    /// Moves everything of `other` here.
    pub fn append(&mut self, mut other: Self) {
        self.ok.append(&mut other.ok);
        self.err.append(&mut other.err);
    }

    /// Adds everything of `other`.
    pub fn extend(&mut self, other: &Self) {
        self.ok.extend(other.ok.iter().cloned());
        self.err.extend(other.err.iter().cloned());
    }

    /// All good rows with weight 1 as the delta of a first fill.
    #[must_use]
    pub fn snapshot(batches: impl IntoIterator<Item = RecordBatch>) -> Arc<Self> {
        Arc::new(Self::of(batches.into_iter().map(DeltaBatch::inserts)))
    }
}
