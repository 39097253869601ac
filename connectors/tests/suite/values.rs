//! Values arrive as they are written, or not at all.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;

use crate::support::{Recipe, Taken, put, read_all};

fn one(name: &str, data_type: DataType) -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(name, data_type, true)]))
}

fn read(text: &str, format: &'static str, schema: SchemaRef) -> Taken {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "a", text);
    read_all(&Recipe::files(&path, format).declared(schema))
}

/// SQLSTATE and message of each reject.
fn faults(taken: &Taken) -> Vec<(&str, &str)> {
    taken.rejects.iter().map(|r| (r.sqlstate, r.error.as_str())).collect()
}

#[test]
fn a_json_number_with_a_fraction_is_no_integer() {
    let text = "{\"n\":6.0}\n{\"n\":6.5}\n{\"n\":-7e2}\n{\"n\":\"8\"}\n{\"n\":true}\n\
                {\"n\":99999999999}\n{\"n\":null}\n{}\n";
    let taken = read(text, "json", one("n", DataType::Int32));
    let rows = ["{\"n\":6}", "{\"n\":-700}", "{\"n\":8}", "{}", "{}"];
    assert_eq!(taken.rows, rows);
    let syntax = "column \"n\": invalid input syntax for type integer: ";
    let expected = [
        ("22P02", format!("{syntax}\"6.5\"")),
        ("22P02", format!("{syntax}\"true\"")),
        (
            "22003",
            "column \"n\": value \"99999999999\" is out of range for type integer".to_owned(),
        ),
    ];
    let expected: Vec<_> = expected.iter().map(|(s, e)| (*s, e.as_str())).collect();
    assert_eq!(faults(&taken), expected);
    let reject = &taken.rejects[0];
    assert_eq!((reject.line, reject.raw.as_slice()), (2, &b"{\"n\":6.5}"[..]));
}

#[test]
fn a_number_beyond_a_float_is_out_of_range() {
    let message = "column \"f\": value \"1e999\" is out of range for type double precision";
    let schema = || one("f", DataType::Float64);
    let csv = read("f\n1e999\n1.5\n", "csv", schema());
    assert_eq!(
        (csv.rows.as_slice(), faults(&csv)),
        (&["{\"f\":1.5}".to_owned()][..], vec![("22003", message)])
    );
    let json = read("{\"f\":1e999}\n{\"f\":1.5}\n", "json", schema());
    assert_eq!((&json.rows, faults(&json)), (&csv.rows, vec![("22003", message)]));
}

#[test]
fn json_text_takes_numbers_as_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let text = "{\"id\":1}\n{\"id\":\"x\"}\n{\"id\":2.50}\n{\"id\":true}\n";
    let path = put(folder.path(), "a.json", text);
    let taken = read_all(&Recipe::files(&path, "json"));
    assert_eq!(taken.rejects, []);
    let rows = ["{\"id\":\"1\"}", "{\"id\":\"x\"}", "{\"id\":\"2.50\"}", "{\"id\":\"true\"}"];
    assert_eq!(taken.rows, rows);
}

fn parquet(path: &Path, column: ArrayRef) {
    let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn a_parquet_value_that_would_lose_something_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    parquet(&path, Arc::new(Float64Array::from(vec![Some(6.0), Some(6.5), None, Some(1e30)])));
    let recipe = |data_type| Recipe::files(&path, "parquet").declared(one("n", data_type));
    let taken = read_all(&recipe(DataType::Int64));
    assert_eq!(taken.rows, ["{\"n\":6}", "{}"]);
    assert_eq!(
        faults(&taken)[0],
        ("22P02", "column \"n\": invalid input syntax for type bigint: \"6.5\"")
    );
    assert_eq!(faults(&taken)[1].0, "22003");
    let day = 86_400_000_000;
    parquet(&path, Arc::new(TimestampMicrosecondArray::from(vec![day, day + 1])));
    let taken = read_all(&recipe(DataType::Date32));
    assert_eq!(
        (taken.rows, taken.rejects[0].sqlstate),
        (vec!["{\"n\":\"1970-01-02\"}".to_owned()], "22007")
    );
}
