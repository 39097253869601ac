//! Files that grow, wait, vanish, shrink or change: nothing twice, nothing lost, no innocent file hurt.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::executor::block_on;
use levada_connectors::error::{Kind, Retry};
use levada_connectors::source::{Problem, Split};
use tempfile::TempDir;

use crate::conformance::parquet;
use crate::support::{ALL, Follower, Recipe, append, put};

fn ids() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]))
}

fn follow(folder: &TempDir, pattern: &str, format: &'static str) -> Follower {
    Follower::new(&Recipe::files(&folder.path().join(pattern), format).declared(ids()))
}

fn rows(ids: &[i64]) -> Vec<String> {
    ids.iter().map(|id| format!("{{\"id\":{id}}}")).collect()
}

fn problem(path: &Path, message: &str) -> Problem {
    Problem { split: path.to_str().unwrap().to_owned(), message: message.to_owned() }
}

#[test]
fn a_file_that_grows_is_read_on_and_not_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "a.csv", "id\n1\n2\n");
    let mut f = follow(&folder, "*.csv", "csv");
    f.poll(ALL);
    assert_eq!(f.take().rows, rows(&[1, 2]));
    assert_eq!(f.list().ready, [], "there is nothing more");
    append(&path, "3\nx\n4\n");
    f.poll(ALL);
    let taken = f.take();
    assert_eq!(taken.rows, rows(&[3, 4]));
    let reject = &taken.rejects[0];
    assert_eq!((reject.line, reject.raw.as_slice(), reject.sqlstate), (5, &b"x"[..], "22P02"));
    assert_eq!(reject.position, format!("{}:5", path.display()));
    assert_eq!(reject.error, "column \"id\": invalid input syntax for type bigint: \"x\"");
}

#[test]
fn a_line_being_written_waits_until_the_file_has_settled() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "a.csv", "id\n1\n23");
    let mut f = follow(&folder, "*.csv", "csv");
    f.later_us = 0;
    f.poll(ALL);
    assert_eq!(f.take().rows, rows(&[1]), "23 may become 234");
    assert_eq!(f.list().ready, [], "it waits");
    append(&path, "4\n5");
    f.poll(ALL);
    assert_eq!(f.take().rows, rows(&[234]));
    f.later_us = 2_000_000;
    f.poll(ALL);
    assert_eq!(f.take().rows, rows(&[5]), "two seconds later nobody writes any more");
    assert_eq!(f.list().ready, []);
    append(&path, "\n6\n");
    f.poll(ALL);
    assert_eq!(f.take().rows, rows(&[6]), "the late newline is no row");
}

#[test]
fn a_header_being_written_waits_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "a.csv", "i");
    let mut f = follow(&folder, "*.csv", "csv");
    f.later_us = 0;
    f.poll(ALL);
    append(&path, "d\n7\n");
    assert_eq!(f.poll(ALL), []);
    assert_eq!(f.take().rows, rows(&[7]));
}

#[test]
fn a_file_of_the_future_has_settled_when_it_is_seen_twice() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.json", "{\"id\":1}\n{\"id\":2}");
    let mut f = follow(&folder, "*.json", "json");
    f.later_us = -3_600_000_000;
    f.poll(ALL);
    assert_eq!(f.take().rows, rows(&[1]));
    f.poll(ALL);
    assert_eq!(f.take().rows, rows(&[2]));
}

#[test]
fn files_that_vanish_or_shrink_are_problems_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let gone = put(folder.path(), "a.csv", "id\n1\n");
    let short = put(folder.path(), "b.csv", "id\n2\n22\n");
    let good = put(folder.path(), "c.csv", "id\n3\n");
    let mut f = follow(&folder, "*.csv", "csv");
    f.poll(ALL);
    f.take();
    fs::remove_file(&gone).unwrap();
    put(folder.path(), "b.csv", "id\n2\n");
    append(&good, "4\n");
    let expected = [
        problem(&short, "file shrank after it was read"),
        problem(&gone, "file vanished after it was read"),
    ];
    assert_eq!(f.poll(ALL), expected);
    assert_eq!(f.take().rows, rows(&[4]), "the good file goes on");
    assert_eq!(f.poll(ALL), expected, "the problems stand");
    assert_eq!(f.take().rows, rows(&[]));
}

#[test]
fn a_file_changed_in_place_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let same_size = put(folder.path(), "a.csv", "id\n1\n2\n");
    let longer = put(folder.path(), "b.csv", "id\n1\n2\n");
    let mut f = follow(&folder, "*.csv", "csv");
    f.poll(ALL);
    f.take();
    put(folder.path(), "a.csv", "id\n9\n2\n");
    put(folder.path(), "b.csv", "id\n1\n9\n3\n");
    let message = "file was changed in place after it was read";
    assert_eq!(f.poll(ALL), [problem(&same_size, message), problem(&longer, message)]);
    assert_eq!(f.take().rows, rows(&[]));
}

#[test]
fn a_file_replaced_by_an_equal_or_longer_one_is_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.csv", "id\n1\n2\n");
    let mut f = follow(&folder, "*.csv", "csv");
    f.poll(ALL);
    f.take();
    put(folder.path(), "copy", "id\n1\n2\n");
    fs::rename(folder.path().join("copy"), folder.path().join("a.csv")).unwrap();
    assert_eq!((f.poll(ALL), f.take().rows), (vec![], rows(&[])));
    put(folder.path(), "copy", "id\n1\n2\n3\n");
    fs::rename(folder.path().join("copy"), folder.path().join("a.csv")).unwrap();
    assert_eq!((f.poll(ALL), f.take().rows), (vec![], rows(&[3])));
}

#[test]
fn an_open_split_that_changed_since_the_listing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "a.csv", "id\n1\n2\n");
    let mut f = follow(&folder, "*.csv", "csv");
    f.poll(ALL);
    put(folder.path(), "a.csv", "id\n8\n9\n10\n");
    let name = path.to_str().unwrap().to_owned();
    let at = f.known.get(&name).cloned();
    let split = Split { name, complete: false };
    let error = block_on(f.source.open(&split, at)).err().unwrap();
    assert_eq!((error.kind(), error.retry()), (Kind::Corrupt, Retry::Never));
}

const OTHER_HEADER: &str =
    "file does not match the declared columns: column \"id\" is not in its header";

#[test]
fn an_unfinished_or_foreign_header_is_a_problem_of_its_file_alone_and_heals() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = put(folder.path(), "a.csv", "total,when");
    let half = put(folder.path(), "b.csv", "i");
    let mac = put(folder.path(), "c.csv", "id\r1\r2\r");
    let empty = put(folder.path(), "d.csv", "id");
    put(folder.path(), "e.csv", "id\n5\n");
    let mut f = follow(&folder, "*.csv", "csv");
    f.later_us = 0;
    assert_eq!(f.poll(ALL), [], "they may be in the making");
    assert_eq!(f.take().rows, rows(&[5]), "the good file is read");
    f.later_us = 2_000_000;
    let expected = [
        problem(&foreign, OTHER_HEADER),
        problem(&half, OTHER_HEADER),
        problem(&mac, "the lines of the file end in CR without LF"),
    ];
    for _ in 0..2 {
        assert_eq!(f.poll(ALL), expected);
        assert_eq!(f.list().ready, [], "there is nothing to read");
    }
    put(folder.path(), "f.csv", "id\n6\n");
    assert_eq!(f.poll(ALL), expected);
    assert_eq!(f.take().rows, rows(&[6]), "new files are read");
    put(folder.path(), "a.csv", "id\n1\n");
    append(&half, "d\n2\n");
    put(folder.path(), "c.csv", "id\r\n3\r\n");
    append(&empty, "\n4\n");
    assert_eq!(f.poll(ALL), []);
    assert_eq!(f.take().rows, rows(&[1, 2, 3, 4]), "they heal");
}

#[test]
fn a_header_without_a_declared_column_fails_its_file_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "a.csv", "idd\n1\n");
    put(folder.path(), "b.csv", "ID\n2\n");
    let mut f = follow(&folder, "*.csv", "csv");
    assert_eq!(f.poll(ALL), [problem(&path, OTHER_HEADER)]);
    assert_eq!(f.take().rows, rows(&[2]));
    put(folder.path(), "a.csv", "id\n1\n");
    assert_eq!(f.poll(ALL), []);
    assert_eq!(f.take().rows, rows(&[1]), "it is read once it is right");
}

#[test]
fn columns_are_found_by_name_and_others_skipped() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.csv", "x,ID,y\na,1,b\na,2\n");
    let mut f = follow(&folder, "*.csv", "csv");
    f.poll(ALL);
    let taken = f.take();
    assert_eq!(taken.rows, rows(&[1]));
    assert_eq!(taken.rejects[0].error, "too few columns: expected 3, found 2");
}

#[test]
fn a_parquet_file_counts_once_it_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let whole = folder.path().join("whole");
    parquet(&whole, 50, 10);
    let bytes = fs::read(&whole).unwrap();
    put(folder.path(), "a.parquet", &bytes[..bytes.len() - 5]);
    let mut f = follow(&folder, "*.parquet", "parquet");
    assert_eq!(f.poll(ALL), [problem(&path, "file is not a complete Parquet file")]);
    put(folder.path(), "a.parquet", &bytes);
    assert_eq!(f.poll(ALL), []);
    assert_eq!(f.take().rows.len(), 50);
    put(folder.path(), "a.parquet", &bytes);
    assert_eq!(f.poll(ALL), [], "written again with the same bytes");
    parquet(&path, 51, 10);
    let message = "file was changed in place after it was read";
    assert_eq!(f.poll(ALL), [problem(&path, message)]);
    assert_eq!(f.take().rows.len(), 0);
}

#[test]
fn damaged_parquet_pages_end_the_file_with_a_reject() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    parquet(&path, 50, 10);
    let good = fs::read(&path).unwrap();
    let mut failed = 0;
    for at in (4..good.len() - 600).step_by(7) {
        let mut bytes = good.clone();
        for byte in &mut bytes[at..at + 6] {
            *byte ^= 0x5a;
        }
        put(folder.path(), "a.parquet", &bytes);
        let mut f = follow(&folder, "*.parquet", "parquet");
        failed += f.poll(ALL).len();
        let taken = f.take();
        if let Some(reject) = taken.rejects.first() {
            failed += 1;
            assert_eq!(reject.sqlstate, "XX001");
            assert_eq!(f.poll(ALL), [problem(&path, "could not be read")], "it stays a problem");
        }
    }
    assert!(failed > 0, "some damage must show");
}

#[test]
fn nothing_to_read_is_an_error_unless_columns_are_declared() {
    let folder = tempfile::tempdir().unwrap();
    let pattern = folder.path().join("*.csv");
    let error = block_on(Recipe::files(&pattern, "csv").build().check()).unwrap_err();
    assert_eq!(error.to_string(), format!("no file matches \"{}\"", pattern.display()));
    block_on(Recipe::files(&pattern, "csv").declared(ids()).build().check()).unwrap();
}
