//! Defaults, and the environment variables that change them.

use std::net::{IpAddr, Ipv4Addr};

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

/// The log filter: the command line's, else that of `LEVADA_LOG`, else warnings and errors.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "settings enter here")]
pub fn log_filter(given: Option<&str>) -> String {
    match given {
        Some(filter) => filter.to_owned(),
        None => std::env::var("LEVADA_LOG").unwrap_or_else(|_unset| LOG.to_owned()),
    }
}
