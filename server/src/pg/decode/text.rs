//! Text forms of values, read as PostgreSQL reads them.

use std::str::FromStr;

use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::{
    Parser, parse_interval_month_day_nano, string_to_datetime, string_to_time_nanoseconds,
};
use arrow::datatypes::{Date32Type, IntervalMonthDayNano};

use crate::pg::decode::{Result, interval as month_day_nano};
use crate::pg::encode::text::DAY_US;
use crate::sqlstate::Report;

/// A value that is not of its type.
pub(super) fn invalid(value: &str, kind: &str) -> Report {
    Report::error("22P02", format!("invalid input syntax for type {kind}: \"{value}\""))
}

/// A number that its type cannot hold.
pub(super) fn out_of_range(value: &str, kind: &str) -> Report {
    Report::error("22003", format!("value \"{value}\" is out of range for type {kind}"))
}

/// A prefix, in any case, of one of the words for true and false.
pub(super) fn boolean(value: &str) -> Result<bool> {
    let word = value.trim().to_ascii_lowercase();
    let is = |whole: &str, shortest: usize| word.len() >= shortest && whole.starts_with(&*word);
    if is("true", 1) || is("yes", 1) || word == "on" || word == "1" {
        Ok(true)
    } else if is("false", 1) || is("no", 1) || is("off", 2) || word == "0" {
        Ok(false)
    } else {
        Err(invalid(value, "boolean"))
    }
}

/// A whole number between blanks.
pub(super) fn number<T: FromStr>(value: &str, kind: &str) -> Result<T> {
    let trimmed = value.trim();
    trimmed.parse().map_err(|_unreadable| {
        let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            out_of_range(trimmed, kind)
        } else {
            invalid(value, kind)
        }
    })
}

/// A floating point number, `NaN` or an infinity, between blanks.
pub(super) fn float<T: FromStr + Into<f64> + Copy>(value: &str, kind: &str) -> Result<T> {
    let trimmed = value.trim();
    let number: T = trimmed.parse().map_err(|_unreadable| invalid(value, kind))?;
    let wide: f64 = number.into();
    let named = trimmed.trim_start_matches(['-', '+']).starts_with(['i', 'I']);
    if wide.is_infinite() && !named {
        return Err(out_of_range(trimmed, kind));
    }
    Ok(number)
}

/// `\x` and hex digits, or text with `\\` and `\ooo` escapes.
pub(super) fn bytea(value: &str) -> Result<Vec<u8>> {
    let wrong = || invalid(value, "bytea");
    if let Some(hex) = value.strip_prefix("\\x") {
        let digits: Option<Vec<u8>> = hex
            .chars()
            .filter(|c| !c.is_ascii_whitespace())
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let digits = digits.filter(|digits| digits.len() % 2 == 0).ok_or_else(wrong)?;
        return Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect());
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'\\') => bytes.push(b'\\'),
            Some(high @ b'0'..=b'3') => {
                let octal = |byte: Option<u8>| match byte {
                    Some(digit @ b'0'..=b'7') => Ok(digit - b'0'),
                    _ => Err(wrong()),
                };
                let (middle, low) = (octal(rest.next())?, octal(rest.next())?);
                bytes.push((high - b'0') << 6 | middle << 3 | low);
            }
            _ => return Err(wrong()),
        }
    }
    Ok(bytes)
}

/// `2024-02-29`, as days since 1970-01-01. The time of a longer value is cut off.
pub(super) fn date(value: &str) -> Result<i32> {
    if let Some(days) = Date32Type::parse(value.trim()) {
        return Ok(days);
    }
    let micros = timestamp(value, false).map_err(|_unreadable| date_time_error(value, "date"))?;
    i32::try_from(micros.div_euclid(DAY_US)).map_err(|_range| out_of_range(value, "date"))
}

/// `04:05:06.789`, as microseconds since midnight.
pub(super) fn time(value: &str) -> Result<i64> {
    string_to_time_nanoseconds(value.trim())
        .map(|nanos| nanos / 1_000)
        .map_err(|_unreadable| date_time_error(value, "time"))
}

/// `2024-02-29 04:05:06.789+01`, as microseconds since 1970-01-01. Without a zone it is UTC; a type
/// without zone ignores one.
pub(super) fn timestamp(value: &str, zone: bool) -> Result<i64> {
    let kind = if zone { "timestamp with time zone" } else { "timestamp" };
    let trimmed = value.trim();
    let mut shown = trimmed;
    if !zone {
        // The offset begins after the time; dates have dashes too.
        let time = trimmed.find([' ', 'T']).unwrap_or(trimmed.len());
        let (day, rest) = trimmed.split_at(time);
        if let Some(offset) = rest.find(['+', '-', 'Z']) {
            shown = trimmed.get(..day.len() + offset).unwrap_or(trimmed);
        }
    }
    let utc: Tz = "+00:00".parse().expect("UTC is a time zone");
    string_to_datetime(&utc, shown.trim_end())
        .map(|moment| moment.timestamp_micros())
        .map_err(|_unreadable| date_time_error(value, kind))
}

/// `1 year 2 mons 3 days 04:05:06.789` and the other forms that SQL knows.
pub(super) fn interval(value: &str) -> Result<IntervalMonthDayNano> {
    if let Ok(interval) = parse_interval_month_day_nano(value.trim()) {
        return Ok(interval);
    }
    // PostgreSQL's own output: units, then a clock.
    let (mut months, mut days, mut micros) = (0_i32, 0_i32, 0_i64);
    let wrong = || invalid(value, "interval");
    let mut words = value.split_whitespace();
    while let Some(word) = words.next() {
        if word.contains(':') {
            micros = clock(word).ok_or_else(wrong)?;
            continue;
        }
        let amount: i32 = word.parse().map_err(|_unreadable| wrong())?;
        match words.next().map(|unit| unit.trim_end_matches('s')) {
            Some("year") => months += amount * 12,
            Some("mon" | "month") => months += amount,
            Some("day") => days += amount,
            _ => return Err(wrong()),
        }
    }
    let nanos = micros.checked_mul(1_000).ok_or_else(|| out_of_range(value, "interval"))?;
    Ok(month_day_nano(months, days, nanos))
}

/// `-04:05:06.789` in microseconds; hours may pass 24.
fn clock(word: &str) -> Option<i64> {
    let negative = word.starts_with('-');
    let mut parts = word.trim_start_matches(['-', '+']).split(':');
    let hours: i64 = parts.next()?.parse().ok()?;
    let minutes: i64 = parts.next()?.parse().ok()?;
    let (seconds, fraction) = match parts.next() {
        None => (0, 0),
        Some(seconds) => {
            let (whole, decimals) = seconds.split_once('.').unwrap_or((seconds, ""));
            let padded: String = decimals.chars().chain("000000".chars()).take(6).collect();
            (whole.parse().ok()?, padded.parse().ok()?)
        }
    };
    let micros = hours.checked_mul(3600)? + minutes * 60 + seconds;
    let micros = micros.checked_mul(1_000_000)? + fraction;
    Some(if negative { -micros } else { micros })
}

fn date_time_error(value: &str, kind: &str) -> Report {
    Report::error("22007", format!("invalid input syntax for type {kind}: \"{value}\""))
}

/// Microseconds since 1970-01-01 of a whole day.
#[cfg(test)]
fn day_micros(days: i64) -> i64 {
    days * DAY_US
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_may_be_shortened() {
        for (word, expected) in [("t", true), ("YES", true), ("on", true), ("1", true)] {
            assert_eq!(boolean(word).ok(), Some(expected), "{word}");
        }
        for word in ["f", "no", "off", "0", "fal"] {
            assert_eq!(boolean(word).ok(), Some(false), "{word}");
        }
        assert_eq!(boolean("o").map_err(|e| e.sqlstate), Err("22P02"), "ambiguous");
        assert_eq!(boolean("").map_err(|e| e.sqlstate), Err("22P02"), "empty");
    }

    #[test]
    fn numbers_out_of_range_are_told_from_nonsense() {
        assert_eq!(number::<i64>(" 42 ", "bigint").ok(), Some(42), "blanks");
        let state = |text: &str| number::<i64>(text, "bigint").map_err(|e| e.sqlstate);
        assert_eq!(state("99999999999999999999"), Err("22003"), "too large");
        assert_eq!(state("1.5"), Err("22P02"), "not whole");
    }

    #[test]
    fn bytes_are_read_from_hex_and_escapes() {
        assert_eq!(bytea("\\x00ff").ok(), Some(vec![0, 255]), "hex");
        assert_eq!(bytea("a\\\\b\\001").ok(), Some(vec![b'a', b'\\', b'b', 1]), "escapes");
        assert!(bytea("\\x0").is_err(), "half a byte");
    }

    #[test]
    fn timestamps_are_read_with_and_without_zone() {
        let noon = day_micros(19_782) + 12 * 3_600_000_000;
        assert_eq!(timestamp("2024-02-29 12:00:00", false).ok(), Some(noon), "plain");
        assert_eq!(timestamp("2024-02-29 13:00:00+01", true).ok(), Some(noon), "zone");
        assert_eq!(timestamp("2024-02-29 12:00:00+01", false).ok(), Some(noon), "zone ignored");
        assert_eq!(timestamp("2024-02-29", false).ok(), Some(day_micros(19_782)), "a date");
        assert!(timestamp("yesterday evening", true).is_err(), "nonsense");
    }

    #[test]
    fn intervals_are_read_back_from_their_output() {
        let read = interval("1 year 2 mons -3 days -04:05:06.5").expect("valid");
        assert_eq!((read.months, read.days), (14, -3), "months and days");
        assert_eq!(read.nanoseconds, -14_706_500_000_000, "clock");
    }
}
