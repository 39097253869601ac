//! The server as its clients meet it: real sockets on free loopback ports, real drivers.

#![expect(clippy::disallowed_methods, reason = "tests own their tasks, files and clocks")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

mod copy;
mod extended;
mod interrupt;
mod process;
mod protocol;
mod simple;
mod sqlstate;
mod support;
mod types;
