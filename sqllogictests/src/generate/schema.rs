//! Random tables.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use rand::Rng;
use rand::rngs::StdRng;

use super::value::{Row, Type, Value};

/// A table with columns `x0`, `x1`, ...
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Types of its columns.
    pub columns: Vec<Type>,
    /// Whether `x0` is its primary key.
    pub keyed: bool,
}

impl Table {
    /// Random tables `t0`, `t1`, ...
    pub fn random(rng: &mut StdRng) -> Vec<Self> {
        let count = rng.random_range(2..4);
        (0..count).map(|i| Self::one(i, rng)).collect()
    }

    fn one(i: usize, rng: &mut StdRng) -> Self {
        let mut columns: Vec<Type> =
            (0..rng.random_range(2..5)).map(|_| Type::random(rng)).collect();
        // A common first column, so that tables join.
        columns[0] = Type::Int;
        Self { name: format!("t{i}"), columns, keyed: rng.random_bool(0.2) }
    }

    /// Its `CREATE TABLE`.
    #[must_use]
    pub fn sql(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, t)| {
                let key = if self.keyed && i == 0 { " PRIMARY KEY" } else { "" };
                format!("x{i} {}{key}", t.sql())
            })
            .collect();
        format!("CREATE TABLE {} ({})", self.name, columns.join(", "))
    }

    /// A random row.
    pub fn row(&self, rng: &mut StdRng) -> Row {
        let mut row: Row = self.columns.iter().map(|t| t.value(rng)).collect();
        if self.keyed {
            row[0] = Value::Int(rng.random_range(0..30));
        }
        row
    }

    /// Rows as a batch of the schema that the engine shows for the table.
    ///
    /// # Errors
    /// When a value does not fit its column.
    pub fn batch(&self, rows: &[&Row], schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
        let columns = self
            .columns
            .iter()
            .zip(schema.fields())
            .enumerate()
            .map(|(i, (t, field))| cast(&column(*t, rows, i)?, field.data_type()))
            .collect::<Result<_, _>>()?;
        RecordBatch::try_new(SchemaRef::clone(schema), columns)
    }
}

fn column(of: Type, rows: &[&Row], i: usize) -> Result<ArrayRef, ArrowError> {
    let values = rows.iter().map(|row| &row[i]);
    macro_rules! array {
        ($array:ty, $variant:ident) => {
            values
                .map(|v| match v {
                    Value::$variant(v) => Some(v.clone()),
                    _ => None,
                })
                .collect::<$array>()
        };
    }
    Ok(match of {
        Type::Int | Type::Big => Arc::new(array!(Int64Array, Int)),
        Type::Float => Arc::new(array!(Float64Array, Float)),
        Type::Text => Arc::new(array!(StringArray, Text)),
        Type::Bool => Arc::new(array!(BooleanArray, Bool)),
        Type::Date => Arc::new(array!(Date32Array, Day)),
        Type::Moment => Arc::new(array!(TimestampMicrosecondArray, Micros).with_timezone("+00:00")),
        Type::Decimal => {
            let cents = values.map(|v| match v {
                Value::Cents(v) => Some(i128::from(*v)),
                _ => None,
            });
            Arc::new(cents.collect::<Decimal128Array>().with_precision_and_scale(10, 2)?)
        }
    })
}
