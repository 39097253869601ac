//! Gathering of rows of a log by their ids.
//!
//! Touches the chunks that hold the rows and no others. Rows are located once, columns are gathered one
//! by one: fixed-width values by a typed loop, short lists of string views with a copy of the bytes
//! (a view would keep whole chunks alive), long ones sharing the buffers.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryViewBuilder, BooleanBufferBuilder, PrimitiveArray, StringViewBuilder,
    downcast_primitive, new_empty_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::interleave;
use arrow::datatypes::{ArrowPrimitiveType, DataType};

use crate::arrangement::log::{CHUNK_ROWS, ColumnLog, Piece};
use crate::error::Result;

/// From this many rows on, gathered string views share the log's buffers.
const SHARE_VIEWS: usize = 1024;

/// Rows of a log, located.
pub struct Located<'a> {
    log: &'a ColumnLog,
    sources: Vec<&'a Piece>,
    /// Source and offset in it, by row.
    at: Vec<(usize, usize)>,
}

impl ColumnLog {
    /// Finds the pieces that hold `rows`.
    #[must_use]
    pub fn locate(&self, rows: &[u32]) -> Located<'_> {
        let chunks = self.chunks();
        let mut sources = Vec::new();
        let mut first_source = Slots::new(chunks.len(), rows.len());
        let at = rows.iter().map(|row| {
            let (number, offset) = ((row / CHUNK_ROWS) as usize, row % CHUNK_ROWS);
            let chunk = &chunks[number];
            let first = first_source.get_or_insert(number, || {
                let first = sources.len();
                sources.extend(chunk.pieces.iter());
                first
            });
            let piece = chunk.piece_of(offset);
            (first + piece, (offset - chunk.pieces[piece].start) as usize)
        });
        let at = at.collect();
        Located { log: self, sources, at }
    }

    /// The `columns` of `rows`.
    ///
    /// # Errors
    /// When a string column would pass its offset range.
    pub fn gather(&self, rows: &[u32], columns: &[usize]) -> Result<Vec<ArrayRef>> {
        let located = self.locate(rows);
        columns.iter().map(|c| located.column(*c)).collect()
    }

    /// All columns of `rows`.
    ///
    /// # Errors
    /// When a string column would pass its offset range.
    pub fn gather_all(&self, rows: &[u32]) -> Result<Vec<ArrayRef>> {
        let located = self.locate(rows);
        (0..self.schema().fields().len()).map(|c| located.column(c)).collect()
    }
}

/// Chunk number to first source: a table when there are about as many rows as chunks, else a map.
enum Slots {
    Table(Vec<u32>),
    Map(HashMap<usize, usize>),
}

impl Slots {
    fn new(chunks: usize, rows: usize) -> Self {
        if chunks <= rows.max(16) {
            Self::Table(vec![u32::MAX; chunks])
        } else {
            Self::Map(HashMap::with_capacity(rows))
        }
    }

    #[inline]
    fn get_or_insert(&mut self, chunk: usize, make: impl FnOnce() -> usize) -> usize {
        match self {
            Self::Table(table) => {
                if table[chunk] == u32::MAX {
                    table[chunk] = u32::try_from(make()).unwrap_or(u32::MAX);
                }
                table[chunk] as usize
            }
            Self::Map(map) => *map.entry(chunk).or_insert_with(make),
        }
    }
}

impl Located<'_> {
    /// One column of the rows.
    ///
    /// # Errors
    /// When a string column would pass its offset range.
    pub fn column(&self, column: usize) -> Result<ArrayRef> {
        let data_type = self.log.schema().field(column).data_type();
        if self.at.is_empty() {
            return Ok(new_empty_array(data_type));
        }
        macro_rules! primitive {
            ($t:ty) => {
                self.primitive::<$t>(column, data_type)
            };
        }
        let few = self.at.len() < SHARE_VIEWS;
        downcast_primitive! {
            data_type => (primitive),
            DataType::Utf8View if few => {
                let mut out = StringViewBuilder::with_capacity(self.at.len());
                let arrays = self.sources(column, arrow::array::AsArray::as_string_view);
                for (s, i) in &self.at {
                    out.append_option(arrays[*s].is_valid(*i).then(|| arrays[*s].value(*i)));
                }
                Ok(Arc::new(out.finish()))
            }
            DataType::BinaryView if few => {
                let mut out = BinaryViewBuilder::with_capacity(self.at.len());
                let arrays = self.sources(column, arrow::array::AsArray::as_binary_view);
                for (s, i) in &self.at {
                    out.append_option(arrays[*s].is_valid(*i).then(|| arrays[*s].value(*i)));
                }
                Ok(Arc::new(out.finish()))
            }
            _ => Ok(interleave(&self.sources(column, |a| a), &self.at)?)
        }
    }

    fn sources<'a, A>(&'a self, column: usize, cast: impl Fn(&'a dyn Array) -> A) -> Vec<A> {
        self.sources.iter().map(|p| cast(p.columns[column].as_ref())).collect()
    }

    fn primitive<T: ArrowPrimitiveType>(
        &self,
        column: usize,
        data_type: &DataType,
    ) -> Result<ArrayRef> {
        let arrays = self.sources(column, arrow::array::AsArray::as_primitive::<T>);
        let slices: Vec<&[T::Native]> = arrays.iter().map(|a| a.values().as_ref()).collect();
        let values: Vec<T::Native> = self.at.iter().map(|(s, i)| slices[*s][*i]).collect();
        let nulls = arrays.iter().any(|a| a.null_count() > 0).then(|| {
            let mut valid = BooleanBufferBuilder::new(self.at.len());
            self.at.iter().for_each(|(s, i)| valid.append(arrays[*s].is_valid(*i)));
            NullBuffer::new(valid.finish())
        });
        let nulls = nulls.filter(|n| n.null_count() > 0);
        let array = PrimitiveArray::<T>::new(values.into(), nulls);
        Ok(Arc::new(array.with_data_type(data_type.clone())))
    }
}
