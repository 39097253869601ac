//! All integration tests of the workspace, in one binary.
//!
//! | module | proves |
//! |---|---|
//! | `slt` | scripts in four modes, over the wire, and against PostgreSQL |

#[path = "it/slt.rs"]
mod slt;
