//! What can go wrong with names and dependencies.

use crate::object::ObjectKind;

/// Result of a catalog operation.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the catalog; all are the user's to solve but [`Error::Corrupt`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No relation of that name (42P01).
    #[error("{} \"{name}\" does not exist", kind.map_or("relation", ObjectKind::words))]
    NotFound {
        /// The kind that was asked for, if any.
        kind: Option<ObjectKind>,
        /// The name as written.
        name: String,
        /// The nearest existing name.
        nearest: Option<String>,
    },
    /// No schema of that name (3F000).
    #[error("schema \"{0}\" does not exist")]
    SchemaNotFound(String),
    /// The name is taken (42P07, 42710).
    #[error("{} \"{name}\" already exists", kind.words())]
    Exists {
        /// The kind of the object that has the name.
        kind: ObjectKind,
        /// The name.
        name: String,
    },
    /// The object is of another kind (42809).
    #[error("\"{name}\" is not a {}", wanted.words())]
    WrongKind {
        /// The name.
        name: String,
        /// The kind the statement needs.
        wanted: ObjectKind,
        /// The kind it is.
        found: ObjectKind,
    },
    /// Others need it (2BP01); `dependents` are lines such as `view v depends on table t`.
    #[error("cannot drop {} {name} because other objects depend on it", kind.words())]
    Dependents {
        /// The kind of the object to drop.
        kind: ObjectKind,
        /// Its name.
        name: String,
        /// One line per dependent.
        dependents: Vec<String>,
    },
    /// A system object cannot be changed (42501).
    #[error("permission denied: \"{0}\" is a system object")]
    System(String),
    /// Persisted catalog bytes do not decode (XX001).
    #[error("could not decode catalog")]
    Corrupt(#[source] serde_json::Error),
}
