//! What calls carry from row to row, and marks where it is known.
//!
//! ```text
//! partition   row row row row ... row row | row ... row | row      rows in order
//!                                         ^             ^
//!                                       mark          mark         what the rows before it come to
//! ```
//! A mark says how many rows of its partition are below its key and what the calls carry behind them, so
//! a change costs the rows behind the last mark before it, and what comes at the end costs itself. Marks
//! are never saved: without them a partition is read from its start, once. Those behind a change fall with
//! it; small partitions have none.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::common::utils::evaluate_partition_ranges;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Accumulator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::window::{PlainAggregateWindowExpr, WindowExpr};
use levada_planner::delta_plan::{Running, WindowCall};

use super::call::{Arguments, Collected, Values};
use crate::error::Result;

type Evaluated<T> = std::result::Result<T, DataFusionError>;

/// Rows between two marks that stay.
const APART: u64 = 128;
/// Rows before the first mark.
const UNMARKED: u64 = 16;

/// A place in a partition where it is known what the calls carry.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    /// Every key before it is below this, every one behind it is not.
    pub(super) key: Box<[u8]>,
    /// Rows before it.
    rows: u64,
    /// What each call carries.
    carried: Vec<Vec<ScalarValue>>,
}

impl Mark {
    fn bytes(&self) -> u64 {
        let states = self.carried.iter().flatten().map(ScalarValue::size).sum::<usize>();
        (size_of::<Self>() + self.key.len() + states) as u64
    }
}

/// The marks of all partitions.
#[derive(Debug, Default)]
pub(super) struct Marks {
    of: HashMap<Box<[u8]>, Vec<Mark>>,
    bytes: u64,
}

impl Marks {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds marks of a partition, behind those that it has.
    pub(super) fn extend(&mut self, partition: &[u8], fresh: Vec<Mark>) {
        if fresh.is_empty() {
            return;
        }
        let marks = self.of.entry(partition.into()).or_default();
        for mark in fresh {
            // The last mark stands where the partition ends; it stays if it is far from the one before.
            let before = marks.len().checked_sub(2).map_or(0, |i| marks[i].rows);
            if let Some(last) = marks.pop_if(|last| last.rows - before < APART) {
                self.bytes -= last.bytes();
            }
            self.bytes += mark.bytes();
            marks.push(mark);
        }
    }

    /// The last mark of a partition that is not behind `key`.
    pub(super) fn last_until(&self, partition: &[u8], key: &[u8]) -> Option<&Mark> {
        let marks = self.of.get(partition)?;
        marks[..marks.partition_point(|mark| *mark.key <= *key)].last()
    }

    /// Forgets the marks of a partition behind `key`.
    pub(super) fn cut(&mut self, partition: &[u8], key: &[u8]) {
        let Some(marks) = self.of.get_mut(partition) else { return };
        let kept = marks.partition_point(|mark| *mark.key <= *key);
        self.bytes -= marks.drain(kept..).map(|mark| mark.bytes()).sum::<u64>();
        if marks.is_empty() {
            self.of.remove(partition);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A call that looks at all rows before each.
#[derive(Debug)]
pub(super) struct Carrying {
    call: Arc<dyn WindowExpr>,
    running: Running,
    peers: bool,
    ignore_nulls: bool,
    aggregate: Option<AggregateFunctionExpr>,
    filter: Option<Arc<dyn PhysicalExpr>>,
}

/// What it carries.
enum State {
    Count(i64),
    Value(Option<ScalarValue>),
    Aggregate(Box<dyn Accumulator>),
}

impl Carrying {
    pub(super) fn new(call: &WindowCall, running: Running, peers: bool) -> Self {
        let plain = call.physical.as_any().downcast_ref::<PlainAggregateWindowExpr>();
        Self {
            call: Arc::clone(&call.physical),
            running,
            peers,
            ignore_nulls: call.ignore_nulls,
            aggregate: plain.map(|plain| plain.get_aggregate_expr().clone()),
            filter: call.filter.clone(),
        }
    }

    /// What it carries behind the rows that left `saved`; nothing is saved before the first row.
    fn state(&self, saved: &[ScalarValue]) -> Evaluated<State> {
        match (&self.aggregate, self.running) {
            (Some(aggregate), _) => {
                let mut accumulator = aggregate.create_accumulator()?;
                if !saved.is_empty() {
                    let arrays = saved.iter().map(|value| value.to_array_of_size(1));
                    accumulator.merge_batch(&arrays.collect::<Evaluated<Vec<_>>>()?)?;
                }
                Ok(State::Aggregate(accumulator))
            }
            (None, Running::First | Running::Last) => Ok(State::Value(saved.first().cloned())),
            (None, _) => match saved.first() {
                Some(ScalarValue::Int64(Some(count))) => Ok(State::Count(*count)),
                _ => Ok(State::Count(0)),
            },
        }
    }

    /// What is to be saved of `state`, which is made anew where reading it may have spent it.
    fn save(&self, state: &mut State) -> Evaluated<Vec<ScalarValue>> {
        match state {
            State::Count(count) => Ok(vec![ScalarValue::Int64(Some(*count))]),
            State::Value(value) => Ok(value.iter().cloned().collect()),
            State::Aggregate(accumulator) => {
                let saved = accumulator.state()?;
                *state = self.state(&saved)?;
                Ok(saved)
            }
        }
    }

    /// The values of some peers.
    fn pass(
        &self,
        state: &mut State,
        arguments: &Arguments,
        peers: Range<usize>,
        out: &mut Collected,
    ) {
        if self.peers {
            let count = peers.len();
            out.push(self.take(state, arguments, peers), count);
        } else {
            peers.for_each(|row| out.push(self.take(state, arguments, row..row + 1), 1));
        }
    }

    /// Carries on over `rows`, and gives the value that they share.
    fn take(
        &self,
        state: &mut State,
        arguments: &Arguments,
        mut rows: Range<usize>,
    ) -> Evaluated<ScalarValue> {
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        match state {
            State::Count(before) => {
                let value = *before + 1;
                *before += if self.running == Running::DenseRank { 1 } else { count };
                Ok(ScalarValue::Int64(Some(value)))
            }
            State::Aggregate(sum) => {
                arguments.give(rows, &mut |values| sum.update_batch(values))?;
                sum.evaluate()
            }
            State::Value(value) => {
                let counts = |row: &usize| !self.ignore_nulls || arguments.has_value(*row);
                let found = match self.running {
                    Running::First if value.is_some() => None,
                    Running::First => rows.find(counts),
                    _ => rows.rfind(counts),
                };
                if let Some(row) = found {
                    *value = Some(ScalarValue::try_from_array(&arguments.columns[0], row)?);
                }
                let null = || ScalarValue::try_from(arguments.columns[0].data_type());
                value.clone().map_or_else(null, Ok)
            }
        }
    }
}

/// Rows of one partition, of which `begin` is the first one or that of a mark.
pub(super) struct Walk<'a> {
    pub(super) rows: &'a RecordBatch,
    pub(super) begin: usize,
    /// Where the rows of each key start.
    pub(super) starts: &'a [usize],
}

impl Walk<'_> {
    /// Rows that stay together: peers where a call asks for them, else copies of a row.
    fn units(&self, calls: &[&Carrying]) -> Evaluated<Vec<Range<usize>>> {
        let count = self.rows.num_rows();
        if let Some(call) = calls.iter().find(|call| call.peers) {
            let rows = self.rows.slice(self.begin, count - self.begin);
            let order = call.call.order_by_columns(&rows)?;
            let ranges = evaluate_partition_ranges(rows.num_rows(), &order)?;
            let shifted = |r: Range<usize>| r.start + self.begin..r.end + self.begin;
            return Ok(ranges.into_iter().map(shifted).collect());
        }
        let starts = self.starts.iter().copied().filter(|start| *start >= self.begin);
        let ends = starts.clone().skip(1).chain([count]);
        Ok(starts.zip(ends).map(|(start, end)| start..end).collect())
    }

    /// The values of the calls from `mark` on, and marks on the way: `key` gives the one before a row.
    pub(super) fn values(
        &self,
        calls: &[&Carrying],
        mark: Option<&Mark>,
        key: &dyn Fn(usize) -> Result<Box<[u8]>>,
    ) -> Result<(Vec<Values>, Vec<Mark>)> {
        let mut states = Vec::with_capacity(calls.len());
        let mut arguments = Vec::with_capacity(calls.len());
        let mut collected = Vec::with_capacity(calls.len());
        for (i, call) in calls.iter().enumerate() {
            states.push(call.state(mark.map_or(&[], |mark| &mark.carried[i]))?);
            arguments.push(Arguments::of(&call.call, call.filter.as_ref(), self.rows)?);
            let mut out = Collected::new(call.call.field()?.data_type())?;
            out.skip(self.begin);
            collected.push(out);
        }
        let mut rows = mark.map_or(0, |mark| mark.rows);
        let mut last = rows;
        let mut marks = Vec::new();
        for unit in self.units(calls)? {
            let is_last = unit.end == self.rows.num_rows();
            let is_far = rows - last >= APART || (is_last && rows >= UNMARKED && rows > last);
            if is_far {
                let carried = calls.iter().zip(&mut states).map(|(call, state)| call.save(state));
                let carried = carried.collect::<Evaluated<Vec<_>>>()?;
                marks.push(Mark { key: key(unit.start)?, rows, carried });
                last = rows;
            }
            rows += unit.len() as u64;
            for (((call, state), arguments), out) in
                calls.iter().zip(&mut states).zip(&arguments).zip(&mut collected)
            {
                call.pass(state, arguments, unit.clone(), out);
            }
        }
        let values = collected.into_iter().map(Collected::finish);
        Ok((values.collect::<Evaluated<Vec<_>>>()?, marks))
    }
}
