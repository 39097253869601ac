//! The first few rows of each partition of an input from which nothing is ever taken back.
//!
//! ```text
//! partition -> slot [rows | id, id, ...]  in order        KeyedState
//!                          |
//!                          v
//!                     ColumnLog of the rows that may show
//! ```
//! A row that is not among the first few now never will be, so it is dropped before all of its columns
//! are looked at: a tick compares the columns of `ORDER BY`, and the others only where those are equal.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat, take, take_arrays};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::row::{RowConverter, Rows, SortField};
use levada_planner::delta_plan::{SortKey, TopK as TopKNode};
use levada_storage::delta::{Delta, DeltaBatch};

use crate::arrangement::hash::{HashWidth, hash_columns};
use crate::arrangement::keyed::KeyedState;
use crate::arrangement::log::ColumnLog;
use crate::arrangement::run::ZSetRuns;
use crate::arrangement::{Arrangement, project, to_u32};
use crate::error::{Error, Result};
use crate::operator::evaluate::batch_of;
use crate::operator::{Operator, OperatorMetrics, RunSink, SLICE_ROWS, StateRun, Tick, slices};
use crate::spill::SpillSpace;

/// Most rows of a partition that are kept this way.
pub(super) const FEW: usize = 16;

/// The operator.
#[derive(Debug)]
pub(super) struct Few {
    partition: Vec<usize>,
    order: Order,
    skip: usize,
    end: usize,
    groups: KeyedState,
    rows: ColumnLog,
    runs: ZSetRuns,
    width: HashWidth,
    output: Vec<usize>,
    schema: SchemaRef,
    touched: u64,
    metrics: OperatorMetrics,
}

/// How rows compare.
#[derive(Debug)]
struct Order {
    asked: Vec<usize>,
    by_asked: RowConverter,
    others: Vec<usize>,
    by_others: RowConverter,
}

/// Rows that can be compared with each other and with those of another list.
struct Comparable<'a> {
    order: &'a Order,
    asked: Option<Rows>,
    others: Others<'a>,
    /// Keys of the other columns, of rows that needed them.
    ties: RefCell<HashMap<u32, Arc<[u8]>>>,
}

/// Where the columns are that break ties.
enum Others<'a> {
    Columns(Vec<ArrayRef>),
    Log(&'a ColumnLog, &'a [u32]),
}

impl Order {
    fn new(schema: &Schema, order: &[SortKey], asked: usize) -> Result<Self> {
        let converter = |keys: &[SortKey]| {
            let fields = keys.iter().map(|key| {
                let data_type = schema.field(key.column).data_type().clone();
                SortField::new_with_options(data_type, key.options)
            });
            RowConverter::new(fields.collect())
        };
        let columns = |keys: &[SortKey]| keys.iter().map(|key| key.column).collect();
        let (asked, others) = order.split_at(asked);
        Ok(Self {
            by_asked: converter(asked)?,
            by_others: converter(others)?,
            asked: columns(asked),
            others: columns(others),
        })
    }

    fn comparable<'a>(&'a self, asked: &[ArrayRef], others: Others<'a>) -> Result<Comparable<'a>> {
        let asked = match asked.is_empty() {
            true => None,
            false => Some(self.by_asked.convert_columns(asked)?),
        };
        Ok(Comparable { order: self, asked, others, ties: RefCell::default() })
    }

    /// Rows with all columns of the input.
    fn of_columns(&self, columns: &[ArrayRef]) -> Result<Comparable<'_>> {
        let others = Others::Columns(project(columns, &self.others));
        self.comparable(&project(columns, &self.asked), others)
    }

    /// Rows of a log.
    fn of_log<'a>(&'a self, log: &'a ColumnLog, rows: &'a [u32]) -> Result<Comparable<'a>> {
        self.comparable(&log.gather(rows, &self.asked)?, Others::Log(log, rows))
    }
}

impl Comparable<'_> {
    fn asked(&self, row: u32) -> &[u8] {
        self.asked.as_ref().map_or(&[], |rows| rows.row(row as usize).data())
    }

    /// The first bytes of the key: where they differ, so do the rows.
    fn prefix(&self, row: u32) -> u128 {
        let key = self.asked(row);
        let mut bytes = [0; 16];
        let len = key.len().min(16);
        bytes[..len].copy_from_slice(&key[..len]);
        u128::from_be_bytes(bytes)
    }

    /// Makes the keys by the columns that break ties, of many rows at once.
    fn prepare_ties(&self, rows: &[u32]) -> Result<()> {
        let Others::Columns(columns) = &self.others else { return Ok(()) };
        let taken = take_arrays(columns, &UInt32Array::from(rows.to_vec()), None)?;
        let keys = self.order.by_others.convert_columns(&taken)?;
        let keys = rows.iter().zip(keys.iter()).map(|(row, key)| (*row, key.data().into()));
        self.ties.borrow_mut().extend(keys);
        Ok(())
    }

    /// The key by the columns that break ties.
    fn tie(&self, row: u32) -> Arc<[u8]> {
        if let Some(key) = self.ties.borrow().get(&row) {
            return Arc::clone(key);
        }
        let columns = match &self.others {
            Others::Columns(columns) => {
                columns.iter().map(|c| c.slice(row as usize, 1)).collect::<Vec<_>>()
            }
            Others::Log(log, rows) => {
                let row = [rows[row as usize]];
                log.gather(&row, &self.order.others).expect("one row fits any offsets")
            }
        };
        let rows = self.order.by_others.convert_columns(&columns).expect("the types are known");
        let key: Arc<[u8]> = match rows.num_rows() {
            0 => Arc::default(),
            _ => rows.row(0).data().into(),
        };
        self.ties.borrow_mut().insert(row, Arc::clone(&key));
        key
    }
}

/// Compares a row of one list with a row of another.
fn compare(a: (&Comparable<'_>, u32), b: (&Comparable<'_>, u32)) -> Ordering {
    let asked = a.0.asked(a.1).cmp(b.0.asked(b.1));
    if asked.is_ne() || a.0.order.others.is_empty() {
        return asked;
    }
    a.0.tie(a.1).cmp(&b.0.tie(b.1))
}

/// A row and its partition, with the first bytes of its key.
type Entry = (u32, u128, u32);

/// Sorts by partition and order, and keeps the first `end` of each partition.
fn first_of_each(entries: &mut Vec<Entry>, rows: &Comparable<'_>, end: usize) -> Result<()> {
    let by_asked = |a: &Entry, b: &Entry| {
        (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| rows.asked(a.2).cmp(rows.asked(b.2)))
    };
    entries.sort_unstable_by(by_asked);
    // Rows that the order asked for puts behind `end` others are out, whatever breaks the ties.
    keep_first(entries, end, &|a, b| by_asked(a, b).is_eq());
    let tied = entries.chunk_by(|a, b| by_asked(a, b).is_eq()).filter(|run| run.len() > 1);
    let tied: Vec<u32> = tied.flatten().map(|entry| entry.2).collect();
    if tied.is_empty() || rows.order.others.is_empty() {
        keep_first(entries, end, &|_, _| false);
        return Ok(());
    }
    rows.prepare_ties(&tied)?;
    entries.sort_unstable_by(|a, b| {
        (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| compare((rows, a.2), (rows, b.2)))
    });
    keep_first(entries, end, &|_, _| false);
    Ok(())
}

/// Keeps the first `end` entries of each partition, and those that tie with the last of them.
fn keep_first(entries: &mut Vec<Entry>, end: usize, ties: &dyn Fn(&Entry, &Entry) -> bool) {
    let mut last: Option<(Entry, usize)> = None;
    entries.retain(|entry| {
        let seen = match last {
            Some((of, seen)) if of.0 == entry.0 => seen,
            _ => 0,
        };
        let keep = seen < end || last.is_some_and(|(of, _)| ties(&of, entry));
        if keep {
            last = Some((*entry, seen + 1));
        }
        keep
    });
}

/// Rows that may show, with their partitions.
#[derive(Default)]
struct Candidates {
    columns: Vec<ArrayRef>,
    slots: Vec<u32>,
}

/// A row of a partition after a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    /// By its position in the list of rows that were there.
    Old(u32),
    /// By its position among the candidates.
    New(u32),
}

/// A row on its way out, with its number.
#[derive(Default)]
struct Emitted {
    rows: Vec<u32>,
    numbers: Vec<i64>,
}

impl Emitted {
    fn push(&mut self, row: u32, number: usize) {
        self.rows.push(row);
        self.numbers.push(i64::try_from(number).unwrap_or(i64::MAX));
    }
}

/// What a tick changes.
#[derive(Default)]
struct Step {
    /// Old rows that are taken back, and that come again with another number.
    gone: Emitted,
    moved: Emitted,
    /// Candidates that show.
    shown: Emitted,
    /// The rows of each changed partition.
    lists: Vec<(u32, u128, Vec<Item>)>,
    /// Old rows that no list holds any more.
    dropped: Vec<u32>,
}

impl Few {
    pub(super) fn new(
        node: &TopKNode,
        input: &Schema,
        output: SchemaRef,
        width: HashWidth,
    ) -> Result<Self> {
        let end = node.skip + node.fetch.unwrap_or(0);
        let keys = SchemaRef::new(input.project(&node.partition)?);
        let stored = SchemaRef::new(input.clone());
        Ok(Self {
            partition: node.partition.clone(),
            order: Order::new(input, &node.order, node.asked)?,
            skip: node.skip,
            end,
            groups: KeyedState::new(keys, IDS + end, width),
            runs: ZSetRuns::new(&stored),
            rows: ColumnLog::new(stored),
            width,
            output: node.output.clone(),
            schema: output,
            touched: 0,
            metrics: OperatorMetrics::default(),
        })
    }

    fn ids(&self, slot: u32) -> impl Iterator<Item = u32> + '_ {
        let words = self.groups.words(slot);
        let count = usize::try_from(words[0]).unwrap_or(0);
        words[IDS..IDS + count].iter().map(|id| u32::try_from(*id).unwrap_or(u32::MAX))
    }

    /// Whether a row that begins with `prefix` comes behind all rows of a full partition.
    fn is_beyond(&self, slot: u32, prefix: u128) -> bool {
        let words = self.groups.words(slot);
        words[0] == self.end as u64 && prefix > u128::from(words[1]) << 64 | u128::from(words[2])
    }

    /// The rows of a delta that are among the first of their partitions so far.
    fn candidates(&mut self, delta: &Delta) -> Result<Candidates> {
        let mut parts: Vec<Vec<ArrayRef>> = Vec::new();
        let mut slots = Vec::new();
        for slice in delta.ok.iter().flat_map(|b| slices(b, 4 * SLICE_ROWS)) {
            let columns = slice.columns.columns();
            let found =
                self.groups.find_or_insert(&project(columns, &self.partition), slice.len())?;
            let rows = self.order.of_columns(columns)?;
            let mut entries: Vec<Entry> = Vec::with_capacity(slice.len());
            for (row, slot) in (0..to_u32(slice.len())?).zip(found.slots) {
                let weight = slice.weights.get(row as usize);
                let times = usize::try_from(weight).map_err(|_negative| {
                    Error::Internal("a retraction from an append-only input".to_owned())
                })?;
                let prefix = rows.prefix(row);
                if !self.is_beyond(slot, prefix) {
                    entries.extend(std::iter::repeat_n((slot, prefix, row), times.min(self.end)));
                }
            }
            first_of_each(&mut entries, &rows, self.end)?;
            slots.extend(entries.iter().map(|entry| entry.0));
            let kept = UInt32Array::from_iter_values(entries.iter().map(|entry| entry.2));
            parts.push(take_arrays(columns, &kept, None)?);
        }
        let columns = match <[Vec<ArrayRef>; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => {
                let column = |c: usize| {
                    let arrays: Vec<&dyn Array> = parts.iter().map(|p| p[c].as_ref()).collect();
                    Ok(concat(&arrays)?)
                };
                let width = parts.first().map_or(0, Vec::len);
                (0..width).map(column).collect::<Result<_>>()?
            }
        };
        Ok(Candidates { columns, slots })
    }

    /// Merges candidates into the partitions they belong to.
    fn merge(&self, candidates: &Candidates) -> Result<(Vec<u32>, Step)> {
        let rows = self.order.of_columns(&candidates.columns)?;
        let numbered = (0..to_u32(candidates.slots.len())?).zip(&candidates.slots);
        let mut entries: Vec<Entry> =
            numbered.map(|(row, slot)| (*slot, rows.prefix(row), row)).collect();
        first_of_each(&mut entries, &rows, self.end)?;
        let (mut old, mut firsts) = (Vec::new(), Vec::new());
        let mut runs: Vec<&[Entry]> = entries.chunk_by(|a, b| a.0 == b.0).collect();
        for run in &runs {
            firsts.push(old.len());
            old.extend(self.ids(run[0].0));
        }
        firsts.push(old.len());
        let held = self.order.of_log(&self.rows, &old)?;
        let mut step = Step::default();
        for (run, bounds) in runs.drain(..).zip(firsts.windows(2)) {
            let (first, last) = (to_u32(bounds[0])?, to_u32(bounds[1])?);
            let (mut a, mut b) = (first, run.iter().peekable());
            let mut list = Vec::with_capacity(self.end);
            while list.len() < self.end {
                let takes_old = match (a < last, b.peek()) {
                    (false, None) => break,
                    (true, None) => true,
                    (false, Some(_)) => false,
                    (true, Some(entry)) => compare((&held, a), (&rows, entry.2)).is_le(),
                };
                if takes_old {
                    list.push(Item::Old(a));
                    a += 1;
                } else if let Some(entry) = b.next() {
                    list.push(Item::New(entry.2));
                }
            }
            self.show((first, last), &list, &mut step);
            step.dropped.extend(a..last);
            let bound = match list.last() {
                Some(Item::Old(row)) => held.prefix(*row),
                Some(Item::New(row)) => rows.prefix(*row),
                None => 0,
            };
            step.lists.push((run[0].0, bound, list));
        }
        Ok((old, step))
    }

    /// Notes what of a partition shows otherwise than before.
    fn show(&self, (first, last): (u32, u32), list: &[Item], step: &mut Step) {
        let is_numbered = self.output.contains(&self.rows.schema().fields().len());
        let before: Vec<Item> = (first..last).map(Item::Old).collect();
        let was = before.get(self.skip..).unwrap_or_default();
        let is = list.get(self.skip..).unwrap_or_default();
        let stays = |item: &Item, at: usize, others: &[Item]| {
            if is_numbered { others.get(at) == Some(item) } else { others.contains(item) }
        };
        for (at, item) in was.iter().enumerate().filter(|(at, item)| !stays(item, *at, is)) {
            if let Item::Old(row) = item {
                step.gone.push(*row, self.skip + at + 1);
            }
        }
        for (at, item) in is.iter().enumerate().filter(|(at, item)| !stays(item, *at, was)) {
            match item {
                Item::Old(row) => step.moved.push(*row, self.skip + at + 1),
                Item::New(row) => step.shown.push(*row, self.skip + at + 1),
            }
        }
    }

    /// Output rows whose columns `column` gives, by input column.
    fn batch(
        &self,
        emitted: &Emitted,
        column: &dyn Fn(usize) -> Result<ArrayRef>,
    ) -> Result<RecordBatch> {
        let width = self.rows.schema().fields().len();
        let columns = self.output.iter().map(|c| {
            if *c == width {
                let numbers: ArrayRef = Arc::new(Int64Array::from(emitted.numbers.clone()));
                return Ok(numbers);
            }
            column(*c)
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(batch_of(&self.schema, columns, emitted.rows.len())?)
    }

    /// The output of a step.
    fn emit(
        &self,
        candidates: &Candidates,
        old: &[u32],
        step: &Step,
        out: &mut Delta,
    ) -> Result<()> {
        let stored = |emitted: &Emitted| {
            let ids: Vec<u32> = emitted.rows.iter().map(|row| old[*row as usize]).collect();
            let located = self.rows.locate(&ids);
            self.batch(emitted, &|c| located.column(c))
        };
        if !step.gone.rows.is_empty() {
            out.push(DeltaBatch::retractions(stored(&step.gone)?));
        }
        if !step.moved.rows.is_empty() {
            out.push(DeltaBatch::inserts(stored(&step.moved)?));
        }
        if !step.shown.rows.is_empty() {
            let indices = UInt32Array::from(step.shown.rows.clone());
            let taken = |c: usize| Ok(take(&candidates.columns[c], &indices, None)?);
            out.push(DeltaBatch::inserts(self.batch(&step.shown, &taken)?));
        }
        Ok(())
    }

    /// Writes the partitions' rows.
    fn write(&mut self, candidates: &Candidates, old: &[u32], step: &Step) -> Result<()> {
        let mut fresh = Vec::new();
        let mut id = self.rows.rows();
        for (slot, bound, list) in &step.lists {
            self.groups.touch(*slot);
            let words = self.groups.words_mut(*slot);
            words[0] = list.len() as u64;
            words[1] = u64::try_from(bound >> 64).unwrap_or(0);
            words[2] = u64::try_from(bound & u128::from(u64::MAX)).unwrap_or(0);
            for (word, item) in words[IDS..].iter_mut().zip(list) {
                *word = match item {
                    Item::Old(row) => old[*row as usize].into(),
                    Item::New(row) => {
                        fresh.push(*row);
                        id += 1;
                        u64::from(id - 1)
                    }
                };
            }
        }
        self.touched += (fresh.len() + old.len()) as u64;
        let count = fresh.len();
        let columns = take_arrays(&candidates.columns, &UInt32Array::from(fresh), None)?;
        self.rows.append(&columns, count)?;
        for row in &step.dropped {
            let id = old[*row as usize];
            self.runs.died(id);
            self.rows.kill(id);
        }
        Ok(())
    }

    fn compact_if_worn(&mut self) -> Result<()> {
        if !self.rows.is_worn() {
            return Ok(());
        }
        let moves = self.rows.compact()?;
        self.runs.compacted();
        for slot in self.groups.live_slots() {
            let count = usize::try_from(self.groups.words(slot)[0]).unwrap_or(0);
            for word in &mut self.groups.words_mut(slot)[IDS..IDS + count] {
                *word = moves.of(u32::try_from(*word).unwrap_or(0)).into();
            }
        }
        Ok(())
    }
}

/// Words of a slot before the ids: their number, then the first bytes of the last one's key.
const IDS: usize = 3;

impl Operator for Few {
    fn step(&mut self, _tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        let mut out = Delta { ok: Vec::new(), err: inputs[0].err.clone() };
        self.metrics.rows_in += inputs[0].rows() as u64;
        self.groups.begin_tick();
        let candidates = self.candidates(inputs[0])?;
        if candidates.slots.is_empty() {
            return Ok(out);
        }
        let (old, step) = self.merge(&candidates)?;
        self.emit(&candidates, &old, &step, &mut out)?;
        self.write(&candidates, &old, &step)?;
        self.compact_if_worn()?;
        self.metrics.rows_out += out.rows() as u64;
        Ok(out)
    }

    fn freeze(&mut self, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        let Self { runs, rows, partition, width, .. } = self;
        let hashes = |ids: &[u32]| hash_columns(&rows.gather(ids, partition)?, ids.len(), *width);
        runs.freeze((0, full), rows, &hashes, out)
    }

    fn restore(&mut self, runs: &[StateRun]) -> Result<()> {
        let schema = Arc::clone(self.rows.schema());
        let mut saved = Arrangement::with_hash_width(schema, self.partition.clone(), self.width);
        saved.restore(runs)?;
        let mut rows = Delta::default();
        for batch in saved.view().batches() {
            rows.push(DeltaBatch::inserts(batch?));
        }
        self.groups.begin_tick();
        let candidates = self.candidates(&rows)?;
        if !candidates.slots.is_empty() {
            let (old, step) = self.merge(&candidates)?;
            self.write(&candidates, &old, &step)?;
        }
        let run_rows = runs.iter().map(|run| run.rows.num_rows() as u64).sum();
        self.runs.restored(self.rows.rows(), run_rows);
        Ok(())
    }

    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        let freed = self.rows.spill(space, want)?;
        Ok(freed + self.groups.spill(space, want.saturating_sub(freed))?)
    }

    fn metrics(&self) -> OperatorMetrics {
        OperatorMetrics {
            state_rows: u64::from(self.rows.live_rows()),
            state_bytes: self.rows.bytes() as u64 + self.groups.bytes(),
            spilled_bytes: self.rows.spilled() as u64 + self.groups.spilled(),
            state_rows_touched: self.touched,
            ..self.metrics
        }
    }
}
