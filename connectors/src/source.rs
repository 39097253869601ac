//! How data come in: a source lists its splits, a reader reads one split from an offset.
//!
//! ```text
//! source  --splits(known offsets)-->  splits that hold data, problems
//! split   --open(offset)-->  reader  --next(budget)-->  chunk, chunk, ..., end
//! chunk   =  good rows  +  rejects  +  the offset after both
//! ```
//! **Exactly once.** The engine commits rows, rejects and `after` in one epoch. After a restart it opens
//! the split at the committed offset; a reader opened there yields exactly what had not been committed.
//! Two reads from the same offset yield the same rows in the same order, however the budgets cut them.
//!
//! A source keeps no clock, sleeps, retries and spawns nothing. A problem with one split never fails the
//! others: it is listed as a [`Problem`] and its split is left alone. Record values never weigh: a chunk
//! only inserts.

use std::fmt::{self, Debug};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use crate::error::Result;

/// One system to read from, with checked options.
#[async_trait]
pub trait Source: Debug + Send + Sync {
    /// Whether the source can be read at all, for CREATE.
    ///
    /// # Errors
    /// What stands in the way, such as a pattern that matches nothing.
    async fn check(&self) -> Result<()>;

    /// The columns: as declared, otherwise inferred from the data. Does not change afterwards.
    ///
    /// # Errors
    /// When no columns are declared and the data tell none.
    async fn discover(&self) -> Result<TableShape>;

    /// Lists the splits that hold data behind their `known` offset, in the order to read them.
    ///
    /// `known` holds every split with a committed offset; `now_us` is the time in microseconds since 1970
    /// in UTC, by which a source tells a finished file from one that is still being written. Call it once
    /// per poll, after the readers of the former listing have ended.
    ///
    /// # Errors
    /// When nothing can be listed; a problem with one split is in the listing instead.
    async fn splits(&self, known: &[(String, Offset)], now_us: i64) -> Result<Listing>;

    /// Opens a split at `at`, or at its start.
    ///
    /// # Errors
    /// When this split cannot be opened; it says nothing about the others. The next listing tells what
    /// became of it.
    async fn open(&self, split: &Split, at: Option<Offset>) -> Result<Box<dyn Reader>>;

    /// Rows per second that the engine shall not exceed; `None` is as fast as it can.
    fn rate(&self) -> Option<f64> {
        None
    }
}

/// Reads one split, chunk by chunk.
#[async_trait]
pub trait Reader: Send {
    /// The next rows within `budget`, but at least one record if there is one.
    ///
    /// Cancel-safe: a call that is dropped has consumed nothing that a later call does not yield.
    ///
    /// # Errors
    /// When the split can be read no further; rows of earlier chunks stand.
    async fn next(&mut self, budget: Budget) -> Result<Chunk>;
}

/// What a source's rows look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableShape {
    /// Columns in order.
    pub schema: SchemaRef,
}

/// A part of a source that is read by one reader, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Stable name, for a file its path.
    pub name: String,
    /// Whether nothing will be added to it behind what it holds: an unfinished last line is a record.
    pub complete: bool,
}

/// Something that keeps one split from being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The split's name.
    pub split: String,
    /// What is wrong, Postgres style.
    pub message: String,
}

/// What a source holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Splits that are new or hold more than the known offset, in the order to read them.
    pub ready: Vec<Split>,
    /// Splits that vanished, shrank or were changed in place; the listing repeats them.
    pub problems: Vec<Problem>,
}

/// How much one call may return.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// At most this many rows.
    pub rows: usize,
    /// About this many bytes of input.
    pub bytes: usize,
}

/// Some rows, the records that are none, and where to go on.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Good rows, in order; never an empty batch.
    pub rows: Option<RecordBatch>,
    /// Where a reader goes on behind rows and rejects. Commit it even when there are neither.
    pub after: Offset,
    /// Records that could not be decoded, in order.
    pub rejects: Vec<Reject>,
    /// Whether the split holds nothing more at this moment.
    pub end: bool,
}

/// Bytes of a bad record that are kept.
pub const RAW_BYTES_MAX: usize = 64 << 10;

/// A record that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The record's bytes as they came, up to [`RAW_BYTES_MAX`].
    pub raw: Vec<u8>,
    /// `path:line` for text, `path:row` for row formats.
    pub position: String,
    /// Line or row, from 1.
    pub line: u64,
    /// What is wrong, Postgres style.
    pub error: String,
    /// SQLSTATE, such as `22P02`.
    pub sqlstate: &'static str,
}

impl Reject {
    /// The record of `length` bytes that starts with `raw` on `line` of `path`; of a longer one than is
    /// kept, the message tells the length.
    pub(crate) fn new(
        path: &str,
        line: u64,
        raw: &[u8],
        length: u64,
        sqlstate: &'static str,
        mut error: String,
    ) -> Self {
        let kept = &raw[..raw.len().min(RAW_BYTES_MAX)];
        if kept.len() as u64 != length {
            error = format!("{error} (the first {} of {length} bytes are kept)", kept.len());
        }
        Self { raw: kept.to_vec(), position: format!("{path}:{line}"), line, error, sqlstate }
    }
}

/// A resume position in a split: opaque, versioned, ordered per split.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub Vec<u8>);

impl Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Offset(")?;
        for byte in &self.0 {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}
