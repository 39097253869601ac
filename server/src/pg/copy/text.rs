//! PostgreSQL's text format: a line per row, fields between delimiters, backslash escapes, `\.` at
//! the end.

use levada_engine::client::CopyOptions;

use crate::pg::copy::columns::Columns;
use crate::pg::copy::{Marks, ROW_BYTES_MAX};
use crate::sqlstate::Report;

/// Reads the text format.
pub(super) struct Decoder {
    delimiter: u8,
    null: Vec<u8>,
    skip_header: bool,
    line: u64,
    rest: Vec<u8>,
    ended: bool,
}

impl Decoder {
    /// A decoder with the options of a COPY.
    pub(super) fn new(options: &CopyOptions) -> Self {
        Self {
            delimiter: Marks::of(options).delimiter,
            null: options.null.clone().into_bytes(),
            skip_header: options.header,
            line: 0,
            rest: Vec::new(),
            ended: false,
        }
    }

    fn row(&mut self, line: &[u8], columns: &mut Columns) -> Result<(), Report> {
        self.line += 1;
        if self.ended {
            return Ok(());
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line == b"\\." {
            self.ended = true;
            return Ok(());
        }
        if std::mem::take(&mut self.skip_header) {
            return Ok(());
        }
        let mut at = 0;
        if columns.width() > 0 || !line.is_empty() {
            for field in fields(line, self.delimiter) {
                if at == columns.width() {
                    return Err(Report::error("22P04", "extra data after last expected column")
                        .with_context(columns.at_line(self.line)));
                }
                // The null string is compared before escapes are resolved: `\N` is not `N`.
                if field == self.null {
                    columns.text(at, self.line, None)?;
                } else {
                    columns.text(at, self.line, Some(&unescape(field)))?;
                }
                at += 1;
            }
        }
        if at < columns.width() {
            return Err(Report::error("22P04", "missing data for a column")
                .with_detail(format!("The line has {at} of {} columns.", columns.width()))
                .with_context(columns.at_line(self.line)));
        }
        columns.end_row()
    }
}

impl super::Decoder for Decoder {
    fn feed(&mut self, input: &[u8], columns: &mut Columns) -> Result<(), Report> {
        let mut input = input;
        if !self.rest.is_empty() {
            // The line that the last message left open.
            let Some(end) = line_end(&self.rest, input) else {
                self.rest.extend_from_slice(input);
                return too_long(self.rest.len(), self.line, columns);
            };
            let mut line = std::mem::take(&mut self.rest);
            line.extend_from_slice(&input[..end]);
            self.row(&line, columns)?;
            input = &input[end + 1..];
        }
        while let Some(end) = line_end(&[], input) {
            self.row(&input[..end], columns)?;
            input = &input[end + 1..];
        }
        self.rest.extend_from_slice(input);
        too_long(self.rest.len(), self.line, columns)
    }

    fn finish(&mut self, columns: &mut Columns) -> Result<(), Report> {
        let line = std::mem::take(&mut self.rest);
        if line.is_empty() { Ok(()) } else { self.row(&line, columns) }
    }
}

/// The first newline in `input` that no backslash escapes, given what came before it.
fn line_end(before: &[u8], input: &[u8]) -> Option<usize> {
    let mut escaped = before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
    for (at, byte) in input.iter().enumerate() {
        match byte {
            b'\n' if !escaped => return Some(at),
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

/// The fields of a line, escapes still in them.
fn fields(line: &[u8], delimiter: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let mut escaped = false;
        for (at, byte) in line.iter().enumerate() {
            if *byte == delimiter && !escaped {
                rest = Some(&line[at + 1..]);
                return Some(&line[..at]);
            }
            escaped = *byte == b'\\' && !escaped;
        }
        rest = None;
        Some(line)
    })
}

/// Resolves `\t`, `\n`, `\101`, `\x41`, and `\c` for any other `c`.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'\\' {
            value.push(*byte);
            continue;
        }
        let [escape, tail @ ..] = rest else {
            value.push(b'\\');
            break;
        };
        rest = tail;
        match escape {
            b'b' => value.push(0x08),
            b'f' => value.push(0x0c),
            b'n' => value.push(b'\n'),
            b'r' => value.push(b'\r'),
            b't' => value.push(b'\t'),
            b'v' => value.push(0x0b),
            b'0'..=b'7' => {
                let (byte, used) = digits(&[*escape], rest, 3, 8);
                value.push(byte);
                rest = &rest[used..];
            }
            b'x' if rest.first().is_some_and(u8::is_ascii_hexdigit) => {
                let (byte, used) = digits(&[], rest, 2, 16);
                value.push(byte);
                rest = &rest[used..];
            }
            other => value.push(*other),
        }
    }
    value
}

/// A byte from at most `most` digits to a base; the low 8 bits count. Returns how much of `rest`
/// was used.
fn digits(first: &[u8], rest: &[u8], most: usize, base: u32) -> (u8, usize) {
    let mut value = 0_u32;
    let mut used = 0;
    for byte in first.iter().chain(rest).take(most) {
        let Some(digit) = char::from(*byte).to_digit(base) else { break };
        value = value * base + digit;
        used += 1;
    }
    let low = u8::try_from(value & 0xff).expect("masked to a byte");
    (low, used - first.len())
}

/// Refuses a row that does not end.
fn too_long(bytes: usize, line: u64, columns: &Columns) -> Result<(), Report> {
    if bytes <= ROW_BYTES_MAX {
        return Ok(());
    }
    Err(Report::error("54000", "row of COPY is too long").with_context(columns.at_line(line + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(unescape(br"a\tb\\c\101\x42\q"), b"a\tb\\cABq", "all kinds");
    }

    #[test]
    fn fields_end_at_bare_delimiters() {
        let split: Vec<_> = fields(b"a\\\tb\tc\t", b'\t').collect();
        assert_eq!(split, [&b"a\\\tb"[..], b"c", b""], "an escaped tab is data");
    }

    #[test]
    fn an_escaped_newline_does_not_end_the_line() {
        assert_eq!(line_end(b"", b"a\\\nb\nc"), Some(4), "second newline");
        assert_eq!(line_end(b"a\\", b"\nb\n"), Some(2), "the escape came in the message before");
    }
}
