//! Writers for columns of plain values.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DecimalType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use bytes::{BufMut, BytesMut};
use postgres_types::Type;

use crate::pg::encode::{Error, Format, Put, Result, binary, nested, text};
use crate::pg::types;

/// Milliseconds of a day, the unit of `Date64`.
const DAY_MS: i64 = 86_400_000;

/// Whether values of an Arrow type can be sent in the binary form of a PostgreSQL type.
pub(super) fn fits(data_type: &DataType, ty: &Type) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => fits(values, ty),
        DataType::RunEndEncoded(_, values) => fits(values.data_type(), ty),
        data_type if data_type.is_integer() => width(ty).is_some(),
        // Text that names a number (`regclass`) has no binary form of it; literals of arrays have
        // one.
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            width(ty).is_none() && !matches!(*ty, Type::ANYARRAY | Type::TID)
        }
        _ => true,
    }
}

/// The size of an integer-like PostgreSQL type.
pub(super) fn width(ty: &Type) -> Option<usize> {
    match *ty {
        Type::INT2 => Some(2),
        Type::INT4
        | Type::OID
        | Type::XID
        | Type::CID
        | Type::REGCLASS
        | Type::REGTYPE
        | Type::REGPROC
        | Type::REGNAMESPACE
        | Type::REGROLE => Some(4),
        Type::INT8 => Some(8),
        _ => None,
    }
}

/// The writer of a column of plain values.
pub(super) fn put(array: &ArrayRef, ty: &Type, format: Format) -> Put {
    match array.data_type() {
        DataType::Boolean => boolean(array, format),
        DataType::Int8 => integer::<Int8Type>(array, ty, format),
        DataType::Int16 => integer::<Int16Type>(array, ty, format),
        DataType::Int32 => integer::<Int32Type>(array, ty, format),
        DataType::Int64 => integer::<Int64Type>(array, ty, format),
        DataType::UInt8 => integer::<UInt8Type>(array, ty, format),
        DataType::UInt16 => integer::<UInt16Type>(array, ty, format),
        DataType::UInt32 => integer::<UInt32Type>(array, ty, format),
        DataType::UInt64 => unsigned(array, format),
        DataType::Float16 => {
            each::<Float16Type>(array, move |v, out| float4(v.to_f32(), format, out))
        }
        DataType::Float32 => each::<Float32Type>(array, move |v, out| float4(v, format, out)),
        DataType::Float64 => each::<Float64Type>(array, move |v, out| float8(v, format, out)),
        DataType::Decimal32(..) => decimal::<Decimal32Type>(array, format),
        DataType::Decimal64(..) => decimal::<Decimal64Type>(array, format),
        DataType::Decimal128(..) => decimal::<Decimal128Type>(array, format),
        DataType::Decimal256(..) => decimal::<Decimal256Type>(array, format),
        DataType::Utf8 => {
            let array = array.as_string::<i32>().clone();
            string(move |row, visit| visit(array.value(row)), ty, format)
        }
        DataType::LargeUtf8 => {
            let array = array.as_string::<i64>().clone();
            string(move |row, visit| visit(array.value(row)), ty, format)
        }
        DataType::Utf8View => {
            let array = array.as_string_view().clone();
            string(move |row, visit| visit(array.value(row)), ty, format)
        }
        DataType::Binary => {
            let array = array.as_binary::<i32>().clone();
            bytes(move |row, visit| visit(array.value(row)), ty, format)
        }
        DataType::LargeBinary => {
            let array = array.as_binary::<i64>().clone();
            bytes(move |row, visit| visit(array.value(row)), ty, format)
        }
        DataType::BinaryView => {
            let array = array.as_binary_view().clone();
            bytes(move |row, visit| visit(array.value(row)), ty, format)
        }
        DataType::FixedSizeBinary(_) => {
            let array = array.as_fixed_size_binary().clone();
            bytes(move |row, visit| visit(array.value(row)), ty, format)
        }
        _ => temporal(array, format),
    }
}

/// The writer of a column of dates, times, timestamps, intervals or durations. Anything else here
/// is a column of nulls, whose cells are never written.
fn temporal(array: &ArrayRef, format: Format) -> Put {
    match array.data_type() {
        DataType::Date32 => {
            each::<Date32Type>(array, move |v, out| date(i64::from(v), format, out))
        }
        DataType::Date64 => {
            each::<Date64Type>(array, move |v, out| date(v.div_euclid(DAY_MS), format, out))
        }
        DataType::Time32(TimeUnit::Second) => each::<Time32SecondType>(array, move |v, out| {
            time(TimeUnit::Second, i64::from(v), format, out)
        }),
        DataType::Time32(_) => each::<Time32MillisecondType>(array, move |v, out| {
            time(TimeUnit::Millisecond, i64::from(v), format, out)
        }),
        DataType::Time64(TimeUnit::Microsecond) => {
            each::<Time64MicrosecondType>(array, move |v, out| {
                time(TimeUnit::Microsecond, v, format, out)
            })
        }
        DataType::Time64(_) => each::<Time64NanosecondType>(array, move |v, out| {
            time(TimeUnit::Nanosecond, v, format, out)
        }),
        DataType::Timestamp(unit, zone) => timestamps(array, *unit, zone.is_some(), format),
        DataType::Duration(unit) => durations(array, *unit, format),
        DataType::Interval(IntervalUnit::YearMonth) => {
            each::<IntervalYearMonthType>(array, move |v, out| {
                interval((i64::from(v), 0, 0), format, out)
            })
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            each::<IntervalDayTimeType>(array, move |v, out| {
                interval((0, i64::from(v.days), i64::from(v.milliseconds) * 1_000), format, out)
            })
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            each::<IntervalMonthDayNanoType>(array, move |v, out| {
                let micros = v.nanoseconds.div_euclid(1_000);
                interval((i64::from(v.months), i64::from(v.days), micros), format, out)
            })
        }
        _ => Box::new(|_, _| Ok(())),
    }
}

fn timestamps(array: &ArrayRef, unit: TimeUnit, zone: bool, format: Format) -> Put {
    let write = move |v, out: &mut BytesMut| {
        let micros = text::micros(unit, v)?;
        match format {
            Format::Text => {
                text::timestamp(micros, zone, out);
                Ok(())
            }
            Format::Binary => binary::timestamp(micros, out),
        }
    };
    match unit {
        TimeUnit::Second => each::<TimestampSecondType>(array, write),
        TimeUnit::Millisecond => each::<TimestampMillisecondType>(array, write),
        TimeUnit::Microsecond => each::<TimestampMicrosecondType>(array, write),
        TimeUnit::Nanosecond => each::<TimestampNanosecondType>(array, write),
    }
}

fn durations(array: &ArrayRef, unit: TimeUnit, format: Format) -> Put {
    let write = move |v, out: &mut BytesMut| {
        let micros = text::micros(unit, v).map_err(|_range| Error::OutOfRange("interval"))?;
        interval((0, 0, micros), format, out)
    };
    match unit {
        TimeUnit::Second => each::<DurationSecondType>(array, write),
        TimeUnit::Millisecond => each::<DurationMillisecondType>(array, write),
        TimeUnit::Microsecond => each::<DurationMicrosecondType>(array, write),
        TimeUnit::Nanosecond => each::<DurationNanosecondType>(array, write),
    }
}

fn each<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    write: impl Fn(T::Native, &mut BytesMut) -> Result<()> + Send + Sync + 'static,
) -> Put {
    let array: PrimitiveArray<T> = array.as_primitive::<T>().clone();
    Box::new(move |row, out| write(array.value(row), out))
}

fn boolean(array: &ArrayRef, format: Format) -> Put {
    let array = array.as_boolean().clone();
    Box::new(move |row, out| {
        match format {
            Format::Text => text::boolean(array.value(row), out),
            Format::Binary => out.put_u8(u8::from(array.value(row))),
        }
        Ok(())
    })
}

fn integer<T>(array: &ArrayRef, ty: &Type, format: Format) -> Put
where
    T: ArrowPrimitiveType,
    T::Native: Into<i64>,
{
    if format == Format::Text {
        return each::<T>(array, |v, out| {
            text::integer(v.into(), out);
            Ok(())
        });
    }
    let width = width(ty).unwrap_or(8);
    each::<T>(array, move |v, out| {
        // The low bytes are the value: a type is never narrower than its column, and an `oid` above
        // 2^31 keeps its bits.
        let wide: i64 = v.into();
        out.put_slice(&wide.to_be_bytes()[8 - width..]);
        Ok(())
    })
}

fn unsigned(array: &ArrayRef, format: Format) -> Put {
    each::<UInt64Type>(array, move |v, out| match format {
        Format::Text => {
            text::push(out, format_args!("{v}"));
            Ok(())
        }
        Format::Binary => binary::numeric(&v.to_string(), out),
    })
}

fn decimal<T: DecimalType>(array: &ArrayRef, format: Format) -> Put {
    let (precision, scale) = match *array.data_type() {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => (precision, scale),
        _ => (T::MAX_PRECISION, 0),
    };
    each::<T>(array, move |v, out| {
        let shown = T::format_decimal(v, precision, scale);
        match format {
            Format::Text => {
                out.put_slice(shown.as_bytes());
                Ok(())
            }
            Format::Binary => binary::numeric(&shown, out),
        }
    })
}

/// A text column: `read` hands the cell of a row to a visitor.
fn string(
    read: impl Fn(usize, &mut dyn FnMut(&str)) + Send + Sync + 'static,
    ty: &Type,
    format: Format,
) -> Put {
    let literal = types::element_of(ty).is_some();
    let (ty, jsonb, uuid) = (ty.clone(), *ty == Type::JSONB, *ty == Type::UUID);
    Box::new(move |row, out| {
        let mut written = Ok(());
        read(row, &mut |value| match format {
            Format::Text => out.put_slice(value.as_bytes()),
            Format::Binary if literal => written = nested::literal(value, &ty, out),
            Format::Binary if uuid => uuid_bytes(value, out),
            Format::Binary => {
                if jsonb {
                    out.put_u8(1);
                }
                out.put_slice(value.as_bytes());
            }
        });
        written
    })
}

/// The 16 bytes of a UUID in text.
fn uuid_bytes(value: &str, out: &mut BytesMut) {
    let digits: Vec<u8> = value
        .chars()
        .filter_map(|c| c.to_digit(16))
        .filter_map(|digit| u8::try_from(digit).ok())
        .collect();
    out.extend(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]));
}

/// A binary column: `read` hands the cell of a row to a visitor.
fn bytes(
    read: impl Fn(usize, &mut dyn FnMut(&[u8])) + Send + Sync + 'static,
    ty: &Type,
    format: Format,
) -> Put {
    let uuid = *ty == Type::UUID;
    Box::new(move |row, out| {
        read(row, &mut |value| match format {
            Format::Binary => out.put_slice(value),
            Format::Text if uuid && value.len() == 16 => text::uuid(value, out),
            Format::Text => text::bytea(value, out),
        });
        Ok(())
    })
}

fn float4(value: f32, format: Format, out: &mut BytesMut) -> Result<()> {
    match format {
        Format::Text => text::float4(value, out),
        Format::Binary => out.put_f32(value),
    }
    Ok(())
}

fn float8(value: f64, format: Format, out: &mut BytesMut) -> Result<()> {
    match format {
        Format::Text => text::float8(value, out),
        Format::Binary => out.put_f64(value),
    }
    Ok(())
}

fn date(days: i64, format: Format, out: &mut BytesMut) -> Result<()> {
    match format {
        Format::Text => {
            text::date(days, out);
            Ok(())
        }
        Format::Binary => binary::date(days, out),
    }
}

fn time(unit: TimeUnit, value: i64, format: Format, out: &mut BytesMut) -> Result<()> {
    let micros = text::micros(unit, value)?;
    match format {
        Format::Text => text::time(micros, out),
        Format::Binary => out.put_i64(micros),
    }
    Ok(())
}

/// Months, days and microseconds.
fn interval(value: (i64, i64, i64), format: Format, out: &mut BytesMut) -> Result<()> {
    let (months, days, micros) = value;
    match format {
        Format::Text => {
            text::interval(months, days, micros, out);
            Ok(())
        }
        Format::Binary => binary::interval(months, days, micros, out),
    }
}
