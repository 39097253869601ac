//! A growing table in pages: growth copies at most the first one, which starts small.

use std::sync::Arc;

use crate::error::Result;
use crate::spill::{SpillSpace, Word, Words};

/// Rows of a full page.
const PAGE: usize = 4096;
/// Rows of the smallest first page.
const LEAST: usize = 64;

/// Rows of `stride` words each, addressed by number.
#[derive(Debug)]
pub struct Pages<T> {
    pages: Vec<Words<T>>,
    stride: usize,
    /// Where it is once it has moved.
    space: Option<Arc<SpillSpace>>,
}

impl<T: Word> Pages<T> {
    /// The empty table.
    #[must_use]
    pub fn new(stride: usize) -> Self {
        Self::within(stride, None)
    }

    /// The empty table, in spill space if there is one.
    #[must_use]
    pub fn within(stride: usize, space: Option<Arc<SpillSpace>>) -> Self {
        Self { pages: Vec::new(), stride, space }
    }

    /// Makes room for rows below `rows`.
    pub fn grow(&mut self, rows: usize) {
        let first = rows.next_power_of_two().clamp(LEAST, PAGE) * self.stride;
        if self.pages.is_empty() {
            self.pages.push(Words::default());
        }
        if self.pages[0].len() < first {
            let mut page = Words::filled(T::default(), first, self.space.as_ref());
            page[..self.pages[0].len()].copy_from_slice(&self.pages[0]);
            self.pages[0] = page;
        }
        while self.pages.len() * PAGE < rows {
            let page = Words::filled(T::default(), PAGE * self.stride, self.space.as_ref());
            self.pages.push(page);
        }
    }

    /// Where it is once it has moved.
    #[must_use]
    pub fn space(&self) -> Option<&Arc<SpillSpace>> {
        self.space.as_ref()
    }

    /// Moves all of it, and what will come, to spill space.
    ///
    /// # Errors
    /// When there is no room.
    pub fn spill(&mut self, space: &Arc<SpillSpace>) -> Result<usize> {
        let moved = self.pages.iter_mut().map(|page| page.spill(space)).sum::<Result<usize>>()?;
        self.space = Some(Arc::clone(space));
        Ok(moved)
    }

    /// The words of row `i`.
    #[inline]
    #[must_use]
    pub fn get(&self, i: u32) -> &[T] {
        let (page, at) = (i as usize / PAGE, i as usize % PAGE * self.stride);
        &self.pages[page][at..at + self.stride]
    }

    /// The words of row `i`, to change.
    #[inline]
    pub fn get_mut(&mut self, i: u32) -> &mut [T] {
        let (page, at) = (i as usize / PAGE, i as usize % PAGE * self.stride);
        &mut self.pages[page][at..at + self.stride]
    }

    /// Bytes of all pages.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let others = self.pages.len().saturating_sub(1) * PAGE * self.stride;
        (self.pages.first().map_or(0, |p| p.len()) + others) * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::Pages;

    #[test]
    fn growth_keeps_what_is_there() {
        let mut pages: Pages<u64> = Pages::new(3);
        for row in 0..10_000u32 {
            pages.grow(row as usize + 1);
            assert_eq!(pages.get(row), [0; 3], "fresh");
            pages.get_mut(row)[2] = u64::from(row) + 1;
        }
        assert!((0..10_000u32).all(|row| pages.get(row)[2] == u64::from(row) + 1), "kept");
        let mut small: Pages<u64> = Pages::new(3);
        small.grow(1);
        assert_eq!(small.bytes(), 64 * 3 * 8, "the first page starts small");
    }
}
