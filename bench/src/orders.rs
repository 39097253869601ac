//! Orders that change: tables of customers, orders and their lines, and deltas with new orders, deleted
//! orders and changed lines.
//!
//! ```text
//! init/{customer,orders,lineitem}.parquet
//! delta-<size>-<i>/{orders,lineitem}.parquet     column w: 1 inserts the row, -1 deletes it
//! deltas.json                                    the deltas in the order in which they are applied
//! ```
//! A delta of size n changes about n rows: three tenths in new orders, three tenths in deleted ones, the rest
//! in lines whose quantity and price change.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use levada_storage::delta::{Delta, DeltaBatch};
use serde::{Deserialize, Serialize};

use crate::random::Stream;
use crate::table::{FIRST_ID, Table, Writer};

/// The tables, and their columns; the last but `w` of `orders` and `lineitem` is a text.
pub(crate) const TABLES: [&str; 3] = ["customer", "orders", "lineitem"];

const CUSTOMER: &[&str] = &["ckey", "nation", "segment"];
const ORDERS: &[&str] = &["okey", "ckey", "odate", "status"];
const LINEITEM: &[&str] = &["okey", "lno", "part", "qty", "price", "disc", "flag"];
const STATUS: [&str; 3] = ["F", "O", "P"];
const FLAG: [&str; 3] = ["A", "N", "R"];
/// Places of a line's quantity and price.
const QTY: usize = 3;
const PRICE: usize = 4;

/// A set of orders and its deltas.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Workload {
    pub(crate) deltas: Vec<DeltaEntry>,
}

/// One delta.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DeltaEntry {
    pub(crate) dir: String,
    pub(crate) size: usize,
    pub(crate) rows: usize,
}

impl Workload {
    /// What lies in `folder`.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("deltas.json");
        let text = fs::read_to_string(&path)
            .with_context(|| format!("could not read \"{}\"", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The tables at the start.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn tables(folder: &Path) -> anyhow::Result<Vec<Table>> {
        let folder = folder.join("init");
        let load = |(id, name)| {
            let table = Table::open(&folder, id, name)?;
            let all: Vec<usize> = (0..table.schema.fields().len()).collect();
            table.load(&folder, &all)
        };
        (FIRST_ID..).zip(TABLES).map(load).collect()
    }

    /// The deltas of one entry by table.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn delta(folder: &Path, entry: &DeltaEntry) -> anyhow::Result<BTreeMap<u32, Delta>> {
        let folder = folder.join(&entry.dir);
        let mut deltas = BTreeMap::new();
        for (id, name) in (FIRST_ID..).zip(TABLES).skip(1) {
            let table = Table::open(&folder, id, name)?;
            let all: Vec<usize> = (0..table.schema.fields().len()).collect();
            let mut delta = Delta::default();
            for batch in table.load(&folder, &all)?.batches {
                let (weights, kept) = (all.len() - 1, &all[..all.len() - 1]);
                let weights = batch.column(weights).as_primitive::<Int64Type>().values().to_vec();
                delta.push(DeltaBatch::weighted(batch.project(kept)?, weights));
            }
            deltas.insert(id, delta);
        }
        Ok(deltas)
    }

    /// Makes `orders` orders and `repeat` deltas of each of `sizes`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn write(
        folder: &Path,
        orders: i64,
        sizes: &[usize],
        repeat: usize,
    ) -> anyhow::Result<()> {
        let mut maker = Maker::new(orders);
        let init = folder.join("init");
        let customers = (0..maker.customers)
            .map(|key| vec![key, maker.stream.between(0, 25), maker.stream.between(0, 5)]);
        let customers: Vec<Vec<i64>> = customers.collect();
        write(&init, "customer", CUSTOMER, &[], &customers)?;
        write(&init, "orders", ORDERS, &STATUS, &maker.orders)?;
        write(&init, "lineitem", LINEITEM, &FLAG, &maker.lines)?;
        let mut deltas = Vec::new();
        for size in sizes {
            for i in 0..repeat {
                let dir = format!("delta-{size}-{i}");
                let (orders, lines) = maker.delta(*size);
                let rows = orders.len() + lines.len();
                let weighed = |names: &[&'static str]| [names, &["w"]].concat();
                let place = folder.join(&dir);
                write(&place, "orders", &weighed(ORDERS), &STATUS, &orders)?;
                write(&place, "lineitem", &weighed(LINEITEM), &FLAG, &lines)?;
                deltas.push(DeltaEntry { dir, size: *size, rows });
            }
        }
        let list = deltas.iter().map(|d| format!("{} {} {}\n", d.dir, d.size, d.rows));
        let mut file = fs::File::create(folder.join("deltas.txt"))?;
        std::io::Write::write_all(&mut file, list.collect::<String>().as_bytes())?;
        let file = fs::File::create(folder.join("deltas.json"))?;
        Ok(serde_json::to_writer(file, &Self { deltas })?)
    }
}

/// Rows as they are; texts by their number.
struct Maker {
    stream: Stream,
    customers: i64,
    parts: i64,
    orders: Vec<Vec<i64>>,
    lines: Vec<Vec<i64>>,
    /// The first line of each order, and one more.
    begins: Vec<usize>,
    alive: Vec<bool>,
    next: i64,
}

impl Maker {
    fn new(count: i64) -> Self {
        let mut maker = Self {
            stream: Stream::new(&[7]),
            customers: (count / 10).max(10),
            parts: (count / 7).max(10),
            orders: Vec::new(),
            lines: Vec::new(),
            begins: vec![0],
            alive: Vec::new(),
            next: count,
        };
        for key in 0..count {
            let (order, lines) = maker.order(key);
            maker.orders.push(order);
            maker.lines.extend(lines);
            maker.begins.push(maker.lines.len());
            maker.alive.push(true);
        }
        maker
    }

    fn order(&mut self, key: i64) -> (Vec<i64>, Vec<Vec<i64>>) {
        let (customers, parts) = (self.customers, self.parts);
        let s = &mut self.stream;
        let order = vec![key, s.between(0, customers), s.between(0, 2400), s.between(0, 3)];
        let line = |number, s: &mut Stream| {
            let (part, qty, price) = (s.between(0, parts), s.between(1, 51), price(s));
            vec![key, number, part, qty, price, s.between(0, 11), s.between(0, 3)]
        };
        let lines = (0..s.between(1, 8)).map(|number| line(number, s)).collect();
        (order, lines)
    }

    /// Rows of orders and lines, each with its weight behind it.
    fn delta(&mut self, size: usize) -> (Vec<Vec<i64>>, Vec<Vec<i64>>) {
        let whole = (size * 3 + 25) / 50;
        let changed = (size.saturating_sub(10 * whole) / 2).max(1);
        let (mut orders, mut lines) = (Vec::new(), Vec::new());
        for _ in 0..whole {
            let (order, of_order) = self.order(self.next);
            self.next += 1;
            orders.push(weighed(&order, 1));
            lines.extend(of_order.iter().map(|line| weighed(line, 1)));
        }
        for _ in 0..whole {
            let order = self.living();
            self.alive[order] = false;
            orders.push(weighed(&self.orders[order], -1));
            let of_order = &self.lines[self.begins[order]..self.begins[order + 1]];
            lines.extend(of_order.iter().map(|line| weighed(line, -1)));
        }
        for _ in 0..changed {
            let order = self.living();
            let line = self.begins[order];
            lines.push(weighed(&self.lines[line], -1));
            let line = &mut self.lines[line];
            (line[QTY], line[PRICE]) = (self.stream.between(1, 51), price(&mut self.stream));
            lines.push(weighed(line, 1));
        }
        (orders, lines)
    }

    fn living(&mut self) -> usize {
        loop {
            let count = i64::try_from(self.alive.len()).unwrap_or(i64::MAX);
            let order = usize::try_from(self.stream.between(0, count)).unwrap_or(0);
            if self.alive[order] {
                return order;
            }
        }
    }
}

fn price(stream: &mut Stream) -> i64 {
    stream.between(90_000, 10_500_000)
}

fn weighed(row: &[i64], weight: i64) -> Vec<i64> {
    [row, &[weight]].concat()
}

fn write(
    folder: &Path,
    table: &str,
    names: &[&str],
    words: &[&str],
    rows: &[Vec<i64>],
) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let column = |i: usize| -> ArrayRef {
        let values = rows.iter().map(|row| row[i]);
        if matches!(names[i], "status" | "flag") {
            let word = |v: i64| usize::try_from(v).ok().and_then(|v| words.get(v)).copied();
            Arc::new(values.map(word).collect::<StringArray>())
        } else {
            Arc::new(Int64Array::from_iter_values(values))
        }
    };
    let columns = names.iter().enumerate().map(|(i, name)| (*name, column(i)));
    let batch = RecordBatch::try_from_iter(columns)?;
    let mut writer = Writer::create(folder, table, batch.schema())?;
    writer.write(&batch)?;
    writer.close()
}
