//! Rows beside one that is compared with them.
//!
//! **Meaning**     A × B where a.x > b.y (or >=, <, <=), B of one row at most.
//! **Delta rule**  dA where it passes b.y after the tick; of A before it, the rows that a move of b.y passes.
//! **State**       A by x ([`OrderedRows`]); the row of B.
//! **Cost**        per row of dA O(log n); the rows between the old value and the new one. Where columns of
//!                 B are output, a change of them takes back and gives again all rows that pass.
//! **Time**        min of both.
//!
//! The value of B is a [`Cut`] between the rows of A. NULL on either side compares with nothing: a value that is
//! NULL or missing cuts where no row passes.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{SortOptions, take};
use arrow::datatypes::SchemaRef;
use levada_planner::delta_plan::{SortKey, Threshold as ThresholdNode};
use levada_storage::delta::{Delta, DeltaBatch};

use crate::arrangement::ordered::OrderedRows;
use crate::arrangement::spine::{Entries, Position};
use crate::error::{Error, Result};
use crate::operator::cut::{Cut, Cuts};
use crate::operator::evaluate::batch_of;
use crate::operator::{Operator, OperatorMetrics, RunSink, StateRun, Tick};
use crate::spill::SpillSpace;

/// The operator.
#[derive(Debug)]
pub struct Threshold {
    rows: OrderedRows,
    one: OrderedRows,
    cuts: Cuts,
    value: usize,
    output: Vec<usize>,
    width: usize,
    shows_value: bool,
    schema: SchemaRef,
    read: u64,
    metrics: OperatorMetrics,
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
        Ok(Self {
            rows: OrderedRows::new(inputs[0], &[], &node.order)?,
            one: OrderedRows::new(inputs[1], &[], &all(inputs[1]))?,
            cuts: Cuts::new(data_type, node.comparison)?,
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
        self.cuts.comparison().passes_before()
    }

    /// The row of the second input as it is.
    fn one(&self) -> Result<One> {
        let spine = self.one.spine();
        let Some((key, weight)) = spine.get(spine.seek(&[])) else {
            return Ok(One { columns: None, cut: self.cuts.none() });
        };
        if spine.len() > 1 || weight > 1 {
            return Err(Error::Internal("more than one row to compare with".to_owned()));
        }
        let columns = self.one.decode([key])?;
        let cut = self.cuts.at(&columns[self.value], 0)?;
        Ok(One { columns: Some(columns), cut })
    }

    /// Whether a row passes a cut.
    fn passes(&self, key: &[u8], cut: &Cut) -> bool {
        if self.passes_before() {
            cut.is_behind(key)
        } else {
            !cut.is_behind(key) && key < self.cuts.null()
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
        let (start, place, nulls) =
            (spine.seek(&[]), cut.place(spine), spine.seek(self.cuts.null()));
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
