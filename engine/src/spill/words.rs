//! Lists of plain numbers that may move to spill space.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::error::Result;
use crate::spill::{ALIGNMENT, Region, SpillSpace};

/// A number for which any bytes are a value.
pub trait Word: Copy + Default + private::Plain {}

mod private {
    pub trait Plain {}
    impl Plain for u8 {}
    impl Plain for u32 {}
    impl Plain for u64 {}
    impl Plain for i64 {}
}

impl Word for u8 {}
impl Word for u32 {}
impl Word for u64 {}
impl Word for i64 {}

/// A list, in memory or in spill space.
pub struct Words<T> {
    place: Place<T>,
}

enum Place<T> {
    Memory(Vec<T>),
    /// `len` values from byte `at` of a region on, which other lists may have other parts of.
    Space {
        region: Arc<Region>,
        at: usize,
        len: usize,
    },
}

impl<T: Word> Words<T> {
    /// `len` times `value`: in `space` if there is one and it has room, else in memory.
    #[must_use]
    pub fn filled(value: T, len: usize, space: Option<&Arc<SpillSpace>>) -> Self {
        let Some(Ok(region)) = space.map(|space| space.region(len * size_of::<T>())) else {
            return Self::from(vec![value; len]);
        };
        let mut words = Self { place: Place::Space { region: Arc::new(region), at: 0, len } };
        words.fill(value);
        words
    }

    /// The list to add to, in memory.
    pub fn to_mut(&mut self) -> &mut Vec<T> {
        if let Place::Space { .. } = self.place {
            *self = Self::from(self.to_vec());
        }
        match &mut self.place {
            Place::Memory(values) => values,
            Place::Space { .. } => unreachable!("it was just brought to memory"),
        }
    }

    /// Whether it is in memory.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        matches!(self.place, Place::Memory(_))
    }

    /// Bytes in memory or in spill space.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.place {
            Place::Memory(values) => values.capacity() * size_of::<T>(),
            Place::Space { len, .. } => len * size_of::<T>(),
        }
    }

    /// Bytes that [`Words::spill_to`] takes of a region.
    pub(crate) fn needs(&self) -> usize {
        size_of_val::<[T]>(self).next_multiple_of(ALIGNMENT)
    }

    /// Moves it to the region from byte `at` on, where nobody else has anything; how many bytes it takes.
    pub(crate) fn spill_to(&mut self, region: &Arc<Region>, at: usize) -> usize {
        let mut moved =
            Self { place: Place::Space { region: Arc::clone(region), at, len: self.len() } };
        moved.copy_from_slice(self);
        *self = moved;
        self.needs()
    }

    /// Moves it to spill space; how many bytes of memory that freed.
    ///
    /// # Errors
    /// When there is no room.
    pub fn spill(&mut self, space: &SpillSpace) -> Result<usize> {
        let Place::Memory(values) = &self.place else { return Ok(0) };
        if values.is_empty() {
            return Ok(0);
        }
        let (freed, region) = (self.bytes(), space.region(self.needs())?);
        self.spill_to(&Arc::new(region), 0);
        Ok(freed)
    }
}

impl<T> Default for Words<T> {
    fn default() -> Self {
        Self { place: Place::Memory(Vec::new()) }
    }
}

impl<T: Word> From<Vec<T>> for Words<T> {
    fn from(values: Vec<T>) -> Self {
        Self { place: Place::Memory(values) }
    }
}

impl<T> Deref for Words<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.place {
            Place::Memory(values) => values,
            #[expect(unsafe_code, reason = "a list in a mapping")]
            // SAFETY: the region has `len` aligned values there, any bytes are a value, and no other list has
            // this part of it.
            Place::Space { region, at, len } => unsafe {
                std::slice::from_raw_parts(region.pointer().add(*at).cast::<T>().as_ptr(), *len)
            },
        }
    }
}

impl<T> DerefMut for Words<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.place {
            Place::Memory(values) => values,
            #[expect(unsafe_code, reason = "a list in a mapping")]
            // SAFETY: as for `deref`; `self` is borrowed alone.
            Place::Space { region, at, len } => unsafe {
                std::slice::from_raw_parts_mut(region.pointer().add(*at).cast::<T>().as_ptr(), *len)
            },
        }
    }
}

impl<T: Word> Clone for Words<T> {
    /// A copy in memory.
    fn clone(&self) -> Self {
        Self::from(self.to_vec())
    }
}

impl<T> fmt::Debug for Words<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::Memory(_) => "memory",
            Place::Space { .. } => "space",
        };
        f.debug_struct("Words").field("len", &self.len()).field("place", &place).finish()
    }
}
