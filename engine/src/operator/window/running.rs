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
use arrow::compute::SortColumn;
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

/// A call on its way over rows of many partitions.
pub(super) struct Carried<'a> {
    call: &'a Carrying,
    arguments: Arguments,
    /// What peers have in common, where the call asks for them.
    order: Vec<SortColumn>,
    out: Collected,
}

impl<'a> Carried<'a> {
    /// Before the first of `rows`.
    pub(super) fn new(call: &'a Carrying, rows: &RecordBatch) -> Evaluated<Self> {
        Ok(Self {
            arguments: Arguments::of(&call.call, call.filter.as_ref(), rows)?,
            order: if call.peers { call.call.order_by_columns(rows)? } else { Vec::new() },
            out: Collected::new(call.call.field()?.data_type())?,
            call,
        })
    }

    /// The next rows are not asked for.
    pub(super) fn skip(&mut self, rows: usize) {
        self.out.skip(rows);
    }

    /// The values of all rows.
    pub(super) fn finish(self) -> Evaluated<Values> {
        self.out.finish()
    }
}

/// Rows of one partition, by their place among all rows.
pub(super) struct Walk<'a> {
    pub(super) rows: Range<usize>,
    /// The first one of the partition, or that of a mark.
    pub(super) begin: usize,
    /// Where the rows of each key start, counted from the first.
    pub(super) starts: &'a [usize],
}

impl Walk<'_> {
    /// Rows that stay together: peers where a call asks for them, else copies of a row.
    fn units(&self, calls: &[&mut Carried<'_>]) -> Evaluated<Vec<Range<usize>>> {
        if let Some(call) = calls.iter().find(|call| call.call.peers) {
            let count = self.rows.end - self.begin;
            let part = |column: &SortColumn| SortColumn {
                values: column.values.slice(self.begin, count),
                options: column.options,
            };
            let order: Vec<SortColumn> = call.order.iter().map(part).collect();
            let shifted = |r: Range<usize>| r.start + self.begin..r.end + self.begin;
            return Ok(evaluate_partition_ranges(count, &order)?
                .into_iter()
                .map(shifted)
                .collect());
        }
        let starts = self.starts.iter().map(|start| self.rows.start + start);
        let starts = starts.filter(|start| *start >= self.begin);
        let ends = starts.clone().skip(1).chain([self.rows.end]);
        Ok(starts.zip(ends).map(|(start, end)| start..end).collect())
    }

    /// Takes the calls from `mark` over the rows, and gives marks on the way: `key` gives the one before a row.
    pub(super) fn carry(
        &self,
        calls: &mut [&mut Carried<'_>],
        mark: Option<&Mark>,
        key: &dyn Fn(usize) -> Result<Box<[u8]>>,
    ) -> Result<Vec<Mark>> {
        let mut states = Vec::with_capacity(calls.len());
        for (i, carried) in calls.iter_mut().enumerate() {
            states.push(carried.call.state(mark.map_or(&[], |mark| &mark.carried[i]))?);
            carried.skip(self.begin - self.rows.start);
        }
        let mut rows = mark.map_or(0, |mark| mark.rows);
        let mut last = rows;
        let mut marks = Vec::new();
        for unit in self.units(calls)? {
            let is_last = unit.end == self.rows.end;
            let is_far = rows - last >= APART || (is_last && rows >= UNMARKED && rows > last);
            if is_far {
                let saved = calls.iter().zip(&mut states).map(|(c, state)| c.call.save(state));
                let carried = saved.collect::<Evaluated<Vec<_>>>()?;
                marks.push(Mark { key: key(unit.start)?, rows, carried });
                last = rows;
            }
            rows += unit.len() as u64;
            for (carried, state) in calls.iter_mut().zip(&mut states) {
                let Carried { call, arguments, out, .. } = &mut **carried;
                call.pass(state, arguments, unit.clone(), out);
            }
        }
        Ok(marks)
    }
}
