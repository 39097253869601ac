//! Rows beside one that is compared with them.
//!
//! **Meaning**     A × B where a.x > b.y (or >=, <, <=), B of one row at most.
//! **Delta rule**  dA where it passes b.y after the tick; of A before it, the rows that a move of b.y passes.
//! **State**       A by x ([`OrderedRows`]); the row of B.
//! **Cost**        per row of dA O(log n); the rows between the old value and the new one. Where columns of
//!                 B are output, a change of them takes back and gives again all rows that pass.
//! **Time**        min of both.
//!
//! ```text
//! A in order of x     . . . . . . . [ . . . . . . . ] NULL NULL          x > y: from the cut to the NULLs
//!                                   ^ cut                                x < y: from the start to the cut
//! ```
//! NULL on either side compares with nothing: a value that is NULL or missing cuts where no row passes.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, Float64Array, RecordBatch, UInt32Array, new_null_array,
};
use arrow::compute::{SortOptions, take};
use arrow::datatypes::{DataType, Float32Type, Float64Type, SchemaRef};
use arrow::row::{RowConverter, SortField};
use levada_planner::delta_plan::{Comparison, SortKey, Threshold as ThresholdNode};
use levada_storage::delta::{Delta, DeltaBatch};

use crate::arrangement::ordered::OrderedRows;
use crate::arrangement::spine::{Entries, Position, Spine};
use crate::error::{Error, Result};
use crate::operator::evaluate::batch_of;
use crate::operator::{Operator, OperatorMetrics, RunSink, StateRun, Tick};
use crate::spill::SpillSpace;

/// The operator.
#[derive(Debug)]
pub struct Threshold {
    rows: OrderedRows,
    one: OrderedRows,
    by_value: RowConverter,
    /// What the keys of rows begin with whose value is NULL.
    null: Box<[u8]>,
    comparison: Comparison,
    value: usize,
    output: Vec<usize>,
    width: usize,
    shows_value: bool,
    schema: SchemaRef,
    read: u64,
    metrics: OperatorMetrics,
}

/// A place between keys: before those that begin with some bytes, or behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cut {
    key: Box<[u8]>,
    behind: bool,
}

impl Cut {
    fn place(&self, spine: &Spine) -> Position {
        if self.behind { spine.seek_behind(&self.key) } else { spine.seek(&self.key) }
    }

    /// Whether a key lies before it.
    fn is_behind(&self, key: &[u8]) -> bool {
        *key < *self.key || (self.behind && key.starts_with(&self.key))
    }
}

/// The row of the second input: its columns, and where it cuts the rows of the first.
struct One {
    columns: Option<Vec<ArrayRef>>,
    cut: Cut,
}

impl Threshold {
    /// The operator for `node` over inputs of these schemas.
    ///
    /// # Errors
    /// When a column has no order.
    pub fn new(node: &ThresholdNode, inputs: [&SchemaRef; 2], output: SchemaRef) -> Result<Self> {
        let options = SortOptions { descending: false, nulls_first: false };
        let all = |schema: &SchemaRef| -> Vec<SortKey> {
            (0..schema.fields().len()).map(|column| SortKey { column, options }).collect()
        };
        let data_type = inputs[1].field(node.value).data_type();
        let field = SortField::new_with_options(data_type.clone(), options);
        let by_value = RowConverter::new(vec![field])?;
        let null = by_value.convert_columns(&[new_null_array(data_type, 1)])?;
        Ok(Self {
            rows: OrderedRows::new(inputs[0], &[], &node.order)?,
            one: OrderedRows::new(inputs[1], &[], &all(inputs[1]))?,
            null: null.row(0).data().into(),
            by_value,
            comparison: node.comparison,
            value: node.value,
            output: node.output.clone(),
            width: inputs[0].fields().len(),
            shows_value: node.shows_value(),
            schema: output,
            read: 0,
            metrics: OperatorMetrics::default(),
        })
    }

    /// Whether rows before the cut pass.
    fn passes_before(&self) -> bool {
        matches!(self.comparison, Comparison::Below | Comparison::NotAbove)
    }

    /// The row of the second input as it is.
    fn one(&self) -> Result<One> {
        let spine = self.one.spine();
        let none = match self.passes_before() {
            true => Cut { key: Box::default(), behind: false },
            false => Cut { key: self.null.clone(), behind: false },
        };
        let Some((key, weight)) = spine.get(spine.seek(&[])) else {
            return Ok(One { columns: None, cut: none });
        };
        if spine.len() > 1 || weight > 1 {
            return Err(Error::Internal("more than one row to compare with".to_owned()));
        }
        let columns = self.one.decode([key])?;
        let value = &columns[self.value];
        let behind = matches!(self.comparison, Comparison::Above | Comparison::NotAbove);
        let cut = match value.is_null(0) {
            true => none,
            false => {
                let key = self.by_value.convert_columns(&[outer_zero(value, behind)])?;
                Cut { key: key.row(0).data().into(), behind }
            }
        };
        Ok(One { columns: Some(columns), cut })
    }

    /// Whether a row passes a cut.
    fn passes(&self, key: &[u8], cut: &Cut) -> bool {
        if self.passes_before() {
            cut.is_behind(key)
        } else {
            !cut.is_behind(key) && *key < *self.null
        }
    }

    /// Adds the rows from one place to another to `out`, with a sign.
    fn between(
        &mut self,
        (from, to): (Position, Position),
        sign: i64,
        out: &mut Entries,
    ) -> Result<()> {
        let spine = self.rows.spine();
        let mut at = from;
        while at < to
            && let Some((key, weight)) = spine.get(at)
        {
            out.push(key, sign * weight)?;
            self.read += 1;
            at = spine.behind(at);
        }
        Ok(())
    }

    /// Adds all rows that pass a cut to `out`, with a sign.
    fn passing(&mut self, cut: &Cut, sign: i64, out: &mut Entries) -> Result<()> {
        let spine = self.rows.spine();
        let (start, place, nulls) = (spine.seek(&[]), cut.place(spine), spine.seek(&self.null));
        let range = if self.passes_before() { (start, place) } else { (place, nulls) };
        self.between(range, sign, out)
    }

    /// Output rows of some rows of the first input beside one of the second.
    fn batch(&self, rows: &Entries, one: Option<&[ArrayRef]>) -> Result<RecordBatch> {
        let columns = self.rows.decode(rows.iter().map(|(key, _)| key))?;
        let first = UInt32Array::from(vec![0; rows.len()]);
        let missing = || Error::Internal("rows that pass nothing".to_owned());
        let column = |c: &usize| match columns.get(*c) {
            Some(column) => Ok(ArrayRef::clone(column)),
            None => Ok(take(&one.ok_or_else(missing)?[*c - self.width], &first, None)?),
        };
        let columns = self.output.iter().map(column).collect::<Result<Vec<_>>>()?;
        Ok(batch_of(&self.schema, columns, rows.len())?)
    }

    fn emit(&self, rows: &Entries, one: &One, out: &mut Delta) -> Result<()> {
        if !rows.is_empty() {
            let weights = rows.iter().map(|(_, weight)| weight).collect();
            let columns = self.batch(rows, one.columns.as_deref())?;
            out.push(DeltaBatch::weighted(columns, weights));
        }
        Ok(())
    }
}

/// A value; of the two zeros, which compare as equal and lie side by side, the last one or the first.
fn outer_zero(value: &ArrayRef, last: bool) -> ArrayRef {
    match value.data_type() {
        DataType::Float64 if value.as_primitive::<Float64Type>().value(0) == 0.0 => {
            Arc::new(Float64Array::from(vec![if last { 0.0 } else { -0.0 }]))
        }
        DataType::Float32 if value.as_primitive::<Float32Type>().value(0) == 0.0 => {
            Arc::new(Float32Array::from(vec![if last { 0.0 } else { -0.0 }]))
        }
        _ => ArrayRef::clone(value),
    }
}

impl Operator for Threshold {
    fn step(&mut self, _tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        let err = inputs.iter().flat_map(|input| input.err.iter().cloned()).collect();
        let mut out = Delta { ok: Vec::new(), err };
        self.metrics.rows_in += inputs.iter().map(|input| input.rows() as u64).sum::<u64>();
        let old = self.one()?;
        let moved = self.one.changes(inputs[1])?;
        self.one.apply(&moved.entries)?;
        let new = self.one()?;
        let mut rows = Entries::default();
        if self.shows_value && !moved.entries.is_empty() {
            self.passing(&old.cut, -1, &mut rows)?;
            self.emit(&rows, &old, &mut out)?;
            rows.clear();
            self.passing(&new.cut, 1, &mut rows)?;
        } else if old.cut != new.cut {
            let places = [&old.cut, &new.cut].map(|cut| cut.place(self.rows.spine()));
            let forward = places[0] < places[1];
            let range = if forward { (places[0], places[1]) } else { (places[1], places[0]) };
            // Moving forward, the cut leaves rows before it that were behind it.
            let sign = if forward == self.passes_before() { 1 } else { -1 };
            self.between(range, sign, &mut rows)?;
        }
        self.emit(&rows, &new, &mut out)?;
        let changes = self.rows.changes(inputs[0])?;
        rows.clear();
        for (key, weight) in changes.entries.iter() {
            if self.passes(key, &new.cut) {
                rows.push(key, weight)?;
            }
        }
        self.emit(&rows, &new, &mut out)?;
        self.rows.apply(&changes.entries)?;
        self.metrics.rows_out += out.rows() as u64;
        Ok(out)
    }

    fn freeze(&mut self, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        self.rows.freeze(0, full, out)?;
        self.one.freeze(1, full, out)
    }

    fn restore(&mut self, runs: &[StateRun]) -> Result<()> {
        self.rows.restore(runs.iter().filter(|run| run.part == 0))?;
        self.one.restore(runs.iter().filter(|run| run.part == 1))
    }

    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        self.rows.spill(space, want)
    }

    fn metrics(&self) -> OperatorMetrics {
        let (rows, one) = (self.rows.metrics(self.metrics), self.one.metrics(self.metrics));
        OperatorMetrics {
            state_rows: rows.state_rows + one.state_rows,
            state_bytes: rows.state_bytes + one.state_bytes,
            spilled_bytes: rows.spilled_bytes,
            state_rows_touched: rows.state_rows_touched + one.state_rows_touched + self.read,
            ..self.metrics
        }
    }
}
