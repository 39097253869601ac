//! Append-only columnar log of rows that are addressed by number.
//!
//! ```text
//! row id -> chunk (id / 8192) -> piece -> offset            columns of a piece: immutable arrays
//! [8192][5000|3192]...[600|512|512|64|8|1|1]                only the last chunk has many pieces
//! tombstones: one bitmap per chunk that has any, copied when a reader holds it
//! ```
//! Small appends make small pieces; eight of a size are joined into one, so a row is copied
//! O(log chunk) times and a chunk never has many pieces. Stored arrays own their bytes: no row keeps the
//! batch alive that it came in. Ids are stable until [`ColumnLog::compact`].

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, MutableArrayData, PrimitiveArray, downcast_primitive, make_array,
};
use arrow::compute::{concat, filter};
use arrow::datatypes::{DataType, SchemaRef};

use crate::arrangement::view::LogView;
use crate::error::{Error, Result};
use crate::spill::SpillSpace;
use crate::workers::Workers;

/// Rows of a full chunk.
pub const CHUNK_ROWS: u32 = 8192;
/// Pieces of a size class (powers of this number) that are joined.
const FANIN: u32 = 8;
/// Pieces of this many rows wait until their chunk is full: there are few of them, so a row is copied once less.
const LARGE_ROWS: u32 = 512;
/// Pieces of a full chunk at most: so few are as good as one, and need no copy.
const FULL_PIECES: usize = 4;

/// Tombstones of one chunk.
pub(crate) type Bits = [u64; CHUNK_ROWS as usize / 64];

/// A part of the log that holds up to [`CHUNK_ROWS`] rows.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    pub(crate) pieces: Vec<Piece>,
}

/// Rows of a chunk that were stored together.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// Offset of the first row in the chunk.
    pub(crate) start: u32,
    pub(crate) rows: u32,
    pub(crate) columns: Vec<ArrayRef>,
    bytes: usize,
    is_spilled: bool,
}

/// The log.
#[derive(Debug)]
pub struct ColumnLog {
    schema: SchemaRef,
    chunks: Vec<Arc<Chunk>>,
    dead: Vec<Option<Arc<Bits>>>,
    rows: u32,
    dead_rows: u32,
    bytes: usize,
    /// Bytes in spill space.
    spilled: usize,
    /// The chunks before it are full and in spill space.
    spilled_chunks: usize,
    /// Where full chunks move at once when the log is compacted.
    space: Option<Arc<SpillSpace>>,
}

/// Where the live rows went when a log was compacted.
#[derive(Debug)]
pub struct Moves {
    dead: Vec<Option<Arc<Bits>>>,
    /// New id of the first live row of each chunk.
    first: Vec<u32>,
}

impl Moves {
    /// The new id of a row that was live.
    #[must_use]
    pub fn of(&self, row: u32) -> u32 {
        let (chunk, offset) = ((row / CHUNK_ROWS) as usize, row % CHUNK_ROWS);
        let dead_before = self.dead[chunk].as_ref().map_or(0, |bits| {
            let (word, bit) = ((offset / 64) as usize, offset % 64);
            let whole: u32 = bits[..word].iter().map(|w| w.count_ones()).sum();
            whole + (bits[word] & ((1 << bit) - 1)).count_ones()
        });
        self.first[chunk] + offset - dead_before
    }
}

impl ColumnLog {
    /// An empty log of rows of `schema`.
    #[must_use]
    pub fn new(schema: SchemaRef) -> Self {
        let (chunks, dead) = (Vec::new(), Vec::new());
        Self {
            schema,
            chunks,
            dead,
            rows: 0,
            dead_rows: 0,
            bytes: 0,
            spilled: 0,
            spilled_chunks: 0,
            space: None,
        }
    }

    /// Schema of the rows.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows ever appended since the last compaction: ids are below it.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Rows without tombstone.
    #[must_use]
    pub fn live_rows(&self) -> u32 {
        self.rows - self.dead_rows
    }

    /// Rows with tombstone.
    #[must_use]
    pub fn dead_rows(&self) -> u32 {
        self.dead_rows
    }

    /// Bytes of rows and tombstones.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of it in spill space.
    #[must_use]
    pub fn spilled(&self) -> usize {
        self.spilled
    }

    /// Moves chunks to spill space, the oldest first, until that freed `want` bytes of memory; how many
    /// it freed. Readers that hold a chunk keep it as it was.
    ///
    /// # Errors
    /// When there is no room.
    pub fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        let full = (self.rows / CHUNK_ROWS) as usize;
        let mut freed = 0;
        for (i, chunk) in self.chunks.iter_mut().enumerate().skip(self.spilled_chunks) {
            if freed >= want {
                break;
            }
            let moved = chunk.spilled();
            let pieces = chunk.pieces.iter().map(|piece| piece.moved(space));
            *chunk = Arc::new(Chunk { pieces: pieces.collect::<Result<_>>()? });
            freed += chunk.spilled() - moved;
            self.spilled_chunks += usize::from(i < full);
        }
        self.spilled += freed;
        self.space = Some(Arc::clone(space));
        Ok(freed)
    }

    pub(crate) fn chunks(&self) -> &[Arc<Chunk>] {
        &self.chunks
    }

    /// Appends rows; the first gets the id [`ColumnLog::rows`].
    ///
    /// # Errors
    /// When the log holds 2^31 rows or pieces cannot be joined.
    pub fn append(&mut self, columns: &[ArrayRef], rows: usize) -> Result<()> {
        self.append_with(columns, rows, &Workers::alone())
    }

    /// As [`ColumnLog::append`]; `workers` share the copying when the rows are many.
    ///
    /// # Errors
    /// As [`ColumnLog::append`].
    pub fn append_with(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        workers: &Workers,
    ) -> Result<()> {
        let total = self.rows as usize + rows;
        if total >= (1 << 31) - 1 {
            return Err(Error::Internal("a log is limited to 2147483646 rows".to_owned()));
        }
        let mut from = 0;
        let mut parts = Vec::new();
        while from < rows {
            let used = (self.rows as usize + from) % CHUNK_ROWS as usize;
            let n = (rows - from).min(CHUNK_ROWS as usize - used);
            parts.push((from, n));
            from += n;
        }
        for ((_, n), part) in parts.iter().zip(copies(columns, &parts, rows, workers)) {
            if self.rows.is_multiple_of(CHUNK_ROWS) {
                self.chunks.push(Arc::default());
                self.dead.push(None);
            }
            let rows = u32::try_from(*n).unwrap_or(CHUNK_ROWS);
            let chunk = Arc::make_mut(self.chunks.last_mut().expect("the chunk was just made"));
            let before = (chunk.bytes(), chunk.spilled());
            chunk.push(part, rows, workers)?;
            self.bytes = self.bytes + chunk.bytes() - before.0;
            self.spilled = self.spilled + chunk.spilled() - before.1;
            self.rows += rows;
        }
        Ok(())
    }

    /// Whether the row has no tombstone.
    #[inline]
    #[must_use]
    pub fn is_live(&self, row: u32) -> bool {
        self.dead[(row / CHUNK_ROWS) as usize]
            .as_ref()
            .is_none_or(|bits| bits[(row % CHUNK_ROWS / 64) as usize] >> (row % 64) & 1 == 0)
    }

    /// Puts a tombstone on a live row.
    pub fn kill(&mut self, row: u32) {
        let bits = &mut self.dead[(row / CHUNK_ROWS) as usize];
        if bits.is_none() {
            self.bytes += size_of::<Bits>();
        }
        let bits = Arc::make_mut(bits.get_or_insert_with(|| Arc::new([0; 128])));
        let word = &mut bits[(row % CHUNK_ROWS / 64) as usize];
        debug_assert!(*word >> (row % 64) & 1 == 0, "a row dies once");
        *word |= 1 << (row % 64);
        self.dead_rows += 1;
    }

    /// The ids of the live rows from `from` on, in order.
    pub fn live_from(&self, from: u32) -> impl Iterator<Item = u32> + '_ {
        (from..self.rows).filter(|row| self.is_live(*row))
    }

    /// What readers see: the rows as they are, without a copy.
    #[must_use]
    pub fn view(&self) -> LogView {
        LogView {
            schema: Arc::clone(&self.schema),
            chunks: self.chunks.clone(),
            dead: self.dead.clone(),
            rows: self.live_rows(),
        }
    }

    /// Whether more than half of the rows are dead.
    #[must_use]
    pub fn is_worn(&self) -> bool {
        self.dead_rows > 0 && (self.live_rows() == 0 || self.dead_rows > self.live_rows().max(256))
    }

    /// Drops the dead rows; the live ones get new ids in the same order.
    ///
    /// # Errors
    /// When rows cannot be filtered.
    pub fn compact(&mut self) -> Result<Moves> {
        let mut fresh = Self::new(Arc::clone(&self.schema));
        let mut first = Vec::with_capacity(self.chunks.len());
        for (chunk, dead) in self.chunks.iter().zip(&self.dead) {
            first.push(fresh.rows);
            for piece in &chunk.pieces {
                match dead {
                    None => fresh.append(&piece.columns, piece.rows as usize)?,
                    Some(bits) => {
                        let mask = piece.live_mask(bits);
                        let columns = piece.columns.iter().map(|c| filter(c, &mask));
                        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
                        fresh.append(&columns, mask.true_count())?;
                    }
                }
            }
            if let Some(space) = &self.space {
                fresh.spill(space, usize::MAX)?;
            }
        }
        let old = std::mem::replace(self, fresh);
        Ok(Moves { dead: old.dead, first })
    }
}

impl Chunk {
    fn bytes(&self) -> usize {
        self.pieces.iter().map(|p| p.bytes).sum()
    }

    fn spilled(&self) -> usize {
        self.pieces.iter().filter(|p| p.is_spilled).map(|p| p.bytes).sum()
    }

    /// Index of the piece that holds the row at `offset`.
    #[inline]
    pub(crate) fn piece_of(&self, offset: u32) -> usize {
        if self.pieces.len() == 1 {
            return 0;
        }
        self.pieces.partition_point(|p| p.start <= offset) - 1
    }

    fn push(&mut self, columns: Vec<ArrayRef>, rows: u32, workers: &Workers) -> Result<()> {
        let start = self.pieces.last().map_or(0, |p| p.start + p.rows);
        self.pieces.push(Piece::new(start, rows, columns));
        if start + rows == CHUNK_ROWS && self.pieces.len() > FULL_PIECES {
            return self.join_last(self.pieces.len(), workers);
        }
        if start + rows == CHUNK_ROWS {
            return Ok(());
        }
        loop {
            let last = self.pieces.last().map_or(0, |p| p.rows);
            if last >= LARGE_ROWS {
                return Ok(());
            }
            let class = last.checked_ilog(FANIN).unwrap_or(0);
            let same = self.pieces.iter().rev().take_while(|p| p.rows.ilog(FANIN) <= class).count();
            if same < FANIN as usize {
                return Ok(());
            }
            self.join_last(same, workers)?;
        }
    }

    /// Makes one piece of the last `n`.
    fn join_last(&mut self, n: usize, workers: &Workers) -> Result<()> {
        if n < 2 {
            return Ok(());
        }
        let parts = self.pieces.split_off(self.pieces.len() - n);
        let (start, rows) = (parts[0].start, parts.iter().map(|p| p.rows).sum());
        let columns = 0..parts[0].columns.len();
        let join = move |column: usize| {
            let arrays: Vec<&dyn Array> =
                parts.iter().map(|p| p.columns[column].as_ref()).collect();
            Ok(owned(&concat(&arrays)?))
        };
        let columns: Result<Vec<_>> = if workers.pays(rows as usize) {
            workers.map(columns.collect(), join).into_iter().collect()
        } else {
            columns.map(join).collect()
        };
        self.pieces.push(Piece::new(start, rows, columns?));
        Ok(())
    }
}

impl Piece {
    fn new(start: u32, rows: u32, columns: Vec<ArrayRef>) -> Self {
        let bytes = columns.iter().map(Array::get_array_memory_size).sum();
        Self { start, rows, columns, bytes, is_spilled: false }
    }

    /// The piece in spill space.
    fn moved(&self, space: &SpillSpace) -> Result<Self> {
        if self.is_spilled {
            return Ok(self.clone());
        }
        Ok(Self { columns: space.take_in(&self.columns)?, is_spilled: true, ..*self })
    }

    /// Which rows have no tombstone.
    pub(crate) fn live_mask(&self, dead: &Bits) -> arrow::array::BooleanArray {
        let alive = |row: u32| dead[(row / 64) as usize] >> (row % 64) & 1 == 0;
        (self.start..self.start + self.rows).map(|row| Some(alive(row))).collect()
    }
}

/// The columns of each part (first row and number of rows), with buffers of their own.
fn copies(
    columns: &[ArrayRef],
    parts: &[(usize, usize)],
    rows: usize,
    workers: &Workers,
) -> Vec<Vec<ArrayRef>> {
    let slice = |(from, n): (usize, usize)| columns.iter().map(move |c| c.slice(from, n));
    if !workers.pays(rows) || columns.is_empty() {
        return parts.iter().map(|part| slice(*part).map(|c| owned(&c)).collect()).collect();
    }
    let slices = parts.iter().flat_map(|part| slice(*part)).collect();
    let copies = workers.map(slices, |slice: ArrayRef| owned(&slice));
    copies.chunks(columns.len()).map(<[ArrayRef]>::to_vec).collect()
}

/// The array with buffers of its own, as long as needed.
fn owned(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        _ => {
            let data = array.to_data();
            let needed = data.get_slice_memory_size().unwrap_or(0);
            if data.get_buffer_memory_size() <= needed + needed / 4 + 64 {
                return ArrayRef::clone(array);
            }
            if let Some(copy) = copied(array) {
                return copy;
            }
            let mut copy = MutableArrayData::new(vec![&data], false, array.len());
            match copy.try_extend(0, 0, array.len()) {
                Ok(()) => make_array(copy.freeze()),
                Err(_offsets_do_not_fit) => ArrayRef::clone(array),
            }
        }
    }
}

/// A copy of an array of numbers without NULL.
fn copied(array: &ArrayRef) -> Option<ArrayRef> {
    if array.null_count() > 0 {
        return None;
    }
    macro_rules! copied {
        ($t:ty) => {{
            let values = array.as_primitive::<$t>().values().to_vec();
            let copy = PrimitiveArray::<$t>::new(values.into(), None);
            Some(Arc::new(copy.with_data_type(array.data_type().clone())))
        }};
    }
    downcast_primitive! {
        array.data_type() => (copied),
        _ => None
    }
}
