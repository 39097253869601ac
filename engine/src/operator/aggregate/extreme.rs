//! `min` and `max`; `first_value` and `last_value` in a total order.
//!
//! | input | values | state |
//! |---|---|---|
//! | insert-only | of fixed width | the answer, in the group's slot |
//! | insert-only | others | the answer, in an ordered map |
//! | any | all | every value: (group, value) -> count in an ordered map |
//!
//! Values are compared as keys whose order is the order of the values: a `u64` for values of up to 64
//! bits, else Arrow's row format. The rows of `first_value` are values of many columns, one of which is
//! read. Floats follow `PostgreSQL`: NaN is the greatest, zero has no sign.

mod codec;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StructArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, UInt32Type};

use levada_planner::delta_plan::RowEnd;

use crate::arrangement::keyed::KeyedState;
use crate::arrangement::project;
use crate::arrangement::run::SLACK;
use crate::error::{Error, Result};
use crate::operator::aggregate::call::{Class, Failures, Side, Slice};
use crate::operator::aggregate::extreme::codec::{Bytes, Codec, Fixed, Tuple};
use crate::operator::{RunSink, StateRun};

/// Which end of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Least,
    Greatest,
}

/// The class of an extreme of values of type `input`.
pub(super) fn class(input: &DataType, end: End, insert_only: bool) -> Result<Box<dyn Class>> {
    Ok(match (Fixed::new(input), insert_only) {
        (Some(codec), true) => Box::new(Answer { codec, end }),
        (Some(codec), false) => Box::new(Ordered::new(codec, end, false)),
        (None, insert_only) => Box::new(Ordered::new(Bytes::new(input)?, end, insert_only)),
    })
}

/// The class of a column of the first or last row of a group.
pub(super) fn row_end(node: &RowEnd, input: &Schema, insert_only: bool) -> Result<Box<dyn Class>> {
    let end = if node.last { End::Greatest } else { End::Least };
    let values = Ordered::new(Tuple::new(node, input)?, end, insert_only);
    let columns = node.order.iter().map(|(column, _)| *column).collect();
    let result = node.ignore_nulls.then_some(node.result);
    Ok(Box::new(Rows { columns, not_null: result, values }))
}

/// Rows of some input columns as values.
struct Rows {
    columns: Vec<usize>,
    /// Which of them is not NULL in the rows that count; `None` if all rows do.
    not_null: Option<usize>,
    values: Ordered<Tuple>,
}

impl Class for Rows {
    fn words(&self) -> usize {
        0
    }

    fn update(&mut self, groups: &mut KeyedState, at: usize, slice: &Slice) -> Result<()> {
        let columns = project(slice.columns, &self.columns);
        let nulls = self.not_null.and_then(|column| columns[column].logical_nulls());
        let fields = columns.iter().map(|c| Field::new("", c.data_type().clone(), true));
        let rows = StructArray::try_new(fields.collect(), columns, nulls)?;
        let rows: ArrayRef = Arc::new(rows);
        self.values.update(groups, at, &Slice { values: Some(&rows), ..*slice })
    }

    fn end_tick(&mut self) -> Result<()> {
        self.values.end_tick()
    }

    fn evaluate(
        &mut self,
        groups: &KeyedState,
        at: usize,
        slots: &[u32],
        failures: &mut Failures,
    ) -> Result<ArrayRef> {
        self.values.evaluate(groups, at, slots, failures)
    }

    fn release(&mut self, slot: u32) -> Result<()> {
        self.values.release(slot)
    }

    fn freeze(&mut self, part: u32, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        self.values.freeze(part, full, out)
    }

    fn restore(&mut self, part: u32, runs: &[StateRun]) -> Result<()> {
        self.values.restore(part, runs)
    }

    fn side(&self) -> Side {
        self.values.side()
    }
}

/// The answer alone, in the words (key, number of values).
struct Answer {
    codec: Fixed,
    end: End,
}

impl Class for Answer {
    fn words(&self) -> usize {
        2
    }

    fn update(&mut self, groups: &mut KeyedState, at: usize, slice: &Slice) -> Result<()> {
        let Some(values) = slice.values else { return Ok(()) };
        let keys = self.codec.encode(values)?;
        let mut retracted = false;
        slice.each(|i, slot, weight| {
            retracted |= weight < 0;
            let words = &mut groups.words_mut(slot)[at..at + 2];
            let better = words[1] == 0
                || match self.end {
                    End::Least => keys[i] < words[0],
                    End::Greatest => keys[i] > words[0],
                };
            if better {
                words[0] = keys[i];
            }
            words[1] = words[1].wrapping_add(weight.cast_unsigned());
        });
        if retracted {
            return Err(Error::Internal("a retraction of an insert-only input".to_owned()));
        }
        Ok(())
    }

    fn evaluate(
        &mut self,
        groups: &KeyedState,
        at: usize,
        slots: &[u32],
        _: &mut Failures,
    ) -> Result<ArrayRef> {
        let keys = slots.iter().map(|slot| {
            let words = &groups.words(*slot)[at..at + 2];
            (words[1] != 0).then_some(words[0])
        });
        self.codec.decode(keys.collect())
    }
}

/// Values by group in their order.
struct Ordered<C: Codec> {
    codec: C,
    end: End,
    /// Whether only the answer is kept.
    answer_only: bool,
    values: BTreeMap<(u32, C::Key), i64>,
    /// Counts that are below zero between the slices of a tick.
    negative: i64,
    key_bytes: u64,
    touched: u64,
    /// Entries that changed since the last run; none are noted while the next run replaces all.
    changed: Vec<(u32, C::Key)>,
    replace: bool,
    run_rows: u64,
}

impl<C: Codec> Ordered<C> {
    fn new(codec: C, end: End, answer_only: bool) -> Self {
        Self {
            codec,
            end,
            answer_only,
            values: BTreeMap::new(),
            negative: 0,
            key_bytes: 0,
            touched: 0,
            changed: Vec::new(),
            replace: true,
            run_rows: 0,
        }
    }

    fn best(&self, slot: u32) -> Option<&C::Key> {
        let first = (slot, C::Key::default());
        let found = match self.end {
            End::Least => self.values.range(first..).next(),
            End::Greatest => {
                let past = (slot + 1, C::Key::default());
                self.values.range(first..past).next_back()
            }
        };
        found.filter(|((s, _), _)| *s == slot).map(|((_, key), _)| key)
    }

    fn add(&mut self, slot: u32, key: C::Key, weight: i64) {
        self.touched += 1;
        if self.answer_only {
            self.offer(slot, key);
            return;
        }
        self.note(slot, &key);
        let bytes = C::bytes(&key);
        let entry = self.values.entry((slot, key));
        let vacant = matches!(entry, std::collections::btree_map::Entry::Vacant(_));
        let mut entry = match entry {
            std::collections::btree_map::Entry::Occupied(entry) => entry,
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert_entry(0),
        };
        if vacant {
            self.key_bytes += bytes;
        }
        let before = *entry.get();
        let after = before.wrapping_add(weight);
        self.negative += i64::from(after < 0) - i64::from(before < 0);
        if after == 0 {
            entry.remove();
            self.key_bytes -= bytes;
        } else {
            *entry.get_mut() = after;
        }
    }

    /// Keeps `key` if it beats the answer.
    fn offer(&mut self, slot: u32, key: C::Key) {
        let best = self.best(slot).cloned();
        let beaten = best.as_ref().is_none_or(|best| match self.end {
            End::Least => key < *best,
            End::Greatest => key > *best,
        });
        if !beaten {
            return;
        }
        if let Some(best) = best {
            self.note(slot, &best);
            self.key_bytes -= C::bytes(&best);
            self.values.remove(&(slot, best));
        }
        self.note(slot, &key);
        self.key_bytes += C::bytes(&key);
        self.values.insert((slot, key), 1);
    }

    fn note(&mut self, slot: u32, key: &C::Key) {
        if self.replace {
            return;
        }
        self.changed.push((slot, key.clone()));
        if self.changed.len() > 2 * self.values.len() + 4096 {
            self.changed.sort_unstable();
            self.changed.dedup();
            if self.changed.len() > self.values.len() + 2048 {
                self.replace = true;
                self.changed.clear();
            }
        }
    }
}

impl<C: Codec> Class for Ordered<C> {
    fn words(&self) -> usize {
        0
    }

    fn update(&mut self, _: &mut KeyedState, _: usize, slice: &Slice) -> Result<()> {
        let Some(values) = slice.values else { return Ok(()) };
        let mut keys = self.codec.encode(values)?;
        slice.each(|i, slot, weight| self.add(slot, std::mem::take(&mut keys[i]), weight));
        Ok(())
    }

    fn end_tick(&mut self) -> Result<()> {
        if self.negative != 0 {
            let text = "a value was retracted from a group more often than added";
            return Err(Error::Internal(text.to_owned()));
        }
        Ok(())
    }

    fn evaluate(
        &mut self,
        _: &KeyedState,
        _: usize,
        slots: &[u32],
        _: &mut Failures,
    ) -> Result<ArrayRef> {
        self.codec.decode(slots.iter().map(|slot| self.best(*slot).cloned()).collect())
    }

    fn release(&mut self, slot: u32) -> Result<()> {
        if self.best(slot).is_some() {
            return Err(Error::Internal("a group without rows has values".to_owned()));
        }
        Ok(())
    }

    fn freeze(&mut self, part: u32, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        if self.changed.is_empty() && !self.replace && !full {
            return Ok(());
        }
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        let limit = 2 * self.values.len() as u64 + SLACK;
        let replaces = full || self.replace || self.run_rows + changed.len() as u64 > limit;
        if replaces {
            changed = self.values.keys().cloned().collect();
        }
        let counts = changed.iter().map(|key| self.values.get(key).copied().unwrap_or(0));
        let counts: ArrayRef = Arc::new(Int64Array::from_iter_values(counts));
        let slots: ArrayRef = Arc::new(UInt32Array::from_iter_values(changed.iter().map(|c| c.0)));
        let keys = C::to_array(changed.iter().map(|c| &c.1));
        let schema = Schema::new(vec![
            Field::new("__slot", DataType::UInt32, false),
            Field::new("key", keys.data_type().clone(), false),
            Field::new("__count", DataType::Int64, false),
        ]);
        let rows = RecordBatch::try_new(Arc::new(schema), vec![slots, keys, counts])?;
        self.run_rows = if replaces { 0 } else { self.run_rows } + changed.len() as u64;
        self.replace = false;
        out(StateRun { part, replaces, rows })
    }

    fn restore(&mut self, part: u32, runs: &[StateRun]) -> Result<()> {
        let malformed = || Error::Internal("a state run of min or max is malformed".to_owned());
        for run in runs.iter().filter(|r| r.part == part) {
            if run.replaces {
                self.values.clear();
                self.run_rows = 0;
            }
            self.run_rows += run.rows.num_rows() as u64;
            let [slots, keys, counts] = run.rows.columns() else { return Err(malformed()) };
            let slots = slots.as_primitive_opt::<UInt32Type>().ok_or_else(malformed)?;
            let counts = counts.as_primitive_opt::<Int64Type>().ok_or_else(malformed)?;
            let keys = C::from_array(keys).ok_or_else(malformed)?;
            for ((slot, key), count) in slots.values().iter().zip(keys).zip(counts.values()) {
                if *count == 0 {
                    self.values.remove(&(*slot, key));
                } else {
                    self.values.insert((*slot, key), *count);
                }
            }
            self.replace = false;
        }
        self.key_bytes = self.values.keys().map(|(_, key)| C::bytes(key)).sum();
        Ok(())
    }

    fn side(&self) -> Side {
        let rows = self.values.len() as u64;
        Side { rows, bytes: rows * 32 + self.key_bytes, touched: self.touched, ..Side::default() }
    }
}
