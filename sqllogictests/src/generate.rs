//! Random tables, views and changes, from a seed.
//!
//! | module | makes |
//! |---|---|
//! | [`value`] | values of tiny domains: NULL, NaN, minus zero, the empty text, equal keys everywhere |
//! | [`schema`] | two or three tables |
//! | [`expression`] | typed expressions |
//! | [`query`] | typed queries over the tables, nested, incremental operators and recomputed ones |
//! | [`delta`] | epochs: inserts, deletes, duplicates, delete-then-reinsert, nothing at all |
//! | [`case`] | tables, views and epochs together: run against the oracle |
//! | [`shrink`] | the smallest case that still fails |

pub mod case;
pub mod delta;
pub mod expression;
pub mod query;
pub mod schema;
pub mod shrink;
pub mod value;
