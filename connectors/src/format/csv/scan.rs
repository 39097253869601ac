//! The CSV scanner: a block of bytes to the positions of its cells.
//!
//! RFC 4180, as Postgres's COPY reads it: a cell that *starts* with the quote runs to the closing quote
//! and may hold delimiters and newlines; a doubled quote stands for one. A quote inside an unquoted cell
//! is an ordinary byte. Records end with LF or CR LF; empty lines are skipped.
//!
//! A record is **malformed** when something follows its closing quote, when a quote never closes or when
//! it is longer than [`RECORD_BYTES_MAX`]. Then only its first line is rejected and reading goes on at
//! the next one, so that a stray quote costs one line and not the rest of the file. A first line that is
//! too long itself and does not end in the block is left to the reader.

use crate::format::RECORD_BYTES_MAX;

/// How cells are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    /// Between two cells.
    pub(crate) delimiter: u8,
    /// Around a cell.
    pub(crate) quote: u8,
    /// Before a quote that is part of a quoted cell; usually the quote itself.
    pub(crate) escape: u8,
}

/// How a cell stands in the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Bytes are the value; empty means NULL.
    Plain,
    /// Was quoted; the bytes between the quotes are the value.
    Quoted,
    /// Was quoted; escapes in the bytes have yet to be undone.
    Escaped,
}

/// A cell's bytes in the block, without quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) form: Form,
}

/// A record's bytes in the block, with its newline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Newlines of the block before it.
    pub(crate) line: u64,
}

/// What is wrong with a record as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Something follows the closing quote.
    AfterQuote,
    /// The closing quote is missing.
    OpenQuote,
    /// No end within the limit.
    TooLong,
    /// Another number of cells.
    Width(usize),
}

/// The records of a block.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Cells of the good records, `width` each.
    pub(crate) cells: Vec<Cell>,
    /// The good records.
    pub(crate) records: Vec<Span>,
    /// The bad ones.
    pub(crate) faults: Vec<(Span, Fault)>,
    /// Whether a line that is too long goes on behind the block.
    pub(crate) overlong: bool,
    /// Bytes consumed.
    pub(crate) bytes: usize,
    /// Newlines in them.
    pub(crate) lines: u64,
}

/// How far to scan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Cells of a record; `None` takes any number (then `cells` is ragged).
    pub(crate) width: Option<usize>,
    /// At most this many records, good or bad.
    pub(crate) records: usize,
    /// Whether nothing follows the block.
    pub(crate) last: bool,
}

/// What stands behind a cell.
enum After {
    Cell(usize),
    Record(usize),
    Nothing,
    Fault(Fault),
}

impl Scan {
    /// Scans `block`, reusing the memory of an earlier scan.
    pub(crate) fn run(&mut self, block: &[u8], marks: Marks, bounds: Bounds) {
        self.cells.clear();
        self.records.clear();
        self.faults.clear();
        (self.bytes, self.lines, self.overlong) = (0, 0, false);
        while self.records.len() + self.faults.len() < bounds.records && self.bytes < block.len() {
            if let Some(blank) = newline_at(block, self.bytes) {
                (self.bytes, self.lines) = (blank, self.lines + 1);
            } else if !self.record(block, marks, bounds) {
                break;
            }
        }
    }

    /// Scans one record; false when it is unfinished.
    fn record(&mut self, block: &[u8], marks: Marks, bounds: Bounds) -> bool {
        let (start, first) = (self.bytes, self.cells.len());
        let mut at = start;
        let mut lines = 0;
        // Where a block ends must not show: a record is looked for as far as it may reach, no further.
        let view = &block[..block.len().min(start + RECORD_BYTES_MAX + 1)];
        let last = bounds.last && view.len() == block.len();
        loop {
            let (cell, after) = cell(view, at, marks, last, &mut lines);
            self.cells.push(cell);
            match after {
                After::Cell(next) => at = next,
                After::Record(end) => {
                    let span = Span { start, end, line: self.lines };
                    self.bytes = end;
                    self.lines += lines;
                    let width = self.cells.len() - first;
                    if bounds.width.is_none_or(|wanted| wanted == width) {
                        self.records.push(span);
                    } else {
                        self.cells.truncate(first);
                        self.faults.push((span, Fault::Width(width)));
                    }
                    return true;
                }
                After::Nothing if view.len() - start <= RECORD_BYTES_MAX => {
                    self.cells.truncate(first);
                    return false;
                }
                After::Nothing => return self.malformed(block, first, bounds, Fault::TooLong),
                After::Fault(fault) => return self.malformed(block, first, bounds, fault),
            }
        }
    }

    /// Rejects the first line of the record that starts at `self.bytes`.
    fn malformed(&mut self, block: &[u8], first: usize, bounds: Bounds, fault: Fault) -> bool {
        self.cells.truncate(first);
        let rest = &block[self.bytes..];
        let newline = rest.iter().position(|b| *b == b'\n');
        let end = match newline {
            Some(n) => self.bytes + n + 1,
            None if rest.len() > RECORD_BYTES_MAX => {
                self.overlong = true;
                return false;
            }
            None if bounds.last => block.len(),
            None => return false,
        };
        let long = end - self.bytes > RECORD_BYTES_MAX + 1;
        let fault = if long { Fault::TooLong } else { fault };
        self.faults.push((Span { start: self.bytes, end, line: self.lines }, fault));
        self.bytes = end;
        self.lines += u64::from(newline.is_some());
        true
    }
}

/// The cell that starts at `at`, and what follows it.
#[inline]
fn cell(block: &[u8], at: usize, marks: Marks, last: bool, lines: &mut u64) -> (Cell, After) {
    if block.get(at) == Some(&marks.quote) {
        return quoted(block, at + 1, marks, last, lines);
    }
    let rest = &block[at..];
    let found = rest.iter().position(|b| *b == marks.delimiter || *b == b'\n');
    let Some(n) = found else {
        let cell = plain(at, trim_cr(block, at, block.len()));
        return (cell, if last { After::Record(block.len()) } else { After::Nothing });
    };
    let end = at + n;
    if block[end] == b'\n' {
        *lines += 1;
        (plain(at, trim_cr(block, at, end)), After::Record(end + 1))
    } else {
        (plain(at, end), After::Cell(end + 1))
    }
}

/// The quoted cell whose text starts at `start`.
fn quoted(block: &[u8], start: usize, marks: Marks, last: bool, lines: &mut u64) -> (Cell, After) {
    let mut form = Form::Quoted;
    let mut at = start;
    while let Some(byte) = block.get(at) {
        if *byte == marks.escape && escapes(block, at, marks) {
            form = Form::Escaped;
            at += 2;
        } else if *byte == marks.quote {
            if at + 1 == block.len() && !last {
                break;
            }
            return (shape(start, at, form), behind(block, at + 1, marks, last, lines));
        } else {
            *lines += u64::from(*byte == b'\n');
            at += 1;
        }
    }
    let after = if last { After::Fault(Fault::OpenQuote) } else { After::Nothing };
    (shape(start, block.len().max(start), form), after)
}

/// What follows the closing quote before `at`.
fn behind(block: &[u8], at: usize, marks: Marks, last: bool, lines: &mut u64) -> After {
    match block.get(at) {
        None => After::Record(block.len()),
        Some(b) if *b == marks.delimiter => After::Cell(at + 1),
        Some(b'\r') if at + 1 == block.len() && last => After::Record(block.len()),
        Some(b'\r') if at + 1 == block.len() => After::Nothing,
        _ => match newline_at(block, at) {
            Some(end) => {
                *lines += 1;
                After::Record(end)
            }
            None => After::Fault(Fault::AfterQuote),
        },
    }
}

/// Whether the escape at `at` is followed by what it can escape.
fn escapes(block: &[u8], at: usize, marks: Marks) -> bool {
    let next = block.get(at + 1);
    next == Some(&marks.quote) || (marks.escape != marks.quote && next == Some(&marks.escape))
}

/// The position behind the newline that starts at `at`, if one does.
fn newline_at(block: &[u8], at: usize) -> Option<usize> {
    match block.get(at..)? {
        [b'\n', ..] => Some(at + 1),
        [b'\r', b'\n', ..] => Some(at + 2),
        _ => None,
    }
}

fn trim_cr(block: &[u8], start: usize, end: usize) -> usize {
    if end > start && block[end - 1] == b'\r' { end - 1 } else { end }
}

fn plain(start: usize, end: usize) -> Cell {
    shape(start, end, Form::Plain)
}

fn shape(start: usize, end: usize, form: Form) -> Cell {
    let small = |n: usize| u32::try_from(n).expect("a block is far below 4 GiB");
    Cell { start: small(start), end: small(end), form }
}
