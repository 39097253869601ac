//! Bytes, epochs and durability: the crate that knows Arrow but not SQL.
//!
//! A database is one root of immutable objects ([`blob`]) whose names are fixed in [`layout`]. What
//! happened is the **epoch log** ([`log`]): slot *n* is the object `log/<n>.commit`, created exactly once,
//! and that creation is the only point where writers meet. A [`manifest`] names every live file at one
//! epoch; the newest checkpoint and the slots after it are enough to restart.
//!
//! ```
//! use std::sync::Arc;
//! use levada_storage::clock::SystemClock;
//! use levada_storage::log::{EpochLog, record::Body};
//! use levada_storage::rng::Rng;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let root = levada_storage::blob::open_blob("memory://").await?;
//! let clock = Arc::new(SystemClock::new());
//! let (mut log, recovered) = EpochLog::open(root, clock, Rng::seeded(1)).await?;
//! assert!(recovered.created);
//! let epoch = log.commit(Body { now_us: 7, ..Body::default() }).await?;
//! assert_eq!(epoch, recovered.head.next(), "durable when it returns");
//! # Ok::<(), levada_storage::error::Error>(()) }).unwrap();
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`clock`] [`rng`] [`task`] | the seams to the world: time, chance, concurrency |
//! | [`epoch`] [`delta`] | numbers that order everything; rows with weights |
//! | [`blob`] [`layout`] | durable objects and their names |
//! | [`log`], `claim`, `commit` | the epoch log, taking it over, settling who owns a slot |
//! | [`manifest`] [`table`] [`state`] | checkpoints, Parquet files, runs of operator state |
//! | [`publish`] [`retention`] | what outside readers find; removing what nothing refers to |

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests own their files and clocks"))]

pub mod blob;
mod boundary;
mod claim;
pub mod clock;
mod commit;
pub mod delta;
mod envelope;
pub mod epoch;
pub mod error;
pub mod layout;
pub mod log;
pub mod manifest;
pub mod publish;
pub mod retention;
pub mod rng;
mod root;
pub mod state;
pub mod table;
pub mod task;
mod wire;

pub use error::{Error, Result};
