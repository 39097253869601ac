//! Rights. Every role may do everything that a kind of object allows; an unknown object is an error.

use datafusion::common::Result;
use levada_catalog::pg::name::{namespace_oid, resolve_relation};
use levada_catalog::pg::{class, roles};

use super::{Cell, Kind, Snapshot, Spec, spec};
use crate::pg_compat::error;

pub(super) const FUNCTIONS: &[Spec] = &[
    spec("has_table_privilege", 2..=3, Kind::Bool, relation),
    spec("has_any_column_privilege", 2..=3, Kind::Bool, relation),
    spec("has_column_privilege", 3..=4, Kind::Bool, column),
    spec("has_sequence_privilege", 2..=3, Kind::Bool, relation),
    spec("has_schema_privilege", 2..=3, Kind::Bool, schema),
    spec("has_database_privilege", 2..=3, Kind::Bool, database),
    spec("has_function_privilege", 2..=3, Kind::Bool, any),
    spec("has_language_privilege", 2..=3, Kind::Bool, any),
    spec("has_type_privilege", 2..=3, Kind::Bool, any),
    spec("has_tablespace_privilege", 2..=3, Kind::Bool, any),
    spec("has_server_privilege", 2..=3, Kind::Bool, any),
    spec("has_foreign_data_wrapper_privilege", 2..=3, Kind::Bool, any),
    spec("has_parameter_privilege", 2..=3, Kind::Bool, any),
    spec("pg_has_role", 2..=3, Kind::Bool, role),
    spec("row_security_active", 1..=1, Kind::Bool, no_policy),
];

/// The object's argument: the last but one, since a role may go before.
fn object(row: &[Cell], after: usize) -> Option<&Cell> {
    row.len().checked_sub(after + 1).and_then(|i| row.get(i))
}

fn relation(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    relation_right(snapshot, object(row, 1))
}

fn column(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    relation_right(snapshot, object(row, 2))
}

fn relation_right(snapshot: &Snapshot, cell: Option<&Cell>) -> Result<Cell> {
    let Some(text) = cell.and_then(Cell::text) else { return Ok(Cell::Null) };
    let named = text.trim().parse::<u32>().is_err();
    match resolve_relation(snapshot.catalog(), snapshot.context(), &text) {
        Some(id) => Ok(class(snapshot.catalog(), snapshot.context(), id).map(|_| true).into()),
        None if named => Err(error("42P01", format!("relation \"{text}\" does not exist"))),
        None => Ok(Cell::Null),
    }
}

fn schema(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let Some(text) = object(row, 1).and_then(Cell::text) else { return Ok(Cell::Null) };
    if let Ok(id) = text.parse::<u32>() {
        return Ok(snapshot.catalog().get(id).map(|_| true).into());
    }
    match namespace_oid(snapshot.catalog(), &text) {
        Some(_) => Ok(true.into()),
        None => Err(error("3F000", format!("schema \"{text}\" does not exist"))),
    }
}

fn database(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let Some(text) = object(row, 1).and_then(Cell::text) else { return Ok(Cell::Null) };
    if text == snapshot.context().database || text.parse::<u32>().is_ok() {
        return Ok(true.into());
    }
    Err(error("3D000", format!("database \"{text}\" does not exist")))
}

fn any(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(object(row, 1).and_then(Cell::text).map(|_| true).into())
}

fn role(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let Some(text) = object(row, 1).and_then(Cell::text) else { return Ok(Cell::Null) };
    let member = if row.len() == 3 {
        row.first().and_then(Cell::text).unwrap_or_default()
    } else {
        snapshot.context().role.clone()
    };
    let all = roles(snapshot.catalog(), snapshot.context());
    let find = |key: &str| all.iter().find(|r| r.name == key || r.oid.to_string() == key);
    let Some(group) = find(&text) else {
        return Err(error("42704", format!("role \"{text}\" does not exist")));
    };
    let held = find(&member)
        .is_some_and(|m| m.superuser || m.name == group.name || m.groups().contains(&group.name));
    Ok(held.into())
}

fn no_policy(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(row.first().and_then(Cell::text).map(|_| false).into())
}
