//! One column of scanned cells to one array.
//!
//! A cell that cannot be the column's type marks its record as bad and leaves a NULL; bad records are
//! filtered out of every column afterwards. The first fault of a record wins.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanBuilder, PrimitiveBuilder, StringBuilder,
    StringViewBuilder, timezone::Tz,
};
use arrow::compute::kernels::cast_utils::{Parser, parse_decimal, string_to_datetime};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType,
};

use crate::error::{Error, Result};
use crate::format::csv::scan::{Cell, Form, Marks, Scan};
use crate::format::number::float;
use crate::format::shape::sql_name;

/// The cells of a block as text.
pub(crate) struct Cells<'a> {
    /// The block up to the last consumed byte.
    pub(crate) text: &'a str,
    /// The scanned cells, `width` per record.
    pub(crate) scan: &'a Scan,
    /// Cells per record.
    pub(crate) width: usize,
    /// Text that stands for NULL besides the empty cell.
    pub(crate) null: Option<&'a str>,
    /// How cells are written.
    pub(crate) marks: Marks,
}

/// Why a record is bad: SQLSTATE and message.
pub(crate) type Fault = Option<(&'static str, String)>;

impl<'a> Cells<'a> {
    /// The value of a cell; `None` is NULL.
    #[inline]
    pub(crate) fn value(&self, record: usize, column: usize) -> Option<Cow<'a, str>> {
        let cell = self.scan.cells[record * self.width + column];
        self.read(cell)
    }

    pub(crate) fn read(&self, cell: Cell) -> Option<Cow<'a, str>> {
        let range = cell.start as usize..cell.end as usize;
        let text = self.text.get(range).expect("cells end at ASCII bytes of the same text");
        match cell.form {
            Form::Plain if text.is_empty() || self.null == Some(text) => None,
            Form::Plain | Form::Quoted => Some(Cow::Borrowed(text)),
            Form::Escaped => Some(Cow::Owned(unescape(text, self.marks))),
        }
    }

    /// The array of column `column` as `field`; `faults` has one slot per record.
    pub(crate) fn array(
        &self,
        column: usize,
        field: &Field,
        faults: &mut [Fault],
    ) -> Result<ArrayRef> {
        let into = &mut Column { cells: self, column, field, faults };
        Ok(match field.data_type() {
            DataType::Int64 => into.primitive::<Int64Type>(|s| s.trim().parse().ok()),
            DataType::Int32 => into.primitive::<Int32Type>(|s| s.trim().parse().ok()),
            DataType::Int16 => into.primitive::<Int16Type>(|s| s.trim().parse().ok()),
            DataType::Float64 => into.primitive::<Float64Type>(|s| float(s.trim())),
            DataType::Float32 => into.primitive::<Float32Type>(|s| float(s.trim())),
            DataType::Date32 => into.primitive::<Date32Type>(|s| Date32Type::parse(s.trim())),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let zone = zone_of(zone.as_deref())?;
                let parse = |s: &str| Some(string_to_datetime(&zone, s).ok()?.timestamp_micros());
                into.primitive::<TimestampMicrosecondType>(parse)
            }
            DataType::Decimal128(p, s) => {
                let (p, s) = (*p, *s);
                into.primitive::<Decimal128Type>(|text| {
                    parse_decimal::<Decimal128Type>(text.trim(), p, s).ok()
                })
            }
            DataType::Boolean => into.booleans(),
            DataType::Utf8View => into.texts(),
            _ => return into.cast(),
        })
    }
}

/// One column on its way.
struct Column<'c, 'a, 'f> {
    cells: &'c Cells<'a>,
    column: usize,
    field: &'c Field,
    faults: &'f mut [Fault],
}

impl Column<'_, '_, '_> {
    /// Calls `each` for every record with its cell, NULL for bad ones; false marks the record bad.
    #[inline]
    fn for_each(&mut self, mut each: impl FnMut(Option<&str>) -> bool) {
        for record in 0..self.faults.len() {
            if self.faults[record].is_some() {
                each(None);
                continue;
            }
            let value = self.cells.value(record, self.column);
            if value.is_none() && !self.field.is_nullable() {
                self.faults[record] = Some(null_fault(self.field));
            }
            if !each(value.as_deref()) {
                let text = value.as_deref().unwrap_or_default();
                self.faults[record] = Some(type_fault(self.field, text));
            }
        }
    }

    fn primitive<T: ArrowPrimitiveType>(
        &mut self,
        parse: impl Fn(&str) -> Option<T::Native>,
    ) -> ArrayRef {
        let mut builder = PrimitiveBuilder::<T>::with_capacity(self.faults.len())
            .with_data_type(self.field.data_type().clone());
        self.for_each(|value| {
            let parsed = value.map(&parse);
            builder.append_option(parsed.flatten());
            parsed != Some(None)
        });
        Arc::new(builder.finish())
    }

    fn booleans(&mut self) -> ArrayRef {
        let mut builder = BooleanBuilder::with_capacity(self.faults.len());
        self.for_each(|value| {
            let parsed = value.map(truth);
            builder.append_option(parsed.flatten());
            parsed != Some(None)
        });
        Arc::new(builder.finish())
    }

    fn texts(&mut self) -> ArrayRef {
        let mut builder = StringViewBuilder::with_capacity(self.faults.len());
        self.for_each(|value| {
            builder.append_option(value);
            true
        });
        Arc::new(builder.finish())
    }

    /// Any other type, by way of Arrow's cast from text.
    fn cast(&mut self) -> Result<ArrayRef> {
        let mut builder = StringBuilder::new();
        self.for_each(|value| {
            builder.append_option(value);
            true
        });
        let texts: ArrayRef = Arc::new(builder.finish());
        let safe = CastOptions { safe: true, ..CastOptions::default() };
        let array = cast_with_options(&texts, self.field.data_type(), &safe)
            .map_err(|e| Error::arrow("convert a CSV column", e))?;
        for record in 0..self.faults.len() {
            if array.is_null(record) && texts.is_valid(record) {
                let text = self.cells.value(record, self.column).unwrap_or_default();
                self.faults[record] = Some(type_fault(self.field, &text));
            }
        }
        Ok(array)
    }
}

/// The words Postgres reads as a boolean.
fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// The zone in which text without an offset is meant.
pub(crate) fn zone_of(zone: Option<&str>) -> Result<Tz> {
    zone.unwrap_or("+00:00").parse().map_err(|e| Error::arrow("read a time zone", e))
}

fn unescape(text: &str, marks: Marks) -> String {
    let (quote, escape) = (char::from(marks.quote), char::from(marks.escape));
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped =
            if c == escape { chars.next_if(|n| *n == quote || *n == escape) } else { None };
        out.push(escaped.unwrap_or(c));
    }
    out
}

/// The fault of a NULL in a column that takes none.
pub(crate) fn null_fault(field: &Field) -> (&'static str, String) {
    ("23502", format!("null value in column \"{}\" violates not-null constraint", field.name()))
}

/// The fault of `text` in a column of another type.
pub(crate) fn type_fault(field: &Field, text: &str) -> (&'static str, String) {
    let (name, kind) = (field.name(), sql_name(field.data_type()));
    let shown: String = text.chars().take(64).collect();
    let whole = text.trim().strip_prefix(['+', '-']).unwrap_or(text.trim());
    let digits = !whole.is_empty() && whole.bytes().all(|b| b.is_ascii_digit());
    let number = field.data_type().is_floating() && whole.parse::<f64>().is_ok();
    if number || (field.data_type().is_integer() && digits) {
        let message =
            format!("column \"{name}\": value \"{shown}\" is out of range for type {kind}");
        return ("22003", message);
    }
    let sqlstate = if field.data_type().is_temporal() { "22007" } else { "22P02" };
    (sqlstate, format!("column \"{name}\": invalid input syntax for type {kind}: \"{shown}\""))
}
