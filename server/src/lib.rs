//! The Levada process: the PostgreSQL wire, HTTP, and the command line, around one
//! [`Database`](levada_engine::client::Database).
//!
//! ```text
//! command    serve, sql, run            config      defaults and the environment
//! pg         the PostgreSQL protocol    sqlstate    errors as clients know them
//! http       health                     shutdown    signals
//! telemetry  the log
//! ```
//! Every entrance calls a [`Session`](levada_engine::client::Session) of the engine; nothing here
//! reads SQL.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests own their files and clocks"))]
#![expect(clippy::result_large_err, reason = "a report is made once per failed statement")]

mod address;
pub mod command;
pub mod config;
pub mod http;
pub mod pg;
pub mod shutdown;
pub mod sqlstate;
pub mod telemetry;
