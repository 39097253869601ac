//! `sum` and `avg` of decimals: an `i256` in four words and the number of values.
//!
//! The result is the batch function's [`Reading`] of both: a sum outside its type is a failure of its group.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Decimal32Array, Decimal64Array, Decimal128Array, Decimal256Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal256Type, DecimalType, i256};
use levada_planner::aggregate::decimal::{OUT_OF_RANGE, Reading};

use crate::arrangement::keyed::KeyedState;
use crate::error::{Error, Result};
use crate::operator::aggregate::call::{Class, Failures, Slice};

/// The class.
pub(super) struct Decimal {
    output: DataType,
    reading: Reading,
}

impl Decimal {
    /// The sum, of type `output`.
    pub(super) fn sum(output: DataType) -> Result<Self> {
        Ok(Self { reading: Reading::sum(&output)?, output })
    }

    /// The average of values of type `input`.
    pub(super) fn average(input: &DataType, output: DataType) -> Result<Self> {
        Ok(Self { output, reading: Reading::average(input)? })
    }

    fn read(&self, sum: i256, count: u64, row: usize, failures: &mut Failures) -> i256 {
        self.reading.read(sum, count.cast_signed()).unwrap_or_else(|| {
            failures.push((row, ("22003", OUT_OF_RANGE.to_owned())));
            i256::ZERO
        })
    }
}

fn parts(data_type: &DataType) -> Result<(u8, i8)> {
    match data_type {
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => Ok((*p, *s)),
        other => Err(Error::Internal(format!("{other} is no decimal"))),
    }
}

fn read_i256(words: &[u64]) -> i256 {
    let mut bytes = [0; 32];
    for (to, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *to = word.to_le_bytes();
    }
    i256::from_le_bytes(bytes)
}

fn write_i256(words: &mut [u64], value: i256) {
    let bytes = value.to_le_bytes();
    for (word, from) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*from);
    }
}

impl Class for Decimal {
    fn words(&self) -> usize {
        5
    }

    fn update(&mut self, groups: &mut KeyedState, at: usize, slice: &Slice) -> Result<()> {
        let Some(values) = slice.values else { return Ok(()) };
        let (_, scale) = parts(values.data_type())?;
        let wide = DataType::Decimal256(Decimal256Type::MAX_PRECISION, scale);
        let values = cast(values, &wide)?;
        let values = values.as_primitive::<Decimal256Type>().values();
        slice.each(|i, slot, weight| {
            let words = &mut groups.words_mut(slot)[at..at + 5];
            let term = match weight {
                1 => values[i],
                -1 => values[i].wrapping_neg(),
                w => values[i].wrapping_mul(i256::from_i128(w.into())),
            };
            let sum = read_i256(&words[..4]).wrapping_add(term);
            write_i256(&mut words[..4], sum);
            words[4] = words[4].wrapping_add(weight.cast_unsigned());
        });
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "results fit their type")]
    fn evaluate(
        &mut self,
        _: usize,
        (groups, at): (&KeyedState, usize),
        slots: &[u32],
        failures: &mut Failures,
    ) -> Result<ArrayRef> {
        let values = slots.iter().enumerate().map(|(row, slot)| {
            let words = &groups.words(*slot)[at..at + 5];
            (words[4] != 0).then(|| self.read(read_i256(&words[..4]), words[4], row, failures))
        });
        let low = |v: i256| v.as_i128();
        let (precision, scale) = parts(&self.output)?;
        Ok(match self.output {
            DataType::Decimal32(..) => {
                let array: Decimal32Array = values.map(|v| v.map(|v| low(v) as i32)).collect();
                Arc::new(array.with_precision_and_scale(precision, scale)?)
            }
            DataType::Decimal64(..) => {
                let array: Decimal64Array = values.map(|v| v.map(|v| low(v) as i64)).collect();
                Arc::new(array.with_precision_and_scale(precision, scale)?)
            }
            DataType::Decimal128(..) => {
                let array: Decimal128Array = values.map(|v| v.map(low)).collect();
                Arc::new(array.with_precision_and_scale(precision, scale)?)
            }
            _ => {
                let array: Decimal256Array = values.collect();
                Arc::new(array.with_precision_and_scale(precision, scale)?)
            }
        })
    }
}
