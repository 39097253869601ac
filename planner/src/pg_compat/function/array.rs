//! Arrays: bounds, subscripts, and the lists that set-returning functions unnest.

use datafusion::common::Result;

use super::{Cell, Kind, Snapshot, Spec, argument, spec};

pub(super) const FUNCTIONS: &[Spec] = &[
    spec("array_lower", 2..=2, Kind::Int4, lower),
    spec("array_upper", 2..=2, Kind::Int4, upper),
    spec("generate_subscripts", 2..=3, Kind::Ints, subscripts),
    spec("array_or_empty", 1..=1, Kind::Same, or_empty),
    spec("coalesce_array", 2..=2, Kind::Same, coalesce),
    spec("array_expand", 1..=1, Kind::Expanded, expand),
    spec("_pg_expandarray", 1..=1, Kind::Expanded, expand),
    spec("pg_options_to_table", 1..=1, Kind::Options, options),
];

/// The length along a dimension; arrays of the catalog have one.
fn length(row: &[Cell]) -> Option<usize> {
    let items = argument(row, 0).list()?;
    (argument(row, 1).int() == Some(1) && !items.is_empty()).then_some(items.len())
}

fn lower(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(length(row).map(|_| 1_i32).into())
}

fn upper(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(length(row).and_then(|n| i64::try_from(n).ok()).into())
}

fn subscripts(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let count = length(row).and_then(|n| i64::try_from(n).ok()).unwrap_or(0);
    let up = (1..=count).map(Cell::Int);
    let reverse = argument(row, 2).bool() == Some(true);
    Ok(Cell::List(if reverse { up.rev().collect() } else { up.collect() }))
}

fn or_empty(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(match argument(row, 0) {
        Cell::Null => Cell::List(Vec::new()),
        list => list.clone(),
    })
}

/// The first that is not NULL; a text becomes an array if the result is one.
fn coalesce(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(match argument(row, 0) {
        Cell::Null => argument(row, 1).clone(),
        value => value.clone(),
    })
}

/// Elements with their numbers from 1.
fn expand(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let Some(items) = argument(row, 0).list() else { return Ok(Cell::Null) };
    let numbered = (1_i64..)
        .zip(items)
        .map(|(n, x)| Cell::Row(vec![("x".to_owned(), x.clone()), ("n".to_owned(), Cell::Int(n))]));
    Ok(Cell::List(numbered.collect()))
}

/// `name=value` texts as rows.
fn options(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let Some(items) = argument(row, 0).list() else { return Ok(Cell::Null) };
    let rows = items.iter().filter_map(Cell::text).map(|option| {
        let (name, value) = option.split_once('=').unwrap_or((&option, ""));
        Cell::Row(vec![
            ("option_name".to_owned(), name.into()),
            ("option_value".to_owned(), value.into()),
        ])
    });
    Ok(Cell::List(rows.collect()))
}
