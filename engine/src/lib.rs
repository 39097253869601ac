//! The incremental engine.

pub mod error;
pub mod operator;
