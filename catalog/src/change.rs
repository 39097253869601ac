//! What one commit changes in the catalog.
//!
//! A [`ChangeSet`] is recorded in the commit of its epoch and applied to a [`Catalog`](crate::Catalog) in
//! order; replaying all change sets from an empty catalog gives the catalog.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::object::{Object, ObjectId};

/// One step of a change of the catalog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// A new object with a fresh identifier.
    Create(Object),
    /// The object with the same identifier is now this.
    Replace(Object),
    /// The object is gone.
    Drop(ObjectId),
}

/// All changes of one epoch, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChangeSet {
    /// The steps.
    pub changes: Vec<Change>,
}

impl ChangeSet {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The bytes for a commit (JSON).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data without maps always serialises")
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the bytes are not such a change set.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(Error::Corrupt)
    }
}
