//! `bit_and`, `bit_or` and `bit_xor` of integers.
//!
//! | call | words |
//! |---|---|
//! | `bit_and`, `bit_or` | the number of values, then per bit how many of them have it |
//! | `bit_xor` | the number of values, then the bits that an odd number of them have |

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt64Type};

use crate::arrangement::keyed::KeyedState;
use crate::error::Result;
use crate::operator::aggregate::call::{Class, Failures, Slice};

/// What the counts of bits are read as.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// The bits that all values have.
    All,
    /// The bits that a value has.
    Any,
}

/// The class of `bit_and` and `bit_or`.
pub(super) struct Bits {
    reading: Reading,
    integer: Integer,
}

/// The class of `bit_xor`.
pub(super) struct Xor {
    integer: Integer,
}

/// An integer type, whose values are handled as 64 bits.
struct Integer {
    data_type: DataType,
}

impl Bits {
    pub(super) fn new(reading: Reading, input: &DataType) -> Self {
        Self { reading, integer: Integer { data_type: input.clone() } }
    }
}

impl Xor {
    pub(super) fn new(input: &DataType) -> Self {
        Self { integer: Integer { data_type: input.clone() } }
    }
}

impl Integer {
    fn width(&self) -> usize {
        8 * self.data_type.primitive_width().unwrap_or(size_of::<u64>())
    }

    fn is_signed(&self) -> bool {
        self.data_type.is_signed_integer()
    }

    /// The bits of each value; negative ones are continued to the left.
    fn bits(&self, values: &ArrayRef) -> Result<Vec<u64>> {
        if self.is_signed() {
            let values = cast(values, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>().values();
            return Ok(values.iter().map(|v| v.cast_unsigned()).collect());
        }
        let values = cast(values, &DataType::UInt64)?;
        Ok(values.as_primitive::<UInt64Type>().values().to_vec())
    }

    fn values(&self, bits: impl Iterator<Item = Option<u64>>) -> Result<ArrayRef> {
        let spare = u32::try_from(64 - self.width()).unwrap_or(0);
        let wide: ArrayRef = if self.is_signed() {
            let signed = |bits: u64| (bits << spare).cast_signed() >> spare;
            Arc::new(bits.map(|b| b.map(signed)).collect::<Int64Array>())
        } else {
            Arc::new(bits.collect::<UInt64Array>())
        };
        Ok(cast(&wide, &self.data_type)?)
    }
}

impl Class for Bits {
    fn words(&self) -> usize {
        1 + self.integer.width()
    }

    fn update(&mut self, groups: &mut KeyedState, at: usize, slice: &Slice) -> Result<()> {
        let Some(values) = slice.values else { return Ok(()) };
        let bits = self.integer.bits(values)?;
        let width = self.integer.width();
        slice.each(|i, slot, weight| {
            let words = &mut groups.words_mut(slot)[at..=at + width];
            words[0] = words[0].wrapping_add(weight.cast_unsigned());
            let mut left = bits[i];
            while left != 0 {
                // The bits left of the type's width repeat its sign.
                let Some(word) = words.get_mut(1 + left.trailing_zeros() as usize) else { break };
                *word = word.wrapping_add(weight.cast_unsigned());
                left &= left - 1;
            }
        });
        Ok(())
    }

    fn evaluate(
        &mut self,
        _: usize,
        (groups, at): (&KeyedState, usize),
        slots: &[u32],
        _: &mut Failures,
    ) -> Result<ArrayRef> {
        let width = self.integer.width();
        let read = |slot: &u32| {
            let (count, bits) = groups.words(*slot)[at..=at + width].split_first()?;
            let has = |n: u64| match self.reading {
                Reading::All => n == *count,
                Reading::Any => n != 0,
            };
            let set = bits.iter().rev().fold(0u64, |set, n| set << 1 | u64::from(has(*n)));
            (*count != 0).then_some(set)
        };
        self.integer.values(slots.iter().map(read))
    }
}

impl Class for Xor {
    fn words(&self) -> usize {
        2
    }

    fn update(&mut self, groups: &mut KeyedState, at: usize, slice: &Slice) -> Result<()> {
        let Some(values) = slice.values else { return Ok(()) };
        let bits = self.integer.bits(values)?;
        slice.each(|i, slot, weight| {
            let words = &mut groups.words_mut(slot)[at..at + 2];
            words[0] = words[0].wrapping_add(weight.cast_unsigned());
            if weight & 1 == 1 {
                words[1] ^= bits[i];
            }
        });
        Ok(())
    }

    fn evaluate(
        &mut self,
        _: usize,
        (groups, at): (&KeyedState, usize),
        slots: &[u32],
        _: &mut Failures,
    ) -> Result<ArrayRef> {
        let read = |slot: &u32| {
            let words = &groups.words(*slot)[at..at + 2];
            (words[0] != 0).then_some(words[1])
        };
        self.integer.values(slots.iter().map(read))
    }
}
