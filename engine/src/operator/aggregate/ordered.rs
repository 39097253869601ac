//! Calls over values in order: `min` and `max` under retraction, medians and percentiles.
//!
//! | values | state |
//! |---|---|
//! | of fixed width | all of them, in an ordered multiset per group ([`Multisets`]) |
//! | others | all of them as byte keys ([`rows`]) |
//!
//! Calls over the same argument and filter read the same multisets, each at its own place: the ends, or the
//! rows of some ranks.

pub(super) mod codec;
mod quantile;
pub(super) mod rows;

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use levada_planner::delta_plan::{AggregateCall, AggregateFunction, Quantile};

use crate::arrangement::keyed::KeyedState;
use crate::arrangement::multiset::{Change, Multisets, Unit};
use crate::error::{Error, Result};
use crate::operator::aggregate::call::{Class, Failures, Side, Slice};
use crate::operator::aggregate::ordered::codec::{Codec, Floats};
use crate::operator::{RunSink, StateRun};
use crate::spill::SpillSpace;

/// What of the values a call asks for.
#[derive(Clone, Copy, Debug)]
enum Reading {
    Least,
    Greatest,
    Quantile(Quantile, Unit),
}

impl Reading {
    fn of(call: &AggregateCall) -> Option<Self> {
        let unit = if call.distinct { Unit::Value } else { Unit::Row };
        match call.function {
            AggregateFunction::Min => Some(Self::Least),
            AggregateFunction::Max => Some(Self::Greatest),
            AggregateFunction::Quantile(quantile) => Some(Self::Quantile(quantile, unit)),
            _ => None,
        }
    }

    /// What it makes of floats.
    fn floats(self) -> Floats {
        match self {
            Self::Least | Self::Greatest => Floats::Canonical,
            Self::Quantile(..) => Floats::Exact,
        }
    }
}

/// The class of a call, if it asks for values of fixed width by their order.
pub(super) fn class(call: &AggregateCall) -> Option<Box<dyn Class>> {
    let reading = Reading::of(call)?;
    let data_type = &call.input_type;
    if let Some(codec) = Codec::narrow(data_type, reading.floats()) {
        return Some(Box::new(Ordered::new(codec, reading)));
    }
    if let Some(codec) = Codec::wide(data_type) {
        return Some(Box::new(Ordered::new(codec, reading)));
    }
    Some(Box::new(Ordered::new(Codec::widest(data_type)?, reading)))
}

/// Values of `W` words.
struct Ordered<const W: usize> {
    codec: Codec<W>,
    /// Of the calls that share it.
    readings: Vec<Reading>,
    values: Multisets<W>,
    /// Changes of the running tick.
    waiting: Vec<Change<W>>,
}

impl<const W: usize> Ordered<W> {
    fn new(codec: Codec<W>, reading: Reading) -> Self {
        Self { codec, readings: vec![reading], values: Multisets::default(), waiting: Vec::new() }
    }
}

impl<const W: usize> Class for Ordered<W> {
    fn words(&self) -> usize {
        0
    }

    fn share(&mut self, call: &AggregateCall) -> Option<usize> {
        let reading = Reading::of(call)?;
        let (data_type, floats) = self.codec.kind();
        let is_float = matches!(data_type, DataType::Float32 | DataType::Float64);
        if *data_type != call.input_type || is_float && floats != reading.floats() {
            return None;
        }
        self.readings.push(reading);
        Some(self.readings.len() - 1)
    }

    fn update(&mut self, _: &mut KeyedState, _: usize, slice: &Slice) -> Result<()> {
        let Some(values) = slice.values else { return Ok(()) };
        let keys = self.codec.encode(values);
        self.waiting.reserve(keys.len());
        slice.each(|i, slot, weight| self.waiting.push(Change { slot, key: keys[i], weight }));
        Ok(())
    }

    fn end_tick(&mut self) -> Result<()> {
        self.values.apply(std::mem::take(&mut self.waiting))
    }

    fn evaluate(
        &mut self,
        reading: usize,
        _: (&KeyedState, usize),
        slots: &[u32],
        _: &mut Failures,
    ) -> Result<ArrayRef> {
        let ends = match self.readings[reading] {
            Reading::Quantile(quantile, unit) => {
                return quantile::evaluate(quantile, (&self.codec, &self.values), unit, slots);
            }
            Reading::Least => slots.iter().map(|slot| self.values.least(*slot)).collect::<Vec<_>>(),
            Reading::Greatest => slots.iter().map(|slot| self.values.greatest(*slot)).collect(),
        };
        Ok(self.codec.decode(&ends))
    }

    fn release(&mut self, slot: u32) -> Result<()> {
        if self.values.least(slot).is_some() {
            return Err(Error::Internal("a group without rows has values".to_owned()));
        }
        Ok(())
    }

    fn freeze(&mut self, part: u32, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        self.values.freeze(part, full, out)
    }

    fn restore(&mut self, part: u32, runs: &[StateRun]) -> Result<()> {
        self.values.restore(runs.iter().filter(|run| run.part == part))
    }

    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        self.values.spill(space, want)
    }

    fn side(&self) -> Side {
        let values = &self.values;
        Side {
            rows: values.len(),
            bytes: values.bytes(),
            spilled: values.spilled(),
            touched: values.touched(),
        }
    }
}
