//! Bags of rows, compared bit for bit.
//!
//! A bag maps a row to its multiplicity. The row is held in arrow's row format, which keeps every bit of
//! a value (`-0.0` is not `0.0`, NaN equals itself) and sorts, so that everything made from a bag is in
//! one order.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, PrimitiveArray, RecordBatch, downcast_primitive_array};
use arrow::datatypes::{ArrowPrimitiveType, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use levada_storage::delta::DeltaBatch;

use crate::text;

/// A row in arrow's row format; equal bytes are equal rows.
pub type RowKey = Box<[u8]>;

/// A row of a bag and how often it is there (or, in a difference, how often more).
pub type Change = (RowKey, i64);

/// A bag of rows of one schema.
#[derive(Debug)]
pub struct Bag {
    schema: SchemaRef,
    converter: RowConverter,
    rows: BTreeMap<RowKey, i64>,
}

impl Bag {
    /// The empty bag.
    ///
    /// # Errors
    /// When a column's type cannot be compared.
    pub fn new(schema: SchemaRef) -> Result<Self, ArrowError> {
        let fields = schema.fields().iter().map(|f| SortField::new(f.data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        Ok(Self { schema, converter, rows: BTreeMap::new() })
    }

    /// The rows of some batches.
    ///
    /// # Errors
    /// When a column's type cannot be compared.
    pub fn of(schema: SchemaRef, batches: &[RecordBatch]) -> Result<Self, ArrowError> {
        let mut bag = Self::new(schema)?;
        for batch in batches {
            let rows = bag.converter.convert_columns(batch.columns())?;
            for row in &rows {
                bag.add(&(row.as_ref().into(), 1));
            }
        }
        Ok(bag)
    }

    /// The schema of the rows.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The distinct rows with their multiplicities.
    #[must_use]
    pub fn rows(&self) -> &BTreeMap<RowKey, i64> {
        &self.rows
    }

    /// Adds a change.
    pub fn add(&mut self, (row, weight): &Change) {
        let slot = self.rows.entry(row.clone()).or_insert(0);
        *slot += weight;
        if *slot == 0 {
            self.rows.remove(row);
        }
    }

    /// What must be added to `before` to get `self`: retractions and insertions, by row.
    #[must_use]
    pub fn minus(&self, before: &Self) -> Vec<Change> {
        let mut changes: BTreeMap<&RowKey, i64> = self.rows.iter().map(|(r, n)| (r, *n)).collect();
        for (row, n) in &before.rows {
            *changes.entry(row).or_insert(0) -= n;
        }
        changes.into_iter().filter(|(_, n)| *n != 0).map(|(r, n)| (r.clone(), n)).collect()
    }

    /// The rows as a batch, in the order given.
    ///
    /// # Errors
    /// When a row is not of this schema.
    pub fn batch(&self, rows: &[&RowKey]) -> Result<RecordBatch, ArrowError> {
        let parser = self.converter.parser();
        let columns = self.converter.convert_rows(rows.iter().map(|r| parser.parse(r)))?;
        let columns = columns.iter().map(with_plain_nulls).collect();
        RecordBatch::try_new(SchemaRef::clone(&self.schema), columns)
    }

    /// A row with the columns of `a` where `mine` says so, else of `b`.
    ///
    /// # Errors
    /// When a row is not of this schema.
    pub fn mixed(&self, a: &RowKey, b: &RowKey, mine: &[bool]) -> Result<RowKey, ArrowError> {
        let both = self.batch(&[a, b])?;
        let columns: Vec<ArrayRef> = both
            .columns()
            .iter()
            .zip(mine)
            .map(|(column, mine)| column.slice(usize::from(!mine), 1))
            .collect();
        Ok(self.converter.convert_columns(&columns)?.row(0).as_ref().into())
    }

    /// Changes as a weighted batch; changes of weight beyond one stay one row.
    ///
    /// # Errors
    /// When a row is not of this schema.
    pub fn delta(&self, changes: &[Change]) -> Result<DeltaBatch, ArrowError> {
        let rows: Vec<&RowKey> = changes.iter().map(|(r, _)| r).collect();
        let weights = changes.iter().map(|(_, w)| *w).collect();
        Ok(DeltaBatch::weighted(self.batch(&rows)?, weights))
    }

    /// Changes as text, one line each: `-2 1 abc`.
    #[must_use]
    pub fn describe(&self, changes: &[Change]) -> Vec<String> {
        let rows: Vec<&RowKey> = changes.iter().map(|(r, _)| r).collect();
        match self.batch(&rows) {
            Ok(batch) => text::lines(&batch)
                .into_iter()
                .zip(changes)
                .map(|(line, (_, weight))| format!("{weight:+} {line}"))
                .collect(),
            Err(e) => vec![format!("rows cannot be printed: {e}")],
        }
    }
}

/// The column with a zero below each NULL. Decoding leaves the smallest value there, on which functions
/// that compute below NULLs overflow.
fn with_plain_nulls(column: &ArrayRef) -> ArrayRef {
    if column.null_count() == 0 {
        return ArrayRef::clone(column);
    }
    let values = column.as_ref();
    downcast_primitive_array!(
        values => zeroed(values),
        _ => ArrayRef::clone(column),
    )
}

fn zeroed<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>) -> ArrayRef {
    let value = |i| if column.is_null(i) { T::default_value() } else { column.value(i) };
    let values: Vec<T::Native> = (0..column.len()).map(value).collect();
    let plain = PrimitiveArray::<T>::new(values.into(), column.nulls().cloned());
    Arc::new(plain.with_data_type(column.data_type().clone()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, RecordBatch, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::Bag;

    fn bag(rows: &[(f64, Option<&str>)]) -> Bag {
        let schema = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Float64, true),
            Field::new("b", DataType::Utf8, true),
        ]));
        let batch = RecordBatch::try_new(
            Arc::clone(&schema),
            vec![
                Arc::new(Float64Array::from_iter_values(rows.iter().map(|r| r.0))),
                Arc::new(rows.iter().map(|r| r.1).collect::<StringArray>()),
            ],
        )
        .unwrap();
        Bag::of(schema, &[batch]).unwrap()
    }

    #[test]
    fn a_difference_names_rows_with_weights_and_keeps_bits() {
        let before = bag(&[(0.0, None), (1.0, Some("x")), (1.0, Some("x"))]);
        let after = bag(&[(-0.0, None), (1.0, Some("x"))]);
        let changes = after.minus(&before);
        let mut lines = after.describe(&changes);
        lines.sort();
        assert_eq!(lines, ["+1 -0 NULL", "-1 0 NULL", "-1 1 x"]);
    }

    #[test]
    fn adding_the_difference_gives_the_other_bag() {
        let mut before = bag(&[(f64::NAN, None), (2.0, Some(""))]);
        let after = bag(&[(f64::NAN, None), (f64::NAN, None)]);
        for change in after.minus(&before) {
            before.add(&change);
        }
        assert_eq!(before.rows(), after.rows());
    }
}
