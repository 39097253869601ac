//! Definitions as SQL text: what `pg_get_viewdef` and its kin print.

use super::key::Key;
use super::name::{qualified_name, quote_identifier};
use super::{Class, oid};
use crate::Catalog;
use crate::object::{Detail, Object, ObjectId};

/// The query of a view or materialized view.
#[must_use]
pub fn query(object: &Object) -> Option<&str> {
    match &object.detail {
        Detail::View { query, .. } | Detail::MaterializedView { query, .. } => Some(query),
        Detail::Schema { .. }
        | Detail::Table { .. }
        | Detail::Source { .. }
        | Detail::Pipeline { .. }
        | Detail::Sink { .. } => None,
    }
}

/// The query of the view with that OID, ended by a semicolon.
#[must_use]
pub fn view(catalog: &Catalog, id: ObjectId) -> Option<String> {
    let text = query(catalog.get(id)?)?.trim();
    Some(format!("{};", text.trim_end_matches(';').trim_end()))
}

/// The statement that would make an index; with a column number from 1, that column's name alone.
#[must_use]
pub fn index(catalog: &Catalog, id: ObjectId, column: usize) -> Option<String> {
    let owner = catalog.get(oid::relation_of_key_index(id)?)?;
    let key = Key::of(owner)?;
    let mut names = key.columns().map(|(_, c)| quote_identifier(&c.name));
    if column > 0 {
        return Some(names.nth(column - 1).unwrap_or_default());
    }
    let relation = qualified_name(catalog, &Class::of_object(owner)?);
    let columns = names.collect::<Vec<_>>().join(", ");
    let name = quote_identifier(&key.name());
    Some(format!("CREATE UNIQUE INDEX {name} ON {relation} USING btree ({columns})"))
}

/// The text of a constraint, as `CREATE TABLE` would have it.
#[must_use]
pub fn constraint(catalog: &Catalog, id: ObjectId) -> Option<String> {
    let owner = catalog.get(oid::relation_of_key_constraint(id)?)?;
    let key = Key::of(owner).filter(Key::is_primary)?;
    let columns: Vec<String> = key.columns().map(|(_, c)| quote_identifier(&c.name)).collect();
    Some(format!("PRIMARY KEY ({})", columns.join(", ")))
}

/// The rule of a view as a statement.
#[must_use]
pub fn rule(catalog: &Catalog, id: ObjectId) -> Option<String> {
    let owner = oid::relation_of_rewrite_rule(id)?;
    let name = qualified_name(catalog, &Class::of_object(catalog.get(owner)?)?);
    let query = view(catalog, owner)?;
    Some(format!("CREATE RULE \"_RETURN\" AS ON SELECT TO {name} DO INSTEAD {query}"))
}
