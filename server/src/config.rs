//! Defaults, and the environment variables that change them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Address to listen on.
pub const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Port of the PostgreSQL protocol.
pub const PG_PORT: u16 = 5382;

/// Port of HTTP.
pub const HTTP_PORT: u16 = 5380;

/// Directory of the database.
pub const DATA: &str = "./levada-data";

/// A database that is gone with the process.
pub const IN_MEMORY: &str = "memory://";

/// What is logged unless the command line or `LEVADA_LOG` says otherwise.
const LOG: &str = "warn";

/// Bytes of a size as in `512MB`: a number and a unit of PostgreSQL (`B`, `kB`, `MB`, `GB`, `TB`).
///
/// # Errors
/// What is wrong with it.
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" => 10,
        "m" | "mb" => 20,
        "g" | "gb" => 30,
        "t" | "tb" => 40,
        _ => return Err("valid units are B, kB, MB, GB and TB".to_owned()),
    };
    let number: usize = number.parse().map_err(|error| format!("not a size: {error}"))?;
    number.checked_mul(1 << shift).ok_or_else(|| "the size is out of range".to_owned())
}

/// A duration as in `500ms`: a number and a unit of PostgreSQL (`us`, `ms`, `s`, `min`, `h`, `d`).
///
/// # Errors
/// What is wrong with it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let micros: u64 = match unit.trim() {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "min" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return Err("valid units are us, ms, s, min, h and d".to_owned()),
    };
    let number: u64 = number.parse().map_err(|error| format!("not a duration: {error}"))?;
    let micros = number.checked_mul(micros).filter(|micros| *micros > 0);
    micros.map(Duration::from_micros).ok_or_else(|| "the duration is out of range".to_owned())
}

/// The log filter: the command line's, else that of `LEVADA_LOG`, else warnings and errors.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "settings enter here")]
pub fn log_filter(given: Option<&str>) -> String {
    match given {
        Some(filter) => filter.to_owned(),
        None => std::env::var("LEVADA_LOG").unwrap_or_else(|_unset| LOG.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse_bytes, parse_duration};

    #[test]
    fn sizes_have_postgres_units() {
        assert_eq!(parse_bytes("512"), Ok(512));
        assert_eq!(parse_bytes("64kB"), Ok(64 << 10));
        assert_eq!(parse_bytes("3 GB"), Ok(3 << 30));
        assert!(parse_bytes("GB").is_err() && parse_bytes("1 XB").is_err());
        assert!(parse_bytes("99999999999999999TB").is_err());
    }

    #[test]
    fn durations_have_postgres_units() {
        assert_eq!(parse_duration("250ms").map(|d| d.as_millis()), Ok(250));
        assert_eq!(parse_duration("1 min").map(|d| d.as_secs()), Ok(60));
        for wrong in ["", "5", "0s", "s", "1 week", "99999999999999999999d"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
