//! The incremental engine: epochs, ticks, operators and the state they keep.
//!
//! # The life of a row
//!
//! ```text
//! INSERT / a source's chunk
//!   -> transaction::Request        queued for the tick loop
//!   -> tick::Core::group           staged in its relation (keys checked), with what else is queued
//!   -> storage::log                one commit: durable
//!   -> pass::Core::pass            through the graph of operators, in topological order
//!   -> relation::Relation::apply   into each view it reaches, in the same tick
//!   -> database::Shared::publish   visible to readers, all views at one epoch
//!   -> emit                        to the sinks that follow them
//! ```
//!
//! An embedding program needs [`client::Database`] only; there is no network in this crate.

pub mod arrangement;
mod backfill;
mod batch;
mod checkpoint;
pub mod circuit;
pub mod client;
mod database;
mod dataflow;
mod define;
mod definition;
mod digest;
mod emit;
pub mod error;
mod graph;
mod image;
mod ingest;
pub mod lower;
mod memory;
pub mod operator;
mod pass;
mod recovery;
mod relation;
mod relation_set;
mod snapshot;
pub mod spill;
mod system;
mod tick;
mod transaction;
pub mod workers;

pub use client::{Database, Session};
pub use error::{Error, Result};
