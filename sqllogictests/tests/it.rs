//! All integration tests of the workspace, in one binary.
//!
//! | module | proves |
//! |---|---|
//! | `random` | random views over random tables |
//! | `slt` | scripts in four modes, over the wire, and against PostgreSQL |

#[path = "it/random.rs"]
mod random;
#[path = "it/slt.rs"]
mod slt;
