//! The proof that incremental equals batch: scripts, modes, oracles, random queries, crashes.
//!
//! A script ([`script`]) is a list of statements with expected answers. The [`runner`] plays it against
//! a [`target`]: the engine in this process in four [`modes`], a spawned server over the [`wire`], or
//! PostgreSQL as a second opinion. After every epoch the [`oracle`] compares each materialized view with
//! its query run again.
//!
//! ```text
//! slt/<topic>/<name>.slt -> script -> runner -> modes -> reference: as written
//!                                                     -> subject: the same change, cut into epochs
//!                                                        -> oracle after each
//! ```

#![expect(clippy::result_large_err, reason = "a failure ends the script")]

pub mod bag;
pub mod class;
pub mod clock;
pub mod corpus;
pub mod embedded;
pub mod epochs;
pub mod folder;
pub mod generate;
pub mod modes;
pub mod oracle;
pub mod runner;
pub mod script;
pub mod service;
pub mod setting;
pub mod target;
pub mod text;
pub mod wire;
