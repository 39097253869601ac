//! CSV as PostgreSQL reads it: quoted fields may hold delimiters and newlines, an unquoted null
//! string is null and a quoted one is not.

use levada_engine::client::CopyOptions;

use crate::pg::copy::columns::Columns;
use crate::pg::copy::{Marks, ROW_BYTES_MAX};
use crate::sqlstate::Report;

/// Reads CSV a byte at a time, so that a message may end anywhere.
pub(super) struct Decoder {
    marks: Marks,
    null: Vec<u8>,
    skip_header: bool,
    /// Line of the input, and the line on which the current row began.
    line: u64,
    row_line: u64,
    field: Vec<u8>,
    quoted: bool,
    state: State,
    fields: Vec<(Vec<u8>, bool)>,
    row_bytes: usize,
    ended: bool,
}

/// Where in a field the next byte is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Outside quotes.
    Bare,
    /// Outside quotes, after a carriage return that may begin the end of the line.
    Return,
    /// Inside quotes.
    Quoted,
    /// Inside quotes, after an escape that may be the closing quote.
    Escape,
}

impl Decoder {
    /// A decoder with the options of a COPY.
    pub(super) fn new(options: &CopyOptions) -> Self {
        Self {
            marks: Marks::of(options),
            null: options.null.clone().into_bytes(),
            skip_header: options.header,
            line: 1,
            row_line: 1,
            field: Vec::new(),
            quoted: false,
            state: State::Bare,
            fields: Vec::new(),
            row_bytes: 0,
            ended: false,
        }
    }

    fn byte(&mut self, byte: u8, columns: &mut Columns) -> Result<(), Report> {
        let Marks { delimiter, quote, escape } = self.marks;
        if self.state == State::Escape {
            // An escape before anything but a quote or itself was plain data; if it is the quote
            // character itself, it closed the field.
            if byte == quote || byte == escape {
                self.field.push(byte);
                self.state = State::Quoted;
                return Ok(());
            }
            if escape == quote {
                self.state = State::Bare;
            } else {
                self.field.push(escape);
                self.state = State::Quoted;
            }
        }
        if self.state == State::Return {
            self.state = State::Bare;
            if byte != b'\n' {
                self.field.push(b'\r');
            }
        }
        match self.state {
            State::Quoted if byte == escape => self.state = State::Escape,
            State::Quoted if byte == quote => self.state = State::Bare,
            State::Quoted => self.field.push(byte),
            _ if byte == quote => {
                self.quoted = true;
                self.state = State::Quoted;
            }
            _ if byte == delimiter => self.end_field(),
            _ if byte == b'\n' => {
                self.line += 1;
                return self.end_row(columns);
            }
            _ if byte == b'\r' => self.state = State::Return,
            _ => self.field.push(byte),
        }
        if byte == b'\n' {
            self.line += 1;
        }
        Ok(())
    }

    fn end_field(&mut self) {
        self.fields.push((std::mem::take(&mut self.field), std::mem::take(&mut self.quoted)));
    }

    fn end_row(&mut self, columns: &mut Columns) -> Result<(), Report> {
        self.end_field();
        self.row_bytes = 0;
        let line = std::mem::replace(&mut self.row_line, self.line);
        let fields = std::mem::take(&mut self.fields);
        if fields.len() == 1 && fields[0] == (b"\\.".to_vec(), false) {
            self.ended = true;
            return Ok(());
        }
        if std::mem::take(&mut self.skip_header) {
            return Ok(());
        }
        let width = columns.width();
        if fields.len() != width {
            let report = if fields.len() > width {
                Report::error("22P04", "extra data after last expected column")
            } else {
                Report::error("22P04", "missing data for a column")
                    .with_detail(format!("The line has {} of {width} columns.", fields.len()))
            };
            return Err(report.with_context(columns.at_line(line)));
        }
        for (at, (value, quoted)) in fields.iter().enumerate() {
            let null = !quoted && *value == self.null;
            columns.text(at, line, (!null).then_some(value.as_slice()))?;
        }
        columns.end_row()
    }
}

impl super::Decoder for Decoder {
    fn feed(&mut self, input: &[u8], columns: &mut Columns) -> Result<(), Report> {
        for byte in input {
            if self.ended {
                return Ok(());
            }
            self.byte(*byte, columns)?;
        }
        self.row_bytes += input.len();
        if self.fields.is_empty() && self.field.is_empty() {
            self.row_bytes = 0;
        }
        if self.row_bytes > ROW_BYTES_MAX + input.len() {
            return Err(Report::error("54000", "row of COPY is too long")
                .with_context(columns.at_line(self.row_line)));
        }
        Ok(())
    }

    fn finish(&mut self, columns: &mut Columns) -> Result<(), Report> {
        if self.ended {
            return Ok(());
        }
        let closed = matches!(self.state, State::Bare | State::Return)
            || (self.state == State::Escape && self.marks.escape == self.marks.quote);
        if !closed {
            return Err(Report::error("22P04", "unterminated CSV quoted field")
                .with_context(columns.at_line(self.row_line)));
        }
        if self.field.is_empty() && self.fields.is_empty() && !self.quoted {
            return Ok(());
        }
        self.end_row(columns)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, AsArray, RecordBatch};
    use arrow::datatypes::{DataType, Field, Schema};
    use levada_engine::client::CopyFormat;

    use super::super::Decoder as _;
    use super::*;

    fn options(escape: char) -> CopyOptions {
        CopyOptions {
            format: CopyFormat::Csv,
            delimiter: ',',
            null: String::new(),
            header: false,
            quote: '"',
            escape,
        }
    }

    fn read(escape: char, pieces: &[&[u8]]) -> Result<Vec<RecordBatch>, Report> {
        let field = |name| Field::new(name, DataType::Utf8, true);
        let schema = Arc::new(Schema::new(vec![field("a"), field("b")]));
        let mut columns = Columns::new("t", &schema, 100)?;
        let mut decoder = Decoder::new(&options(escape));
        for piece in pieces {
            decoder.feed(piece, &mut columns)?;
        }
        decoder.finish(&mut columns)?;
        columns.take_all()
    }

    #[test]
    fn cutting_the_input_anywhere_changes_nothing() {
        let input = b"1,\"x,\"\"y\"\"\nz\"\r\n,\"\"\nlast,row";
        let whole = read('"', &[input]).expect("valid");
        assert_eq!(whole[0].num_rows(), 3, "three rows");
        let b = whole[0].column(1).as_string::<i32>();
        assert_eq!(b.value(0), "x,\"y\"\nz", "quotes and a newline inside");
        assert!(whole[0].column(0).is_null(1), "nothing is null");
        assert_eq!((b.is_valid(1), b.value(1)), (true, ""), "quoted nothing is not");
        for at in 0..input.len() {
            let cut = read('"', &[&input[..at], &input[at..]]).expect("valid");
            assert_eq!(cut, whole, "cut at {at}");
        }
    }

    #[test]
    fn another_escape_character_is_respected() {
        let rows = read('\\', &[b"\"a\\\"b\",\"c\\d\"\n"]).expect("valid");
        assert_eq!(rows[0].column(0).as_string::<i32>().value(0), "a\"b", "escaped quote");
        assert_eq!(rows[0].column(1).as_string::<i32>().value(0), "c\\d", "not an escape");
    }

    #[test]
    fn wrong_rows_are_named_by_their_line() {
        let error = read('"', &[b"\"a\nb\",c\nd\n"]).expect_err("a column is missing");
        assert_eq!(error.sqlstate, "22P04", "bad format");
        assert_eq!(error.context.as_deref(), Some("COPY t, line 3"), "lines, not rows");
        let error = read('"', &[b"1,\"open"]).expect_err("no end");
        assert_eq!(error.message, "unterminated CSV quoted field", "open quote");
    }
}
