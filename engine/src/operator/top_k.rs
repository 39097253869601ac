//! The first rows of each partition in an order.
//!
//! **Meaning**     ORDER BY … LIMIT/OFFSET, DISTINCT ON, `row_number() OVER (…) <= k`: rows `skip` to
//!                 `skip + fetch` of each partition, with their number if asked for.
//! **Delta rule**  per partition that dA touches before its last shown row: the difference of what is
//!                 shown before and after.
//! **State**       all rows in order ([`OrderedRows`]); of an append-only input just those that can show.
//! **Cost**        per input row O(log n); per changed partition `skip + fetch` rows read.
//! **Time**        as the input.
//!
//! Of rows numbered by rank see [`ranked`].
//!
//! OFFSET without LIMIT shows all rows but the first `skip`: what is shown changes by dA less the change
//! of those.

mod few;
mod ranked;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use levada_planner::delta_plan::{Numbering, TopK as TopKNode};
use levada_storage::delta::{Delta, DeltaBatch};

use crate::arrangement::hash::HashWidth;
use crate::arrangement::ordered::OrderedRows;
use crate::arrangement::project;
use crate::arrangement::spine::{Entries, side_by_side};
use crate::error::Result;
use crate::operator::evaluate::batch_of;
use crate::operator::top_k::few::{FEW, Few};
use crate::operator::top_k::ranked::Ranked;
use crate::operator::{Operator, OperatorMetrics, RunSink, StateRun, Tick};
use crate::spill::SpillSpace;

/// The operator.
#[derive(Debug)]
pub struct TopK {
    rows: OrderedRows,
    /// Rows before the first that is shown.
    skip: i64,
    /// Rows before the first that is not read any more.
    end: i64,
    /// Whether the rows that are read are those that are not shown.
    hides: bool,
    insert_only: bool,
    /// Columns of the input, then the number.
    output: Vec<usize>,
    number: usize,
    schema: SchemaRef,
    metrics: OperatorMetrics,
}

/// A change of the output.
struct Shown {
    /// Which list holds the key, and where.
    key: (bool, usize),
    weight: i64,
    number: i64,
}

/// The operator for `node` over an input of this schema.
///
/// # Errors
/// When a column has no order.
pub fn top_k(
    node: &TopKNode,
    input: &Schema,
    insert_only: bool,
    output: SchemaRef,
    width: HashWidth,
) -> Result<Box<dyn Operator>> {
    if node.numbering != Numbering::Row {
        return Ok(Box::new(Ranked::new(node, input, insert_only, output)?));
    }
    let is_few = node.fetch.is_some_and(|fetch| (1..=FEW).contains(&(node.skip + fetch)));
    if insert_only && is_few && !node.partition.is_empty() {
        return Ok(Box::new(Few::new(node, input, output, width)?));
    }
    Ok(Box::new(TopK::new(node, input, insert_only, output)?))
}

impl TopK {
    /// The operator for `node` over an input of this schema.
    ///
    /// # Errors
    /// When a column has no order.
    pub fn new(
        node: &TopKNode,
        input: &Schema,
        insert_only: bool,
        output: SchemaRef,
    ) -> Result<Self> {
        let rows = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let (skip, end) = match node.fetch {
            Some(fetch) => (rows(node.skip), rows(node.skip).saturating_add(rows(fetch))),
            None => (0, rows(node.skip)),
        };
        Ok(Self {
            rows: OrderedRows::new(input, &node.partition, &node.order)?,
            skip,
            end,
            hides: node.fetch.is_none(),
            insert_only: insert_only && node.fetch.is_some(),
            output: node.output.clone(),
            number: input.fields().len(),
            schema: output,
            metrics: OperatorMetrics::default(),
        })
    }

    /// Adds the first rows of a partition to `top`.
    fn read(&self, prefix: &[u8], top: &mut Entries) -> Result<Range<usize>> {
        let first = top.len();
        let mut left = self.end;
        for (key, weight) in self.rows.spine().starting_with(prefix) {
            if left <= 0 {
                break;
            }
            top.push(key, weight.min(left))?;
            left -= weight;
        }
        Ok(first..top.len())
    }

    /// Adds the first rows of the sum of `old` and `changes` to `top`.
    fn merge(
        &self,
        (old, old_range): (&Entries, Range<usize>),
        (changes, range): (&Entries, Range<usize>),
        top: &mut Entries,
    ) -> Result<Range<usize>> {
        let first = top.len();
        let mut left = self.end;
        for (a, b) in side_by_side((old, old_range), (changes, range)) {
            if left <= 0 {
                break;
            }
            let weight = a.map_or(0, |i| old.weight(i)) + b.map_or(0, |i| changes.weight(i));
            if let Some(key) = a.map(|i| old.key(i)).or_else(|| b.map(|i| changes.key(i))) {
                top.push(key, weight.min(left))?;
            }
            left -= weight;
        }
        Ok(first..top.len())
    }

    /// Whether changes from `first` on cannot be seen: all that shows comes before.
    fn is_beyond(&self, first: &[u8], (top, range): (&Entries, &Range<usize>)) -> bool {
        let shown: i64 = range.clone().map(|i| top.weight(i)).sum();
        shown >= self.end && range.end > range.start && top.key(range.end - 1) < first
    }

    /// What of two lists of one partition differs, in the rows that are shown.
    fn compare(
        &self,
        (old, old_range): (&Entries, Range<usize>),
        (new, new_range): (&Entries, Range<usize>),
        out: &mut Vec<Shown>,
    ) {
        if self.output.contains(&self.number) {
            let (mut olds, mut news) = (self.units(old, old_range), self.units(new, new_range));
            loop {
                let (a, b) = (olds.next(), news.next());
                if a.is_none() && b.is_none() {
                    return;
                }
                if let (Some((i, _)), Some((j, _))) = (a, b)
                    && old.key(i) == new.key(j)
                {
                    continue;
                }
                out.extend(a.map(|(i, number)| Shown { key: (false, i), weight: -1, number }));
                out.extend(b.map(|(j, number)| Shown { key: (true, j), weight: 1, number }));
            }
        }
        let was = self.shown(old, old_range.clone());
        let is = self.shown(new, new_range.clone());
        let (old_first, new_first) = (old_range.start, new_range.start);
        for (a, b) in side_by_side((old, old_range), (new, new_range)) {
            let weight = b.map_or(0, |j| is[j - new_first]) - a.map_or(0, |i| was[i - old_first]);
            let key = b.map(|j| (true, j)).or_else(|| a.map(|i| (false, i)));
            if let Some(key) = key.filter(|_| weight != 0) {
                out.push(Shown { key, weight, number: 0 });
            }
        }
    }

    /// How many rows of each entry of a list are shown.
    fn shown(&self, top: &Entries, range: Range<usize>) -> Vec<i64> {
        let mut skip = self.skip;
        let weights = range.map(|i| {
            let hidden = skip.min(top.weight(i));
            skip -= hidden;
            top.weight(i) - hidden
        });
        weights.collect()
    }

    /// The rows that are shown one by one, with their numbers from 1.
    fn units(
        &self,
        top: &Entries,
        range: Range<usize>,
    ) -> impl Iterator<Item = (usize, i64)> + use<> {
        let weights = self.shown(top, range.clone());
        let rows = range
            .zip(weights)
            .flat_map(|(i, weight)| std::iter::repeat_n(i, usize::try_from(weight).unwrap_or(0)));
        rows.zip(self.skip + 1..)
    }
}

/// The output rows of changes: some columns, of which the one behind those of the rows is the number.
fn shown_rows(
    rows: &OrderedRows,
    shown: &[Shown],
    (old, new): (&Entries, &Entries),
    (output, schema): (&[usize], &SchemaRef),
) -> Result<RecordBatch> {
    let key = |s: &Shown| if s.key.0 { new.key(s.key.1) } else { old.key(s.key.1) };
    let columns = rows.decode(shown.iter().map(key))?;
    let column = |c: &usize| match columns.get(*c) {
        Some(column) => ArrayRef::clone(column),
        None => Arc::new(Int64Array::from_iter_values(shown.iter().map(|s| s.number))) as _,
    };
    Ok(batch_of(schema, output.iter().map(column).collect(), shown.len())?)
}

impl Operator for TopK {
    fn step(&mut self, _tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        let mut out = Delta { ok: Vec::new(), err: inputs[0].err.clone() };
        self.metrics.rows_in += inputs[0].rows() as u64;
        let changes = self.rows.changes(inputs[0])?;
        let (mut old, mut new) = (Entries::default(), Entries::default());
        // Of the partitions where something may show: prefix, changes, what was shown.
        let mut affected: Vec<(&[u8], Range<usize>, Range<usize>)> = Vec::new();
        for (range, prefix) in changes.partitions() {
            let was = self.read(prefix, &mut old)?;
            if !self.is_beyond(changes.entries.key(range.start), (&old, &was)) {
                affected.push((prefix, range, was));
            }
        }
        let mut shown = Vec::new();
        if self.insert_only {
            let mut kept = Entries::default();
            for (_, range, was) in affected {
                let first = new.len();
                let is = self.merge((&old, was.clone()), (&changes.entries, range), &mut new)?;
                difference((&old, was.clone()), (&new, first..is.end), &mut kept)?;
                self.compare((&old, was), (&new, is), &mut shown);
            }
            self.rows.apply(&kept)?;
        } else {
            self.rows.apply(&changes.entries)?;
            for (prefix, _, was) in affected {
                let is = self.read(prefix, &mut new)?;
                self.compare((&old, was), (&new, is), &mut shown);
            }
        }
        if self.hides {
            for batch in &inputs[0].ok {
                let columns = project(batch.columns.columns(), &self.output);
                let columns = batch_of(&self.schema, columns, batch.len())?;
                out.push(DeltaBatch { columns, weights: batch.weights.clone() });
            }
        }
        if !shown.is_empty() {
            let sign = if self.hides { -1 } else { 1 };
            let weights = shown.iter().map(|s| sign * s.weight).collect();
            let to = (&self.output[..], &self.schema);
            let columns = shown_rows(&self.rows, &shown, (&old, &new), to)?;
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

/// Adds `new` - `old` to `out`, which is ascending as they are.
fn difference(
    (old, old_range): (&Entries, Range<usize>),
    (new, new_range): (&Entries, Range<usize>),
    out: &mut Entries,
) -> Result<()> {
    for (a, b) in side_by_side((old, old_range), (new, new_range)) {
        let change = b.map_or(0, |j| new.weight(j)) - a.map_or(0, |i| old.weight(i));
        let key = a.map(|i| old.key(i)).or_else(|| b.map(|j| new.key(j)));
        if let Some(key) = key.filter(|_| change != 0) {
            out.push(key, change)?;
        }
    }
    Ok(())
}
