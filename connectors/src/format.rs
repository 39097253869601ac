//! Formats: bytes of a file to rows, and back.
//!
//! Text formats decode **blocks**: a run of bytes that starts at a record. A decoder consumes the whole
//! records of a block and leaves the unfinished one at its end, so that how a file is cut into blocks
//! never shows in the rows. A record that is none becomes a [`Reject`] and costs its neighbours nothing.

pub(crate) mod conform;
pub(crate) mod csv;
pub(crate) mod json;
pub(crate) mod number;
pub(crate) mod shape;

use arrow::array::RecordBatch;

use crate::error::Result;
use crate::source::Reject;

/// Bytes of the longest record, with its newline not counted; a longer one is rejected as a whole.
pub(crate) const RECORD_BYTES_MAX: usize = 4 << 20;

/// A format with its checked options.
#[derive(Clone, Debug)]
pub(crate) enum Format {
    /// Comma-separated values.
    Csv(csv::Dialect),
    /// JSON lines.
    Json,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// The ending of file names.
    pub(crate) fn ending(&self) -> &'static str {
        match self {
            Self::Csv(_) => "csv",
            Self::Json => "json",
            Self::Parquet => "parquet",
        }
    }
}

/// Where a block starts, and how it may be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The file.
    pub(crate) path: &'a str,
    /// The line of the block's first byte, from 1.
    pub(crate) line: u64,
    /// At most this many records are consumed.
    pub(crate) rows: usize,
    /// Whether the block is the last of a finished file: its last line is whole even without newline.
    pub(crate) last: bool,
}

/// What became of a block.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    /// Good rows; never an empty batch.
    pub(crate) rows: Option<RecordBatch>,
    /// Bad records in order.
    pub(crate) rejects: Vec<Reject>,
    /// Whether what follows those bytes is a line that is longer than a record may be and goes on behind
    /// the block.
    pub(crate) overlong: bool,
    /// Bytes consumed: 0 when the first record is unfinished.
    pub(crate) bytes: usize,
    /// Newlines in them.
    pub(crate) lines: u64,
}

/// Decodes blocks of one text file.
pub(crate) trait BlockDecoder: Send {
    /// Consumes whole records from the start of `block`.
    fn decode(&mut self, block: &[u8], place: Place<'_>) -> Result<Decoded>;
}

/// Why a record is too long.
pub(crate) fn too_long() -> (&'static str, String) {
    ("54000", format!("record is longer than {RECORD_BYTES_MAX} bytes"))
}

impl Place<'_> {
    /// A reject of `raw` that starts on `line`.
    pub(crate) fn reject(
        &self,
        line: u64,
        raw: &[u8],
        sqlstate: &'static str,
        error: String,
    ) -> Reject {
        Reject::new(self.path, line, raw, raw.len() as u64, sqlstate, error)
    }
}
