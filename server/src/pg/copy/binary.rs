//! PostgreSQL's binary format: a signature, then per row a count of fields and each field's length
//! and bytes, then -1.

use bytes::Buf;

use crate::pg::copy::ROW_BYTES_MAX;
use crate::pg::copy::columns::Columns;
use crate::sqlstate::Report;

/// The first bytes of the format.
pub(super) const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// Reads the binary format.
pub(super) struct Decoder {
    rest: Vec<u8>,
    header_read: bool,
    row: u64,
    ended: bool,
}

/// Whether there was enough input to go on.
#[derive(PartialEq, Eq)]
enum Step {
    Done,
    NeedsMore,
}

impl Decoder {
    /// A decoder at the start of the data.
    pub(super) fn new() -> Self {
        Self { rest: Vec::new(), header_read: false, row: 0, ended: false }
    }

    /// Reads signature, flags and the extension of the header.
    fn header(&mut self, input: &mut &[u8]) -> Result<Step, Report> {
        let mut ahead = *input;
        let known = SIGNATURE.len().min(ahead.len());
        if ahead[..known] != SIGNATURE[..known] {
            return Err(Report::error("22P04", "COPY file signature not recognized"));
        }
        if ahead.len() < SIGNATURE.len() + 8 {
            return Ok(Step::NeedsMore);
        }
        ahead.advance(SIGNATURE.len());
        let flags = ahead.get_u32();
        // The upper half holds flags that change the format.
        if flags >> 16 != 0 {
            return Err(Report::error("22P04", "unrecognized critical flags in COPY file header"));
        }
        let extension = usize::try_from(ahead.get_i32())
            .map_err(|_negative| Report::error("22P04", "invalid COPY file header"))?;
        if ahead.len() < extension {
            return Ok(Step::NeedsMore);
        }
        ahead.advance(extension);
        *input = ahead;
        self.header_read = true;
        Ok(Step::Done)
    }

    /// Reads one row, if it is all there.
    fn one(&mut self, input: &mut &[u8], columns: &mut Columns) -> Result<Step, Report> {
        let mut ahead = *input;
        let line = self.row + 1;
        let Ok(count) = ahead.try_get_i16() else { return Ok(Step::NeedsMore) };
        if count == -1 {
            self.ended = true;
            *input = &[];
            return Ok(Step::Done);
        }
        if usize::try_from(count) != Ok(columns.width()) {
            let message = format!("row field count is {count}, expected {}", columns.width());
            return Err(Report::error("22P04", message).with_context(columns.at_line(line)));
        }
        // Lengths first: a row that is cut must not leave half its cells in the columns.
        let mut cells = Vec::with_capacity(columns.width());
        for _ in 0..columns.width() {
            let Ok(length) = ahead.try_get_i32() else { return Ok(Step::NeedsMore) };
            if length == -1 {
                cells.push(None);
                continue;
            }
            let length = usize::try_from(length).map_err(|_negative| {
                Report::error("22P04", "invalid field size").with_context(columns.at_line(line))
            })?;
            let Some((cell, rest)) = ahead.split_at_checked(length) else {
                return Ok(Step::NeedsMore);
            };
            cells.push(Some(cell));
            ahead = rest;
        }
        for (at, cell) in cells.into_iter().enumerate() {
            columns.binary(at, line, cell)?;
        }
        columns.end_row()?;
        self.row = line;
        *input = ahead;
        Ok(Step::Done)
    }
}

impl super::Decoder for Decoder {
    fn feed(&mut self, input: &[u8], columns: &mut Columns) -> Result<(), Report> {
        if self.ended {
            return Ok(());
        }
        let mut data = std::mem::take(&mut self.rest);
        data.extend_from_slice(input);
        let mut left = data.as_slice();
        if !self.header_read && self.header(&mut left)? == Step::NeedsMore {
            self.rest = data;
            return Ok(());
        }
        while !self.ended && self.one(&mut left, columns)? == Step::Done {}
        if left.len() > ROW_BYTES_MAX {
            return Err(Report::error("54000", "row of COPY is too long")
                .with_context(columns.at_line(self.row + 1)));
        }
        self.rest = left.to_vec();
        Ok(())
    }

    fn finish(&mut self, columns: &mut Columns) -> Result<(), Report> {
        if self.ended {
            return Ok(());
        }
        Err(Report::error("22P04", "unexpected EOF in COPY data")
            .with_context(columns.at_line(self.row + 1)))
    }
}
