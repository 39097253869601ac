//! Columns that Parquet cannot hold as they are.
//!
//! SQL's `interval` is Arrow's month-day-nanosecond interval, for which Parquet has no type. It is stored
//! as a struct that any reader understands, marked in the field's metadata:
//!
//! ```text
//! interval  ->  struct<months: int32, days: int32, nanos: int64>   levada.type = interval
//! ```
//! All other columns are stored as they are.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, Int64Array, IntervalMonthDayNanoArray, RecordBatch,
    RecordBatchOptions, StructArray,
};
use arrow::datatypes::{
    DataType, Field, FieldRef, Fields, Int32Type, Int64Type, IntervalMonthDayNano,
    IntervalMonthDayNanoType, IntervalUnit, Schema, SchemaRef,
};
use parquet::errors::ParquetError;

use crate::error::{Error, Result};

const TYPE: &str = "levada.type";
const INTERVAL: &str = "interval";

/// The schema under which rows of `schema` are stored.
///
/// # Errors
/// [`Error::Parquet`] for a type that cannot be stored.
pub(super) fn stored_schema(schema: &SchemaRef) -> Result<SchemaRef> {
    let mut changed = false;
    let mut fields = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        if is_interval(field.data_type()) {
            changed = true;
            fields.push(stored_field(field));
        } else {
            storable(field)?;
            fields.push(Arc::clone(field));
        }
    }
    if !changed {
        return Ok(Arc::clone(schema));
    }
    Ok(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
}

/// The rows of `batch` under `stored`, its stored schema.
pub(super) fn to_stored(batch: &RecordBatch, stored: &SchemaRef) -> Result<RecordBatch> {
    if !stored.fields().iter().any(|field| is_stored_interval(field)) {
        return Ok(batch.clone());
    }
    let columns = batch.columns().iter().map(|column| {
        column
            .as_primitive_opt::<IntervalMonthDayNanoType>()
            .map_or_else(|| Arc::clone(column), split)
    });
    rebuild(Arc::clone(stored), columns.collect(), batch.num_rows())
}

/// The schema of the rows that a file of the schema `stored` holds.
pub(super) fn row_schema(stored: &SchemaRef) -> SchemaRef {
    if !stored.fields().iter().any(|field| is_stored_interval(field)) {
        return Arc::clone(stored);
    }
    let fields = stored.fields().iter().map(|field| {
        if !is_stored_interval(field) {
            return Arc::clone(field);
        }
        let mut metadata = field.metadata().clone();
        metadata.remove(TYPE);
        let interval = DataType::Interval(IntervalUnit::MonthDayNano);
        let row = Field::new(field.name(), interval, field.is_nullable());
        Arc::new(row.with_metadata(metadata))
    });
    Arc::new(Schema::new_with_metadata(fields.collect::<Fields>(), stored.metadata().clone()))
}

/// The rows of a stored batch under `rows`, the schema of [`row_schema`].
pub(super) fn to_rows(batch: RecordBatch, rows: &SchemaRef) -> Result<RecordBatch> {
    if !batch.schema_ref().fields().iter().any(|field| is_stored_interval(field)) {
        return Ok(batch);
    }
    let columns =
        batch.schema_ref().fields().iter().zip(batch.columns()).map(|(field, column)| match column
            .as_struct_opt()
        {
            Some(parts) if is_stored_interval(field) => join(parts),
            _ => Some(Arc::clone(column)),
        });
    let columns = columns.collect::<Option<_>>().ok_or_else(|| {
        Error::from(ParquetError::General("a stored interval lacks its parts".to_owned()))
    })?;
    rebuild(Arc::clone(rows), columns, batch.num_rows())
}

fn rebuild(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

fn is_interval(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(IntervalUnit::MonthDayNano))
}

fn is_stored_interval(field: &Field) -> bool {
    field.metadata().get(TYPE).is_some_and(|value| value == INTERVAL)
}

/// Refuses what the Parquet writer would stumble over.
fn storable(field: &FieldRef) -> Result<()> {
    match field.data_type() {
        DataType::Interval(IntervalUnit::MonthDayNano) | DataType::Union(..) => {
            let detail = format!("column \"{}\" of type {}", field.name(), field.data_type());
            Err(Error::from(ParquetError::NYI(detail)))
        }
        DataType::List(inner)
        | DataType::LargeList(inner)
        | DataType::FixedSizeList(inner, _)
        | DataType::Map(inner, _) => storable(inner),
        DataType::Struct(fields) => fields.iter().try_for_each(storable),
        _ => Ok(()),
    }
}

fn parts() -> Fields {
    Fields::from(vec![
        Field::new("months", DataType::Int32, false),
        Field::new("days", DataType::Int32, false),
        Field::new("nanos", DataType::Int64, false),
    ])
}

fn stored_field(field: &Field) -> FieldRef {
    let mut metadata = field.metadata().clone();
    metadata.insert(TYPE.to_owned(), INTERVAL.to_owned());
    let stored = Field::new(field.name(), DataType::Struct(parts()), field.is_nullable());
    Arc::new(stored.with_metadata(metadata))
}

fn split(intervals: &IntervalMonthDayNanoArray) -> ArrayRef {
    let values = intervals.values();
    let months: Int32Array = values.iter().map(|value| value.months).collect();
    let days: Int32Array = values.iter().map(|value| value.days).collect();
    let nanos: Int64Array = values.iter().map(|value| value.nanoseconds).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(months), Arc::new(days), Arc::new(nanos)];
    Arc::new(StructArray::new(parts(), columns, intervals.nulls().cloned()))
}

fn join(stored: &StructArray) -> Option<ArrayRef> {
    let months = stored.column_by_name("months")?.as_primitive_opt::<Int32Type>()?;
    let days = stored.column_by_name("days")?.as_primitive_opt::<Int32Type>()?;
    let nanos = stored.column_by_name("nanos")?.as_primitive_opt::<Int64Type>()?;
    let values = (0..stored.len())
        .map(|i| IntervalMonthDayNano::new(months.value(i), days.value(i), nanos.value(i)));
    let intervals = IntervalMonthDayNanoArray::new(values.collect(), stored.nulls().cloned());
    Some(Arc::new(intervals))
}
