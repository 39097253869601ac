//! Levada planner.

pub mod error;
pub mod parse;
pub mod statement;
