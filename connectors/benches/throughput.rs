//! Rows per second of each source on one core: `cargo bench -p levada-connectors`.
//!
//! Prints one line per source; files are made in a temporary folder and read from the page cache.

#![expect(clippy::disallowed_methods, reason = "a benchmark owns its files and clocks")]
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::fmt::Write;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use futures::executor::block_on;
use levada_connectors::Result;
use levada_connectors::registry::{SourceRequest, source};
use levada_connectors::source::Budget;
use parquet::arrow::ArrowWriter;

const ROWS: i64 = 2_000_000;
const BUDGET: Budget = Budget { rows: 64 << 10, bytes: 1 << 20 };

fn main() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = |name: &str| folder.path().join(name).display().to_string();
    text(&folder.path().join("a.csv"), "id,key,price\n", |out, i| {
        writeln!(out, "{i},key-{},{}.25", i % 1_000, i % 977).expect("memory can be written");
    });
    text(&folder.path().join("a.jsonl"), "", |out, i| {
        writeln!(out, "{{\"id\":{i},\"key\":\"key-{}\",\"price\":{}.25}}", i % 1_000, i % 977)
            .expect("memory can be written");
    });
    parquet(&folder.path().join("a.parquet"));
    for file in ["a.csv", "a.jsonl", "a.parquet"] {
        measure(file, "files", &path(file), &[])?;
    }
    for table in ["bid", "auction", "person"] {
        let options = [("events", "5000000"), ("table", table)];
        measure(&format!("nexmark {table}"), "generator", "nexmark", &options)?;
    }
    measure("counter", "generator", "counter", &[("events", "50000000")])
}

fn text(path: &Path, head: &str, line: impl Fn(&mut String, i64)) {
    let mut out = head.to_owned();
    (0..ROWS).for_each(|i| line(&mut out, i));
    fs::write(path, out).expect("a temporary file can be written");
}

fn parquet(path: &Path) {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS));
    let keys: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..ROWS).map(|i| format!("key-{}", i % 1_000))));
    let price = |i: i64| f64::from(i32::try_from(i % 977).expect("it is small")) + 0.25;
    let prices: ArrayRef = Arc::new(Float64Array::from_iter_values((0..ROWS).map(price)));
    let columns = [("id", ids), ("key", keys), ("price", prices)];
    let batch = RecordBatch::try_from_iter(columns).expect("columns have one length");
    let file = File::create(path).expect("a temporary file can be made");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("types are plain");
    writer.write(&batch).expect("a temporary file can be written");
    writer.close().expect("a temporary file can be written");
}

fn measure(title: &str, connector: &str, argument: &str, options: &[(&str, &str)]) -> Result<()> {
    let options: Vec<_> = options.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let source = source(&SourceRequest {
        connector,
        arguments: &[argument.to_owned()],
        options: &options,
        ..SourceRequest::default()
    })?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_us = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    block_on(source.discover())?;
    let start = Instant::now();
    let mut rows = 0_usize;
    for split in block_on(source.splits(&[], now_us))?.ready {
        let mut reader = block_on(source.open(&split, None))?;
        loop {
            let chunk = block_on(reader.next(BUDGET))?;
            rows += chunk.rows.map_or(0, |batch| batch.num_rows());
            if chunk.end {
                break;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
    let rate = rows as f64 / seconds / 1e6;
    println!("{title:16} {rows:>9} rows  {seconds:>6.2} s  {rate:>6.2} M rows/s");
    Ok(())
}
