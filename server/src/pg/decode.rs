//! PostgreSQL values to Arrow columns: parameters of Bind and fields of COPY.
//!
//! A [`Builder`] grows one column from cells in text or binary form. A parameter is a column of one
//! cell. `text` parses text forms, `binary` binary ones, `list` arrays of either.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryBuilder, BooleanBuilder, FixedSizeBinaryBuilder,
    LargeBinaryBuilder, LargeStringBuilder, PrimitiveBuilder, StringBuilder, StringViewBuilder,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DecimalType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, Time32MillisecondType,
    Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::scalar::ScalarValue;

use crate::pg::encode::Format;
use crate::sqlstate::Report;

mod binary;
pub(crate) mod list;
mod numeric;
mod text;

/// Result of decoding a value.
pub(crate) type Result<T> = std::result::Result<T, Report>;

/// A column that grows by cells in PostgreSQL's forms.
pub(crate) trait Builder: Send {
    /// Adds a cell in text form.
    ///
    /// # Errors
    /// When the text is not of the type (22P02) or out of its range (22003, 22008).
    fn text(&mut self, value: &str) -> Result<()>;

    /// Adds a cell in binary form.
    ///
    /// # Errors
    /// When the bytes are not of the type (22P03) or out of its range (22003, 22008).
    fn binary(&mut self, value: &[u8]) -> Result<()>;

    /// Adds a null.
    fn null(&mut self);

    /// Takes the column and starts a new one.
    ///
    /// # Errors
    /// When the cells do not make up a column.
    fn finish(&mut self) -> Result<ArrayRef>;
}

/// Decodes a parameter of a PostgreSQL type into a value of an Arrow type.
///
/// # Errors
/// When the value is not of the type.
pub(crate) fn parameter(
    value: Option<&[u8]>,
    format: Format,
    oid: u32,
    data_type: &DataType,
) -> Result<ScalarValue> {
    let Some(value) = value else {
        return ScalarValue::try_from(data_type).map_err(Report::from);
    };
    // A numeric value brings its own scale.
    let fitted = match data_type {
        DataType::Decimal128(..) => numeric::fitting(value, format)?,
        other => other.clone(),
    };
    let mut builder = builder(&fitted, oid)?;
    match format {
        Format::Text => {
            let value = std::str::from_utf8(value).map_err(|_not_text| {
                Report::error("22021", "invalid byte sequence for encoding \"UTF8\"")
            })?;
            builder.text(value)?;
        }
        Format::Binary => builder.binary(value)?,
    }
    let column = builder.finish()?;
    ScalarValue::try_from_array(&column, 0).map_err(Report::from)
}

/// A builder of columns of an Arrow type, from values of a PostgreSQL type (0: the type's usual
/// one).
///
/// # Errors
/// When there is no way to write values of the type (0A000).
pub(crate) fn builder(data_type: &DataType, oid: u32) -> Result<Box<dyn Builder>> {
    Ok(match data_type {
        DataType::Boolean => Box::new(Booleans(BooleanBuilder::new())),
        DataType::Int8 => integers::<Int8Type>(),
        DataType::Int16 => integers::<Int16Type>(),
        DataType::Int32 => integers::<Int32Type>(),
        DataType::Int64 => integers::<Int64Type>(),
        DataType::UInt8 => integers::<UInt8Type>(),
        DataType::UInt16 => integers::<UInt16Type>(),
        DataType::UInt32 => integers::<UInt32Type>(),
        DataType::UInt64 => primitive::<UInt64Type>(
            data_type,
            |value| text::number::<u64>(value, "numeric"),
            |value| text::number::<u64>(&numeric::text(value)?, "numeric"),
        ),
        DataType::Float32 => primitive::<Float32Type>(
            data_type,
            |value| text::float::<f32>(value, "real"),
            |value| {
                // A double is narrowed as a cast would.
                #[expect(clippy::cast_possible_truncation, reason = "the column is a real")]
                binary::float(value).map(|wide| wide as f32)
            },
        ),
        DataType::Float64 => primitive::<Float64Type>(
            data_type,
            |value| text::float::<f64>(value, "double precision"),
            binary::float,
        ),
        DataType::Decimal32(..) => decimals::<Decimal32Type>(data_type),
        DataType::Decimal64(..) => decimals::<Decimal64Type>(data_type),
        DataType::Decimal128(..) => decimals::<Decimal128Type>(data_type),
        DataType::Decimal256(..) => decimals::<Decimal256Type>(data_type),
        DataType::Date32 => primitive::<Date32Type>(data_type, text::date, binary::date),
        DataType::Time32(_) | DataType::Time64(_) => times(data_type),
        DataType::Timestamp(unit, zone) => timestamps(data_type, *unit, zone.is_some()),
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            primitive::<IntervalMonthDayNanoType>(data_type, text::interval, binary::interval)
        }
        DataType::List(item) => list::builder(item, oid)?,
        _ => return bytes(data_type, oid),
    })
}

/// A builder of text or bytes.
fn bytes(data_type: &DataType, oid: u32) -> Result<Box<dyn Builder>> {
    Ok(match data_type {
        DataType::Utf8 => strings(StringBuilder::new(), oid),
        DataType::LargeUtf8 => strings(LargeStringBuilder::new(), oid),
        DataType::Utf8View => strings(StringViewBuilder::new(), oid),
        DataType::Binary => Box::new(Bytes(BinaryBuilder::new())),
        DataType::LargeBinary => Box::new(Bytes(LargeBinaryBuilder::new())),
        DataType::FixedSizeBinary(width) => Box::new(Bytes(FixedSizeBinaryBuilder::new(*width))),
        other => {
            let message = format!("values of type {other} cannot be sent to the server");
            return Err(Report::error("0A000", message));
        }
    })
}

/// A builder of plain values from two parsers.
struct Values<T: ArrowPrimitiveType, P, B> {
    builder: PrimitiveBuilder<T>,
    parse: P,
    read: B,
}

impl<T, P, B> Builder for Values<T, P, B>
where
    T: ArrowPrimitiveType,
    P: Fn(&str) -> Result<T::Native> + Send,
    B: Fn(&[u8]) -> Result<T::Native> + Send,
{
    fn text(&mut self, value: &str) -> Result<()> {
        self.builder.append_value((self.parse)(value)?);
        Ok(())
    }

    fn binary(&mut self, value: &[u8]) -> Result<()> {
        self.builder.append_value((self.read)(value)?);
        Ok(())
    }

    fn null(&mut self) {
        self.builder.append_null();
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(self.builder.finish()))
    }
}

fn primitive<T: ArrowPrimitiveType>(
    data_type: &DataType,
    parse: impl Fn(&str) -> Result<T::Native> + Send + 'static,
    read: impl Fn(&[u8]) -> Result<T::Native> + Send + 'static,
) -> Box<dyn Builder> {
    let builder = PrimitiveBuilder::<T>::new().with_data_type(data_type.clone());
    Box::new(Values { builder, parse, read })
}

fn integers<T>() -> Box<dyn Builder>
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<i64>,
{
    let kind = match T::DATA_TYPE {
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => "smallint",
        DataType::Int32 | DataType::UInt16 => "integer",
        _ => "bigint",
    };
    let narrow = move |wide: i64| {
        T::Native::try_from(wide).map_err(|_range| text::out_of_range(&wide.to_string(), kind))
    };
    let unsigned = T::DATA_TYPE.is_unsigned_integer();
    primitive::<T>(
        &T::DATA_TYPE,
        move |value| narrow(text::number::<i64>(value, kind)?),
        move |value| {
            narrow(if unsigned { binary::unsigned(value)? } else { binary::integer(value)? })
        },
    )
}

fn decimals<T: DecimalType>(data_type: &DataType) -> Box<dyn Builder> {
    let (precision, scale) = match *data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => (precision, scale),
        _ => (T::MAX_PRECISION, 0),
    };
    primitive::<T>(
        data_type,
        move |value| numeric::parse::<T>(value, precision, scale),
        move |value| numeric::parse::<T>(&numeric::text(value)?, precision, scale),
    )
}

fn times(data_type: &DataType) -> Box<dyn Builder> {
    let narrow = |wide: i64| {
        i32::try_from(wide).map_err(|_range| Report::error("22008", "time out of range"))
    };
    match data_type {
        DataType::Time32(TimeUnit::Second) => primitive::<Time32SecondType>(
            data_type,
            move |value| narrow(text::time(value)? / 1_000_000),
            move |value| narrow(binary::integer(value)? / 1_000_000),
        ),
        DataType::Time32(_) => primitive::<Time32MillisecondType>(
            data_type,
            move |value| narrow(text::time(value)? / 1_000),
            move |value| narrow(binary::integer(value)? / 1_000),
        ),
        DataType::Time64(TimeUnit::Nanosecond) => primitive::<Time64NanosecondType>(
            data_type,
            |value| Ok(text::time(value)? * 1_000),
            |value| binary::scaled(binary::integer(value)?, TimeUnit::Nanosecond),
        ),
        _ => primitive::<Time64MicrosecondType>(data_type, text::time, binary::integer),
    }
}

fn timestamps(data_type: &DataType, unit: TimeUnit, zone: bool) -> Box<dyn Builder> {
    let parse = move |value: &str| binary::scaled(text::timestamp(value, zone)?, unit);
    let read = move |value: &[u8]| binary::scaled(binary::timestamp(value)?, unit);
    match unit {
        TimeUnit::Second => primitive::<TimestampSecondType>(data_type, parse, read),
        TimeUnit::Millisecond => primitive::<TimestampMillisecondType>(data_type, parse, read),
        TimeUnit::Microsecond => primitive::<TimestampMicrosecondType>(data_type, parse, read),
        TimeUnit::Nanosecond => primitive::<TimestampNanosecondType>(data_type, parse, read),
    }
}

/// A builder of booleans.
struct Booleans(BooleanBuilder);

impl Builder for Booleans {
    fn text(&mut self, value: &str) -> Result<()> {
        self.0.append_value(text::boolean(value)?);
        Ok(())
    }

    fn binary(&mut self, value: &[u8]) -> Result<()> {
        match value {
            [byte] => self.0.append_value(*byte != 0),
            _ => return Err(binary::wrong()),
        }
        Ok(())
    }

    fn null(&mut self) {
        self.0.append_null();
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(self.0.finish()))
    }
}

/// What the builders of Arrow's text and bytes have in common.
trait Cells<T: ?Sized>: Send {
    fn append(&mut self, value: &T) -> Result<()>;
    fn append_null(&mut self);
    fn finish(&mut self) -> ArrayRef;
}

macro_rules! cells {
    ($builder:ty, $value:ty) => {
        impl Cells<$value> for $builder {
            fn append(&mut self, value: &$value) -> Result<()> {
                self.append_value(value);
                Ok(())
            }

            fn append_null(&mut self) {
                Self::append_null(self);
            }

            fn finish(&mut self) -> ArrayRef {
                Arc::new(Self::finish(self))
            }
        }
    };
}

cells!(StringBuilder, str);
cells!(LargeStringBuilder, str);
cells!(StringViewBuilder, str);
cells!(BinaryBuilder, [u8]);
cells!(LargeBinaryBuilder, [u8]);

impl Cells<[u8]> for FixedSizeBinaryBuilder {
    fn append(&mut self, value: &[u8]) -> Result<()> {
        self.append_value(value).map_err(|error| Report::error("22001", error.to_string()))
    }

    fn append_null(&mut self) {
        Self::append_null(self);
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(Self::finish(self))
    }
}

/// A builder of text from values of a PostgreSQL type.
struct Strings<C> {
    cells: C,
    oid: u32,
}

fn strings(cells: impl Cells<str> + 'static, oid: u32) -> Box<dyn Builder> {
    Box::new(Strings { cells, oid })
}

impl<C: Cells<str>> Builder for Strings<C> {
    fn text(&mut self, value: &str) -> Result<()> {
        self.cells.append(value)
    }

    fn binary(&mut self, value: &[u8]) -> Result<()> {
        self.cells.append(&binary::string(value, self.oid)?)
    }

    fn null(&mut self) {
        self.cells.append_null();
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        Ok(self.cells.finish())
    }
}

/// A builder of bytes.
struct Bytes<C>(C);

impl<C: Cells<[u8]>> Builder for Bytes<C> {
    fn text(&mut self, value: &str) -> Result<()> {
        self.0.append(&text::bytea(value)?)
    }

    fn binary(&mut self, value: &[u8]) -> Result<()> {
        self.0.append(value)
    }

    fn null(&mut self) {
        self.0.append_null();
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        Ok(self.0.finish())
    }
}

/// Months, days and nanoseconds.
fn interval(months: i32, days: i32, nanos: i64) -> IntervalMonthDayNano {
    IntervalMonthDayNano::new(months, days, nanos)
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;
    use arrow::datatypes::Field;
    use bytes::BytesMut;

    use super::*;
    use crate::pg::encode::Column;
    use crate::pg::types;

    /// What is written in either form is read back as the same column.
    #[test]
    fn every_type_survives_the_way_out_and_in() {
        let micros =
            |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        let list = |item| DataType::List(Arc::new(Field::new_list_field(item, true)));
        for (data_type, values) in [
            (DataType::Boolean, ["t", "f"]),
            (DataType::Int8, ["-128", "127"]),
            (DataType::Int16, ["-5", "32767"]),
            (DataType::Int32, ["0", "-2147483648"]),
            (DataType::Int64, ["9223372036854775807", "1"]),
            (DataType::UInt8, ["0", "255"]),
            (DataType::UInt16, ["0", "65535"]),
            (DataType::UInt32, ["0", "4294967295"]),
            (DataType::UInt64, ["0", "18446744073709551615"]),
            (DataType::Float32, ["1.5", "NaN"]),
            (DataType::Float64, ["-1e+300", "Infinity"]),
            (DataType::Decimal32(5, 2), ["-1.50", "999.99"]),
            (DataType::Decimal128(38, 10), ["0.0000000001", "12345678.9000000000"]),
            (
                DataType::Decimal256(60, 2),
                ["-0.01", "99999999999999999999999999999999999999999.00"],
            ),
            (DataType::Utf8, ["na\u{ef}ve", ""]),
            (DataType::LargeUtf8, ["x", "y"]),
            (DataType::Utf8View, ["a longer text than fits inline", "y"]),
            (DataType::Binary, ["\\x00ff", "\\x"]),
            (DataType::FixedSizeBinary(2), ["\\x0001", "\\xfffe"]),
            (DataType::Date32, ["1969-12-31", "2024-02-29"]),
            (DataType::Time32(TimeUnit::Second), ["00:00:01", "23:59:59"]),
            (DataType::Time64(TimeUnit::Microsecond), ["00:00:00.000001", "12:00:00"]),
            (DataType::Time64(TimeUnit::Nanosecond), ["00:00:00.000001", "12:00:00"]),
            (micros(None), ["2024-02-29 01:02:03.000004", "1900-01-01 00:00:00"]),
            (micros(Some("+00:00")), ["2024-02-29 01:02:03+00", "1999-12-31 23:59:59.5+00"]),
            (
                DataType::Timestamp(TimeUnit::Second, None),
                ["2024-02-29 01:02:03", "1970-01-01 00:00:00"],
            ),
            (
                DataType::Interval(IntervalUnit::MonthDayNano),
                ["1 year 2 mons 3 days 04:05:06.5", "-1 days -00:00:01"],
            ),
            (list(DataType::Int64), ["{1,NULL,3}", "{}"]),
            (list(DataType::Utf8), ["{\"a,b\",\"null\",NULL}", "{x}"]),
        ] {
            let field = Field::new("c", data_type.clone(), true);
            let oid = types::of(&data_type).oid();
            let mut from_text = builder(&data_type, oid).expect("a type in use");
            for value in values {
                from_text.text(value).unwrap_or_else(|e| panic!("{data_type} {value}: {e:?}"));
            }
            from_text.null();
            let column = from_text.finish().expect("a column");
            assert_eq!(column.data_type(), &data_type, "its own type");

            let mut from_binary = builder(&data_type, oid).expect("a type in use");
            let shown = Column::new(&column, &field, Format::Text);
            let sent = Column::new(&column, &field, Format::Binary);
            for (row, value) in values.iter().enumerate() {
                let mut out = BytesMut::new();
                shown.put(row, &mut out).expect("text");
                assert_eq!(out, value.as_bytes(), "{data_type} as text");
                out.clear();
                sent.put(row, &mut out).expect("binary");
                from_binary.binary(&out).unwrap_or_else(|e| panic!("{data_type} {value}: {e:?}"));
            }
            from_binary.null();
            let back = from_binary.finish().expect("a column");
            assert_eq!(back.as_ref(), column.as_ref(), "{data_type} through binary");
        }
    }

    #[test]
    fn parameters_find_their_own_scale() {
        let decimal = DataType::Decimal128(38, 10);
        let value = parameter(Some(b"1.50"), Format::Text, 1700, &decimal).expect("a number");
        assert_eq!(value, ScalarValue::Decimal128(Some(150), 38, 2), "as written");
        let null = parameter(None, Format::Text, 25, &DataType::Utf8).expect("null");
        assert_eq!(null, ScalarValue::Utf8(None), "typed null");
    }

    #[test]
    fn values_out_of_range_are_errors() {
        let state = |data_type: DataType, value: &str| {
            let mut builder = builder(&data_type, 0).expect("a type in use");
            builder.text(value).map_err(|report| report.sqlstate)
        };
        assert_eq!(state(DataType::Int8, "128"), Err("22003"), "int8");
        assert_eq!(state(DataType::UInt32, "-1"), Err("22003"), "unsigned");
        assert_eq!(state(DataType::Float32, "1e60"), Err("22003"), "float4");
        assert_eq!(state(DataType::Decimal128(4, 2), "100.00"), Err("22003"), "decimal");
        assert_eq!(state(DataType::Decimal128(4, 2), "ten"), Err("22P02"), "decimal");
        assert_eq!(state(DataType::Date32, "2024-13-01"), Err("22007"), "date");
    }
}
