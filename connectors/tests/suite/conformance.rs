//! The contract, for every source: whatever the budgets, and wherever it stops and starts again, the
//! rows and rejects are the same, in the same order.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use futures::executor::block_on;
use levada_connectors::source::{Budget, Offset};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use crate::support::{ALL, Follower, Recipe, Taken, lines, now_us, put, read_all};

/// Each chunk's part of the whole, and the offset behind it.
fn chunks(
    recipe: &Recipe,
    split: usize,
    at: Option<Offset>,
    budget: Budget,
) -> Vec<(Taken, Offset)> {
    let source = recipe.build();
    let splits = block_on(source.splits(&[], now_us() + 10_000_000)).unwrap().ready;
    let mut reader = block_on(source.open(&splits[split], at)).unwrap();
    let mut out = Vec::new();
    loop {
        let chunk = block_on(reader.next(budget)).unwrap();
        let rows = chunk.rows.as_ref().map(lines).unwrap_or_default();
        out.push((Taken { rows, rejects: chunk.rejects }, chunk.after));
        if chunk.end {
            return out;
        }
    }
}

fn joined(parts: &[(Taken, Offset)]) -> Taken {
    let mut all = Taken::default();
    for (part, _) in parts {
        all.rows.extend(part.rows.iter().cloned());
        all.rejects.extend(part.rejects.iter().cloned());
    }
    all
}

/// Resumes the first split from every offset that small budgets yield.
fn conforms(recipe: &Recipe, rows_at_once: usize) {
    let whole = joined(&chunks(recipe, 0, None, ALL));
    assert!(whole.rows.len() > 10, "the test needs some rows");
    let small = Budget { rows: rows_at_once, bytes: 4096 };
    let parts = chunks(recipe, 0, None, small);
    assert!(parts.len() > 5, "the test needs some chunks");
    assert_eq!(joined(&parts), whole, "budgets do not show");
    for (i, (_, offset)) in parts.iter().enumerate() {
        let rest = chunks(recipe, 0, Some(offset.clone()), Budget { rows: 7_919, bytes: 60_000 });
        let mut all = joined(&parts[..=i]);
        let rest = joined(&rest);
        all.rows.extend(rest.rows);
        all.rejects.extend(rest.rejects);
        assert_eq!(all, whole, "resumed from chunk {i}");
    }
    let order: Vec<_> = parts.iter().map(|(_, offset)| offset).collect();
    assert!(order.is_sorted(), "offsets compare as positions do");
}

fn csv(rows: usize) -> String {
    let mut text = String::from("id,name,at,price\n");
    for i in 0..rows {
        let line = match i % 17 {
            3 => format!("{i},\"a \"\"quoted\"\", name\",2024-01-02 03:04:05,{i}.5\r\n"),
            5 => format!("{i},\"two\nlines\",,\n"),
            7 => format!("x{i},bad number,,1\n"),
            9 => format!("{i},too few\n"),
            11 => format!("{i},\"stray\" quote,,1\n\n"),
            13 => format!("{i},\u{fc}ml\u{e4}ut,2024-02-30 00:00:00,1\n"),
            _ => format!("{i},name {i},2024-01-01T00:00:{:02}Z,{}\n", i % 60, i * 10),
        };
        text.push_str(&line);
    }
    text
}

fn json(rows: usize) -> String {
    let mut text = String::new();
    for i in 0..rows {
        let line = match i % 13 {
            3 => "not json\n".to_owned(),
            5 => format!("{{\"id\":\"text {i}\"}}\n"),
            7 => "\n".to_owned(),
            9 => "[1]\n".to_owned(),
            _ => format!(
                "{{\"id\":{i},\"name\":\"n{i}\",\"tags\":[\"a\",\"b\"],\"x\":{{\"y\":{i}}}}}\r\n"
            ),
        };
        text.push_str(&line);
    }
    text
}

pub(crate) fn parquet(path: &Path, rows: i64, group: usize) {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let names: ArrayRef = Arc::new(StringArray::from_iter(
        (0..rows).map(|i| (i % 5 != 0).then(|| format!("name {i}"))),
    ));
    let at: ArrayRef = Arc::new(TimestampMillisecondArray::from_iter_values(0..rows));
    let batch = RecordBatch::try_from_iter([("id", ids), ("name", names), ("at", at)]).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn csv_resumes_from_every_offset() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "a.csv", csv(400));
    conforms(&Recipe::files(&path, "csv"), 3);
}

#[test]
fn csv_without_header_or_last_newline_resumes_from_every_offset() {
    let folder = tempfile::tempdir().unwrap();
    let text = csv(300);
    let body = text.split_once('\n').unwrap().1.trim_end();
    let path = put(folder.path(), "a.csv", format!("\u{feff}{body}"));
    conforms(&Recipe::files(&path, "csv").with_format(&[("header", "false")]), 2);
}

#[test]
fn json_lines_resume_from_every_offset() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "a.jsonl", json(300));
    conforms(&Recipe::files(&path, "json"), 4);
}

#[test]
fn parquet_resumes_from_every_offset() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    parquet(&path, 1_000, 100);
    conforms(&Recipe::files(&path, "parquet"), 30);
}

#[test]
fn generators_resume_from_every_offset() {
    for table in ["bid", "auction", "person"] {
        let options = [("events", "2600"), ("table", table), ("seed", "7")];
        conforms(&Recipe::generator("nexmark", &options), 5);
    }
    conforms(&Recipe::generator("COUNTER", &[("events", "100")]), 9);
}

#[test]
fn nexmark_keeps_the_usual_proportions() {
    let count = |table| {
        let options = [("events", "5000"), ("table", table)];
        read_all(&Recipe::generator("nexmark", &options)).rows.len()
    };
    assert_eq!((count("person"), count("auction"), count("bid")), (100, 300, 4_600));
    let other = [("events", "50"), ("seed", "1")];
    let same = [("events", "50"), ("seed", "42")];
    let rows = |options: &[(&str, &str)]| read_all(&Recipe::generator("nexmark", options)).rows;
    assert_eq!(rows(&same), rows(&same[..1]), "42 is the default seed");
    assert_ne!(rows(&same), rows(&other), "another seed, other events");
}

#[test]
fn a_rate_counts_rows_of_the_table() {
    let rate = |options: &[(&str, &str)]| Recipe::generator("nexmark", options).build().rate();
    assert_eq!(rate(&[("events", "10")]), None);
    let bids = rate(&[("rate", "500")]).unwrap();
    assert!((455.0..470.0).contains(&bids), "46 of 50 events are bids, not {bids}");
}

#[test]
fn several_files_are_read_in_the_order_of_their_paths() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["c", "a", "b"] {
        put(folder.path(), &format!("{name}.csv"), format!("x\n{name}1\n{name}2\n"));
    }
    put(folder.path(), ".hidden.csv", "x\nno\n");
    let mut follower = Follower::new(&Recipe::files(&folder.path().join("*.csv"), "csv"));
    assert_eq!(follower.poll(ALL), []);
    let expected = ["a1", "a2", "b1", "b2", "c1", "c2"].map(|x| format!("{{\"x\":\"{x}\"}}"));
    assert_eq!(follower.take().rows, expected);
    put(folder.path(), "aa.csv", "x\nnew\n");
    follower.poll(ALL);
    assert_eq!(follower.take().rows, ["{\"x\":\"new\"}"]);
}
