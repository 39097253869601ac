//! `PostgreSQL` on DataFusion: the functions, casts and query shapes that clients expect of a server.
//!
//! A client speaks to `pg_catalog` in `PostgreSQL`'s dialect. Three steps make DataFusion understand it:
//!
//! | step | what | where |
//! |---|---|---|
//! | names | output columns get the names `PostgreSQL` gives them | [`name_columns`], on the tree as parsed |
//! | shapes | casts, operators, arrays, set-returning functions become what DataFusion plans | [`rewrite`], on the tree |
//! | functions | `format_type`, `pg_get_viewdef`, `has_table_privilege`, ... over one [`Snapshot`] | [`functions`] |
//! | subqueries | correlated subqueries that DataFusion cannot join are run per distinct outer row | [`prepare`] adds the rule |
//!
//! Every rule looks at the syntax tree, none at the text. The relations themselves are
//! [`levada_catalog::pg`]'s.

mod apply;
mod cell;
mod function;
mod output;
mod rewrite;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::DataFusionError;
use datafusion::execution::context::SessionState;
use datafusion::execution::{FunctionRegistry, SessionStateBuilder};
use datafusion::logical_expr::ScalarUDF;
use levada_catalog::Catalog;
use levada_catalog::pg::PgContext;

pub use output::{OutputNames, name_columns};
pub use rewrite::rewrite;

/// What the functions of one statement see: a catalog version and the session's context.
#[derive(Debug)]
pub struct Snapshot {
    catalog: Arc<Catalog>,
    context: PgContext,
    settings: Mutex<Vec<SettingChange>>,
}

/// A setting that a statement changed by `set_config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingChange {
    /// Name as given.
    pub name: String,
    /// New value.
    pub value: String,
    /// Whether it ends with the transaction.
    pub local: bool,
}

impl Snapshot {
    /// A snapshot of both.
    #[must_use]
    pub fn new(catalog: Arc<Catalog>, context: PgContext) -> Self {
        Self { catalog, context, settings: Mutex::new(Vec::new()) }
    }

    /// The catalog.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The session's context.
    #[must_use]
    pub fn context(&self) -> &PgContext {
        &self.context
    }

    /// What `set_config` asked for since the last call; the session applies it after the statement.
    #[must_use]
    pub fn take_settings(&self) -> Vec<SettingChange> {
        std::mem::take(&mut self.settings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change_setting(&self, change: SettingChange) {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).push(change);
    }
}

/// The scalar functions of `PostgreSQL` over one snapshot.
#[must_use]
pub fn functions(snapshot: &Arc<Snapshot>) -> Vec<ScalarUDF> {
    function::all(snapshot)
}

/// A state that has the functions over `snapshot` and runs any correlated subquery.
///
/// The state's configuration must already hold what scans need: subqueries are run with it.
///
/// # Errors
/// When the state refuses a function.
pub fn prepare(
    state: SessionState,
    snapshot: &Arc<Snapshot>,
) -> datafusion::common::Result<SessionState> {
    let rule = Arc::new(apply::ApplySubqueries::new(state.clone()));
    let mut prepared =
        SessionStateBuilder::new_from_existing(state).with_optimizer_rule(rule).build();
    register(&mut prepared, snapshot)?;
    Ok(prepared)
}

/// Adds the functions to a state, or replaces those over an older snapshot.
///
/// # Errors
/// When the state refuses a function.
pub fn register(
    state: &mut SessionState,
    snapshot: &Arc<Snapshot>,
) -> datafusion::common::Result<()> {
    for function in functions(snapshot) {
        state.register_udf(Arc::new(function))?;
    }
    Ok(())
}

/// An error that `PostgreSQL` has a code for; it travels as [`DataFusionError::External`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgError {
    /// SQLSTATE, for example `42P01`.
    pub sqlstate: &'static str,
    /// The message.
    pub message: String,
}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PgError {}

pub(crate) fn error(sqlstate: &'static str, message: String) -> DataFusionError {
    DataFusionError::External(Box::new(PgError { sqlstate, message }))
}
