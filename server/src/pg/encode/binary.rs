//! Binary forms of values that are not just big-endian numbers: `numeric`, dates, times, intervals.
//!
//! PostgreSQL counts days and microseconds from 2000-01-01.

use bytes::{BufMut, BytesMut};

use crate::pg::encode::{Error, Result};

/// Days from 1970-01-01 to 2000-01-01.
pub(crate) const EPOCH_DAYS: i64 = 10_957;

/// Microseconds from 1970-01-01 to 2000-01-01.
pub(crate) const EPOCH_US: i64 = 946_684_800_000_000;

/// A day counted from 1970-01-01.
///
/// # Errors
/// When the day is outside PostgreSQL's 32 bits.
pub(crate) fn date(days: i64, out: &mut BytesMut) -> Result<()> {
    let days = i32::try_from(days - EPOCH_DAYS).map_err(|_range| Error::OutOfRange("date"))?;
    out.put_i32(days);
    Ok(())
}

/// Microseconds since 1970-01-01.
///
/// # Errors
/// When the moment is outside PostgreSQL's 64 bits.
pub(crate) fn timestamp(micros: i64, out: &mut BytesMut) -> Result<()> {
    out.put_i64(micros.checked_sub(EPOCH_US).ok_or(Error::OutOfRange("timestamp"))?);
    Ok(())
}

/// Months, days and microseconds.
///
/// # Errors
/// When months or days do not fit 32 bits.
pub(crate) fn interval(months: i64, days: i64, micros: i64, out: &mut BytesMut) -> Result<()> {
    let narrow = |value| i32::try_from(value).map_err(|_range| Error::OutOfRange("interval"));
    out.put_i64(micros);
    out.put_i32(narrow(days)?);
    out.put_i32(narrow(months)?);
    Ok(())
}

/// A decimal number given as text (`-12.340`): digits to base 10,000, the position of the first, a
/// sign and the number of decimals to show.
///
/// # Errors
/// When it has more than 32,767 digits of a kind.
pub(crate) fn numeric(text: &str, out: &mut BytesMut) -> Result<()> {
    let range = |_range| Error::OutOfRange("numeric");
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, decimals) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let scale = i16::try_from(decimals.len()).map_err(range)?;

    // Groups of four decimal digits stand left and right of the point; pad both ends to whole
    // groups.
    let lead = (4 - whole.len() % 4) % 4;
    let trail = (4 - decimals.len() % 4) % 4;
    let padded: Vec<u8> = std::iter::repeat_n(b'0', lead)
        .chain(whole.bytes())
        .chain(decimals.bytes())
        .chain(std::iter::repeat_n(b'0', trail))
        .collect();
    let groups: Vec<i16> = padded
        .chunks_exact(4)
        .map(|group| group.iter().fold(0, |sum, digit| sum * 10 + i16::from(digit - b'0')))
        .collect();

    let first = groups.iter().position(|group| *group != 0).unwrap_or(groups.len());
    let last = groups.iter().rposition(|group| *group != 0).map_or(first, |at| at + 1);
    let significant = &groups[first..last.max(first)];
    let whole_groups = i16::try_from((whole.len() + lead) / 4).map_err(range)?;
    let skipped = i16::try_from(first).map_err(range)?;
    let is_zero = significant.is_empty();

    out.put_i16(i16::try_from(significant.len()).map_err(range)?);
    out.put_i16(if is_zero { 0 } else { whole_groups - 1 - skipped });
    out.put_u16(if negative && !is_zero { 0x4000 } else { 0 });
    out.put_i16(scale);
    for group in significant {
        out.put_i16(*group);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric_words(text: &str) -> Vec<i16> {
        let mut out = BytesMut::new();
        numeric(text, &mut out).expect("in range");
        out.chunks_exact(2).map(|word| i16::from_be_bytes([word[0], word[1]])).collect()
    }

    #[test]
    fn numeric_has_groups_weight_sign_and_scale() {
        assert_eq!(numeric_words("0"), [0, 0, 0, 0], "zero has no groups");
        assert_eq!(numeric_words("0.00"), [0, 0, 0, 2], "zero keeps its scale");
        assert_eq!(numeric_words("12345.678"), [3, 1, 0, 3, 1, 2345, 6780], "three groups");
        assert_eq!(numeric_words("-0.0001"), [1, -1, 0x4000, 4, 1], "small and negative");
        assert_eq!(numeric_words("100000000"), [1, 2, 0, 0, 1], "trailing groups are cut");
    }

    #[test]
    fn dates_out_of_range_are_errors() {
        assert!(date(i64::from(i32::MAX) + 20_000, &mut BytesMut::new()).is_err(), "too late");
    }
}
