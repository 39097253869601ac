//! What exists in a database: typed objects, their names, identifiers and dependencies.

pub mod change;
pub mod error;
pub mod object;
pub mod pg;
pub mod state;

pub use change::{Change, ChangeSet};
pub use error::{Error, Result};
pub use object::{Column, Detail, Object, ObjectId, ObjectKind};
pub use state::Catalog;
