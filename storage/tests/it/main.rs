//! Storage from the outside: one suite over all blobs, faults at every call, damaged bytes, two writers.

#![expect(
    clippy::disallowed_methods,
    clippy::missing_assert_message,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests own their files and threads, and fail by panicking"
)]

mod blob;
mod corruption;
mod crash;
mod fault;
mod fencing;
mod local;
mod log;
mod retention;
mod table;
mod world;
