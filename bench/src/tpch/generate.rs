//! The tables of TPC-H by the `tpchgen` crate, which makes the rows of the standard's generator.
//!
//! Its rows come as text, fields between bars; they are read with the types of the tables and written as
//! Parquet, so that every system reads the same files.

use std::fmt::Display;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use arrow::csv::ReaderBuilder;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};

use crate::table::Writer;

/// Bytes of text that are read together.
const TEXT_BYTES: usize = 16 << 20;
/// Rows of a batch.
const BATCH_ROWS: usize = 65_536;

const KEY: DataType = DataType::Int64;
const INTEGER: DataType = DataType::Int32;
const MONEY: DataType = DataType::Decimal128(15, 2);
const TEXT: DataType = DataType::Utf8;
const DAY: DataType = DataType::Date32;

type Columns = &'static [(&'static str, DataType)];

const REGION: Columns = &[("r_regionkey", KEY), ("r_name", TEXT), ("r_comment", TEXT)];
const NATION: Columns =
    &[("n_nationkey", KEY), ("n_name", TEXT), ("n_regionkey", KEY), ("n_comment", TEXT)];
const PART: Columns = &[
    ("p_partkey", KEY),
    ("p_name", TEXT),
    ("p_mfgr", TEXT),
    ("p_brand", TEXT),
    ("p_type", TEXT),
    ("p_size", INTEGER),
    ("p_container", TEXT),
    ("p_retailprice", MONEY),
    ("p_comment", TEXT),
];
const SUPPLIER: Columns = &[
    ("s_suppkey", KEY),
    ("s_name", TEXT),
    ("s_address", TEXT),
    ("s_nationkey", KEY),
    ("s_phone", TEXT),
    ("s_acctbal", MONEY),
    ("s_comment", TEXT),
];
const PARTSUPP: Columns = &[
    ("ps_partkey", KEY),
    ("ps_suppkey", KEY),
    ("ps_availqty", INTEGER),
    ("ps_supplycost", MONEY),
    ("ps_comment", TEXT),
];
const CUSTOMER: Columns = &[
    ("c_custkey", KEY),
    ("c_name", TEXT),
    ("c_address", TEXT),
    ("c_nationkey", KEY),
    ("c_phone", TEXT),
    ("c_acctbal", MONEY),
    ("c_mktsegment", TEXT),
    ("c_comment", TEXT),
];
const ORDERS: Columns = &[
    ("o_orderkey", KEY),
    ("o_custkey", KEY),
    ("o_orderstatus", TEXT),
    ("o_totalprice", MONEY),
    ("o_orderdate", DAY),
    ("o_orderpriority", TEXT),
    ("o_clerk", TEXT),
    ("o_shippriority", INTEGER),
    ("o_comment", TEXT),
];
const LINEITEM: Columns = &[
    ("l_orderkey", KEY),
    ("l_partkey", KEY),
    ("l_suppkey", KEY),
    ("l_linenumber", INTEGER),
    ("l_quantity", MONEY),
    ("l_extendedprice", MONEY),
    ("l_discount", MONEY),
    ("l_tax", MONEY),
    ("l_returnflag", TEXT),
    ("l_linestatus", TEXT),
    ("l_shipdate", DAY),
    ("l_commitdate", DAY),
    ("l_receiptdate", DAY),
    ("l_shipinstruct", TEXT),
    ("l_shipmode", TEXT),
    ("l_comment", TEXT),
];

/// Writes the files of all tables into `folder`.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn write(folder: &Path, scale: f64) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    table(folder, "region", REGION, RegionGenerator::new(scale, 1, 1))?;
    table(folder, "nation", NATION, NationGenerator::new(scale, 1, 1))?;
    table(folder, "part", PART, PartGenerator::new(scale, 1, 1))?;
    table(folder, "supplier", SUPPLIER, SupplierGenerator::new(scale, 1, 1))?;
    table(folder, "partsupp", PARTSUPP, PartSuppGenerator::new(scale, 1, 1))?;
    table(folder, "customer", CUSTOMER, CustomerGenerator::new(scale, 1, 1))?;
    table(folder, "orders", ORDERS, OrderGenerator::new(scale, 1, 1))?;
    // The last: a folder that has it is complete.
    table(folder, "lineitem", LINEITEM, LineItemGenerator::new(scale, 1, 1))
}

fn table<R: Display>(
    folder: &Path,
    name: &str,
    columns: Columns,
    rows: impl IntoIterator<Item = R>,
) -> anyhow::Result<()> {
    let fields = columns.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
    let fields: Vec<Field> = fields.collect();
    let schema = Arc::new(Schema::new(fields.clone()));
    // A bar ends each row, so the text has one more field.
    let ended = fields.into_iter().chain([Field::new("end", TEXT, true)]);
    let ended = Arc::new(Schema::new(ended.collect::<Vec<_>>()));
    let mut writer = Writer::create(folder, name, Arc::clone(&schema))?;
    let mut text = String::new();
    for row in rows {
        std::fmt::Write::write_fmt(&mut text, format_args!("{row}\n"))?;
        if text.len() >= TEXT_BYTES {
            parse(&mut writer, &ended, &text)?;
            text.clear();
        }
    }
    parse(&mut writer, &ended, &text)?;
    writer.close()
}

fn parse(writer: &mut Writer, schema: &SchemaRef, text: &str) -> anyhow::Result<()> {
    let columns: Vec<usize> = (0..schema.fields().len() - 1).collect();
    let reader = ReaderBuilder::new(Arc::clone(schema))
        .with_delimiter(b'|')
        .with_batch_size(BATCH_ROWS)
        .with_projection(columns)
        .build(Cursor::new(text))?;
    for batch in reader {
        writer.write(&batch?)?;
    }
    Ok(())
}
