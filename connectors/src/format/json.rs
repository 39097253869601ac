//! JSON lines: one object per line.
//!
//! A run of lines is decoded at once by Arrow. When that fails, the run is cut in halves until the bad
//! lines stand alone, so that n lines with k bad ones cost about k log n decodings more. A run counts
//! only if it yields one row per line: an object that spans lines is two bad lines wherever a block ends.
//!
//! Numbers are decoded as the text they are written in and then read as the column's type, so that
//! nothing is rounded on the way: 6.5 is no integer, 1e999 no float, and a text column has the digits as
//! they stand.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveBuilder, RecordBatch,
    RecordBatchOptions,
};
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::compute::{CastOptions, cast_with_options, concat_batches, filter};
use arrow::datatypes::{
    DataType, Date32Type, Field, FieldRef, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, Schema, SchemaRef, TimeUnit,
};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::infer_json_schema_from_iterator;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::format::csv::column::{Fault, type_fault, zone_of};
use crate::format::number::{float, whole};
use crate::format::shape::normal_schema;
use crate::format::{BlockDecoder, Decoded, Place, RECORD_BYTES_MAX, too_long};
use crate::source::Reject;

const NO_OBJECT: &str = "expected one JSON object on the line";

/// Decodes the blocks of one file of JSON lines.
#[derive(Debug)]
pub(crate) struct JsonDecoder {
    schema: SchemaRef,
    /// As `schema`, with numbers as text.
    written: SchemaRef,
    lines: Vec<Line>,
}

/// One line that is not blank.
#[derive(Clone, Copy, Debug)]
struct Line {
    start: usize,
    end: usize,
    number: u64,
    /// Whether it is longer than a record may be.
    long: bool,
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
        let fields = schema.fields().iter().map(as_written);
        let written = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Self { schema: Arc::clone(schema), written, lines: Vec::new() }
    }

    /// Finds the lines of `block`; returns the bytes and newlines they take, and whether a line that is too
    /// long goes on behind the block.
    fn split(&mut self, block: &[u8], place: &Place<'_>) -> (usize, u64, bool) {
        self.lines.clear();
        let (mut at, mut lines) = (0, 0);
        while at < block.len() && self.lines.len() < place.rows {
            let rest = &block[at..];
            let newline = rest.iter().position(|b| *b == b'\n');
            let end = match newline {
                Some(n) => at + n + 1,
                None if rest.len() > RECORD_BYTES_MAX => return (at, lines, true),
                None if place.last => block.len(),
                None => break,
            };
            if !block[at..end].trim_ascii().is_empty() {
                let (number, long) = (place.line + lines, end - at > RECORD_BYTES_MAX + 1);
                self.lines.push(Line { start: at, end, number, long });
            }
            lines += u64::from(newline.is_some());
            at = end;
        }
        (at, lines, false)
    }

    /// Decodes `lines`, halving them while they fail.
    fn run(&self, block: &[u8], lines: &[Line], place: &Place<'_>, out: &mut Out) -> Result<()> {
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return Ok(()) };
        let mut fault = NO_OBJECT.to_owned();
        if lines.iter().all(|line| !line.long && is_object(&block[line.start..line.end])) {
            match self.rows(&block[first.start..last.end], lines.len()) {
                Ok(rows) if rows.num_rows() == lines.len() => match self.read(&rows) {
                    Ok((rows, faults)) => {
                        out.batches.extend(rows);
                        for (line, fault) in lines.iter().zip(faults) {
                            let Some((sqlstate, error)) = fault else { continue };
                            let raw = block[line.start..line.end].trim_ascii();
                            out.rejects.push(place.reject(line.number, raw, sqlstate, error));
                        }
                        return Ok(());
                    }
                    Err(e) => fault = e.to_string(),
                },
                Ok(_) => {}
                Err(e) => fault = e.to_string(),
            }
        }
        if lines.len() == 1 {
            let raw = block[first.start..first.end].trim_ascii();
            let (sqlstate, error) = if first.long { too_long() } else { describe(raw, &fault) };
            out.rejects.push(place.reject(first.number, raw, sqlstate, error));
            return Ok(());
        }
        let (left, right) = lines.split_at(lines.len() / 2);
        self.run(block, left, place, out)?;
        self.run(block, right, place, out)
    }

    /// The rows of `text` with numbers as they are written.
    fn rows(&self, text: &[u8], expected: usize) -> Result<RecordBatch, ArrowError> {
        let builder = ReaderBuilder::new(Arc::clone(&self.written))
            .with_coerce_primitive(true)
            .with_batch_size(expected + 1);
        let mut decoder = builder.build_decoder()?;
        decoder.decode(text)?;
        let rows = decoder.flush()?;
        Ok(rows.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(&self.written))))
    }

    /// The good rows with numbers as the columns have them, and what is wrong with the others.
    fn read(&self, written: &RecordBatch) -> Result<(Option<RecordBatch>, Vec<Fault>), ArrowError> {
        let mut faults: Vec<Fault> = vec![None; written.num_rows()];
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(written.num_columns());
        for (array, field) in written.columns().iter().zip(self.schema.fields()) {
            arrays.push(numbers(array, field, &mut faults)?);
        }
        let good = BooleanArray::from_iter(faults.iter().map(|fault| Some(fault.is_none())));
        let rows = good.true_count();
        if rows < faults.len() {
            for array in &mut arrays {
                *array = filter(array, &good)?;
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?;
        Ok(((rows > 0).then_some(batch), faults))
    }
}

impl BlockDecoder for JsonDecoder {
    fn decode(&mut self, block: &[u8], place: Place<'_>) -> Result<Decoded> {
        let (bytes, lines, overlong) = self.split(block, &place);
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
        Ok(Decoded { rows, rejects: out.rejects, overlong, bytes, lines })
    }
}

/// `field` with numbers, at any depth, as text.
fn as_written(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        number if number.is_integer() || number.is_floating() => DataType::Utf8View,
        DataType::List(item) => DataType::List(as_written(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(as_written).collect()),
        other => other.clone(),
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

/// A column as `field`, from one with numbers as text.
fn numbers(array: &ArrayRef, field: &Field, faults: &mut [Fault]) -> Result<ArrayRef, ArrowError> {
    Ok(match field.data_type() {
        same if same == array.data_type() => Arc::clone(array),
        DataType::Int64 => parsed::<Int64Type>(array, field, faults, whole),
        DataType::Int32 => parsed::<Int32Type>(array, field, faults, whole),
        DataType::Int16 => parsed::<Int16Type>(array, field, faults, whole),
        DataType::Float64 => parsed::<Float64Type>(array, field, faults, float),
        DataType::Float32 => parsed::<Float32Type>(array, field, faults, float),
        other => {
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            cast_with_options(array, other, &strict)?
        }
    })
}

fn parsed<T: ArrowPrimitiveType>(
    texts: &ArrayRef,
    field: &Field,
    faults: &mut [Fault],
    parse: impl Fn(&str) -> Option<T::Native>,
) -> ArrayRef {
    let mut builder = PrimitiveBuilder::<T>::with_capacity(texts.len());
    for (text, fault) in texts.as_string_view().iter().zip(faults) {
        let number = text.map(|text| parse(text.trim()));
        if number == Some(None) && fault.is_none() {
            *fault = Some(type_fault(field, text.unwrap_or_default()));
        }
        builder.append_option(number.flatten());
    }
    Arc::new(builder.finish())
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
