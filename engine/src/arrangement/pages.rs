//! A growing table in pages: growth copies at most the first one, which starts small.

/// Rows of a full page.
const PAGE: usize = 4096;
/// Rows of the smallest first page.
const LEAST: usize = 64;

/// Rows of `stride` words each, addressed by number.
#[derive(Debug)]
pub struct Pages<T> {
    pages: Vec<Box<[T]>>,
    stride: usize,
}

impl<T: Copy + Default> Pages<T> {
    /// The empty table.
    #[must_use]
    pub fn new(stride: usize) -> Self {
        Self { pages: Vec::new(), stride }
    }

    /// Makes room for rows below `rows`.
    pub fn grow(&mut self, rows: usize) {
        let first = rows.next_power_of_two().clamp(LEAST, PAGE) * self.stride;
        if self.pages.is_empty() {
            self.pages.push(Box::default());
        }
        if self.pages[0].len() < first {
            let mut page = std::mem::take(&mut self.pages[0]).into_vec();
            page.resize(first, T::default());
            self.pages[0] = page.into_boxed_slice();
        }
        while self.pages.len() * PAGE < rows {
            self.pages.push(vec![T::default(); PAGE * self.stride].into_boxed_slice());
        }
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
