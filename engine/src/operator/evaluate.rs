//! Evaluation of expressions over delta batches, with the rows that fail set apart.
//!
//! An expression fails for a whole batch. The batch is split in halves until the failing rows stand
//! alone; those become error rows, all others are evaluated as if the failing ones were not there.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use levada_storage::delta::{DeltaBatch, ErrorRow};

use crate::arrangement::hash::{HashWidth, hash_columns};
use crate::error::Result;
use crate::operator::row_error::error_row;

type Evaluated<T> = std::result::Result<T, DataFusionError>;

/// Calls `evaluate` on `batch`, or on its parts without the failing rows, and `ok` with each part and its
/// value; failing rows go to `err` with their weights.
pub(crate) fn evaluate_rows<T>(
    batch: &DeltaBatch,
    evaluate: &dyn Fn(&RecordBatch) -> Evaluated<T>,
    ok: &mut dyn FnMut(&DeltaBatch, T) -> Result<()>,
    err: &mut Vec<(ErrorRow, i64)>,
) -> Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    match evaluate(&batch.columns) {
        Ok(value) => ok(batch, value),
        Err(error) if batch.len() == 1 => {
            let hash = hash_columns(batch.columns.columns(), 1, HashWidth::Full)?[0];
            err.push((error_row(&error, hash), batch.weights.get(0)));
            Ok(())
        }
        Err(_) => {
            let half = batch.len() / 2;
            evaluate_rows(&batch.slice(0, half), evaluate, ok, err)?;
            evaluate_rows(&batch.slice(half, batch.len() - half), evaluate, ok, err)
        }
    }
}

/// The value of an expression for each row; a plain column is shared, not evaluated.
pub(crate) fn column_value(
    expression: &Arc<dyn PhysicalExpr>,
    rows: &RecordBatch,
) -> Evaluated<ArrayRef> {
    if let Some(column) = expression.downcast_ref::<Column>() {
        return Ok(ArrayRef::clone(rows.column(column.index())));
    }
    expression.evaluate(rows)?.into_array(rows.num_rows())
}

/// Where a predicate is true.
pub(crate) fn true_rows(
    predicate: &Arc<dyn PhysicalExpr>,
    rows: &RecordBatch,
) -> Evaluated<BooleanArray> {
    let value = column_value(predicate, rows)?;
    let value = value.as_boolean_opt().ok_or_else(|| {
        DataFusionError::Internal(format!("a predicate of type {}", value.data_type()))
    })?;
    if value.null_count() == 0 {
        return Ok(value.clone());
    }
    Ok(arrow::compute::prep_null_mask_filter(value))
}

/// A batch of `schema` with `rows` rows; the columns may be none.
pub(crate) fn batch_of(
    schema: &SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> std::result::Result<RecordBatch, arrow::error::ArrowError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}
