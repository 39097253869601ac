//! The digest of a tick: one number for all it changed, whatever the order in which it did so.
//!
//! ```text
//! digest = sum over the views' changed rows of  weight * mix(hash(row) ^ mix(view))     modulo 2^64
//! ```
//! A commit carries the digest of the tick before it. Replay makes the tick again and compares: a tick that
//! comes out differently was not deterministic, and is reported.

use levada_storage::delta::{Delta, Weights};

use crate::arrangement::hash::{HashWidth, hash_columns, mix};
use crate::error::Result;

/// What a view's delta adds to the digest of its tick.
///
/// # Errors
/// When a column cannot be hashed.
pub(crate) fn of_view(view: u32, delta: &Delta) -> Result<u64> {
    let salt = mix(u64::from(view));
    let mut sum = 0_u64;
    for batch in &delta.ok {
        let hashes = hash_columns(batch.columns.columns(), batch.len(), HashWidth::Full)?;
        let terms = hashes.into_iter().map(|hash| mix(hash ^ salt));
        let part = match &batch.weights {
            Weights::One => terms.fold(0_u64, u64::wrapping_add),
            Weights::MinusOne => terms.fold(0_u64, u64::wrapping_sub),
            Weights::Each(weights) => {
                terms.zip(weights.iter()).fold(0_u64, |sum, (term, weight)| {
                    sum.wrapping_add(term.wrapping_mul(weight.cast_unsigned()))
                })
            }
        };
        sum = sum.wrapping_add(part);
    }
    for (row, weight) in &delta.err {
        let text = row.sqlstate.bytes().chain(row.message.bytes());
        let hash = text.fold(row.row_hash, |hash, byte| mix(hash ^ u64::from(byte)));
        sum = sum.wrapping_add(mix(hash ^ salt).wrapping_mul(weight.cast_unsigned()));
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatch, StringArray};
    use levada_storage::delta::DeltaBatch;

    use super::*;

    fn rows(rows: &[(i64, &str)]) -> RecordBatch {
        let numbers = Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>());
        let words = Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.1)));
        RecordBatch::try_from_iter([("n", numbers as _), ("w", words as _)]).expect("rows")
    }

    fn digest(batches: impl IntoIterator<Item = DeltaBatch>) -> u64 {
        of_view(7, &Delta::of(batches)).expect("a digest")
    }

    #[test]
    fn order_cut_and_notation_do_not_matter_but_rows_do() {
        let whole = digest([DeltaBatch::inserts(rows(&[(1, "a"), (2, "b"), (2, "b")]))]);
        let cut = [
            DeltaBatch::weighted(rows(&[(2, "b")]), vec![2]),
            DeltaBatch::inserts(rows(&[(3, "c"), (1, "a")])),
            DeltaBatch::retractions(rows(&[(3, "c")])),
        ];
        assert_eq!(digest(cut), whole);
        assert_ne!(digest([DeltaBatch::inserts(rows(&[(1, "a"), (2, "b")]))]), whole);
        let other = Delta::of([DeltaBatch::inserts(rows(&[(1, "a"), (2, "b"), (2, "b")]))]);
        assert_ne!(of_view(8, &other).expect("a digest"), whole, "of another view");
    }
}
