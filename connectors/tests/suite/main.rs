//! One suite for all connectors: what the contract promises, on real files.

#![expect(clippy::disallowed_methods, reason = "tests own their files and clocks")]

mod conformance;
mod csv;
mod growth;
mod inference;
mod sink;
mod support;
