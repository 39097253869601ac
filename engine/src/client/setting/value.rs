//! Values of settings: what each may be, and how `SHOW` writes it.

use std::time::Duration;

use arrow::array::timezone::Tz;

use crate::error::{Error, Result};

/// The value in its canonical form.
///
/// # Errors
/// 22023 when the setting cannot have it.
pub(super) fn checked(name: &str, value: &str) -> Result<String> {
    let wrong = || {
        Error::statement("22023", format!("invalid value for parameter \"{name}\": \"{value}\""))
    };
    match name.to_ascii_lowercase().as_str() {
        "client_encoding" => {
            let plain = value.trim_matches('\'').replace(['-', '_'], "").to_ascii_uppercase();
            match plain.as_str() {
                "UTF8" | "UNICODE" => Ok("UTF8".to_owned()),
                _ => Err(wrong()),
            }
        }
        "statement_timeout" => match milliseconds(value) {
            Some(number) => Ok(shown(number)),
            None => Err(wrong().with_hint(
                "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \
                 \"d\".",
            )),
        },
        "timezone" => zone(value).ok_or_else(wrong),
        "datestyle" => date_style(value).ok_or_else(|| {
            wrong().with_hint("Dates are written in ISO style; the order may be MDY only.")
        }),
        "default_transaction_read_only" | "standard_conforming_strings" => {
            match value.to_ascii_lowercase().as_str() {
                "on" | "true" | "yes" | "1" => Ok("on".to_owned()),
                "off" | "false" | "no" | "0" => Ok("off".to_owned()),
                _ => Err(wrong()),
            }
        }
        _ => Ok(value.to_owned()),
    }
}

/// A canonical duration; [`None`] for 0, which means no limit.
pub(super) fn duration(value: &str) -> Option<Duration> {
    milliseconds(value).filter(|number| *number > 0).map(Duration::from_millis)
}

/// Units of durations and how many microseconds they have, the longest first.
const UNITS: [(&str, f64); 6] =
    [("d", 86_400e6), ("h", 3_600e6), ("min", 60e6), ("s", 1e6), ("ms", 1e3), ("us", 1.0)];

/// Reads a number with a unit, milliseconds without one: `1500`, `'1.5s'`, `'2 min'`.
fn milliseconds(value: &str) -> Option<u64> {
    let value = value.trim();
    let unit = value.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' '));
    let number: f64 = value.strip_suffix(unit)?.trim().parse().ok()?;
    let unit = if unit.is_empty() { "ms" } else { unit };
    let (_, microseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let milliseconds = (number * microseconds / 1e3).round();
    let fits = (0.0..=f64::from(i32::MAX)).contains(&milliseconds);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was checked")]
    fits.then_some(milliseconds as u64)
}

/// Milliseconds in the longest unit that divides them.
fn shown(milliseconds: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)];
    let fitting = units.into_iter().find(|(_, size)| milliseconds.is_multiple_of(*size));
    match fitting {
        Some((unit, size)) if milliseconds > 0 => format!("{}{unit}", milliseconds / size),
        _ => "0".to_owned(),
    }
}

/// A time zone: a name, an offset (`+01:00`), a number of hours east of Greenwich (`-7`, `5.5`), or one
/// of hours west of it behind a name, as in POSIX (`GMT-2`).
fn zone(value: &str) -> Option<String> {
    let value = value.trim();
    if let Ok(hours) = value.parse::<f64>() {
        return offset(hours);
    }
    let west = ["GMT", "UTC"].into_iter().find_map(|name| value.strip_prefix(name));
    if let Some(hours) = west.filter(|rest| rest.starts_with(['+', '-'])) {
        let (hours, minutes) = hours.split_once(':').unwrap_or((hours, "0"));
        let (hours, minutes): (f64, f64) = (hours.parse().ok()?, minutes.parse().ok()?);
        return offset(-(hours + (minutes / 60.0).copysign(hours)));
    }
    if value.eq_ignore_ascii_case("utc") || value.eq_ignore_ascii_case("zulu") {
        return Some("UTC".to_owned());
    }
    let known = |name: &str| name.parse::<Tz>().is_ok().then(|| name.to_owned());
    known(value).or_else(|| known(&capitalised(value)))
}

/// Hours east of Greenwich as an offset.
fn offset(hours: f64) -> Option<String> {
    let minutes = (hours * 60.0).round();
    if minutes.abs() >= 24.0 * 60.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "less than a day of minutes")]
    let minutes = minutes as i32;
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.unsigned_abs();
    Some(format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60))
}

/// `europe/zurich` as the time zone database writes it.
fn capitalised(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|c| {
            let written = if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            upper = matches!(c, '/' | '_' | '-');
            written
        })
        .collect()
}

/// `ISO` and `MDY`, in any order; nothing else is written or read.
fn date_style(value: &str) -> Option<String> {
    let known = ["iso", "mdy", "us", "noneuro", "noneuropean", "default"];
    let mut words = value.split(',').map(|word| word.trim().to_ascii_lowercase());
    words.all(|word| known.contains(&word.as_str())).then(|| "ISO, MDY".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_are_shown_in_the_longest() {
        let cases = [
            ("0", "0"),
            ("1500", "1500ms"),
            ("1.5s", "1500ms"),
            ("2s", "2s"),
            ("120 s", "2min"),
            ("1d", "1d"),
            ("900us", "1ms"),
        ];
        for (given, expected) in cases {
            assert_eq!(checked("statement_timeout", given).unwrap(), expected, "{given}");
        }
        for wrong in ["off", "", "-1", "1 week", "30d"] {
            let refused = checked("statement_timeout", wrong);
            assert!(refused.is_err(), "{wrong:?} is no duration, nor does it mean none");
        }
        assert_eq!(duration("2s"), Some(Duration::from_secs(2)));
        assert_eq!(duration("0"), None, "no limit");
    }

    #[test]
    fn time_zones_are_names_offsets_and_hours() {
        let cases = [
            ("Europe/Zurich", "Europe/Zurich"),
            ("europe/zurich", "Europe/Zurich"),
            ("utc", "UTC"),
            ("-7", "-07:00"),
            ("5.5", "+05:30"),
            ("+02:00", "+02:00"),
            ("GMT-02", "+02:00"),
            ("GMT+05:30", "-05:30"),
        ];
        for (given, expected) in cases {
            assert_eq!(checked("TimeZone", given).unwrap(), expected, "{given}");
        }
        assert!(checked("TimeZone", "Mars/Olympus").is_err());
    }

    #[test]
    fn dates_are_iso() {
        assert_eq!(checked("DateStyle", "iso").unwrap(), "ISO, MDY");
        assert!(checked("DateStyle", "German").is_err());
    }
}
