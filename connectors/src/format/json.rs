//! JSON lines: one object per line.
//!
//! A run of lines is decoded at once by Arrow. When that fails, the run is cut in halves until the bad
//! lines stand alone, so that n lines with k bad ones cost about k log n decodings more. A run counts
//! only if it yields one row per line: an object that spans lines is two bad lines wherever a block ends.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::infer_json_schema_from_iterator;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::format::csv::column::zone_of;
use crate::format::shape::normal_schema;
use crate::format::{BlockDecoder, Decoded, Place, RECORD_BYTES_MAX};
use crate::source::Reject;

const NO_OBJECT: &str = "expected one JSON object on the line";

/// Decodes the blocks of one file of JSON lines.
#[derive(Debug)]
pub(crate) struct JsonDecoder {
    schema: SchemaRef,
    lines: Vec<Line>,
}

/// One line that is not blank.
#[derive(Clone, Copy, Debug)]
struct Line {
    start: usize,
    end: usize,
    number: u64,
}

/// What a run of lines became.
#[derive(Default)]
struct Out {
    batches: Vec<RecordBatch>,
    rejects: Vec<Reject>,
}

impl JsonDecoder {
    /// A decoder of objects with these columns; members nobody asked for are skipped.
    pub(crate) fn new(schema: &SchemaRef) -> Self {
        Self { schema: Arc::clone(schema), lines: Vec::new() }
    }

    /// Finds the lines of `block`; returns the bytes and newlines they take.
    fn split(&mut self, block: &[u8], place: &Place<'_>) -> (usize, u64) {
        self.lines.clear();
        let (mut at, mut lines) = (0, 0);
        while at < block.len() && self.lines.len() < place.rows {
            let rest = &block[at..];
            let newline = rest.iter().position(|b| *b == b'\n');
            let end = match newline {
                Some(n) => at + n + 1,
                None if place.last || rest.len() > RECORD_BYTES_MAX => block.len(),
                None => break,
            };
            if !block[at..end].trim_ascii().is_empty() {
                self.lines.push(Line { start: at, end, number: place.line + lines });
            }
            lines += u64::from(newline.is_some());
            at = end;
        }
        (at, lines)
    }

    /// Decodes `lines`, halving them while they fail.
    fn run(&self, block: &[u8], lines: &[Line], place: &Place<'_>, out: &mut Out) -> Result<()> {
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return Ok(()) };
        let mut fault = NO_OBJECT.to_owned();
        if lines.iter().all(|line| is_object(&block[line.start..line.end])) {
            match self.rows(&block[first.start..last.end], lines.len()) {
                Ok(rows) if rows.num_rows() == lines.len() => {
                    out.batches.push(rows);
                    return Ok(());
                }
                Ok(_) => {}
                Err(e) => fault = e.to_string(),
            }
        }
        if lines.len() == 1 {
            let raw = block[first.start..first.end].trim_ascii();
            let (sqlstate, error) = describe(raw, &fault);
            out.rejects.push(place.reject(first.number, raw, sqlstate, error));
            return Ok(());
        }
        let (left, right) = lines.split_at(lines.len() / 2);
        self.run(block, left, place, out)?;
        self.run(block, right, place, out)
    }

    fn rows(&self, text: &[u8], expected: usize) -> Result<RecordBatch, ArrowError> {
        let builder = ReaderBuilder::new(Arc::clone(&self.schema)).with_batch_size(expected + 1);
        let mut decoder = builder.build_decoder()?;
        decoder.decode(text)?;
        let rows = decoder.flush()?;
        Ok(rows.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(&self.schema))))
    }
}

impl BlockDecoder for JsonDecoder {
    fn decode(&mut self, block: &[u8], place: Place<'_>) -> Result<Decoded> {
        let (bytes, lines) = self.split(block, &place);
        let mut out = Out::default();
        self.run(block, &self.lines, &place, &mut out)?;
        let rows = match out.batches.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            many => Some(
                concat_batches(&self.schema, many)
                    .map_err(|e| Error::arrow("join batches of JSON lines", e))?,
            ),
        };
        Ok(Decoded { rows, rejects: out.rejects, bytes, lines })
    }
}

/// The message for a line: what is wrong with its JSON, else what Arrow says about its values.
fn describe(raw: &[u8], fault: &str) -> (&'static str, String) {
    if std::str::from_utf8(raw).is_err() {
        return ("22021", "invalid byte sequence for encoding \"UTF8\"".to_owned());
    }
    match serde_json::from_slice::<Value>(raw) {
        Err(e) => ("22P02", format!("invalid input syntax for type json: {e}")),
        Ok(Value::Object(_)) => {
            let said = fault.strip_prefix("Json error: ").unwrap_or(fault);
            ("22P02", said.replace('\n', " "))
        }
        Ok(_) => ("22P02", NO_OBJECT.to_owned()),
    }
}

/// Whether a line looks like one object.
fn is_object(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    line.starts_with(b"{") && line.ends_with(b"}")
}

/// The columns of some objects; text of which all values are dates or timestamps becomes that.
pub(crate) fn infer(objects: &[Value]) -> Result<Schema, ArrowError> {
    let found = infer_json_schema_from_iterator(objects.iter().map(Ok))?;
    let found = normal_schema(&found);
    let zone = zone_of(None).map_err(|e| ArrowError::ParseError(e.to_string()))?;
    let date = |s: &str| s.len() == 10 && Date32Type::parse(s).is_some();
    let dashed = |s: &str| s.len() > 10 && s.as_bytes().get(4) == Some(&b'-');
    let time = |s: &str| dashed(s) && string_to_datetime(&zone, s).is_ok();
    let fields = found.fields().iter().map(|field| {
        let values = || objects.iter().filter_map(|o| o.get(field.name())).filter(|v| !v.is_null());
        let all = |test: &dyn Fn(&str) -> bool| values().all(|v| v.as_str().is_some_and(test));
        let data_type = match field.data_type() {
            DataType::Null => DataType::Utf8View,
            DataType::Utf8View if all(&date) => DataType::Date32,
            DataType::Utf8View if all(&time) => DataType::Timestamp(TimeUnit::Microsecond, None),
            other => other.clone(),
        };
        Field::new(field.name(), data_type, true)
    });
    Ok(Schema::new(fields.collect::<Vec<_>>()))
}
