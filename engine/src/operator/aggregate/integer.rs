//! `sum` of integers: an `i128` in two words and the number of values.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array, Int64Array, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use levada_planner::aggregate::integer::OUT_OF_RANGE;

use crate::arrangement::keyed::KeyedState;
use crate::error::Result;
use crate::operator::aggregate::call::{Class, Failures, Slice};

/// The class. A sum outside the output type is a failure of its group.
pub(super) struct Sum {
    output: DataType,
}

impl Sum {
    /// A sum of type `output`: `Int64`, `UInt64` or a decimal without digits behind the point.
    pub(super) fn new(output: DataType) -> Self {
        Self { output }
    }
}

/// The `i128` in two words.
#[inline]
pub(super) fn read_i128(words: &[u64]) -> i128 {
    (u128::from(words[0]) | u128::from(words[1]) << 64).cast_signed()
}

/// Puts an `i128` into two words.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
pub(super) fn write_i128(words: &mut [u64], value: i128) {
    let value = value.cast_unsigned();
    words[0] = value as u64;
    words[1] = (value >> 64) as u64;
}

fn add(groups: &mut KeyedState, at: usize, slot: u32, value: i128, weight: i64) {
    let words = &mut groups.words_mut(slot)[at..at + 3];
    let sum = read_i128(words).wrapping_add(value.wrapping_mul(i128::from(weight)));
    write_i128(words, sum);
    words[2] = words[2].wrapping_add(weight.cast_unsigned());
}

impl Class for Sum {
    fn words(&self) -> usize {
        3
    }

    fn update(&mut self, groups: &mut KeyedState, at: usize, slice: &Slice) -> Result<()> {
        let Some(values) = slice.values else { return Ok(()) };
        if *values.data_type() == DataType::UInt64 {
            let values = values.as_primitive::<UInt64Type>().values();
            slice.each(|i, slot, weight| add(groups, at, slot, values[i].into(), weight));
        } else {
            let values = cast(values, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>().values();
            slice.each(|i, slot, weight| add(groups, at, slot, values[i].into(), weight));
        }
        Ok(())
    }

    fn evaluate(
        &mut self,
        _: usize,
        (groups, at): (&KeyedState, usize),
        slots: &[u32],
        failures: &mut Failures,
    ) -> Result<ArrayRef> {
        let sums = slots.iter().map(|slot| {
            let words = &groups.words(*slot)[at..at + 3];
            (words[2] != 0).then(|| read_i128(words))
        });
        let mut fails = |row: usize| failures.push((row, ("22003", OUT_OF_RANGE.to_owned())));
        if let DataType::Decimal128(precision, scale) = self.output {
            let limit = 10_i128.pow(precision.into());
            let checked = sums.enumerate().map(|(row, sum)| {
                sum.map(|s| {
                    if s.unsigned_abs() >= limit.unsigned_abs() {
                        fails(row);
                        return 0;
                    }
                    s
                })
            });
            let sums: Decimal128Array = checked.collect();
            Ok(Arc::new(sums.with_precision_and_scale(precision, scale)?))
        } else if self.output == DataType::UInt64 {
            let checked = sums.enumerate().map(|(row, sum)| {
                sum.map(|s| {
                    u64::try_from(s).unwrap_or_else(|_| {
                        fails(row);
                        0
                    })
                })
            });
            Ok(Arc::new(checked.collect::<UInt64Array>()))
        } else {
            let checked = sums.enumerate().map(|(row, sum)| {
                sum.map(|s| {
                    i64::try_from(s).unwrap_or_else(|_| {
                        fails(row);
                        0
                    })
                })
            });
            Ok(Arc::new(checked.collect::<Int64Array>()))
        }
    }
}
