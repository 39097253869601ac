//! Window functions over the partitions that change.
//!
//! **Meaning**     f OVER (PARTITION BY p ORDER BY o frame): the input columns and one value per call.
//! **Delta rule**  per partition that dA touches: the difference of its output before and after.
//! **State**       all rows by partition and order ([`OrderedRows`]); no output is stored.
//! **Cost**        per input row O(log n); every row of a changed partition is read and evaluated twice.
//! **Time**        as the input.
//!
//! Rows that are there before and after are paired by their place in the order; a pair is emitted only
//! if a value changed. A partition whose evaluation fails is an error row instead, and heals.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array, new_empty_array};
use arrow::compute::{concat, take_arrays};
use arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::window::WindowExpr;
use levada_planner::delta_plan::Window as WindowNode;
use levada_storage::delta::{Delta, DeltaBatch, ErrorRow};

use crate::arrangement::equal::{Equality, retain_equal};
use crate::arrangement::ordered::{Changes, OrderedRows};
use crate::arrangement::spine::{Entries, side_by_side};
use crate::arrangement::{retain, to_u32};
use crate::error::Result;
use crate::operator::evaluate::batch_of;
use crate::operator::row_error::error_row;
use crate::operator::{Operator, OperatorMetrics, RunSink, StateRun, Tick};
use crate::spill::SpillSpace;

/// The operator.
#[derive(Debug)]
pub struct Window {
    rows: OrderedRows,
    calls: Vec<Arc<dyn WindowExpr>>,
    input: SchemaRef,
    schema: SchemaRef,
    read: u64,
    metrics: OperatorMetrics,
}

/// The output of some partitions.
#[derive(Default)]
struct Output {
    /// Key of each row.
    keys: Entries,
    /// Rows of each partition.
    partitions: Vec<Range<usize>>,
    /// Input columns, then values.
    columns: Vec<ArrayRef>,
    errors: Vec<ErrorRow>,
}

/// Rows of the output before and after.
#[derive(Default)]
struct Rows {
    old: Vec<u32>,
    new: Vec<u32>,
}

impl Window {
    /// The operator for `node` over an input of this schema.
    ///
    /// # Errors
    /// When a column has no order.
    pub fn new(node: &WindowNode, input: &SchemaRef, output: SchemaRef) -> Result<Self> {
        Ok(Self {
            rows: OrderedRows::new(input, &node.partition, &node.order)?,
            calls: node.calls.iter().map(|call| Arc::clone(&call.physical)).collect(),
            input: Arc::clone(input),
            schema: output,
            read: 0,
            metrics: OperatorMetrics::default(),
        })
    }

    /// The output of the partitions of `changes`, as they are.
    fn output(&mut self, changes: &Changes) -> Result<Output> {
        let mut output = Output::default();
        for (_, prefix) in changes.partitions() {
            let first = output.keys.len();
            for (key, weight) in self.rows.spine().starting_with(prefix) {
                for _ in 0..weight {
                    output.keys.push(key, 1)?;
                }
            }
            output.partitions.push(first..output.keys.len());
        }
        self.read += output.keys.len() as u64;
        let rows = output.keys.len();
        let columns = self.rows.decode(output.keys.iter().map(|(key, _)| key))?;
        let batch = batch_of(&self.input, columns, rows)?;
        let mut values: Vec<Vec<ArrayRef>> = vec![Vec::new(); self.calls.len()];
        for (partition, (_, prefix)) in output.partitions.iter_mut().zip(changes.partitions()) {
            if partition.start == partition.end {
                continue;
            }
            match self.evaluate(&batch.slice(partition.start, partition.len())) {
                Ok(evaluated) => {
                    values.iter_mut().zip(evaluated).for_each(|(all, one)| all.push(one));
                }
                Err(error) => {
                    output.errors.push(error_row(&error, hash_of(prefix)));
                    for (call, all) in values.iter_mut().enumerate() {
                        let data_type = self.schema.field(self.input.fields().len() + call);
                        let nulls =
                            arrow::array::new_null_array(data_type.data_type(), partition.len());
                        all.push(nulls);
                    }
                    *partition = partition.start..partition.start;
                }
            }
        }
        output.columns = batch.columns().to_vec();
        for (call, parts) in values.iter().enumerate() {
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            let data_type = self.schema.field(self.input.fields().len() + call).data_type();
            output.columns.push(if parts.is_empty() {
                new_empty_array(data_type)
            } else {
                concat(&parts)?
            });
        }
        Ok(output)
    }

    /// The values of one partition.
    fn evaluate(&self, rows: &RecordBatch) -> std::result::Result<Vec<ArrayRef>, DataFusionError> {
        self.calls.iter().map(|call| call.evaluate(rows)).collect()
    }

    /// The rows to retract and to insert.
    fn differing(&self, old: &Output, new: &Output) -> Result<Rows> {
        let (mut differing, mut paired) = (Rows::default(), Rows::default());
        for (was, is) in old.partitions.iter().zip(&new.partitions) {
            let old = (&old.keys, was.clone());
            for (a, b) in side_by_side(old, (&new.keys, is.clone())) {
                let rows = if a.is_some() && b.is_some() { &mut paired } else { &mut differing };
                rows.old.extend(a.map(to_u32).transpose()?);
                rows.new.extend(b.map(to_u32).transpose()?);
            }
        }
        let mut same = vec![true; paired.old.len()];
        for value in self.input.fields().len()..self.schema.fields().len() {
            let (old, new) = (&old.columns[value], &new.columns[value]);
            let pairs = ((old, &paired.old[..]), (new, &paired.new[..]));
            retain_equal(pairs.0, pairs.1, Equality::Bits, &mut same)?;
        }
        let changed: Vec<bool> = same.iter().map(|s| !s).collect();
        retain(&mut paired.old, &changed);
        retain(&mut paired.new, &changed);
        differing.old.extend(paired.old);
        differing.new.extend(paired.new);
        Ok(differing)
    }

    fn batch(&self, output: &Output, rows: Vec<u32>) -> Result<RecordBatch> {
        let count = rows.len();
        let columns = take_arrays(&output.columns, &UInt32Array::from(rows), None)?;
        Ok(batch_of(&self.schema, columns, count)?)
    }
}

/// Identity of a partition's errors.
fn hash_of(prefix: &[u8]) -> u64 {
    // FNV-1a: errors are few.
    prefix.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Operator for Window {
    fn step(&mut self, _tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        let mut out = Delta { ok: Vec::new(), err: inputs[0].err.clone() };
        self.metrics.rows_in += inputs[0].rows() as u64;
        let changes = self.rows.changes(inputs[0])?;
        if changes.entries.is_empty() {
            return Ok(out);
        }
        let old = self.output(&changes)?;
        self.rows.apply(&changes.entries)?;
        let new = self.output(&changes)?;
        let rows = self.differing(&old, &new)?;
        out.err.extend(old.errors.iter().map(|error| (error.clone(), -1)));
        out.err.extend(new.errors.iter().map(|error| (error.clone(), 1)));
        out.push(DeltaBatch::retractions(self.batch(&old, rows.old)?));
        out.push(DeltaBatch::inserts(self.batch(&new, rows.new)?));
        self.metrics.rows_out += out.rows() as u64;
        Ok(out)
    }

    fn freeze(&mut self, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        self.rows.freeze(0, full, out)
    }

    fn restore(&mut self, runs: &[StateRun]) -> Result<()> {
        self.rows.restore(runs)
    }

    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        self.rows.spill(space, want)
    }

    fn metrics(&self) -> OperatorMetrics {
        let metrics = self.rows.metrics(self.metrics);
        OperatorMetrics { state_rows_touched: metrics.state_rows_touched + self.read, ..metrics }
    }
}
