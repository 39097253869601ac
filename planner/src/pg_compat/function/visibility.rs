//! Whether a bare name finds an object.

use datafusion::common::Result;
use levada_catalog::pg::{class, name, oid, type_by_oid};

use super::{Cell, Kind, Snapshot, Spec, argument, spec};

pub(super) const FUNCTIONS: &[Spec] = &[
    spec("pg_table_is_visible", 1..=1, Kind::Bool, table),
    spec("pg_type_is_visible", 1..=1, Kind::Bool, data_type),
    spec("pg_function_is_visible", 1..=1, Kind::Bool, system),
    spec("pg_operator_is_visible", 1..=1, Kind::Bool, system),
    spec("pg_opclass_is_visible", 1..=1, Kind::Bool, system),
    spec("pg_opfamily_is_visible", 1..=1, Kind::Bool, system),
    spec("pg_collation_is_visible", 1..=1, Kind::Bool, system),
    spec("pg_conversion_is_visible", 1..=1, Kind::Bool, system),
    spec("pg_statistics_obj_is_visible", 1..=1, Kind::Bool, system),
    spec("pg_ts_config_is_visible", 1..=1, Kind::Bool, system),
    spec("pg_ts_dict_is_visible", 1..=1, Kind::Bool, system),
    spec("pg_ts_parser_is_visible", 1..=1, Kind::Bool, system),
    spec("pg_ts_template_is_visible", 1..=1, Kind::Bool, system),
];

fn table(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let Some(id) = argument(row, 0).oid() else { return Ok(Cell::Null) };
    let found = class(snapshot.catalog(), snapshot.context(), id);
    Ok(found.map(|c| name::is_visible(snapshot.catalog(), snapshot.context(), &c)).into())
}

fn data_type(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let Some(id) = argument(row, 0).oid() else { return Ok(Cell::Null) };
    if type_by_oid(id).is_some() {
        return Ok(true.into());
    }
    let relation = oid::relation_of_row_type(id).or_else(|| oid::relation_of_row_array_type(id));
    let found = relation.and_then(|r| class(snapshot.catalog(), snapshot.context(), r));
    Ok(found.map(|c| name::is_visible(snapshot.catalog(), snapshot.context(), &c)).into())
}

/// Objects of these kinds live in `pg_catalog` alone, which is always searched.
fn system(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(argument(row, 0).oid().map(|_| true).into())
}
