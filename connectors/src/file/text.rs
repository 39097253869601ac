//! Reads one text file, block by block.
//!
//! ```text
//! | consumed: content and tail checksums | buffer: unfinished record, unread lines | not read yet |
//! 0                                     at                                               size at open
//! ```
//! The reader goes no further than the size the file had when it was opened. What is left behind the last
//! newline waits for more bytes, unless the split is complete: then it is a record. A line that is longer than
//! a record may be is passed over in the file, not gathered: it costs one reject.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::file::position::{Position, State, TAIL_BYTES, read_range, tail_checksum};
use crate::format::{BlockDecoder, Place, too_long};
use crate::source::{Budget, Chunk, RAW_BYTES_MAX, Reader, Reject};

/// Bytes read at once, whatever the budget says.
const BLOCK_BYTES_MIN: usize = 4 << 10;
const BLOCK_BYTES_MAX: usize = 4 << 20;

/// A reader of lines or records of text.
pub(crate) struct TextReader {
    file: File,
    path: String,
    decoder: Box<dyn BlockDecoder>,
    position: Position,
    /// Whether the file ends where it ended at open.
    complete: bool,
    /// Bytes read but not consumed; the first stands at `position.at`.
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are consumed already.
    used: usize,
    /// The last bytes consumed.
    tail: VecDeque<u8>,
}

impl TextReader {
    /// A reader from `position` on; `position.etag` is the file as it is opened.
    pub(crate) fn new(
        file: File,
        path: &str,
        decoder: Box<dyn BlockDecoder>,
        position: Position,
        complete: bool,
    ) -> Result<Self> {
        let tail = read_range(&file, path, position.at.saturating_sub(TAIL_BYTES), position.at)?;
        Ok(Self {
            file,
            path: path.to_owned(),
            decoder,
            position: Position { state: State::Reading, ..position },
            complete,
            buffer: Vec::new(),
            used: 0,
            tail: tail.into(),
        })
    }

    /// Reads up to `bytes` more; false at the end of the file.
    fn fill(&mut self, bytes: usize) -> Result<bool> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let have = self.buffer.len();
        let from = self.position.at + to_u64(have);
        let left = self.position.etag.size.saturating_sub(from);
        let wanted = bytes.min(usize::try_from(left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(false);
        }
        self.buffer.resize(have + wanted, 0);
        let read = self.file.read_exact_at(&mut self.buffer[have..], from);
        if let Err(e) = read {
            self.buffer.truncate(have);
            return Err(Error::io("read", self.path.as_str(), e));
        }
        Ok(true)
    }

    /// Whether everything of the file is in the buffer or behind it.
    fn drained(&self) -> bool {
        self.position.at + to_u64(self.buffer.len() - self.used) >= self.position.etag.size
    }

    fn consume(&mut self, bytes: usize, lines: u64, rows: u64) {
        let consumed = &self.buffer[self.used..self.used + bytes];
        self.position.content = crc32c::crc32c_append(self.position.content, consumed);
        extend_tail(&mut self.tail, consumed);
        self.position.tail = crc32c::crc32c(self.tail.make_contiguous());
        self.position.at += to_u64(bytes);
        self.position.lines += lines;
        self.position.rows += rows;
        self.used += bytes;
    }

    /// Consumes the line at the position and yields its reject; nothing while its end is not there.
    fn pass_over(&mut self) -> Result<Vec<Reject>> {
        let Position { at, etag, .. } = self.position;
        let mut after = self.position;
        let mut tail = self.tail.clone();
        let mut first = Vec::new();
        let mut newline = None;
        while newline.is_none() && after.at < etag.size {
            let to = etag.size.min(after.at + to_u64(BLOCK_BYTES_MAX));
            let mut block = read_range(&self.file, &self.path, after.at, to)?;
            newline = block.iter().position(|b| *b == b'\n');
            block.truncate(newline.map_or(block.len(), |n| n + 1));
            if first.is_empty() {
                first = block[..block.len().min(RAW_BYTES_MAX)].to_vec();
            }
            after.content = crc32c::crc32c_append(after.content, &block);
            after.at += to_u64(block.len());
            extend_tail(&mut tail, &block);
        }
        if newline.is_none() && !self.complete {
            return Ok(Vec::new());
        }
        let ending = match (newline, tail.iter().rev().nth(1)) {
            (Some(_), Some(b'\r')) => 2,
            (Some(_), _) => 1,
            (None, _) => 0,
        };
        let (sqlstate, error) = too_long();
        let (line, length) = (after.lines + 1, after.at - at - ending);
        let reject = Reject::new(&self.path, line, &first, length, sqlstate, error);
        after.lines += u64::from(newline.is_some());
        after.tail = crc32c::crc32c(tail.make_contiguous());
        (self.position, self.tail) = (after, tail);
        self.buffer.clear();
        self.used = 0;
        Ok(vec![reject])
    }

    fn read(&mut self, budget: Budget) -> Result<Chunk> {
        let block = budget.bytes.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX);
        if self.used == self.buffer.len() {
            self.fill(block)?;
        }
        loop {
            let last = self.complete && self.drained();
            let (line, rows) = (self.position.lines + 1, budget.rows.max(1));
            let place = Place { path: &self.path, line, rows, last };
            let decoded = self.decoder.decode(&self.buffer[self.used..], place)?;
            if decoded.overlong && decoded.bytes == 0 {
                let rejects = self.pass_over()?;
                let end = rejects.is_empty() || self.drained();
                return Ok(self.chunk(None, rejects, end));
            }
            if decoded.bytes > 0 {
                let rows = decoded.rows.as_ref().map_or(0, |rows| to_u64(rows.num_rows()));
                self.consume(decoded.bytes, decoded.lines, rows);
                let end = self.used == self.buffer.len() && self.drained();
                if decoded.rows.is_some() || !decoded.rejects.is_empty() || end {
                    return Ok(self.chunk(decoded.rows, decoded.rejects, end));
                }
            }
            if decoded.overlong {
                continue;
            }
            // An unfinished record is scanned again: reading as much as it has keeps that linear.
            if !self.fill(block.max(self.buffer.len() - self.used))? {
                return Ok(self.chunk(None, Vec::new(), true));
            }
        }
    }

    fn chunk(
        &mut self,
        rows: Option<arrow::array::RecordBatch>,
        rejects: Vec<Reject>,
        end: bool,
    ) -> Chunk {
        self.position.state = if end { State::AtEnd } else { State::Reading };
        Chunk { rows, after: self.position.offset(), rejects, end }
    }
}

#[async_trait]
impl Reader for TextReader {
    async fn next(&mut self, budget: Budget) -> Result<Chunk> {
        self.read(budget)
    }
}

/// Whether the bytes before `position` are those that were consumed, as far as the tail tells.
pub(crate) fn continues(file: &File, path: &str, position: &Position) -> Result<bool> {
    Ok(position.at <= position.etag.size
        && tail_checksum(file, path, position.at)? == position.tail)
}

/// Keeps the last bytes of what was consumed.
fn extend_tail(tail: &mut VecDeque<u8>, consumed: &[u8]) {
    let keep = usize::try_from(TAIL_BYTES).expect("the tail is short");
    tail.extend(&consumed[consumed.len().saturating_sub(keep)..]);
    let excess = tail.len().saturating_sub(keep);
    tail.drain(..excess);
}

fn to_u64(n: usize) -> u64 {
    u64::try_from(n).expect("sizes fit 64 bits")
}
