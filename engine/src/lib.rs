//! The incremental engine.

pub mod client;
pub mod error;
pub mod operator;
