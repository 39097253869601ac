//! `VALUES` and the empty relation: rows that are there from the first tick on.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, Values};
use datafusion::scalar::ScalarValue;

use super::{Builder, compile, output_schema};
use crate::delta_plan::{NodeId, Op, Properties};
use crate::error::Result;

impl Builder<'_> {
    pub(super) fn values(&mut self, plan: &LogicalPlan, values: &Values) -> Result<NodeId> {
        let schema = output_schema(plan.schema());
        let one = one_row()?;
        let empty = datafusion::common::DFSchema::empty();
        let cell = |expr: &Expr, data_type| -> Result<ScalarValue> {
            let value = compile(expr, &empty)?.evaluate(&one)?;
            let array = value.into_array(1)?;
            Ok(ScalarValue::try_from_array(&array, 0)?.cast_to(data_type)?)
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for (i, field) in schema.fields().iter().enumerate() {
            let cells = values
                .values
                .iter()
                .map(|row| cell(&row[i], field.data_type()))
                .collect::<Result<Vec<_>>>()?;
            columns.push(ScalarValue::iter_to_array(cells)?);
        }
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
            .map_err(datafusion::error::DataFusionError::from)?;
        Ok(self.add(Op::Constant(batch), vec![], schema, constant()))
    }

    pub(super) fn empty(&mut self, plan: &LogicalPlan, empty: &EmptyRelation) -> Result<NodeId> {
        let schema = output_schema(plan.schema());
        let batch = if empty.produce_one_row && schema.fields().is_empty() {
            one_row()?
        } else if empty.produce_one_row {
            return self.recompute(plan, "constant row");
        } else {
            RecordBatch::new_empty(Arc::clone(&schema))
        };
        Ok(self.add(Op::Constant(batch), vec![], schema, constant()))
    }
}

fn constant() -> Properties {
    Properties { insert_only: true, unique_keys: Vec::new() }
}

/// One row without columns.
fn one_row() -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let schema = Arc::new(Schema::empty());
    RecordBatch::try_new_with_options(schema, vec![], &options)
        .map_err(|e| datafusion::error::DataFusionError::from(e).into())
}
