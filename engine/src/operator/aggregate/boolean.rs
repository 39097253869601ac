//! `bool_and` and `bool_or`: how many values are true and how many false, a word each.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray};

use crate::arrangement::keyed::KeyedState;
use crate::error::Result;
use crate::operator::aggregate::call::{Class, Failures, Slice};

/// What the counts are read as.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// Whether no value is false.
    All,
    /// Whether a value is true.
    Any,
}

/// The class.
pub(super) struct Boolean {
    reading: Reading,
}

impl Boolean {
    pub(super) fn new(reading: Reading) -> Self {
        Self { reading }
    }
}

impl Class for Boolean {
    fn words(&self) -> usize {
        2
    }

    fn update(&mut self, groups: &mut KeyedState, at: usize, slice: &Slice) -> Result<()> {
        let Some(values) = slice.values else { return Ok(()) };
        let values = values.as_boolean();
        slice.each(|i, slot, weight| {
            let word = &mut groups.words_mut(slot)[at + usize::from(values.value(i))];
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
        let read = |slot: &u32| match (self.reading, &groups.words(*slot)[at..at + 2]) {
            (_, [0, 0]) => None,
            (Reading::All, words) => Some(words[0] == 0),
            (Reading::Any, words) => Some(words[1] != 0),
        };
        Ok(Arc::new(slots.iter().map(read).collect::<BooleanArray>()))
    }
}
