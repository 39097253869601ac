//! The ends of values of any type, and of rows: byte keys in order.
//!
//! ```text
//! group's number, the greatest byte first ++ value or row in Arrow's row format     in a Spine
//! ```
//! Of an insert-only input only the answer of each group is kept.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, UInt32Array, new_null_array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt32Type};
use arrow::row::{RowConverter, Rows, SortField};
use levada_planner::delta_plan::RowEnd;

use crate::arrangement::keyed::KeyedState;
use crate::arrangement::run::{RUN_ROWS, SLACK};
use crate::arrangement::spine::{Entries, Spine};
use crate::error::{Error, Result};
use crate::operator::aggregate::call::{Class, Failures, Side, Slice};
use crate::operator::aggregate::extreme::End;
use crate::operator::{RunSink, StateRun};
use crate::spill::SpillSpace;

/// Bytes of a group's number.
const SLOT: usize = 4;

/// What values stand for, in Arrow's row format.
#[derive(Debug)]
pub(crate) struct Form {
    converter: RowConverter,
    /// The column of a row that is read; values are no rows.
    result: Option<usize>,
    data_type: DataType,
}

impl Form {
    /// Values of a type.
    pub(crate) fn value(data_type: &DataType) -> Result<Self> {
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())])?;
        Ok(Self { converter, result: None, data_type: data_type.clone() })
    }

    /// Rows of columns in an order, of which one column is read.
    pub(crate) fn row(node: &RowEnd, input: &Schema) -> Result<Self> {
        let data_type = |column: usize| input.field(column).data_type().clone();
        let fields = node.order.iter();
        let fields = fields.map(|(c, o)| SortField::new_with_options(data_type(*c), *o));
        let converter = RowConverter::new(fields.collect())?;
        let data_type = data_type(node.order[node.result].0);
        Ok(Self { converter, result: Some(node.result), data_type })
    }

    fn encode(&self, values: &ArrayRef) -> Result<Rows> {
        Ok(match self.result {
            None => self.converter.convert_columns(&[ArrayRef::clone(values)])?,
            Some(_) => self.converter.convert_columns(values.as_struct().columns())?,
        })
    }

    fn decode(&self, keys: &[Option<&[u8]>]) -> Result<ArrayRef> {
        let mut next = 0..;
        let places = keys.iter().map(|key| key.and_then(|_| next.next()));
        let places: UInt32Array = places.collect();
        if places.null_count() == places.len() {
            return Ok(new_null_array(&self.data_type, keys.len()));
        }
        let parser = self.converter.parser();
        let found = keys.iter().flatten().map(|key| parser.parse(key));
        let columns = self.converter.convert_rows(found)?;
        Ok(take(&columns[self.result.unwrap_or(0)], &places, None)?)
    }
}

/// The class.
pub(crate) struct RowKeys {
    form: Form,
    end: End,
    /// Whether only the answers are kept.
    answer_only: bool,
    keys: Spine,
    /// Changes of the running tick.
    waiting: Entries,
    /// What changed since the last run; nothing while the next one replaces all.
    changed: Entries,
    replace: bool,
    run_rows: u64,
    run_schema: SchemaRef,
}

impl RowKeys {
    pub(crate) fn new(form: Form, end: End, answer_only: bool) -> Self {
        let run_schema = Schema::new(vec![
            Field::new("__slot", DataType::UInt32, false),
            Field::new("key", DataType::Binary, false),
            Field::new("__weight", DataType::Int64, false),
        ]);
        Self {
            form,
            end,
            answer_only,
            keys: Spine::default(),
            waiting: Entries::default(),
            changed: Entries::default(),
            replace: true,
            run_rows: 0,
            run_schema: Arc::new(run_schema),
        }
    }

    /// The key at the end of a group.
    fn best(&self, slot: [u8; SLOT]) -> Option<&[u8]> {
        let found = match self.end {
            End::Least => self.keys.get(self.keys.seek(&slot)),
            End::Greatest => self.keys.last_before(self.keys.seek_behind(&slot)),
        };
        found.map(|(key, _)| key).filter(|key| key.starts_with(&slot))
    }

    /// What changes in the answers when rows come.
    fn offered(&self, rows: &Entries) -> Result<Entries> {
        let mut out = Entries::default();
        let mut at = 0;
        while at < rows.len() {
            let slot = slot_of(rows.key(at));
            let same = (at..rows.len()).take_while(|i| slot_of(rows.key(*i)) == slot).count();
            let (old, new) = (
                self.best(slot),
                match self.end {
                    End::Least => rows.key(at),
                    End::Greatest => rows.key(at + same - 1),
                },
            );
            if (at..at + same).any(|i| rows.weight(i) < 0) {
                return Err(Error::Internal("a retraction of an insert-only input".to_owned()));
            }
            match (old, self.end) {
                (None, _) => out.push(new, 1)?,
                (Some(old), End::Least) if new < old => {
                    out.push(new, 1)?;
                    out.push(old, -1)?;
                }
                (Some(old), End::Greatest) if new > old => {
                    out.push(old, -1)?;
                    out.push(new, 1)?;
                }
                _ => {}
            }
            at += same;
        }
        Ok(out)
    }

    fn note(&mut self, changes: &Entries) {
        if self.replace {
            return;
        }
        let noted = changes.iter().try_for_each(|(key, weight)| self.changed.push(key, weight));
        if noted.is_err() || self.changed.len() as u64 > self.keys.len() + SLACK {
            self.replace = true;
            self.changed = Entries::default();
        }
    }

    fn run_of(&self, entries: &[(&[u8], i64)]) -> Result<RecordBatch> {
        let slots = entries.iter().map(|(key, _)| u32::from_be_bytes(slot_of(key)));
        let slots: ArrayRef = Arc::new(UInt32Array::from_iter_values(slots));
        let keys = entries.iter().map(|(key, _)| &key[SLOT..]);
        let keys: ArrayRef = Arc::new(BinaryArray::from_iter_values(keys));
        let weights: ArrayRef = Arc::new(Int64Array::from_iter_values(entries.iter().map(|e| e.1)));
        Ok(RecordBatch::try_new(Arc::clone(&self.run_schema), vec![slots, keys, weights])?)
    }
}

fn slot_of(key: &[u8]) -> [u8; SLOT] {
    key.first_chunk().copied().unwrap_or_default()
}

fn changes_of(run: &RecordBatch) -> Result<Entries> {
    let malformed = || Error::Internal("a state run of min or max is malformed".to_owned());
    let [slots, keys, weights] = run.columns() else { return Err(malformed()) };
    let slots = slots.as_primitive_opt::<UInt32Type>().ok_or_else(malformed)?;
    let keys = keys.as_binary_opt::<i32>().ok_or_else(malformed)?;
    let weights = weights.as_primitive_opt::<Int64Type>().ok_or_else(malformed)?;
    let mut entries = Entries::default();
    let mut key = Vec::new();
    for row in 0..run.num_rows() {
        key.clear();
        key.extend_from_slice(&slots.value(row).to_be_bytes());
        key.extend_from_slice(keys.value(row));
        entries.push(&key, weights.value(row))?;
    }
    entries.sorted()
}

impl Class for RowKeys {
    fn words(&self) -> usize {
        0
    }

    fn update(&mut self, _: &mut KeyedState, _: usize, slice: &Slice) -> Result<()> {
        let Some(values) = slice.values else { return Ok(()) };
        let rows = self.form.encode(values)?;
        let (mut key, mut failed) = (Vec::new(), None);
        slice.each(|i, slot, weight| {
            key.clear();
            key.extend_from_slice(&slot.to_be_bytes());
            key.extend_from_slice(rows.row(i).data());
            if let Err(error) = self.waiting.push(&key, weight) {
                failed = Some(error);
            }
        });
        failed.map_or(Ok(()), Err)
    }

    fn end_tick(&mut self) -> Result<()> {
        let mut changes = std::mem::take(&mut self.waiting).sorted()?;
        if self.answer_only {
            changes = self.offered(&changes)?;
        }
        self.keys.apply(&changes)?;
        self.note(&changes);
        Ok(())
    }

    fn evaluate(
        &mut self,
        _: usize,
        _: (&KeyedState, usize),
        slots: &[u32],
        _: &mut Failures,
    ) -> Result<ArrayRef> {
        let best = slots.iter().map(|slot| self.best(slot.to_be_bytes()));
        let best: Vec<Option<&[u8]>> = best.map(|key| key.map(|key| &key[SLOT..])).collect();
        self.form.decode(&best)
    }

    fn release(&mut self, slot: u32) -> Result<()> {
        if self.best(slot.to_be_bytes()).is_some() {
            return Err(Error::Internal("a group without rows has values".to_owned()));
        }
        Ok(())
    }

    fn freeze(&mut self, part: u32, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        if self.changed.is_empty() && !self.replace && !full {
            return Ok(());
        }
        let changed = std::mem::take(&mut self.changed);
        let limit = 2 * self.keys.len() + SLACK;
        let replaces = full || self.replace || self.run_rows + changed.len() as u64 > limit;
        let all: Vec<(&[u8], i64)> = if replaces {
            self.keys.starting_with(&[]).collect()
        } else {
            changed.iter().collect()
        };
        let nothing = all.is_empty().then_some(&[][..]);
        for (i, block) in all.chunks(RUN_ROWS).chain(nothing).enumerate() {
            out(StateRun { part, replaces: replaces && i == 0, rows: self.run_of(block)? })?;
        }
        self.run_rows = if replaces { 0 } else { self.run_rows } + all.len() as u64;
        self.replace = false;
        Ok(())
    }

    fn restore(&mut self, part: u32, runs: &[StateRun]) -> Result<()> {
        for run in runs.iter().filter(|run| run.part == part) {
            if run.replaces {
                self.keys = Spine::default();
                self.run_rows = 0;
            }
            self.keys.apply(&changes_of(&run.rows)?)?;
            self.run_rows += run.rows.num_rows() as u64;
            self.replace = false;
        }
        Ok(())
    }

    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        self.keys.spill(space, want)
    }

    fn side(&self) -> Side {
        let keys = &self.keys;
        Side {
            rows: keys.len(),
            bytes: keys.bytes(),
            spilled: keys.spilled(),
            touched: keys.touched(),
        }
    }
}
