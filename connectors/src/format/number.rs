//! Text to numbers, without loss: what a type cannot hold is no number of it.

use std::str::FromStr;

/// The floating-point number that `text` says; `None` for one that would become infinite or zero.
pub(crate) fn float<F: FromStr + Into<f64> + Copy>(text: &str) -> Option<F> {
    let number: F = text.parse().ok()?;
    let value: f64 = number.into();
    let lost = if value.is_infinite() {
        text.bytes().any(|b| b.is_ascii_digit())
    } else {
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        value == 0.0 && mantissa.bytes().any(|b| matches!(b, b'1'..=b'9'))
    };
    (!lost).then_some(number)
}

/// The integer that `text` says, also as `6.0` or `6e2`.
pub(crate) fn whole<T: FromStr + TryFrom<i64>>(text: &str) -> Option<T> {
    text.parse().ok().or_else(|| T::try_from(integral(text)?).ok())
}

/// The value of a decimal number without a fraction.
fn integral(text: &str) -> Option<i64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let behind = behind.trim_end_matches('0');
    let places = i32::try_from(behind.len()).ok()?;
    let digits = format!("{before}{behind}");
    let unsigned = digits.trim_start_matches('-');
    if unsigned.bytes().all(|b| b == b'0') {
        return (!unsigned.is_empty()).then_some(0);
    }
    match exponent.checked_sub(places)? {
        zeros @ 0..=18 => {
            format!("{digits}{}", "0".repeat(usize::try_from(zeros).ok()?)).parse().ok()
        }
        cut if cut < 0 => {
            let keep = digits.len().checked_sub(usize::try_from(cut.unsigned_abs()).ok()?)?;
            let (kept, lost) = digits.split_at(keep);
            lost.bytes().all(|b| b == b'0').then(|| kept.parse().ok()).flatten()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{float, whole};

    #[test]
    fn an_integer_may_be_written_with_point_or_exponent_but_not_with_a_fraction() {
        let good =
            [("6", 6), ("6.0", 6), ("-6.50e1", -65), ("6e2", 600), ("600e-2", 6), ("0.0", 0)];
        for (text, number) in good {
            assert_eq!(whole::<i64>(text), Some(number), "{text}");
        }
        for text in ["6.5", "1e-1", "6.0000000000000000001", "1e19", "", "-", "1e", "x", "65e-1"] {
            assert_eq!(whole::<i64>(text), None, "{text}");
        }
        assert_eq!(whole::<i16>("7e4"), None, "it is out of range");
    }

    #[test]
    fn a_float_neither_overflows_nor_vanishes() {
        assert_eq!(float::<f64>("1e308"), Some(1e308));
        assert_eq!(float::<f64>("0e-999"), Some(0.0));
        assert_eq!(float::<f64>("-Infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(float::<f64>("1e999"), None);
        assert_eq!(float::<f64>("1e-999"), None);
        assert_eq!(float::<f32>("1e39"), None);
    }
}
