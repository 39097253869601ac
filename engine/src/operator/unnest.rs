//! Elements of lists as rows, fields of structs as columns.
//!
//! **Meaning**     UNNEST, as bags: a row for each element, beside the row's other columns.
//! **Delta rule**  d(U(A)) = U(dA); a row's weight goes to each of its elements.
//! **State**       none.
//! **Cost**        per input row: its elements.
//! **Time**        as the input.
//!
//! The work is DataFusion's: the delta runs through its operator with the weights as one more column.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::unnest::{ListUnnest, UnnestExec};
use futures::TryStreamExt;
use levada_planner::delta_plan::Unnest as UnnestNode;
use levada_storage::delta::{Delta, DeltaBatch};

use crate::error::{Error, Result};
use crate::operator::evaluate::{batch_of, evaluate_rows};
use crate::operator::{Operator, OperatorMetrics, Tick};

/// The operator.
#[derive(Debug)]
pub struct Unnest {
    node: UnnestNode,
    /// The input's columns and the weight.
    input: SchemaRef,
    /// The output's columns and the weight.
    weighted: SchemaRef,
    schema: SchemaRef,
    metrics: OperatorMetrics,
}

impl Unnest {
    /// The operator for `node` over an input of this schema.
    #[must_use]
    pub fn new(node: &UnnestNode, input: &Schema, output: SchemaRef) -> Self {
        Self {
            node: node.clone(),
            input: with_weight(input),
            weighted: with_weight(&output),
            schema: output,
            metrics: OperatorMetrics::default(),
        }
    }

    /// The elements of rows that end in their weight.
    fn elements(
        &self,
        rows: RecordBatch,
    ) -> std::result::Result<Vec<RecordBatch>, DataFusionError> {
        let source =
            MemorySourceConfig::try_new_exec(&[vec![rows]], Arc::clone(&self.input), None)?;
        let lists = self
            .node
            .lists
            .iter()
            .map(|(column, depth)| ListUnnest { index_in_input_schema: *column, depth: *depth });
        let unnest = UnnestExec::new(
            source,
            lists.collect(),
            self.node.structs.clone(),
            Arc::clone(&self.weighted),
            self.node.options.clone(),
        )?;
        let stream = unnest.execute(0, Arc::new(TaskContext::default()))?;
        // Nothing in it waits: the rows are there.
        futures::executor::block_on(stream.try_collect())
    }
}

impl Operator for Unnest {
    fn step(&mut self, _tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        let mut out = Delta { ok: Vec::new(), err: inputs[0].err.clone() };
        let Delta { ok, err } = &mut out;
        for batch in &inputs[0].ok {
            self.metrics.rows_in += batch.len() as u64;
            let weights = (0..batch.len()).map(|i| batch.weights.get(i));
            let weights: ArrayRef = Arc::new(Int64Array::from_iter_values(weights));
            let mut columns = batch.columns.columns().to_vec();
            columns.push(weights);
            let rows = batch_of(&self.input, columns, batch.len())?;
            let rows = DeltaBatch { columns: rows, weights: batch.weights.clone() };
            let mut take = |_: &DeltaBatch, elements: Vec<RecordBatch>| {
                for mut elements in elements {
                    let last = elements.num_columns() - 1;
                    let weights = elements.remove_column(last);
                    let weights = weights.as_primitive_opt::<Int64Type>().ok_or_else(|| {
                        Error::Internal("unnested rows lost their weights".to_owned())
                    })?;
                    let columns = elements.columns().to_vec();
                    let columns = batch_of(&self.schema, columns, weights.len())?;
                    if !weights.is_empty() {
                        ok.push(DeltaBatch::weighted(columns, weights.values().to_vec()));
                    }
                }
                Ok(())
            };
            let evaluate = |rows: &RecordBatch| self.elements(rows.clone());
            evaluate_rows(&rows, &evaluate, &mut take, err)?;
        }
        self.metrics.rows_out += out.rows() as u64;
        Ok(out)
    }

    fn metrics(&self) -> OperatorMetrics {
        self.metrics
    }
}

fn with_weight(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().cloned();
    let weight = Arc::new(Field::new("__weight", DataType::Int64, false));
    Arc::new(Schema::new(fields.chain([weight]).collect::<Vec<_>>()))
}
