//! Rows on one side of a bound that rises with the clock.
//!
//! **Meaning**     σ x > f(now()) A (or >=, <, <=), where f never falls.
//! **Delta rule**  dA where it passes f at the tick; of A before it, the rows that a move of f passes.
//! **State**       the rows of A that f has not passed, by x ([`OrderedRows`]).
//! **Cost**        per row of dA that is kept O(log n); the rows that f passes.
//! **Time**        follows the commit's.
//!
//! ```text
//! in order of x   . . . . . . . [ . . . . . . . . . . ]      x > f: kept rows are shown; passed, they are taken back
//!  passed, not kept             ^ f(now())  kept             x < f: passed rows are shown; passed, they are given
//! ```
//! A row that is passed and not kept is decided for good: its retraction needs no more than the row itself. So
//! the state is the window alone, however much came before. NULL compares with nothing and is not kept.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef, TimeUnit};
use levada_planner::delta_plan::Temporal as TemporalNode;
use levada_storage::delta::{Delta, DeltaBatch};

use crate::arrangement::ordered::OrderedRows;
use crate::arrangement::spine::Entries;
use crate::error::{Error, Result};
use crate::operator::cut::{Cut, Cuts};
use crate::operator::evaluate::batch_of;
use crate::operator::time::{Readings, first};
use crate::operator::{Operator, OperatorMetrics, RunSink, StateRun, Tick};
use crate::spill::SpillSpace;

/// The operator.
#[derive(Debug)]
pub struct Temporal {
    rows: OrderedRows,
    cuts: Cuts,
    bound: Readings,
    /// The column that is compared.
    column: usize,
    /// When the bound passes the first row that is kept, and the key of that.
    due: Option<(Box<[u8]>, i64)>,
    output: Vec<usize>,
    schema: SchemaRef,
    read: u64,
    metrics: OperatorMetrics,
}

impl Temporal {
    /// The operator for `node` over rows of a schema.
    ///
    /// # Errors
    /// When a column has no order.
    pub fn new(node: &TemporalNode, input: &SchemaRef, output: SchemaRef) -> Result<Self> {
        let bound = Readings::new(vec![node.bound.clone()]);
        let column = node.order.first().map_or(0, |key| key.column);
        Ok(Self {
            rows: OrderedRows::new(input, &[], &node.order)?,
            cuts: Cuts::new(&bound.data_type(0)?, node.comparison)?,
            bound,
            column,
            due: None,
            output: node.output.clone(),
            schema: output,
            read: 0,
            metrics: OperatorMetrics::default(),
        })
    }

    /// Whether rows come in when the bound passes them; else they go.
    fn enters(&self) -> bool {
        self.cuts.comparison().passes_before()
    }

    /// Where the bound stands at a time.
    fn cut(&self, now_us: i64) -> Result<Cut> {
        let value = self.value(&[now_us])?;
        if value.is_null(0) {
            return Err(Error::Internal("a bound of the clock has no value".to_owned()));
        }
        self.cuts.at(&value, 0)
    }

    fn value(&self, times: &[i64]) -> Result<ArrayRef> {
        let mut values = self.bound.at(times)?;
        values.pop().ok_or_else(|| Error::Internal("a bound without an expression".to_owned()))
    }

    /// Drops the kept rows that the bound has passed, and adds to `out` what that changes.
    fn pass(&mut self, cut: &Cut, out: &mut Delta) -> Result<()> {
        let spine = self.rows.spine();
        let (mut passed, mut dropped) = (Entries::default(), Entries::default());
        let sign = if self.enters() { 1 } else { -1 };
        for (key, weight) in spine.from(spine.seek(&[])).take_while(|(key, _)| cut.is_behind(key)) {
            passed.push(key, sign * weight)?;
            dropped.push(key, -weight)?;
        }
        self.read += passed.len() as u64;
        self.rows.apply(&dropped)?;
        self.emit(&passed, out)
    }

    fn emit(&self, rows: &Entries, out: &mut Delta) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let columns = self.rows.decode(rows.iter().map(|(key, _)| key))?;
        let columns = self.output.iter().map(|c| ArrayRef::clone(&columns[*c])).collect();
        let weights = rows.iter().map(|(_, weight)| weight).collect();
        let rows: RecordBatch = batch_of(&self.schema, columns, rows.len())?;
        out.push(DeltaBatch::weighted(rows, weights));
        Ok(())
    }

    /// When a bound that moves as the clock does passes the value of a row.
    fn guess(&self, key: &[u8], now_us: i64) -> Result<Option<i64>> {
        let columns = self.rows.decode([key])?;
        let DataType::Timestamp(unit, _) = columns[self.column].data_type() else {
            return Ok(None);
        };
        let number = |value: &ArrayRef| -> Result<i64> {
            let numbers = arrow::compute::cast(value, &DataType::Int64)?;
            Ok(numbers.as_primitive::<Int64Type>().value(0))
        };
        let far = number(&columns[self.column])?.checked_sub(number(&self.value(&[now_us])?)?);
        let micros = far.and_then(|far| match unit {
            TimeUnit::Second => far.checked_mul(1_000_000),
            TimeUnit::Millisecond => far.checked_mul(1_000),
            TimeUnit::Microsecond => Some(far),
            TimeUnit::Nanosecond => Some(far / 1_000),
        });
        Ok(micros.and_then(|micros| now_us.checked_add(micros)))
    }
}

impl Operator for Temporal {
    fn step(&mut self, tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        let mut out = Delta { ok: Vec::new(), err: inputs[0].err.clone() };
        self.metrics.rows_in += inputs[0].rows() as u64;
        let cut = self.cut(tick.now_us)?;
        self.pass(&cut, &mut out)?;
        let changes = self.rows.changes(inputs[0])?;
        let (mut shown, mut kept) = (Entries::default(), Entries::default());
        let valued = changes.entries.iter().take_while(|(key, _)| *key < self.cuts.null());
        for (key, weight) in valued {
            let is_passed = cut.is_behind(key);
            if is_passed == self.enters() {
                shown.push(key, weight)?;
            }
            if !is_passed {
                kept.push(key, weight)?;
            }
        }
        self.emit(&shown, &mut out)?;
        self.rows.apply(&kept)?;
        self.metrics.rows_out += out.rows() as u64;
        Ok(out)
    }

    fn due(&mut self, now_us: i64) -> Result<Option<i64>> {
        let spine = self.rows.spine();
        let Some((key, _)) = spine.get(spine.seek(&[])) else {
            self.due = None;
            return Ok(None);
        };
        if let Some((known, due)) = &self.due
            && **known == *key
        {
            return Ok(Some(*due));
        }
        let passes = |times: &[i64]| -> Result<Vec<bool>> {
            let values = self.value(times)?;
            let passes =
                |i: usize| -> Result<bool> { Ok(self.cuts.at(&values, i)?.is_behind(key)) };
            (0..times.len()).map(passes).collect()
        };
        let due = first(now_us, self.guess(key, now_us)?, &passes);
        self.due = Some((key.into(), due));
        Ok(Some(due))
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
        let rows = self.rows.metrics(self.metrics);
        OperatorMetrics { state_rows_touched: rows.state_rows_touched + self.read, ..rows }
    }
}
