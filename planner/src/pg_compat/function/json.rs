//! JSON from values.

use datafusion::common::Result;
use serde_json::{Map, Number, Value};

use super::{Cell, Kind, Snapshot, Spec, argument, spec};
use crate::pg_compat::error;

pub(super) const FUNCTIONS: &[Spec] = &[
    spec("json_build_object", 0..=100, Kind::Json, build_object),
    spec("jsonb_build_object", 0..=100, Kind::Json, build_object),
    spec("json_build_array", 0..=100, Kind::Json, build_array),
    spec("jsonb_build_array", 0..=100, Kind::Json, build_array),
    spec("to_json", 1..=1, Kind::Json, to_json),
    spec("to_jsonb", 1..=1, Kind::Json, to_json),
    spec("row_to_json", 1..=2, Kind::Json, to_json),
    spec("array_to_json", 1..=2, Kind::Json, to_json),
];

fn build_object(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    if !row.len().is_multiple_of(2) {
        let message = "argument list must have even number of elements".to_owned();
        return Err(error("22023", message));
    }
    let mut object = Map::new();
    for pair in row.chunks(2) {
        let Some(key) = pair[0].text() else {
            return Err(error("22004", "null value not allowed for object key".to_owned()));
        };
        object.insert(key, json(&pair[1]));
    }
    Ok(Value::Object(object).to_string().into())
}

fn build_array(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(Value::Array(row.iter().map(json).collect()).to_string().into())
}

fn to_json(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(match argument(row, 0) {
        Cell::Null => Cell::Null,
        cell => json(cell).to_string().into(),
    })
}

fn json(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Bool(b) => Value::Bool(*b),
        Cell::Int(i) => Value::Number((*i).into()),
        Cell::Real(r) => Number::from_f64(*r).map_or(Value::Null, Value::Number),
        Cell::Text(t) => Value::String(t.clone()),
        Cell::List(items) => Value::Array(items.iter().map(json).collect()),
        Cell::Row(fields) => {
            Value::Object(fields.iter().map(|(n, v)| (n.clone(), json(v))).collect())
        }
    }
}
