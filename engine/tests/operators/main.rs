//! Operators against a full recompute: after every tick the sum of an operator's deltas must be what
//! DataFusion computes from the sum of its inputs, bit for bit.
//!
//! Ticks are random: insertions, retractions, rows that come and go in one tick, weights other than 1,
//! NULL, NaN, both zeros, empty and long strings. Every case runs with 64, 4 and 0 bits of hash and in
//! shards, on one thread and on several, in one life and with its state frozen and restored between ticks.

mod aggregates;
mod batch;
mod errors;
mod harness;
mod joins;
mod rows;
mod shards;
mod temporal;
mod top_k;
mod unary;
