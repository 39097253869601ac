//! Rows as COPY data: what comes before them, each of them, what comes after.

use arrow::datatypes::Schema;
use bytes::{BufMut, BytesMut};
use levada_engine::client::{CopyFormat, CopyOptions};

use crate::pg::copy::Marks;
use crate::pg::copy::binary::SIGNATURE;
use crate::pg::encode::{self, Column, Format};

/// Writes rows in the format of a COPY.
pub(super) struct Writer<'a> {
    options: &'a CopyOptions,
    marks: Marks,
}

impl<'a> Writer<'a> {
    /// A writer with the options of a COPY.
    pub(super) fn new(options: &'a CopyOptions) -> Self {
        Self { options, marks: Marks::of(options) }
    }

    /// The formats of the columns' cells.
    pub(super) fn formats(&self, columns: usize) -> Vec<Format> {
        let format = match self.options.format {
            CopyFormat::Binary => Format::Binary,
            CopyFormat::Text | CopyFormat::Csv => Format::Text,
        };
        vec![format; columns]
    }

    /// Writes what comes before the rows: a signature, a line of names, or nothing.
    pub(super) fn head(&self, schema: &Schema, out: &mut BytesMut) {
        if self.options.format == CopyFormat::Binary {
            out.put_slice(SIGNATURE);
            out.put_u64(0);
        } else if self.options.header {
            for (at, field) in schema.fields().iter().enumerate() {
                self.delimit(at, out);
                self.value(field.name().as_bytes(), out);
            }
            out.put_u8(b'\n');
        }
    }

    /// Writes a row.
    pub(super) fn row(
        &self,
        columns: &[Column],
        row: usize,
        out: &mut BytesMut,
    ) -> encode::Result<()> {
        if self.options.format == CopyFormat::Binary {
            let count = columns.len();
            out.put_i16(i16::try_from(count).map_err(|_many| encode::Error::TooLong(count))?);
            return columns.iter().try_for_each(|column| column.put_with_length(row, out));
        }
        let mut cell = BytesMut::new();
        for (at, column) in columns.iter().enumerate() {
            self.delimit(at, out);
            if column.is_null(row) {
                out.put_slice(self.options.null.as_bytes());
                continue;
            }
            cell.clear();
            column.put(row, &mut cell)?;
            self.value(&cell, out);
        }
        out.put_u8(b'\n');
        Ok(())
    }

    /// Writes what comes after the rows.
    pub(super) fn tail(&self, out: &mut BytesMut) {
        if self.options.format == CopyFormat::Binary {
            out.put_i16(-1);
        }
    }

    fn delimit(&self, column: usize, out: &mut BytesMut) {
        if column > 0 {
            out.put_u8(self.marks.delimiter);
        }
    }

    fn value(&self, value: &[u8], out: &mut BytesMut) {
        match self.options.format {
            CopyFormat::Csv => self.quoted(value, out),
            CopyFormat::Text | CopyFormat::Binary => self.escaped(value, out),
        }
    }

    /// A field of the text format.
    fn escaped(&self, value: &[u8], out: &mut BytesMut) {
        for byte in value {
            match byte {
                0x08 => out.put_slice(b"\\b"),
                0x0c => out.put_slice(b"\\f"),
                b'\n' => out.put_slice(b"\\n"),
                b'\r' => out.put_slice(b"\\r"),
                b'\t' => out.put_slice(b"\\t"),
                0x0b => out.put_slice(b"\\v"),
                b'\\' => out.put_slice(b"\\\\"),
                byte if *byte == self.marks.delimiter => out.put_slice(&[b'\\', *byte]),
                byte => out.put_u8(*byte),
            }
        }
    }

    /// A field of CSV, quoted if it must be.
    fn quoted(&self, value: &[u8], out: &mut BytesMut) {
        let Marks { delimiter, quote, escape } = self.marks;
        let bare = value != self.options.null.as_bytes()
            && value != b"\\."
            && !value.iter().any(|b| *b == delimiter || *b == quote || matches!(b, b'\n' | b'\r'));
        if bare {
            out.put_slice(value);
            return;
        }
        out.put_u8(quote);
        for byte in value {
            if *byte == quote || *byte == escape {
                out.put_u8(escape);
            }
            out.put_u8(*byte);
        }
        out.put_u8(quote);
    }
}
