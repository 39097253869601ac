//! `pg_catalog` and `information_schema`: what `PostgreSQL` clients ask before they show anything.
//!
//! Every relation of `PostgreSQL` 15 exists here with its exact columns, as an Arrow batch made from one
//! catalog version and one session's context. No table is opened and nothing is stored:
//!
//! ```text
//! relations.tsv (names, OIDs, columns) ──> schema(name)
//! Catalog + PgContext ──> one filler per relation ──> rows(name) ──> RecordBatch
//! ```
//!
//! | rows come from | relations |
//! |---|---|
//! | the catalog | `pg_class pg_attribute pg_index pg_constraint pg_namespace pg_rewrite pg_depend ...` |
//! | the session's context | `pg_settings pg_roles pg_stat_activity pg_database ...` |
//! | files under `data/` | `pg_type pg_proc pg_operator pg_cast ...`: the types and functions of this database |
//! | nothing | everything else: well-formed and empty |
//!
//! # Types
//! `oid` and its kin are `UInt32`; `name`, `text`, `"char"` are `Utf8`; `int2vector`, `oid[]`, `text[]` are lists.
//! Each field carries its `PostgreSQL` type name under [`PG_TYPE_KEY`], so that the wire can announce it.
//!
//! # Identifiers
//! Objects have OIDs of their own. What `PostgreSQL` counts as an object and this catalog does not (a key's
//! index and constraint, a relation's row type, a default) has an OID computed from its owner's: [`oid`].

mod activity;
mod attribute;
mod class;
mod context;
pub mod definition;
mod depend;
mod description;
mod fixed;
mod foreign;
mod information_schema;
mod key;
mod listing;
pub mod name;
mod namespace;
pub mod oid;
mod relation;
mod role;
mod session;
mod setting;
mod table;
#[cfg(test)]
mod tests;
mod types;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

pub use class::{Class, class, classes};
pub use context::{PgContext, PgFunction, PgRole, PgSystemTable};
pub use description::comment;
pub use fixed::{BuiltInFunction, built_in_functions, function_oid};
pub use relation::{PgColumn, PgRelation, relation, relations};
pub use role::{Role, role_oid, roles};
pub use session::{PgInterrupt, PgPresence, PgSession, PgSessions};
pub use setting::setting;
pub use types::{PgType, by_name, format_type, of_arrow, resolve_type, type_by_oid};

use crate::Catalog;
use table::Table;

/// Key of a field's metadata that holds its `PostgreSQL` type name, for example `oid` or `int2vector`.
pub const PG_TYPE_KEY: &str = "pg_type";

/// Key of a field's metadata that holds the OID of the relation whose column it is.
pub const PG_TABLE_KEY: &str = "pg_table";

/// Key of a field's metadata that holds the number of that column.
pub const PG_COLUMN_KEY: &str = "pg_column";

/// The level of `PostgreSQL` that columns and versions follow.
pub const SERVER_VERSION: &str = "15.18";

/// [`SERVER_VERSION`] as one number.
pub const SERVER_VERSION_NUM: u32 = 150_018;

/// The Arrow schema of a relation, by bare name (`pg_class`, `tables`).
#[must_use]
pub fn schema(name: &str) -> Option<SchemaRef> {
    relation(name).map(|r| SchemaRef::clone(&r.schema_ref))
}

/// The rows of a relation at one catalog version, as one session sees them.
#[must_use]
pub fn rows(name: &str, catalog: &Catalog, context: &PgContext) -> Option<RecordBatch> {
    let relation = relation(name)?;
    let mut table = Table::new(relation);
    if let Some(fill) = filler(name) {
        fill(&mut table, &View { catalog, context });
    }
    Some(table.finish())
}

/// What a filler reads.
struct View<'a> {
    catalog: &'a Catalog,
    context: &'a PgContext,
}

type Filler = fn(&mut Table, &View<'_>);

/// Which function fills a relation; none for those that are always empty.
fn filler(name: &str) -> Option<Filler> {
    let fill: Filler = match name {
        "pg_am" => fixed::access_methods,
        "pg_attrdef" => attribute::defaults,
        "pg_attribute" => attribute::attributes,
        "pg_auth_members" => role::members,
        "pg_authid" => role::authids,
        "pg_cast" => fixed::casts,
        "pg_class" => class::rows,
        "pg_collation" => fixed::collations,
        "pg_constraint" => key::constraints,
        "pg_database" => namespace::databases,
        "pg_depend" => depend::dependencies,
        "pg_description" => description::descriptions,
        "pg_foreign_data_wrapper" => foreign::wrappers,
        "pg_foreign_server" => foreign::servers,
        "pg_foreign_table" => foreign::tables,
        "pg_index" => key::indexes,
        "pg_indexes" => listing::indexes,
        "pg_language" => fixed::languages,
        "pg_matviews" => listing::materialized_views,
        "pg_namespace" => namespace::namespaces,
        "pg_opclass" => fixed::operator_classes,
        "pg_operator" => fixed::operators,
        "pg_opfamily" => fixed::operator_families,
        "pg_proc" => fixed::functions,
        "pg_range" => fixed::ranges,
        "pg_rewrite" => depend::rewrites,
        "pg_roles" => role::role_rows,
        "pg_settings" => setting::settings,
        "pg_stat_activity" => activity::activity,
        "pg_stat_database" => activity::databases,
        "pg_stat_user_tables" | "pg_stat_all_tables" => activity::tables,
        "pg_tables" => listing::tables,
        "pg_tablespace" => namespace::tablespaces,
        "pg_type" => types::rows,
        "pg_shadow" | "pg_user" => role::users,
        "pg_views" => listing::views,
        "applicable_roles" | "enabled_roles" => information_schema::enabled_roles,
        "character_sets" => information_schema::character_sets,
        "columns" => information_schema::columns,
        "constraint_column_usage" => information_schema::constraint_columns,
        "constraint_table_usage" => information_schema::constraint_tables,
        "information_schema_catalog_name" => information_schema::catalog_name,
        "key_column_usage" => information_schema::key_columns,
        "schemata" => information_schema::schemata,
        "foreign_tables" => information_schema::foreign_tables,
        "table_constraints" => information_schema::table_constraints,
        "table_privileges" | "role_table_grants" => information_schema::table_privileges,
        "tables" => information_schema::tables,
        "view_table_usage" => information_schema::view_tables,
        "views" => information_schema::views,
        _ => return None,
    };
    Some(fill)
}
