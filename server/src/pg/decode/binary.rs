//! Binary forms of values.

use arrow::datatypes::{IntervalMonthDayNano, TimeUnit};
use bytes::Buf;
use postgres_types::Type;

use crate::pg::decode::{Result, interval as month_day_nano};
use crate::pg::encode::binary::{EPOCH_DAYS, EPOCH_US};
use crate::pg::encode::text;
use crate::sqlstate::Report;

/// Bytes that are not a value of the type.
pub(super) fn wrong() -> Report {
    Report::error("22P03", "incorrect binary data format")
}

/// A big-endian integer of 2, 4 or 8 bytes.
pub(super) fn integer(value: &[u8]) -> Result<i64> {
    match *value {
        [a, b] => Ok(i64::from(i16::from_be_bytes([a, b]))),
        [a, b, c, d] => Ok(i64::from(i32::from_be_bytes([a, b, c, d]))),
        _ => <[u8; 8]>::try_from(value).map(i64::from_be_bytes).map_err(|_length| wrong()),
    }
}

/// A big-endian integer without a sign of 2, 4 or 8 bytes.
pub(super) fn unsigned(value: &[u8]) -> Result<i64> {
    match *value {
        [a, b] => Ok(i64::from(u16::from_be_bytes([a, b]))),
        [a, b, c, d] => Ok(i64::from(u32::from_be_bytes([a, b, c, d]))),
        _ => integer(value),
    }
}

/// A floating point number of 4 or 8 bytes.
pub(super) fn float(value: &[u8]) -> Result<f64> {
    match *value {
        [a, b, c, d] => Ok(f64::from(f32::from_be_bytes([a, b, c, d]))),
        _ => <[u8; 8]>::try_from(value).map(f64::from_be_bytes).map_err(|_length| wrong()),
    }
}

/// A day, as days since 1970-01-01.
pub(super) fn date(value: &[u8]) -> Result<i32> {
    let [a, b, c, d] = *value else { return Err(wrong()) };
    let days = i64::from(i32::from_be_bytes([a, b, c, d])) + EPOCH_DAYS;
    i32::try_from(days).map_err(|_range| Report::error("22008", "date out of range"))
}

/// A moment, as microseconds since 1970-01-01.
pub(super) fn timestamp(value: &[u8]) -> Result<i64> {
    let micros = <[u8; 8]>::try_from(value).map(i64::from_be_bytes).map_err(|_length| wrong())?;
    micros.checked_add(EPOCH_US).ok_or_else(|| Report::error("22008", "timestamp out of range"))
}

/// Microseconds in another unit.
pub(super) fn scaled(micros: i64, unit: TimeUnit) -> Result<i64> {
    match unit {
        TimeUnit::Second => Some(micros.div_euclid(1_000_000)),
        TimeUnit::Millisecond => Some(micros.div_euclid(1_000)),
        TimeUnit::Microsecond => Some(micros),
        TimeUnit::Nanosecond => micros.checked_mul(1_000),
    }
    .ok_or_else(|| Report::error("22008", "timestamp out of range"))
}

/// Microseconds, days and months.
pub(super) fn interval(mut value: &[u8]) -> Result<IntervalMonthDayNano> {
    if value.len() != 16 {
        return Err(wrong());
    }
    let (micros, days, months) = (value.get_i64(), value.get_i32(), value.get_i32());
    let nanos =
        micros.checked_mul(1_000).ok_or_else(|| Report::error("22008", "interval out of range"))?;
    Ok(month_day_nano(months, days, nanos))
}

/// Text, or the text form of a type that is kept as text.
pub(super) fn string(value: &[u8], oid: u32) -> Result<String> {
    let value = match Type::from_oid(oid) {
        Some(Type::UUID) if value.len() == 16 => {
            let mut shown = bytes::BytesMut::new();
            text::uuid(value, &mut shown);
            return String::from_utf8(shown.to_vec()).map_err(|_not_text| wrong());
        }
        // A byte tells the version of the format.
        Some(Type::JSONB) => value.strip_prefix(&[1]).ok_or_else(wrong)?,
        _ => value,
    };
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(Report::error("22021", "invalid byte sequence for encoding \"UTF8\"")),
    }
}
