//! Definitions and comments.

use datafusion::common::Result;
use levada_catalog::pg::name::resolve_relation;
use levada_catalog::pg::{built_in_functions, comment, definition, format_type};

use super::{Cell, Kind, Snapshot, Spec, argument, none, spec};
use crate::pg_compat::error;

pub(super) const FUNCTIONS: &[Spec] = &[
    spec("pg_get_expr", 2..=3, Kind::Text, expression),
    spec("pg_get_viewdef", 1..=2, Kind::Text, view),
    spec("pg_get_indexdef", 1..=3, Kind::Text, index),
    spec("pg_get_constraintdef", 1..=2, Kind::Text, constraint),
    spec("pg_get_ruledef", 1..=2, Kind::Text, rule),
    spec("pg_get_triggerdef", 1..=2, Kind::Text, none),
    spec("pg_get_functiondef", 1..=1, Kind::Text, none),
    spec("pg_get_function_sqlbody", 1..=1, Kind::Text, none),
    spec("pg_get_function_arg_default", 2..=2, Kind::Text, none),
    spec("pg_get_function_arguments", 1..=1, Kind::Text, function_arguments),
    spec("pg_get_function_identity_arguments", 1..=1, Kind::Text, function_arguments),
    spec("pg_get_function_result", 1..=1, Kind::Text, function_result),
    spec("pg_get_serial_sequence", 2..=2, Kind::Text, none),
    spec("pg_get_statisticsobjdef", 1..=1, Kind::Text, none),
    spec("pg_get_statisticsobjdef_columns", 1..=1, Kind::Text, none),
    spec("pg_get_partkeydef", 1..=1, Kind::Text, none),
    spec("pg_get_partition_constraintdef", 1..=1, Kind::Text, none),
    spec("pg_get_replica_identity_index", 1..=1, Kind::Oid, none),
    spec("pg_relation_is_publishable", 1..=1, Kind::Bool, no),
    spec("pg_index_column_has_property", 3..=3, Kind::Bool, none),
    spec("pg_partition_ancestors", 1..=1, Kind::Oids, no_partitions),
    spec("pg_partition_root", 1..=1, Kind::Oid, none),
    spec("obj_description", 1..=2, Kind::Text, object_comment),
    spec("col_description", 2..=2, Kind::Text, none),
    spec("shobj_description", 2..=2, Kind::Text, none),
];

/// The catalog keeps expressions as SQL text, so the text is the expression.
fn expression(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(argument(row, 0).clone())
}

fn view(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(relation(snapshot, argument(row, 0))?
        .and_then(|id| definition::view(snapshot.catalog(), id))
        .into())
}

/// A relation given by OID or name.
fn relation(snapshot: &Snapshot, cell: &Cell) -> Result<Option<u32>> {
    let Some(text) = cell.text() else { return Ok(None) };
    match resolve_relation(snapshot.catalog(), snapshot.context(), &text) {
        Some(id) => Ok(Some(id)),
        None => Err(error("42P01", format!("relation \"{text}\" does not exist"))),
    }
}

fn index(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let Some(id) = argument(row, 0).oid() else { return Ok(Cell::Null) };
    let column = argument(row, 1).int().and_then(|i| usize::try_from(i).ok()).unwrap_or(0);
    Ok(definition::index(snapshot.catalog(), id, column).into())
}

fn constraint(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let id = argument(row, 0).oid();
    Ok(id.and_then(|id| definition::constraint(snapshot.catalog(), id)).into())
}

fn rule(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let id = argument(row, 0).oid();
    Ok(id.and_then(|id| definition::rule(snapshot.catalog(), id)).into())
}

fn function_arguments(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let found = argument(row, 0).oid().and_then(|id| built_in_functions().get(&id));
    let Some(function) = found else { return Ok(Cell::Null) };
    let types = function.arguments.split_whitespace().filter_map(|t| t.parse().ok());
    let names: Vec<String> =
        types.map(|t| format_type(snapshot.catalog(), snapshot.context(), t, None)).collect();
    Ok(names.join(", ").into())
}

fn function_result(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let found = argument(row, 0).oid().and_then(|id| built_in_functions().get(&id));
    let name = |t| format_type(snapshot.catalog(), snapshot.context(), t, None);
    Ok(found.map(|function| name(function.result)).into())
}

fn no(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(argument(row, 0).text().map(|_| false).into())
}

fn no_partitions(_: &Snapshot, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::List(Vec::new()))
}

fn object_comment(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let Some(id) = argument(row, 0).oid() else { return Ok(Cell::Null) };
    let class = argument(row, 1).text();
    Ok(comment(snapshot.catalog(), id, class.as_deref()).into())
}
