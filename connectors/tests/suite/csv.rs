//! Random CSV against a model: good records arrive as they were meant, bad ones are rejected alone.

use std::fmt::Write;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use levada_connectors::source::Budget;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

use crate::support::{ALL, Follower, Recipe, put, read_all};

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("text", DataType::Utf8View, true),
        Field::new("price", DataType::Float64, true),
    ]))
}

/// What a file was written from.
#[derive(Default)]
struct Model {
    bytes: Vec<u8>,
    line: u64,
    rows: Vec<Value>,
    /// Line and raw bytes.
    bad: Vec<(u64, Vec<u8>)>,
}

impl Model {
    fn push(&mut self, record: &[u8], rng: &mut StdRng) {
        self.line += u64::try_from(record.iter().filter(|b| **b == b'\n').count()).unwrap() + 1;
        self.bytes.extend(record);
        self.bytes.extend(if rng.random_bool(0.2) { &b"\r\n"[..] } else { b"\n" });
    }

    fn bad(&mut self, record: &[u8], rng: &mut StdRng) {
        self.bad.push((self.line, record.to_vec()));
        self.push(record, rng);
    }

    fn good(&mut self, rng: &mut StdRng) {
        let id = rng.random_bool(0.9).then(|| rng.random::<i32>());
        let text = rng.random_bool(0.9).then(|| random_text(rng));
        let price = rng.random_bool(0.9).then(|| f64::from(rng.random_range(-4_000..4_000)) / 8.0);
        let mut row = Map::new();
        let mut record = String::new();
        if let Some(id) = id {
            row.insert("id".into(), json!(id));
            write!(record, "{id}").unwrap();
        }
        record.push(',');
        if let Some(text) = text {
            row.insert("text".into(), json!(text));
            record.push_str(&quoted(&text, rng));
        }
        record.push(',');
        if let Some(price) = price {
            row.insert("price".into(), json!(price));
            write!(record, "{price}").unwrap();
        }
        self.rows.push(Value::Object(row));
        self.push(record.as_bytes(), rng);
    }
}

fn random_text(rng: &mut StdRng) -> String {
    const PIECES: [&str; 12] = [
        "a",
        "long words here",
        "\"",
        ",",
        "\n",
        "\r\n",
        "\u{e9}",
        "0",
        " ",
        "NA",
        "\"\"",
        "\u{1f980}",
    ];
    let n = rng.random_range(0..6);
    (0..n).map(|_| PIECES[rng.random_range(0..PIECES.len())]).collect()
}

/// Quotes where it is needed, and at times where it is not.
fn quoted(text: &str, rng: &mut StdRng) -> String {
    let needed = text.is_empty() || text == "NA" || text.contains([',', '"', '\n', '\r']);
    if needed || rng.random_bool(0.3) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn model(seed: u64, records: usize) -> Model {
    let mut rng = StdRng::seed_from_u64(seed);
    let rng = &mut rng;
    let mut m = Model { line: 2, bytes: b"id,text,price\n".to_vec(), ..Model::default() };
    for _ in 0..records {
        match rng.random_range(0..40) {
            0 => m.bad(b"1,two cells", rng),
            1 => m.bad(b"1,\"four\",cells,here", rng),
            2 => m.bad(b"12x,no number,1", rng),
            3 => m.bad(b"1,no price,abc", rng),
            4 => m.bad(b"1,b\xff\xfed,2", rng),
            5 => m.bad(b"1,\"quote\" here,2", rng),
            6 => m.bad(b"99999999999999999999,big,2", rng),
            7 => m.bad(b"1,\"bad on\nsecond line\",x", rng),
            8 => m.push(b"", rng),
            _ => m.good(rng),
        }
    }
    m
}

#[test]
fn random_files_yield_what_they_were_written_from() {
    for seed in 0..60 {
        let folder = tempfile::tempdir().unwrap();
        let model = model(seed, 400);
        let path = put(folder.path(), "a.csv", &model.bytes);
        let recipe = Recipe::files(&path, "csv")
            .declared(schema())
            .with_format(&[("null", "NA"), ("header", "true")]);
        let whole = read_all(&recipe);
        let rows: Vec<Value> =
            whole.rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
        assert_eq!(rows, model.rows, "rows of seed {seed}");
        let bad: Vec<_> = whole.rejects.iter().map(|r| (r.line, r.raw.clone())).collect();
        assert_eq!(bad, model.bad, "rejects of seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let mut cut = Follower::new(&recipe);
        cut.poll(Budget { rows: rng.random_range(1..50), bytes: rng.random_range(1..20_000) });
        assert_eq!(cut.taken, whole, "small budgets of seed {seed}");
    }
}

#[test]
fn random_bytes_never_panic_and_nothing_is_lost() {
    const ALPHABET: &[u8] = b"1,\"\n\r\\ax\xff.\xc3\xa9";
    for seed in 0..300 {
        let mut rng = StdRng::seed_from_u64(seed);
        let n = rng.random_range(0..3_000);
        let bytes: Vec<u8> =
            (0..n).map(|_| ALPHABET[rng.random_range(0..ALPHABET.len())]).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = put(folder.path(), "a.csv", &bytes);
        let options = [("header", "false"), ("escape", if seed % 2 == 0 { "\\" } else { "\"" })];
        let recipe = Recipe::files(&path, "csv").declared(schema()).with_format(&options);
        let whole = read_all(&recipe);
        let mut cut = Follower::new(&recipe);
        cut.poll(Budget { rows: 1, bytes: 1 });
        assert_eq!(cut.taken, whole, "seed {seed}");
        assert_eq!(cut.list().ready, [], "seed {seed} is read to its end");
    }
}

#[test]
fn null_is_the_empty_cell_and_the_named_word_but_never_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let text = "a|b|c\n|NA|x\n''|'NA'|'it''s'\n";
    let path = put(folder.path(), "a.csv", text);
    let options = [("delimiter", "|"), ("quote", "'"), ("null", "NA")];
    let taken = read_all(&Recipe::files(&path, "csv").with_format(&options));
    assert_eq!(taken.rows, ["{\"c\":\"x\"}", "{\"a\":\"\",\"b\":\"NA\",\"c\":\"it's\"}"]);
}

#[test]
fn an_open_quote_costs_its_line_and_not_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "a.csv", "id,text,price\n1,\"open,1\n2,b,2\n3,c,3\n");
    let taken = read_all(&Recipe::files(&path, "csv").declared(schema()));
    assert_eq!(taken.rows.len(), 2);
    let reject = &taken.rejects[0];
    assert_eq!((reject.line, reject.raw.as_slice()), (2, &b"1,\"open,1"[..]));
    assert_eq!(
        (reject.error.as_str(), reject.sqlstate),
        ("unterminated CSV quoted field", "22P04")
    );
}

#[test]
fn every_sql_type_is_read_and_its_faults_are_named() {
    let types = [
        ("s", DataType::Int16, "7", "70000", "22003"),
        ("r", DataType::Float32, "1.5", "1,5", "22P02"),
        ("b", DataType::Boolean, "yes", "maybe", "22P02"),
        ("d", DataType::Date32, "2024-02-29", "2023-02-29", "22007"),
        ("n", DataType::Decimal128(6, 2), "12.34", "12345.67", "22P02"),
        (
            "t",
            DataType::Time64(arrow::datatypes::TimeUnit::Microsecond),
            "12:30:00",
            "25:00",
            "22007",
        ),
    ];
    for (name, data_type, good, bad, sqlstate) in types {
        let folder = tempfile::tempdir().unwrap();
        let path = put(folder.path(), "a.csv", format!("{name}\n{good}\n\"{bad}\"\n"));
        let field = Field::new(name, data_type, false);
        let recipe = Recipe::files(&path, "csv").declared(Arc::new(Schema::new(vec![field])));
        let taken = read_all(&recipe);
        assert_eq!(taken.rows.len(), 1, "good {name}: {:?}", taken.rejects);
        assert_eq!(taken.rejects[0].sqlstate, sqlstate, "bad {name}");
    }
}

#[test]
fn a_null_in_a_column_that_takes_none_is_a_reject() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "a.csv", "id,x\n1,a\n,b\n");
    let field = Field::new("id", DataType::Int64, false);
    let recipe = Recipe::files(&path, "csv").declared(Arc::new(Schema::new(vec![field])));
    let mut follower = Follower::new(&recipe);
    follower.poll(ALL);
    let reject = &follower.taken.rejects[0];
    assert_eq!((reject.sqlstate, reject.line), ("23502", 3));
    assert_eq!(reject.error, "null value in column \"id\" violates not-null constraint");
}
