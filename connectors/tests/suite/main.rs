//! One suite for all connectors: what the contract promises, on real files.

#![expect(
    clippy::disallowed_methods,
    clippy::missing_assert_message,
    clippy::unwrap_used,
    reason = "tests own their files and clocks, and fail by panicking"
)]

mod conformance;
mod csv;
mod growth;
mod inference;
mod long;
mod sink;
mod support;
mod values;
