//! What a session contributes to the system catalog.

use std::sync::Arc;

use super::session::PgSessions;
use crate::object::{Column, ObjectId};

/// A session's view of database, roles and settings.
#[derive(Clone, Debug, PartialEq)]
pub struct PgContext {
    /// Name of the database.
    pub database: String,
    /// `current_user`.
    pub role: String,
    /// `session_user`.
    pub session_role: String,
    /// `search_path` as set, in order; `$user` stands for the role.
    pub search_path: Vec<String>,
    /// Settings as `SHOW` prints them; they go before the built-in values.
    pub settings: Vec<(String, String)>,
    /// Roles of the database; owners that are missing here are added.
    pub roles: Vec<PgRole>,
    /// Live sessions, for `pg_stat_activity`.
    pub sessions: PgSessions,
    /// Functions that `pg_proc` lists besides those of the types.
    pub functions: Vec<PgFunction>,
    /// Relations of the system outside of `pg_catalog` and `information_schema`.
    pub system_tables: Arc<[PgSystemTable]>,
    /// Bytes on disk by relation, for those that store rows.
    pub sizes: Vec<(ObjectId, u64)>,
    /// Process id announced to this client.
    pub backend_pid: i32,
    /// When the server started, in microseconds since 1970 UTC.
    pub started_at: i64,
    /// When the transaction began, in microseconds since 1970 UTC: what `now()` gives.
    pub transaction_at: i64,
    /// When the statement began, in microseconds since 1970 UTC.
    pub statement_at: i64,
    /// The newest epoch, as transaction id.
    pub epoch: u64,
}

impl Default for PgContext {
    fn default() -> Self {
        Self {
            database: "main".to_owned(),
            role: "admin".to_owned(),
            session_role: "admin".to_owned(),
            search_path: vec!["$user".to_owned(), "public".to_owned()],
            settings: Vec::new(),
            roles: Vec::new(),
            sessions: PgSessions::default(),
            functions: Vec::new(),
            system_tables: Arc::default(),
            sizes: Vec::new(),
            backend_pid: 0,
            started_at: 0,
            transaction_at: 0,
            statement_at: 0,
            epoch: 0,
        }
    }
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgRole {
    /// Name.
    pub name: String,
    /// Whether all rights are its.
    pub superuser: bool,
    /// Whether it may log in.
    pub login: bool,
    /// Names of the roles it is a member of.
    pub member_of: Vec<String>,
}

/// A relation of the system, for example one of schema `sys`.
#[derive(Clone, Debug, PartialEq)]
pub struct PgSystemTable {
    /// OID.
    pub oid: ObjectId,
    /// OID of its schema.
    pub namespace: ObjectId,
    /// Bare name.
    pub name: String,
    /// Columns in order.
    pub columns: Vec<Column>,
}

/// A function to list in `pg_proc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgFunction {
    /// Name.
    pub name: String,
    /// `f` function, `a` aggregate, `w` window function.
    pub kind: char,
    /// Type names of its arguments.
    pub arguments: Vec<String>,
    /// Type name of its result.
    pub result: String,
}

impl PgContext {
    /// The schemas searched for a bare name, `pg_catalog` first unless the path places it.
    #[must_use]
    pub fn effective_path(&self) -> Vec<&str> {
        let named = self.search_path.iter().map(|s| if s == "$user" { &self.role } else { s });
        let mut path: Vec<&str> = named.map(String::as_str).collect();
        if !path.contains(&"pg_catalog") {
            path.insert(0, "pg_catalog");
        }
        path
    }
}
