//! `count`: one word, the weight of the rows that count.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};

use crate::arrangement::keyed::KeyedState;
use crate::error::Result;
use crate::operator::aggregate::call::{Class, Failures, Slice};

/// The class.
pub(super) struct Count;

impl Class for Count {
    fn words(&self) -> usize {
        1
    }

    fn update(&mut self, groups: &mut KeyedState, at: usize, slice: &Slice) -> Result<()> {
        slice.each(|_, slot, weight| {
            let word = &mut groups.words_mut(slot)[at];
            *word = word.wrapping_add(weight.cast_unsigned());
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
        let count = |slot: &u32| groups.words(*slot)[at].cast_signed();
        Ok(Arc::new(Int64Array::from_iter_values(slots.iter().map(count))))
    }
}
