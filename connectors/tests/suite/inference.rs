//! Columns that nobody declared.

use arrow::datatypes::{DataType, TimeUnit};
use futures::executor::block_on;

use crate::conformance::parquet;
use crate::support::{ALL, Follower, Recipe, put};

fn inferred(recipe: &Recipe) -> Vec<(String, DataType)> {
    let shape = block_on(recipe.build().discover()).unwrap();
    shape.schema.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect()
}

fn named(pairs: &[(&str, DataType)]) -> Vec<(String, DataType)> {
    pairs.iter().map(|(n, t)| ((*n).to_owned(), t.clone())).collect()
}

const TIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

#[test]
fn csv_columns_take_the_narrowest_type_that_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let text = "i,f,b,d,t,s,zip,big,none,mix\n\
                1,1,true,2024-01-01,2024-01-01,x,01234,99999999999999999999,,1\n\
                -2,2.5e3,FALSE,2024-12-31,2024-01-01T10:00:00Z,1,1,1,,x\n\
                NA,NA,NA,NA,NA,NA,NA,NA,NA,NA\n";
    let path = put(folder.path(), "a.csv", text);
    let recipe = Recipe::files(&path, "csv").with_format(&[("null", "NA")]);
    let text = DataType::Utf8View;
    let expected = named(&[
        ("i", DataType::Int64),
        ("f", DataType::Float64),
        ("b", DataType::Boolean),
        ("d", DataType::Date32),
        ("t", TIME),
        ("s", text.clone()),
        ("zip", text.clone()),
        ("big", text.clone()),
        ("none", text.clone()),
        ("mix", text),
    ]);
    assert_eq!(inferred(&recipe), expected);
}

#[test]
fn later_files_widen_the_columns_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.csv", "x,y\n1,1\n");
    put(folder.path(), "b.csv", "y,x\n1.5,2\n");
    let recipe = Recipe::files(&folder.path().join("*.csv"), "csv");
    let expected = named(&[("x", DataType::Int64), ("y", DataType::Float64)]);
    assert_eq!(inferred(&recipe), expected);
}

#[test]
fn a_stray_file_does_not_change_the_columns_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.csv", "total\n1\n");
    put(folder.path(), "b.csv", "x,y\n1,1\n");
    put(folder.path(), "c.csv", "y,x\n1,2.5\n");
    put(folder.path(), "d.csv", "x,y,more\n1,word,1\n");
    put(folder.path(), "e.csv", "x,y\n");
    let recipe = Recipe::files(&folder.path().join("*.csv"), "csv");
    let expected = named(&[("x", DataType::Float64), ("y", DataType::Utf8View)]);
    assert_eq!(inferred(&recipe), expected);
    let mut follower = Follower::new(&recipe);
    block_on(follower.source.discover()).unwrap();
    let problems = follower.poll(ALL);
    assert_eq!(problems.len(), 1, "only the stray file: {problems:?}");
    assert_eq!(follower.take().rows.len(), 3);
}

#[test]
fn columns_without_header_or_with_the_same_name_get_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "a.csv", "1,x\n2,y\n");
    let recipe = Recipe::files(&path, "csv").with_format(&[("header", "false")]);
    let expected = named(&[("column1", DataType::Int64), ("column2", DataType::Utf8View)]);
    assert_eq!(inferred(&recipe), expected);
    let path = put(folder.path(), "b.csv", "a,a,\n1,2,3\n");
    let names: Vec<_> =
        inferred(&Recipe::files(&path, "csv")).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "a_2", "column3"]);
}

#[test]
fn json_members_become_columns() {
    let folder = tempfile::tempdir().unwrap();
    let text = "{\"a\":1,\"b\":\"x\",\"t\":\"2024-01-01T00:00:00Z\",\"d\":\"2024-01-01\"}\n\
                {\"a\":2.5,\"c\":true,\"t\":null,\"d\":\"2024-01-02\"}\nbroken\n";
    let path = put(folder.path(), "a.jsonl", text);
    let found = inferred(&Recipe::files(&path, ""));
    let expected = named(&[
        ("a", DataType::Float64),
        ("b", DataType::Utf8View),
        ("t", TIME),
        ("d", DataType::Date32),
        ("c", DataType::Boolean),
    ]);
    let sorted = |mut columns: Vec<(String, DataType)>| {
        columns.sort_by(|a, b| a.0.cmp(&b.0));
        columns
    };
    assert_eq!(sorted(found), sorted(expected));
}

#[test]
fn parquet_columns_have_sql_types() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    parquet(&path, 3, 3);
    let expected = named(&[("id", DataType::Int64), ("name", DataType::Utf8View), ("at", TIME)]);
    assert_eq!(inferred(&Recipe::files(&path, "")), expected);
}
