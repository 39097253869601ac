//! The incremental engine.

pub mod arrangement;
pub mod error;
pub mod lower;
pub mod operator;
