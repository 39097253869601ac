//! Text forms of values, as PostgreSQL prints them (`DateStyle` ISO, `IntervalStyle` postgres,
//! `bytea_output` hex, `extra_float_digits` 1, `TimeZone` UTC).

use std::fmt::Write as _;

use arrow::datatypes::TimeUnit;
use bytes::{BufMut, BytesMut};

use crate::pg::encode::{Error, Result};

/// Microseconds of a day.
pub(crate) const DAY_US: i64 = 86_400_000_000;

/// Writes formatted text. Writing into a growing buffer does not fail.
pub(crate) fn push(out: &mut BytesMut, args: std::fmt::Arguments<'_>) {
    out.write_fmt(args).expect("a BytesMut grows as needed");
}

/// `t` or `f`.
pub(crate) fn boolean(value: bool, out: &mut BytesMut) {
    out.put_u8(if value { b't' } else { b'f' });
}

/// A whole number.
pub(crate) fn integer(value: i64, out: &mut BytesMut) {
    // Digits are made from the low end; 20 places hold every i64 with its sign.
    let mut places = [0_u8; 20];
    let mut at = places.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        places[at] = b'0' + u8::try_from(rest % 10).expect("a digit is below ten");
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.put_u8(b'-');
    }
    out.put_slice(&places[at..]);
}

/// The shortest text that reads back as the same `float8`.
pub(crate) fn float8(value: f64, out: &mut BytesMut) {
    if !special(value, out) {
        shortest(&format!("{value:e}"), 15, out);
    }
}

/// The shortest text that reads back as the same `float4`.
pub(crate) fn float4(value: f32, out: &mut BytesMut) {
    if !special(f64::from(value), out) {
        shortest(&format!("{value:e}"), 6, out);
    }
}

fn special(value: f64, out: &mut BytesMut) -> bool {
    let word: &[u8] = if value.is_nan() {
        b"NaN"
    } else if value.is_infinite() && value > 0.0 {
        b"Infinity"
    } else if value.is_infinite() {
        b"-Infinity"
    } else {
        return false;
    };
    out.put_slice(word);
    true
}

/// Lays out Rust's shortest digits (`-1.25e-7`) as PostgreSQL does: plainly for exponents from -4
/// to below `plain`, else with a sign and at least two digits of exponent.
fn shortest(scientific: &str, plain: i32, out: &mut BytesMut) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    if !(-4..plain).contains(&exponent) {
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        push(out, format_args!("{sign}{mantissa}e{exponent_sign}{:02}", exponent.unsigned_abs()));
        return;
    }
    out.put_slice(sign.as_bytes());
    let digits = mantissa.bytes().filter(u8::is_ascii_digit);
    if exponent < 0 {
        out.put_slice(b"0.");
        out.put_bytes(b'0', usize::try_from(-exponent - 1).unwrap_or(0));
        out.extend(digits);
        return;
    }
    let whole = usize::try_from(exponent).unwrap_or(0) + 1;
    let mut written = 0;
    for digit in digits {
        if written == whole {
            out.put_u8(b'.');
        }
        out.put_u8(digit);
        written += 1;
    }
    out.put_bytes(b'0', whole.saturating_sub(written));
}

/// `\x` and two hex digits per byte.
pub(crate) fn bytea(value: &[u8], out: &mut BytesMut) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(2 + 2 * value.len());
    out.put_slice(b"\\x");
    for byte in value {
        out.put_u8(HEX[usize::from(byte >> 4)]);
        out.put_u8(HEX[usize::from(byte & 15)]);
    }
}

/// A UUID of 16 bytes.
pub(crate) fn uuid(value: &[u8], out: &mut BytesMut) {
    for (at, byte) in value.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.put_u8(b'-');
        }
        push(out, format_args!("{byte:02x}"));
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
///
/// Works on years that begin in March, so that the leap day is the last of its year.
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// A day counted from 1970-01-01.
pub(crate) fn date(days: i64, out: &mut BytesMut) {
    let before_christ = calendar_day(days, out);
    era(before_christ, out);
}

/// Writes `year-month-day`; the answer tells whether the year was before Christ.
fn calendar_day(days: i64, out: &mut BytesMut) -> bool {
    let (year, month, day) = civil(days);
    // There is no year zero: 0 is 1 BC.
    let (shown, before_christ) = if year <= 0 { (1 - year, true) } else { (year, false) };
    push(out, format_args!("{shown:04}-{month:02}-{day:02}"));
    before_christ
}

fn era(before_christ: bool, out: &mut BytesMut) {
    if before_christ {
        out.put_slice(b" BC");
    }
}

/// Microseconds since midnight.
pub(crate) fn time(micros: i64, out: &mut BytesMut) {
    let seconds = micros / 1_000_000;
    push(out, format_args!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60));
    fraction(micros % 1_000_000, out);
}

/// Writes microseconds as a decimal fraction without trailing zeros.
fn fraction(micros: i64, out: &mut BytesMut) {
    if micros == 0 {
        return;
    }
    let text = format!("{micros:06}");
    push(out, format_args!(".{}", text.trim_end_matches('0')));
}

/// Microseconds since 1970-01-01 00:00, with `+00` when it is an instant.
pub(crate) fn timestamp(micros: i64, with_zone: bool, out: &mut BytesMut) {
    let before_christ = calendar_day(micros.div_euclid(DAY_US), out);
    out.put_u8(b' ');
    time(micros.rem_euclid(DAY_US), out);
    if with_zone {
        out.put_slice(b"+00");
    }
    era(before_christ, out);
}

/// Months, days and microseconds, like `1 year 2 mons -3 days 04:05:06.5`.
pub(crate) fn interval(months: i64, days: i64, micros: i64, out: &mut BytesMut) {
    let mut first = true;
    let mut after_negative = false;
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value == 0 {
            continue;
        }
        let gap = if first { "" } else { " " };
        let sign = if after_negative && value > 0 { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        push(out, format_args!("{gap}{sign}{value} {unit}{plural}"));
        first = false;
        after_negative = value < 0;
    }
    if micros != 0 || first {
        let gap = if first { "" } else { " " };
        let sign = match (micros < 0, after_negative) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        out.put_slice(gap.as_bytes());
        out.put_slice(sign.as_bytes());
        let magnitude = i64::try_from(micros.unsigned_abs()).unwrap_or(i64::MAX);
        time(magnitude, out);
    }
}

/// A count of some unit as microseconds; nanoseconds are cut off downwards.
///
/// # Errors
/// When the result does not fit.
pub(crate) fn micros(unit: TimeUnit, value: i64) -> Result<i64> {
    match unit {
        TimeUnit::Second => value.checked_mul(1_000_000),
        TimeUnit::Millisecond => value.checked_mul(1_000),
        TimeUnit::Microsecond => Some(value),
        TimeUnit::Nanosecond => Some(value.div_euclid(1_000)),
    }
    .ok_or(Error::OutOfRange("timestamp"))
}

/// Writes an element of an array literal, quoted where PostgreSQL would quote it.
pub(crate) fn array_element(value: &[u8], out: &mut BytesMut) {
    let plain = !value.is_empty()
        && !value.eq_ignore_ascii_case(b"null")
        && !value.iter().any(|b| matches!(b, b'{' | b'}' | b',' | b'"' | b'\\') || is_space(*b));
    if plain {
        out.put_slice(value);
        return;
    }
    out.put_u8(b'"');
    for byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(*byte);
    }
    out.put_u8(b'"');
}

/// Writes a field of a record literal, quoted where PostgreSQL would quote it.
pub(crate) fn record_field(value: &[u8], out: &mut BytesMut) {
    let plain = !value.is_empty()
        && !value.iter().any(|b| matches!(b, b'(' | b')' | b',' | b'"' | b'\\') || is_space(*b));
    if plain {
        out.put_slice(value);
        return;
    }
    out.put_u8(b'"');
    for byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(*byte);
        }
        out.put_u8(*byte);
    }
    out.put_u8(b'"');
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).expect("text is UTF-8")
    }

    #[test]
    fn integers_have_all_their_digits() {
        for value in [0, 7, -1, 10, 99, i64::MAX, i64::MIN] {
            assert_eq!(text(|out| integer(value, out)), value.to_string(), "{value}");
        }
    }

    #[test]
    fn floats_are_printed_like_postgres() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (100.0, "100"),
            (123_456.75, "123456.75"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (1e20, "1e+20"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (0.1 + 0.2, "0.30000000000000004"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(text(|out| float8(value, out)), expected, "{value}");
        }
        assert_eq!(text(|out| float4(1_234_567.0, out)), "1.234567e+06", "float4 turns at 1e6");
        assert_eq!(text(|out| float4(0.1, out)), "0.1", "float4 is shortest of its own type");
    }

    #[test]
    fn days_are_gregorian() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (19_782, "2024-02-29"),
            (-719_162, "0001-01-01"),
            (-719_163, "0001-12-31 BC"),
            (2_932_896, "9999-12-31"),
        ] {
            assert_eq!(text(|out| date(days, out)), expected, "day {days}");
        }
    }

    #[test]
    fn timestamps_cut_trailing_zeros() {
        let at = 19_782 * DAY_US + 3_723_000_000 + 120_000;
        assert_eq!(text(|out| timestamp(at, false, out)), "2024-02-29 01:02:03.12", "local");
        assert_eq!(text(|out| timestamp(at, true, out)), "2024-02-29 01:02:03.12+00", "instant");
        assert_eq!(text(|out| timestamp(-1, false, out)), "1969-12-31 23:59:59.999999", "before");
    }

    #[test]
    fn intervals_are_printed_like_postgres() {
        for (months, days, micros, expected) in [
            (0, 0, 0, "00:00:00"),
            (14, 3, 14_706_500_000, "1 year 2 mons 3 days 04:05:06.5"),
            (-14, 3, -1_000_000, "-1 years -2 mons +3 days -00:00:01"),
            (0, -1, 3_600_000_000, "-1 days +01:00:00"),
            (1, 0, 0, "1 mon"),
        ] {
            assert_eq!(text(|out| interval(months, days, micros, out)), expected, "{expected}");
        }
    }

    #[test]
    fn quoting_follows_array_and_record_literals() {
        assert_eq!(text(|out| array_element(b"null", out)), "\"null\"", "the word null");
        assert_eq!(text(|out| array_element(br#"a"b\"#, out)), r#""a\"b\\""#, "escapes");
        assert_eq!(text(|out| record_field(br#"a"b"#, out)), r#""a""b""#, "doubling");
        assert_eq!(text(|out| record_field(b"", out)), "\"\"", "empty is not null");
    }
}
