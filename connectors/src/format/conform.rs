//! Batches of a self-describing format made to match the declared columns.
//!
//! A value that the declared type cannot hold, or a NULL where none may be, makes its row a reject: no
//! value turns into NULL, wraps or loses its fraction silently. The reject's raw bytes are the row as a JSON object.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::kernels::cmp::neq;
use arrow::compute::{CastOptions, cast_with_options, filter};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use arrow::util::display::array_value_to_string;

use crate::error::{Error, Result};
use crate::format::csv::column::{Fault, null_fault, type_fault};
use crate::format::shape::sql_name;
use crate::source::Reject;

/// Good rows in the declared columns, and the others.
pub(crate) struct Conformed {
    /// Rows of the declared schema; may be empty.
    pub(crate) rows: RecordBatch,
    /// Rows that do not fit, in order.
    pub(crate) rejects: Vec<Reject>,
}

/// Casts the columns of `batch`, which stand in the order of `schema`; its first row is row `row` (from
/// 1) of `path`.
pub(crate) fn conform(
    batch: &RecordBatch,
    schema: &SchemaRef,
    path: &str,
    row: u64,
) -> Result<Conformed> {
    let mut faults: Vec<Fault> = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for (array, field) in batch.columns().iter().zip(schema.fields()) {
        let cast = if array.data_type() == field.data_type() {
            Arc::clone(array)
        } else {
            let safe = CastOptions { safe: true, ..CastOptions::default() };
            cast_with_options(array, field.data_type(), &safe)
                .map_err(|e| Error::arrow("convert a column", e))?
        };
        let lost = cast.logical_null_count() > array.logical_null_count();
        if lost || (!field.is_nullable() && cast.logical_null_count() > 0) {
            faults.resize(batch.num_rows(), None);
            for (i, fault) in faults.iter_mut().enumerate().filter(|(i, _)| cast.is_null(*i)) {
                if fault.is_some() {
                    continue;
                }
                if array.is_valid(i) {
                    let (name, kind) = (field.name(), sql_name(field.data_type()));
                    let error = format!("column \"{name}\": value is out of range for type {kind}");
                    *fault = Some(("22003", error));
                } else if !field.is_nullable() {
                    *fault = Some(null_fault(field));
                }
            }
        }
        if let Some(changed) = changed(array, &cast)? {
            faults.resize(batch.num_rows(), None);
            for i in (0..batch.num_rows()).filter(|i| changed.is_valid(*i) && changed.value(*i)) {
                let text = array_value_to_string(array, i)
                    .map_err(|e| Error::arrow("print a value", e))?;
                faults[i].get_or_insert_with(|| type_fault(field, &text));
            }
        }
        arrays.push(cast);
    }
    let mut rows = batch.num_rows();
    if faults.iter().any(Option::is_some) {
        let good = BooleanArray::from_iter(faults.iter().map(|f| Some(f.is_none())));
        rows = good.true_count();
        for array in &mut arrays {
            *array = filter(array, &good).map_err(|e| Error::arrow("drop bad rows", e))?;
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let rows = RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)
        .map_err(|e| Error::arrow("build a batch", e))?;
    let mut rejects = Vec::new();
    for (i, fault) in faults.into_iter().enumerate() {
        let Some((sqlstate, error)) = fault else { continue };
        let raw = as_json(&batch.slice(i, 1)).map_err(|e| Error::arrow("print a bad row", e))?;
        let line = row + u64::try_from(i).expect("rows of a batch fit 64 bits");
        rejects.push(Reject::new(path, line, &raw, raw.len() as u64, sqlstate, error));
    }
    Ok(Conformed { rows, rejects })
}

/// Where a conversion into integers or dates dropped a part of the value.
fn changed(array: &ArrayRef, cast: &ArrayRef) -> Result<Option<BooleanArray>> {
    let (from, to) = (array.data_type(), cast.data_type());
    let drops = (to.is_integer() && (from.is_floating() || from.is_decimal()))
        || (matches!(to, DataType::Date32) && matches!(from, DataType::Timestamp(..)));
    if !drops {
        return Ok(None);
    }
    let back = cast_with_options(cast, from, &CastOptions { safe: true, ..CastOptions::default() });
    let differ = back.and_then(|back| neq(&back, array));
    let differ = differ.map_err(|e| Error::arrow("compare converted values", e))?;
    Ok((differ.true_count() > 0).then_some(differ))
}

fn as_json(row: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(row)?;
    writer.finish()?;
    let mut raw = writer.into_inner();
    raw.truncate(raw.trim_ascii_end().len());
    Ok(raw)
}
