//! Answers as two numbers that any system can compute: rows, and a check value.
//!
//! The check value is a sum over cells: integers as they are, other numbers without their fraction, texts
//! by their length in bytes; NULLs and other types add nothing. Columns whose values are free to differ
//! (ties, rounding) are left out by naming those that count.

use std::ops::AddAssign;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef};
use levada_storage::delta::{Delta, Weights};

/// Row count and check value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Rows, each as often as it occurs.
    pub(crate) rows: i64,
    /// Sum over the cells that count.
    pub(crate) check: i128,
}

/// The columns that count; all when [`None`].
pub(crate) type Counted = Option<&'static [&'static str]>;

impl Answer {
    /// The answer that is made of `batches`.
    ///
    /// # Errors
    /// When a column cannot be read as numbers.
    pub(crate) fn of<'a>(
        batches: impl IntoIterator<Item = &'a RecordBatch>,
        counted: Counted,
    ) -> anyhow::Result<Self> {
        let mut answer = Self::default();
        for batch in batches {
            answer += Self::weighted(batch, &Weights::One, counted)?;
        }
        Ok(answer)
    }

    /// What `delta` of rows of `schema` adds to an answer.
    ///
    /// # Errors
    /// As [`Self::of`], and when a row failed to evaluate.
    pub(crate) fn of_delta(
        delta: &Delta,
        schema: &SchemaRef,
        counted: Counted,
    ) -> anyhow::Result<Self> {
        if let Some((error, _)) = delta.err.first() {
            anyhow::bail!("a row failed: {}", error.message);
        }
        let mut answer = Self::default();
        for batch in &delta.ok {
            let columns = batch.columns.columns().to_vec();
            let named = RecordBatch::try_new(Arc::clone(schema), columns)?;
            answer += Self::weighted(&named, &batch.weights, counted)?;
        }
        Ok(answer)
    }

    fn weighted(batch: &RecordBatch, weights: &Weights, counted: Counted) -> anyhow::Result<Self> {
        let rows = (0..batch.num_rows()).map(|i| weights.get(i)).sum();
        let mut check = 0;
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            if counted.is_none_or(|names| names.contains(&field.name().as_str())) {
                check += sum(column, weights)
                    .with_context(|| format!("could not sum column \"{}\"", field.name()))?;
            }
        }
        Ok(Self { rows, check })
    }
}

impl AddAssign for Answer {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.check += other.check;
    }
}

fn sum(column: &ArrayRef, weights: &Weights) -> anyhow::Result<i128> {
    let data_type = column.data_type();
    if data_type.is_integer() {
        let column = cast(column, &DataType::Int64)?;
        let column = column.as_primitive::<Int64Type>();
        Ok(total(column, weights, |i| i128::from(column.value(i))))
    } else if data_type.is_floating() || data_type.is_decimal() {
        let column = cast(column, &DataType::Float64)?;
        let column = column.as_primitive::<Float64Type>();
        Ok(total(column, weights, |i| whole(column.value(i))))
    } else if data_type.is_string() {
        let column = cast(column, &DataType::Utf8View)?;
        let column = column.as_string_view();
        Ok(total(column, weights, |i| i128::try_from(column.value(i).len()).unwrap_or(0)))
    } else {
        Ok(0)
    }
}

fn total(column: &dyn Array, weights: &Weights, value: impl Fn(usize) -> i128) -> i128 {
    let rows = (0..column.len()).filter(|i| column.is_valid(*i));
    rows.map(|i| i128::from(weights.get(i)) * value(i)).sum()
}

#[expect(clippy::cast_possible_truncation, reason = "the fraction is what goes")]
fn whole(value: f64) -> i128 {
    value.trunc() as i128
}
