//! Decimal numbers, in text and in PostgreSQL's digits to base 10,000.

use std::fmt::Write as _;

use arrow::compute::kernels::cast_utils::parse_decimal;
use arrow::datatypes::{DataType, DecimalType};
use bytes::Buf;

use crate::pg::decode::{Result, binary, text as plain};
use crate::pg::encode::Format;
use crate::sqlstate::Report;

const NEGATIVE: u16 = 0x4000;
const POSITIVE: u16 = 0;

/// Reads a number into a decimal of this precision and scale.
pub(super) fn parse<T: DecimalType>(value: &str, precision: u8, scale: i8) -> Result<T::Native> {
    let trimmed = value.trim();
    let valid = !trimmed.is_empty()
        && trimmed.bytes().any(|byte| byte.is_ascii_digit())
        && trimmed
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    if !valid {
        return Err(plain::invalid(value, "numeric"));
    }
    parse_decimal::<T>(trimmed, precision, scale).map_err(|_unreadable| {
        Report::error("22003", "numeric field overflow").with_detail(format!(
            "A field with precision {precision}, scale {scale} cannot hold the value."
        ))
    })
}

/// The decimal type that holds a parameter exactly.
pub(super) fn fitting(value: &[u8], format: Format) -> Result<DataType> {
    let shown = match format {
        Format::Text => String::from_utf8_lossy(value).trim().to_owned(),
        Format::Binary => text(value)?,
    };
    let (mantissa, exponent) = match shown.split_once(['e', 'E']) {
        None => (shown.as_str(), 0),
        Some((mantissa, exponent)) => (mantissa, plain::number::<i64>(exponent, "numeric")?),
    };
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let scale = i64::try_from(decimals).unwrap_or(i64::MAX).saturating_sub(exponent).max(0);
    let whole = i64::try_from(digits - decimals).unwrap_or(i64::MAX).saturating_add(exponent);
    let scale_fits =
        i8::try_from(scale).map_err(|_range| plain::out_of_range(&shown, "numeric"))?;
    let needed = whole.max(0).saturating_add(scale);
    Ok(match needed {
        0..=38 => DataType::Decimal128(38, scale_fits),
        39..=76 => DataType::Decimal256(76, scale_fits),
        _ => return Err(plain::out_of_range(&shown, "numeric")),
    })
}

/// The text of a number in binary form.
pub(super) fn text(mut value: &[u8]) -> Result<String> {
    if value.len() < 8 {
        return Err(binary::wrong());
    }
    let count = usize::from(value.get_u16());
    let weight = i32::from(value.get_i16());
    let sign = value.get_u16();
    let scale = usize::from(value.get_u16());
    if value.len() != count * 2 {
        return Err(binary::wrong());
    }
    if !matches!(sign, NEGATIVE | POSITIVE) {
        return Err(Report::error("0A000", "NaN and infinity are not values of type numeric here"));
    }
    let mut groups = Vec::with_capacity(count);
    for _ in 0..count {
        let group = value.get_u16();
        if group > 9_999 {
            return Err(binary::wrong());
        }
        groups.push(group);
    }
    let group_at = |place: i32| {
        usize::try_from(weight - place).ok().and_then(|at| groups.get(at)).copied().unwrap_or(0)
    };
    let mut shown = String::new();
    if sign == NEGATIVE {
        shown.push('-');
    }
    let mut write = |args: std::fmt::Arguments<'_>| {
        shown.write_fmt(args).expect("a String grows as needed");
    };
    write(format_args!("{}", if weight < 0 { 0 } else { group_at(weight) }));
    for place in (0..weight).rev() {
        write(format_args!("{:04}", group_at(place)));
    }
    let decimals: String =
        (1..).take(scale.div_ceil(4)).map(|place| format!("{:04}", group_at(-place))).collect();
    if scale > 0 {
        let kept: String = decimals.chars().take(scale).collect();
        write(format_args!(".{kept}"));
    }
    Ok(shown)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::pg::encode::binary::numeric;

    #[test]
    fn binary_numbers_come_back_as_their_text() {
        for shown in ["0", "0.00", "12345.678", "-0.0001", "100000000", "-9999.5", "0.00010000"] {
            let mut bytes = BytesMut::new();
            numeric(shown, &mut bytes).expect("in range");
            assert_eq!(text(&bytes).as_deref(), Ok(shown), "{shown}");
        }
    }

    #[test]
    fn broken_numbers_are_refused() {
        assert_eq!(text(&[0, 1]).map_err(|e| e.sqlstate), Err("22P03"), "short");
        assert_eq!(
            text(&[0, 1, 0, 0, 0, 0, 0, 0, 0x7f, 0xff]).map_err(|e| e.sqlstate),
            Err("22P03"),
            "a group above 9999"
        );
    }

    #[test]
    fn a_parameter_keeps_its_scale() {
        let fit = |shown: &str| fitting(shown.as_bytes(), Format::Text).ok();
        assert_eq!(fit("1.50"), Some(DataType::Decimal128(38, 2)), "two decimals");
        assert_eq!(fit("1e3"), Some(DataType::Decimal128(38, 0)), "no decimals");
        assert_eq!(fit("1.5e-3"), Some(DataType::Decimal128(38, 4)), "four decimals");
    }
}
