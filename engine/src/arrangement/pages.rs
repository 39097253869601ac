//! A growing table in pages: growth never copies what is there.

/// Entries of one page, times the stride.
const PAGE: usize = 4096;

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
        self.pages.len() * PAGE * self.stride * size_of::<T>()
    }
}
