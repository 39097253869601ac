//! CSV: comma-separated values.
//!
//! ```text
//! block --scan--> cells --per column--> arrays --drop bad records--> rows + rejects
//! ```
//! There is one path for good and bad input: columns are decoded over all records of a block, a cell
//! that does not fit marks its record, and marked records are filtered out at the end.
//!
//! An empty unquoted cell is NULL, as is one that equals the option NULL; a quoted cell never is. With a
//! header, columns are found by name, in any order, and columns nobody asked for are skipped.

pub(crate) mod column;
pub(crate) mod infer;
pub(crate) mod scan;

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter;
use arrow::datatypes::SchemaRef;

use crate::error::{Error, Result};
use crate::format::csv::column::{Cells, Fault};
use crate::format::csv::scan::{Bounds, Marks, Scan};
use crate::format::shape::column_named;
use crate::format::{BlockDecoder, Decoded, Place, too_long};
use crate::option::{OptionKind, OptionSpec, Options};
use crate::source::Reject;

/// Options of `FORMAT CSV`.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "header",
        kind: OptionKind::Bool,
        default: Some("true"),
        required: false,
        doc: "Whether the first line of each file names its columns.",
    },
    OptionSpec {
        name: "delimiter",
        kind: OptionKind::Char,
        default: Some(","),
        required: false,
        doc: "The character between two cells.",
    },
    OptionSpec {
        name: "quote",
        kind: OptionKind::Char,
        default: Some("\""),
        required: false,
        doc: "The character around a cell that holds delimiters, quotes or newlines.",
    },
    OptionSpec {
        name: "escape",
        kind: OptionKind::Char,
        default: None,
        required: false,
        doc: "The character before a quote that is part of a quoted cell; the quote by default.",
    },
    OptionSpec {
        name: "null",
        kind: OptionKind::Text,
        default: None,
        required: false,
        doc: "Unquoted text that means NULL, besides the empty cell.",
    },
];

/// How a CSV file is written.
#[derive(Clone, Debug)]
pub(crate) struct Dialect {
    pub(crate) header: bool,
    pub(crate) marks: Marks,
    pub(crate) null: Option<String>,
}

impl Dialect {
    /// The dialect of checked options.
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let quote = options.char("quote").unwrap_or(b'"');
        let marks = Marks {
            delimiter: options.char("delimiter").unwrap_or(b','),
            quote,
            escape: options.char("escape").unwrap_or(quote),
        };
        let clash = |name, byte: u8| Error::OptionValue {
            name,
            value: char::from(byte).to_string(),
            expected: "a character that is no newline and has no other role".into(),
        };
        if matches!(marks.delimiter, b'\n' | b'\r') || marks.delimiter == quote {
            return Err(clash("delimiter", marks.delimiter));
        }
        if matches!(quote, b'\n' | b'\r') {
            return Err(clash("quote", quote));
        }
        if matches!(marks.escape, b'\n' | b'\r') || marks.escape == marks.delimiter {
            return Err(clash("escape", marks.escape));
        }
        Ok(Self {
            header: options.bool("header").unwrap_or(true),
            marks,
            null: options.text("null").map(str::to_owned),
        })
    }

    /// The names in the first record of `head`, and the bytes before and in it; `None` when the record
    /// is unfinished.
    pub(crate) fn names(&self, head: &[u8], whole: bool) -> Option<(Vec<String>, Header)> {
        let bom = bom(head);
        let text = String::from_utf8_lossy(&head[bom..]).into_owned();
        let mut scan = Scan::default();
        let bounds = Bounds { width: None, records: 1, last: whole };
        scan.run(text.as_bytes(), self.marks, bounds);
        if scan.records.is_empty() {
            return None;
        }
        let cells = Cells { text: &text, scan: &scan, width: 0, null: None, marks: self.marks };
        let names = scan.cells.iter().map(|c| cells.read(*c).unwrap_or_default().into_owned());
        Some((names.collect(), Header { bytes: bom + scan.bytes, lines: scan.lines }))
    }
}

/// The size of a header, with a byte order mark and empty lines before it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Header {
    pub(crate) bytes: usize,
    pub(crate) lines: u64,
}

/// The length of the byte order mark at the start of a file.
pub(crate) fn bom(head: &[u8]) -> usize {
    if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 }
}

/// Decodes the blocks of one CSV file.
#[derive(Debug)]
pub(crate) struct CsvDecoder {
    dialect: Dialect,
    schema: SchemaRef,
    /// For each column of the schema, the cell of a record.
    columns: Vec<usize>,
    width: usize,
    scan: Scan,
}

impl CsvDecoder {
    /// A decoder for a file with these column `names`, or without a header when there are none.
    pub(crate) fn new(
        dialect: &Dialect,
        schema: &SchemaRef,
        names: Option<&[String]>,
        path: &str,
    ) -> Result<Self> {
        let mut columns = Vec::with_capacity(schema.fields().len());
        for (i, field) in schema.fields().iter().enumerate() {
            let found = match names {
                Some(names) => column_named(field.name(), names.iter().map(String::as_str)),
                None => Some(i),
            };
            columns.push(found.ok_or_else(|| Error::SchemaMismatch {
                place: path.to_owned(),
                message: format!("column \"{}\" is not in its header", field.name()).into(),
            })?);
        }
        Ok(Self {
            dialect: dialect.clone(),
            schema: Arc::clone(schema),
            width: names.map_or(columns.len(), <[String]>::len),
            columns,
            scan: Scan::default(),
        })
    }

    /// The rejects of records that are none, and of those in `faults`, in order.
    fn rejects(&self, block: &[u8], place: &Place<'_>, faults: Vec<Fault>) -> Vec<Reject> {
        let shaped = self.scan.faults.iter().map(|(span, fault)| {
            let (sqlstate, error) = self.describe(*fault);
            (*span, sqlstate, error)
        });
        let typed = self.scan.records.iter().zip(faults);
        let typed = typed.filter_map(|(span, fault)| fault.map(|(s, e)| (*span, s, e)));
        let mut all: Vec<_> = shaped.chain(typed).collect();
        all.sort_by_key(|(span, ..)| span.start);
        all.into_iter()
            .map(|(span, sqlstate, error)| {
                let raw = trim_newline(&block[span.start..span.end]);
                place.reject(place.line + span.line, raw, sqlstate, error)
            })
            .collect()
    }

    fn describe(&self, fault: scan::Fault) -> (&'static str, String) {
        let message = match fault {
            scan::Fault::AfterQuote => "unexpected data after a closing quote".to_owned(),
            scan::Fault::OpenQuote => "unterminated CSV quoted field".to_owned(),
            scan::Fault::TooLong => return too_long(),
            scan::Fault::Width(n) => {
                let how = if n < self.width { "too few" } else { "too many" };
                format!("{how} columns: expected {}, found {n}", self.width)
            }
        };
        ("22P04", message)
    }

    /// Marks the records that are not UTF-8.
    fn mark_encoding(&self, block: &[u8], faults: &mut [Fault]) {
        for (span, fault) in self.scan.records.iter().zip(faults) {
            if std::str::from_utf8(&block[span.start..span.end]).is_err() {
                *fault = Some(("22021", "invalid byte sequence for encoding \"UTF8\"".to_owned()));
            }
        }
    }

    fn batch(&self, block: &str, faults: &mut [Fault]) -> Result<Option<RecordBatch>> {
        let cells = Cells {
            text: block,
            scan: &self.scan,
            width: self.width,
            null: self.dialect.null.as_deref(),
            marks: self.dialect.marks,
        };
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (column, field) in self.columns.iter().zip(self.schema.fields()) {
            arrays.push(cells.array(*column, field, faults)?);
        }
        let mut rows = faults.len();
        if faults.iter().any(Option::is_some) {
            let good = BooleanArray::from_iter(faults.iter().map(|f| Some(f.is_none())));
            rows = good.true_count();
            for array in &mut arrays {
                *array = filter(array, &good).map_err(|e| Error::arrow("drop bad records", e))?;
            }
        }
        if rows == 0 {
            return Ok(None);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map(Some)
            .map_err(|e| Error::arrow("build a batch of CSV records", e))
    }
}

impl BlockDecoder for CsvDecoder {
    fn decode(&mut self, block: &[u8], place: Place<'_>) -> Result<Decoded> {
        let bounds = Bounds { width: Some(self.width), records: place.rows, last: place.last };
        self.scan.run(block, self.dialect.marks, bounds);
        let block = &block[..self.scan.bytes];
        let mut faults: Vec<Fault> = vec![None; self.scan.records.len()];
        let text = text_of_same_length(block);
        if matches!(text, Cow::Owned(_)) {
            self.mark_encoding(block, &mut faults);
        }
        let rows = self.batch(&text, &mut faults)?;
        let rejects = self.rejects(block, &place, faults);
        let Scan { overlong, bytes, lines, .. } = self.scan;
        Ok(Decoded { rows, rejects, overlong, bytes, lines })
    }
}

/// `bytes` as text in which every byte that is not UTF-8 is a question mark, so that positions stay.
fn text_of_same_length(bytes: &[u8]) -> Cow<'_, str> {
    let mut bad = match std::str::from_utf8(bytes) {
        Ok(text) => return Cow::Borrowed(text),
        Err(e) => e.valid_up_to(),
    };
    let mut bytes = bytes.to_vec();
    loop {
        bytes[bad] = b'?';
        match std::str::from_utf8(&bytes[bad..]) {
            Ok(_) => break,
            Err(e) => bad += e.valid_up_to(),
        }
    }
    Cow::Owned(String::from_utf8(bytes).expect("every bad byte has been replaced"))
}

/// `raw` without the newline at its end.
pub(crate) fn trim_newline(raw: &[u8]) -> &[u8] {
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    raw.strip_suffix(b"\r").unwrap_or(raw)
}
