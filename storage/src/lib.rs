//! Bytes, epochs and durability: the crate that knows Arrow but not SQL.

pub mod delta;
pub mod epoch;
