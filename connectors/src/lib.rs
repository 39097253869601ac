//! The outside world behind two traits: data come in through a [`source::Source`], results go out
//! through a [`sink::Sink`].
//!
//! This crate knows Arrow and files, but neither SQL nor the engine. A connector holds no clock, sleeps,
//! retries and spawns nothing: the engine drives it and decides by the policies of [`supervise`].
//!
//! ```
//! use levada_connectors::registry::{SourceRequest, source};
//! use levada_connectors::source::Budget;
//!
//! # fn main() -> Result<(), levada_connectors::error::Error> {
//! # futures::executor::block_on(async {
//! let request = SourceRequest {
//!     connector: "generator",
//!     arguments: &["counter".to_owned()],
//!     options: &[("events".to_owned(), "3".to_owned())],
//!     ..SourceRequest::default()
//! };
//! let counter = source(&request)?;
//! let listing = counter.splits(&[], 0).await?;
//! let mut reader = counter.open(&listing.ready[0], None).await?;
//! let chunk = reader.next(Budget { rows: 100, bytes: 1 << 20 }).await?;
//! assert_eq!(chunk.rows.map(|rows| rows.num_rows()), Some(3));
//! assert!(chunk.end);
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! | to add | write |
//! |---|---|
//! | an option | one [`option::OptionSpec`] in the table of its connector |
//! | a connector | one folder and one line in [`registry`] |
//! | a format | one file under `format/` and one line in [`registry`] |

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests own their files and clocks"))]

pub mod error;
mod file;
mod format;
mod generator;
pub mod option;
pub mod registry;
pub mod sink;
pub mod source;
pub mod supervise;

pub use error::{Error, Result};
