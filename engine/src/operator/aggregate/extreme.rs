//! `min` and `max`; `first_value` and `last_value` in a total order.
//!
//! | input | values | state |
//! |---|---|---|
//! | insert-only | of fixed width | the answer, in the group's slot |
//! | insert-only | others | the answer, as a byte key ([`RowKeys`]) |
//! | any | all | every value, in order ([`ordered`]) |
//!
//! Values are compared as keys whose order is the order of the values: words for values of fixed width, else
//! Arrow's row format. The rows of `first_value` are values of many columns, one of which is read. Floats
//! follow `PostgreSQL`: NaN is the greatest, zero has no sign.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StructArray};
use arrow::datatypes::{DataType, Field, Schema};
use levada_planner::delta_plan::{AggregateCall, AggregateFunction, RowEnd};

use crate::arrangement::keyed::KeyedState;
use crate::arrangement::project;
use crate::error::{Error, Result};
use crate::operator::aggregate::call::{Class, Failures, Side, Slice};
use crate::operator::aggregate::ordered;
use crate::operator::aggregate::ordered::codec::{Codec, Floats};
use crate::operator::aggregate::ordered::rows::{Form, RowKeys};
use crate::operator::{RunSink, StateRun};
use crate::spill::SpillSpace;

/// Which end of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Least,
    Greatest,
}

/// The class of `min` and `max`.
pub(super) fn class(call: &AggregateCall, insert_only: bool) -> Result<Box<dyn Class>> {
    let end = match call.function {
        AggregateFunction::Min => End::Least,
        _ => End::Greatest,
    };
    let data_type = &call.input_type;
    if insert_only && let Some(answer) = Answer::class(data_type, end) {
        return Ok(answer);
    }
    match ordered::class(call) {
        Some(class) if !insert_only => Ok(class),
        _ => Ok(Box::new(RowKeys::new(Form::value(data_type)?, end, insert_only))),
    }
}

/// The class of a column of the first or last row of a group.
pub(super) fn row_end(node: &RowEnd, input: &Schema, insert_only: bool) -> Result<Box<dyn Class>> {
    let end = if node.last { End::Greatest } else { End::Least };
    let values = RowKeys::new(Form::row(node, input)?, end, insert_only);
    let columns = node.order.iter().map(|(column, _)| *column).collect();
    let result = node.ignore_nulls.then_some(node.result);
    Ok(Box::new(Rows { columns, not_null: result, values }))
}

/// Rows of some input columns as values.
struct Rows {
    columns: Vec<usize>,
    /// Which of them is not NULL in the rows that count; `None` if all rows do.
    not_null: Option<usize>,
    values: RowKeys,
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
        reading: usize,
        words: (&KeyedState, usize),
        slots: &[u32],
        failures: &mut Failures,
    ) -> Result<ArrayRef> {
        self.values.evaluate(reading, words, slots, failures)
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

    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        self.values.spill(space, want)
    }

    fn side(&self) -> Side {
        self.values.side()
    }
}

/// The answer alone, in the words (key, number of values).
struct Answer<const W: usize> {
    codec: Codec<W>,
    end: End,
}

impl Answer<1> {
    /// The class of values of a type, if they are of fixed width.
    fn class(data_type: &DataType, end: End) -> Option<Box<dyn Class>> {
        if let Some(codec) = Codec::narrow(data_type, Floats::Canonical) {
            return Some(Box::new(Self { codec, end }));
        }
        if let Some(codec) = Codec::wide(data_type) {
            return Some(Box::new(Answer { codec, end }));
        }
        Some(Box::new(Answer { codec: Codec::widest(data_type)?, end }))
    }
}

impl<const W: usize> Class for Answer<W> {
    fn words(&self) -> usize {
        W + 1
    }

    fn update(&mut self, groups: &mut KeyedState, at: usize, slice: &Slice) -> Result<()> {
        let Some(values) = slice.values else { return Ok(()) };
        let keys = self.codec.encode(values);
        let mut retracted = false;
        slice.each(|i, slot, weight| {
            retracted |= weight < 0;
            let (best, count) = groups.words_mut(slot)[at..=at + W].split_at_mut(W);
            let better = count[0] == 0
                || match self.end {
                    End::Least => keys[i][..] < *best,
                    End::Greatest => keys[i][..] > *best,
                };
            if better {
                best.copy_from_slice(&keys[i]);
            }
            count[0] = count[0].wrapping_add(weight.cast_unsigned());
        });
        if retracted {
            return Err(Error::Internal("a retraction of an insert-only input".to_owned()));
        }
        Ok(())
    }

    fn evaluate(
        &mut self,
        _: usize,
        (groups, at): (&KeyedState, usize),
        slots: &[u32],
        _: &mut Failures,
    ) -> Result<ArrayRef> {
        let keys = slots.iter().map(|slot| {
            let (best, count) = groups.words(*slot)[at..=at + W].split_first_chunk()?;
            (count[0] != 0).then_some(*best)
        });
        Ok(self.codec.decode(&keys.collect::<Vec<_>>()))
    }
}
