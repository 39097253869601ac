//! Names and OIDs into each other: `regclass`, `regtype` and the others.
//!
//! Each type has an input function (text or OID to OID, an error for an unknown name) and an output function
//! (OID to text, the number itself when nothing has it), which the casts are rewritten to.

use datafusion::common::Result;
use levada_catalog::pg::name::{
    namespace_name, namespace_oid, quote_identifier, relation_name, resolve_relation,
};
use levada_catalog::pg::{
    built_in_functions, class, format_type as type_text, function_oid, resolve_type, role_oid,
    roles,
};

use super::{Cell, Kind, Snapshot, Spec, argument, spec};
use crate::pg_compat::error;

pub(super) const FUNCTIONS: &[Spec] = &[
    spec("regclassin", 1..=1, Kind::Oid, class_in),
    spec("regclassout", 1..=1, Kind::Text, class_out),
    spec("to_regclass", 1..=1, Kind::Oid, to_class),
    spec("regtypein", 1..=1, Kind::Oid, type_in),
    spec("regtypeout", 1..=1, Kind::Text, type_out),
    spec("regtypesout", 1..=1, Kind::Texts, types_out),
    spec("to_regtype", 1..=1, Kind::Oid, to_type),
    spec("regprocin", 1..=1, Kind::Oid, function_in),
    spec("regprocout", 1..=1, Kind::Text, function_out),
    spec("to_regproc", 1..=1, Kind::Oid, to_function),
    spec("regnamespacein", 1..=1, Kind::Oid, namespace_in),
    spec("regnamespaceout", 1..=1, Kind::Text, namespace_out),
    spec("to_regnamespace", 1..=1, Kind::Oid, to_namespace),
    spec("regrolein", 1..=1, Kind::Oid, role_in),
    spec("regroleout", 1..=1, Kind::Text, role_out),
    spec("to_regrole", 1..=1, Kind::Oid, to_role),
    spec("format_type", 2..=2, Kind::Text, format_type),
];

/// An OID as given, or the name looked up; NULL stays NULL.
fn lookup(
    cell: &Cell,
    find: impl FnOnce(&str) -> Option<u32>,
    missing: impl FnOnce(&str) -> datafusion::error::DataFusionError,
) -> Result<Cell> {
    let Some(text) = cell.text() else { return Ok(Cell::Null) };
    if text == "-" {
        return Ok(0_u32.into());
    }
    if let Ok(oid) = text.trim().parse::<u32>() {
        return Ok(oid.into());
    }
    find(&text).map(Cell::from).ok_or_else(|| missing(&text))
}

/// The name of an OID, the number when nothing has it.
fn named(cell: &Cell, find: impl FnOnce(u32) -> Option<String>) -> Cell {
    match cell.oid() {
        None => Cell::Null,
        Some(0) => "-".into(),
        Some(oid) => find(oid).unwrap_or_else(|| oid.to_string()).into(),
    }
}

fn class_in(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let find = |t: &str| resolve_relation(snapshot.catalog(), snapshot.context(), t);
    lookup(argument(row, 0), find, |t| error("42P01", format!("relation \"{t}\" does not exist")))
}

fn class_out(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let find = |oid| relation_name(snapshot.catalog(), snapshot.context(), oid);
    Ok(named(argument(row, 0), find))
}

fn to_class(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let Some(text) = argument(row, 0).text() else { return Ok(Cell::Null) };
    let found = resolve_relation(snapshot.catalog(), snapshot.context(), &text);
    Ok(found.filter(|id| class(snapshot.catalog(), snapshot.context(), *id).is_some()).into())
}

fn type_in(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let find = |t: &str| resolve_type(snapshot.catalog(), snapshot.context(), t);
    lookup(argument(row, 0), find, |t| error("42704", format!("type \"{t}\" does not exist")))
}

fn type_out(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(type_name(snapshot, argument(row, 0)))
}

fn type_name(snapshot: &Snapshot, cell: &Cell) -> Cell {
    named(cell, |oid| {
        let text = type_text(snapshot.catalog(), snapshot.context(), oid, None);
        (text != "???").then_some(text)
    })
}

fn types_out(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let names = |items: &[Cell]| items.iter().map(|c| type_name(snapshot, c)).collect();
    Ok(argument(row, 0).list().map_or(Cell::Null, |items| Cell::List(names(items))))
}

fn to_type(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let text = argument(row, 0).text();
    Ok(text.and_then(|t| resolve_type(snapshot.catalog(), snapshot.context(), &t)).into())
}

fn function_in(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    lookup(argument(row, 0), find_function, |t| {
        error("42883", format!("function \"{t}\" does not exist"))
    })
}

fn function_out(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(named(argument(row, 0), |oid| built_in_functions().get(&oid).map(|f| f.name.to_owned())))
}

fn to_function(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(argument(row, 0).text().and_then(|t| find_function(&t)).into())
}

fn find_function(text: &str) -> Option<u32> {
    let bare = text.rsplit('.').next().unwrap_or(text);
    Some(function_oid(bare)).filter(|oid| *oid != 0)
}

fn namespace_in(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    lookup(
        argument(row, 0),
        |t| namespace_oid(snapshot.catalog(), t),
        |t| error("3F000", format!("schema \"{t}\" does not exist")),
    )
}

fn namespace_out(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(named(argument(row, 0), |oid| namespace_name(snapshot.catalog(), oid).map(quote_identifier)))
}

fn to_namespace(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let text = argument(row, 0).text();
    Ok(text.and_then(|t| namespace_oid(snapshot.catalog(), &t)).into())
}

fn role_in(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    lookup(
        argument(row, 0),
        |t| find_role(snapshot, t),
        |t| error("42704", format!("role \"{t}\" does not exist")),
    )
}

fn role_out(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(named(argument(row, 0), |oid| {
        let all = roles(snapshot.catalog(), snapshot.context());
        all.into_iter().find(|r| r.oid == oid).map(|r| quote_identifier(&r.name))
    }))
}

fn to_role(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(argument(row, 0).text().and_then(|t| find_role(snapshot, &t)).into())
}

fn find_role(snapshot: &Snapshot, name: &str) -> Option<u32> {
    let all = roles(snapshot.catalog(), snapshot.context());
    all.iter().any(|r| r.name == name).then(|| role_oid(name))
}

fn format_type(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let Some(oid) = argument(row, 0).oid() else { return Ok(Cell::Null) };
    let modifier = argument(row, 1).int().and_then(|i| i32::try_from(i).ok());
    Ok(type_text(snapshot.catalog(), snapshot.context(), oid, modifier).into())
}
