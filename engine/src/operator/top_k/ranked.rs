//! The rows of each partition up to a rank, with all that tie.
//!
//! ```text
//! rows in order   a a | b | c c c | d        | between peers: equal in what the order asks for
//! rank            1 1   3   4 4 4   7
//! dense rank      1 1   2   3 3 3   4
//! ```
//! As with row numbers, a partition is read from its start until the numbers are too high, before and
//! after the change; of an append-only input the rows behind them are dropped, since ranks only grow.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use levada_planner::delta_plan::{Numbering, TopK as TopKNode};
use levada_storage::delta::{Delta, DeltaBatch};

use super::{Shown, difference, shown_rows};
use crate::arrangement::ordered::{OrderedRows, Prefixes};
use crate::arrangement::spine::{Entries, side_by_side};
use crate::error::Result;
use crate::operator::{Operator, OperatorMetrics, RunSink, StateRun, Tick};
use crate::spill::SpillSpace;

/// The operator.
#[derive(Debug)]
pub(super) struct Ranked {
    rows: OrderedRows,
    peers: Prefixes,
    dense: bool,
    /// Numbers up to this one are not shown.
    skip: i64,
    /// Numbers above this one are not shown.
    end: i64,
    insert_only: bool,
    /// Columns of the input, then the number.
    output: Vec<usize>,
    number: usize,
    schema: SchemaRef,
    metrics: OperatorMetrics,
}

/// Rows of some partitions with their numbers.
#[derive(Default)]
struct Numbered {
    entries: Entries,
    numbers: Vec<i64>,
}

/// The first rows of one partition.
struct First {
    range: Range<usize>,
    /// What the keys of the last peers begin with.
    peers: Box<[u8]>,
    /// The number that rows behind them have.
    next: i64,
}

impl Ranked {
    /// The operator for `node` over an input of this schema.
    ///
    /// # Errors
    /// When a column has no order.
    pub(super) fn new(
        node: &TopKNode,
        input: &Schema,
        insert_only: bool,
        output: SchemaRef,
    ) -> Result<Self> {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let rows = OrderedRows::new(input, &node.partition, &node.order)?;
        Ok(Self {
            peers: rows.prefixes(input, &node.order, node.asked)?,
            rows,
            dense: node.numbering == Numbering::DenseRank,
            skip: number(node.skip),
            end: node.fetch.map_or(i64::MAX, |fetch| number(node.skip.saturating_add(fetch))),
            insert_only,
            output: node.output.clone(),
            number: input.fields().len(),
            schema: output,
            metrics: OperatorMetrics::default(),
        })
    }

    /// Adds the rows of a partition whose numbers are not too high to `out`.
    fn read<'a>(
        &self,
        rows: impl Iterator<Item = (&'a [u8], i64)>,
        out: &mut Numbered,
    ) -> Result<First> {
        let start = out.numbers.len();
        let mut first = First { range: start..start, peers: Box::default(), next: 1 };
        let (mut before, mut number) = (0, 0);
        for (key, weight) in rows.filter(|(_, weight)| *weight != 0) {
            if number == 0 || !key.starts_with(&first.peers) {
                if first.next > self.end {
                    break;
                }
                first.peers = self.peers.of(&self.rows, key)?;
                number = first.next;
                first.next += i64::from(self.dense);
            }
            before += weight;
            if !self.dense {
                first.next = before + 1;
            }
            out.entries.push(key, weight)?;
            out.numbers.push(number);
        }
        first.range.end = out.numbers.len();
        Ok(first)
    }

    /// Whether changes from `key` on cannot be seen: they come behind the rows that were read, and their
    /// numbers are too high.
    fn is_beyond(&self, key: &[u8], first: &First, read: &Numbered) -> bool {
        let is_behind = first.range.end.checked_sub(1).is_none_or(|last| {
            first.range.is_empty() || read.entries.key(last) < key && !key.starts_with(&first.peers)
        });
        is_behind && first.next > self.end
    }

    /// What of two lists of one partition differs, in the rows that are shown.
    fn compare(
        &self,
        (old, old_range): (&Numbered, Range<usize>),
        (new, new_range): (&Numbered, Range<usize>),
        out: &mut Vec<Shown>,
    ) {
        let is_numbered = self.output.contains(&self.number);
        let shown = |list: &Numbered, i: usize| {
            let number = list.numbers[i];
            let weight = if number > self.skip { list.entries.weight(i) } else { 0 };
            (weight, number)
        };
        for (a, b) in side_by_side((&old.entries, old_range), (&new.entries, new_range)) {
            let (was, was_number) = a.map_or((0, 0), |i| shown(old, i));
            let (is, is_number) = b.map_or((0, 0), |i| shown(new, i));
            let stays = !is_numbered || was_number == is_number;
            let keys = (a.map(|i| (false, i)), b.map(|i| (true, i)));
            let mut push = |key: Option<(bool, usize)>, weight, number| {
                out.extend(key.filter(|_| weight != 0).map(|key| Shown { key, weight, number }));
            };
            if stays && a.is_some() && b.is_some() {
                push(keys.1, is - was, is_number);
            } else {
                push(keys.0, -was, was_number);
                push(keys.1, is, is_number);
            }
        }
    }
}

impl Operator for Ranked {
    fn step(&mut self, _tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        let mut out = Delta { ok: Vec::new(), err: inputs[0].err.clone() };
        self.metrics.rows_in += inputs[0].rows() as u64;
        let changes = self.rows.changes(inputs[0])?;
        let (mut old, mut new) = (Numbered::default(), Numbered::default());
        let mut affected: Vec<(&[u8], Range<usize>, Range<usize>)> = Vec::new();
        for (range, prefix) in changes.partitions() {
            let was = self.read(self.rows.spine().starting_with(prefix), &mut old)?;
            if !self.is_beyond(changes.entries.key(range.start), &was, &old) {
                affected.push((prefix, range, was.range));
            }
        }
        let mut shown = Vec::new();
        if self.insert_only {
            let mut kept = Entries::default();
            for (_, range, was) in affected {
                let lists = (&old.entries, was.clone());
                let sums = side_by_side(lists, (&changes.entries, range)).filter_map(|(a, b)| {
                    let weight = a.map_or(0, |i| old.entries.weight(i))
                        + b.map_or(0, |i| changes.entries.weight(i));
                    let key = a.map(|i| old.entries.key(i));
                    Some((key.or_else(|| b.map(|i| changes.entries.key(i)))?, weight))
                });
                let is = self.read(sums, &mut new)?.range;
                let lists = ((&old.entries, was.clone()), (&new.entries, is.clone()));
                difference(lists.0, lists.1, &mut kept)?;
                self.compare((&old, was), (&new, is), &mut shown);
            }
            self.rows.apply(&kept)?;
        } else {
            self.rows.apply(&changes.entries)?;
            for (prefix, _, was) in affected {
                let is = self.read(self.rows.spine().starting_with(prefix), &mut new)?.range;
                self.compare((&old, was), (&new, is), &mut shown);
            }
        }
        if !shown.is_empty() {
            let weights = shown.iter().map(|s| s.weight).collect();
            let to = (&self.output[..], &self.schema);
            let columns = shown_rows(&self.rows, &shown, (&old.entries, &new.entries), to)?;
            out.push(DeltaBatch::weighted(columns, weights));
        }
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
        self.rows.metrics(self.metrics)
    }
}
