//! Sizes on disk, from what the context knows.

use datafusion::common::Result;
use levada_catalog::pg::name::resolve_relation;

use super::{Cell, Kind, Snapshot, Spec, argument, spec};
use crate::pg_compat::error;

pub(super) const FUNCTIONS: &[Spec] = &[
    spec("pg_relation_size", 1..=2, Kind::Int8, relation),
    spec("pg_table_size", 1..=1, Kind::Int8, relation),
    spec("pg_total_relation_size", 1..=1, Kind::Int8, relation),
    spec("pg_indexes_size", 1..=1, Kind::Int8, indexes),
    spec("pg_database_size", 1..=1, Kind::Int8, database),
    spec("pg_size_pretty", 1..=1, Kind::Text, pretty),
    spec("pg_relation_filenode", 1..=1, Kind::Oid, file),
];

fn relation(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let Some(text) = argument(row, 0).text() else { return Ok(Cell::Null) };
    let found = resolve_relation(snapshot.catalog(), snapshot.context(), &text);
    let Some(oid) = found else {
        return Err(error("42P01", format!("relation \"{text}\" does not exist")));
    };
    let sizes = &snapshot.context().sizes;
    let bytes = sizes.iter().find(|(id, _)| *id == oid).map_or(0, |(_, bytes)| *bytes);
    Ok(i64::try_from(bytes).unwrap_or(i64::MAX).into())
}

/// Keys have no storage of their own.
fn indexes(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(argument(row, 0).text().map(|_| 0_i64).into())
}

fn database(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let Some(_) = argument(row, 0).text() else { return Ok(Cell::Null) };
    let total = snapshot.context().sizes.iter().fold(0_u64, |sum, (_, b)| sum.saturating_add(*b));
    Ok(i64::try_from(total).unwrap_or(i64::MAX).into())
}

fn pretty(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(argument(row, 0).int().map(human).into())
}

/// Bytes as `PostgreSQL` prints them: the unit changes at 10,240 of the former, halves round up.
fn human(bytes: i64) -> String {
    let mut size = bytes;
    let mut units = ["bytes", "kB", "MB", "GB", "TB", "PB"].into_iter().peekable();
    let mut unit = units.next().unwrap_or_default();
    while size.abs() >= 10_240 {
        let Some(next) = units.next() else { break };
        unit = next;
        size = (size + 512 * size.signum()) / 1_024;
    }
    format!("{size} {unit}")
}

fn file(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(argument(row, 0).oid().into())
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn sizes_print_as_in_postgresql() {
        let cases = [
            (0, "0 bytes"),
            (10_239, "10239 bytes"),
            (10_240, "10 kB"),
            (16_384, "16 kB"),
            (10_485_759, "10 MB"),
            (-20_480, "-20 kB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(human(bytes), text);
        }
    }
}
