//! Types: `pg_type`, names as SQL writes them, and the `PostgreSQL` type of an Arrow type.

use std::collections::HashMap;
use std::sync::LazyLock;

use arrow::datatypes::DataType;

use super::class::{Class, classes};
use super::name::{parse_identifiers, relation_name, resolve_relation};
use super::role::role_oid;
use super::table::{Table, Value};
use super::{PgContext, View, oid};
use crate::Catalog;
use crate::object::{ObjectId, PG_CATALOG_OID};

const FILE: &str = include_str!("data/pg_type.tsv");

/// A built-in type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PgType {
    /// Its OID.
    pub oid: ObjectId,
    /// `typname`, for example `int4` or `_text`.
    pub name: &'static str,
    /// Type of the elements of an array; 0 when it is none.
    pub element: ObjectId,
    /// Type of arrays of it; 0 when there is none.
    pub array: ObjectId,
    /// Bytes of a value, -1 when it varies.
    pub length: i16,
    /// Whether it is passed by value.
    pub by_value: bool,
    /// Alignment: `c`, `s`, `i`, `d`.
    pub align: &'static str,
    /// Storage: `p`, `x`, `m`.
    pub storage: &'static str,
    /// Collation's OID, 0 when it has none.
    pub collation: ObjectId,
}

/// Names that differ between `typname` and SQL.
const SQL_NAMES: &[(&str, &str)] = &[
    ("bool", "boolean"),
    ("int2", "smallint"),
    ("int4", "integer"),
    ("int8", "bigint"),
    ("float4", "real"),
    ("float8", "double precision"),
    ("varchar", "character varying"),
    ("bpchar", "character"),
    ("varbit", "bit varying"),
    ("time", "time without time zone"),
    ("timetz", "time with time zone"),
    ("timestamp", "timestamp without time zone"),
    ("timestamptz", "timestamp with time zone"),
    ("char", "\"char\""),
];

/// Names SQL also accepts.
const SQL_SYNONYMS: &[(&str, &str)] = &[
    ("int", "int4"),
    ("decimal", "numeric"),
    ("dec", "numeric"),
    ("float", "float8"),
    ("char", "bpchar"),
    ("string", "text"),
];

/// The built-in type with that OID.
#[must_use]
pub fn type_by_oid(oid: ObjectId) -> Option<&'static PgType> {
    static BY_OID: LazyLock<HashMap<ObjectId, PgType>> =
        LazyLock::new(|| builtin().iter().map(|t| (t.oid, *t)).collect());
    BY_OID.get(&oid)
}

/// The built-in type of that `typname`.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static PgType> {
    builtin().iter().find(|t| t.name == name)
}

/// The `PostgreSQL` type and modifier of an Arrow type.
#[must_use]
pub fn of_arrow(data_type: &DataType) -> (ObjectId, i32) {
    let oid = match data_type {
        DataType::Boolean => 16,
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => 21,
        DataType::UInt16 | DataType::Int32 => 23,
        DataType::UInt32 | DataType::Int64 => 20,
        DataType::UInt64 => 1700,
        DataType::Float16 | DataType::Float32 => 700,
        DataType::Float64 => 701,
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => {
            let scale = i32::from(*s) & 0x7ff;
            return (1700, ((i32::from(*p) << 16) | scale) + 4);
        }
        DataType::Date32 | DataType::Date64 => 1082,
        DataType::Time32(_) | DataType::Time64(_) => 1083,
        DataType::Timestamp(_, None) => 1114,
        DataType::Timestamp(_, Some(_)) => 1184,
        DataType::Interval(_) | DataType::Duration(_) => 1186,
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => 17,
        DataType::Struct(_) => 2249,
        DataType::Map(_, _) | DataType::Union(_, _) => 3802,
        DataType::Dictionary(_, value) => return of_arrow(value),
        DataType::RunEndEncoded(_, value) => return of_arrow(value.data_type()),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => {
            let (element, modifier) = of_arrow(item.data_type());
            let array = type_by_oid(element).map_or(0, |t| t.array);
            return if array == 0 { (element, modifier) } else { (array, modifier) };
        }
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => 25,
    };
    (oid, -1)
}

/// A type as SQL writes it, as `format_type` does.
#[must_use]
pub fn format_type(
    catalog: &Catalog,
    context: &PgContext,
    oid: ObjectId,
    modifier: Option<i32>,
) -> String {
    if oid == 0 {
        return "-".to_owned();
    }
    let Some(found) = type_by_oid(oid) else {
        return format_row_type(catalog, context, oid).unwrap_or_else(|| "???".to_owned());
    };
    let is_array = found.element != 0 && found.name.starts_with('_');
    let base = if is_array { type_by_oid(found.element).unwrap_or(found) } else { found };
    let suffix = if is_array { "[]" } else { "" };
    format!("{}{suffix}", with_modifier(base.name, modifier))
}

/// The OID of a type named as SQL or `pg_type` does.
#[must_use]
pub fn resolve_type(catalog: &Catalog, context: &PgContext, text: &str) -> Option<ObjectId> {
    let text = text.trim();
    if let Ok(oid) = text.parse() {
        return Some(oid);
    }
    if let Some(item) = text.strip_suffix("[]") {
        let element = resolve_type(catalog, context, item)?;
        let builtin = type_by_oid(element).map(|t| t.array).filter(|array| *array != 0);
        return builtin.or_else(|| oid::relation_of_row_type(element).map(oid::row_array_type));
    }
    if let Some((name, rest)) = text.split_once('(') {
        let tail = rest.split_once(')').map_or("", |(_, tail)| tail);
        return resolve_type(catalog, context, &format!("{}{tail}", name.trim_end()));
    }
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let plain = words.strip_prefix("pg_catalog.").unwrap_or(&words);
    let known = SQL_NAMES.iter().map(|(name, sql)| (*sql, *name));
    let alias = known.chain(SQL_SYNONYMS.iter().copied()).find(|(sql, _)| *sql == plain);
    let short = alias.map_or(plain, |(_, name)| name);
    if let Some(found) = by_name(short) {
        return Some(found.oid);
    }
    if !parse_identifiers(text)?.is_empty() {
        return resolve_relation(catalog, context, text)
            .filter(|id| catalog.get(*id).is_some())
            .map(oid::row_type);
    }
    None
}

/// Rows of `pg_type`: the built-in types, then a row type and its array per relation.
pub(super) fn rows(table: &mut Table, view: &View<'_>) {
    let fixed = [
        ("typnamespace", PG_CATALOG_OID.into()),
        ("typowner", role_oid("admin").into()),
        ("typisdefined", true.into()),
    ];
    table.push_file(FILE, &fixed);
    for class in classes(view.catalog, view.context).filter(|c| c.is_user() && c.kind != 'i') {
        push_row_types(table, &class);
    }
}

fn push_row_types(table: &mut Table, class: &Class<'_>) {
    let procedures =
        ["record_in", "record_out", "record_recv", "record_send"].map(super::fixed::function_oid);
    let array_procedures =
        ["array_in", "array_out", "array_recv", "array_send"].map(super::fixed::function_oid);
    let rows = [
        (
            oid::row_type(class.oid),
            class.name.to_string(),
            "c",
            "C",
            class.oid,
            0,
            oid::row_array_type(class.oid),
            procedures,
        ),
        (
            oid::row_array_type(class.oid),
            format!("_{}", class.name),
            "b",
            "A",
            0,
            oid::row_type(class.oid),
            0,
            array_procedures,
        ),
    ];
    for (oid, name, kind, category, relation, element, array, [input, output, receive, send]) in
        rows
    {
        table.push([
            ("oid", oid.into()),
            ("typname", name.into()),
            ("typnamespace", class.namespace.into()),
            ("typowner", role_oid(class.owner).into()),
            ("typlen", Value::Int(-1)),
            ("typtype", kind.into()),
            ("typcategory", category.into()),
            ("typisdefined", true.into()),
            ("typdelim", ",".into()),
            ("typrelid", relation.into()),
            ("typelem", element.into()),
            ("typarray", array.into()),
            ("typinput", input.into()),
            ("typoutput", output.into()),
            ("typreceive", receive.into()),
            ("typsend", send.into()),
            ("typalign", "d".into()),
            ("typstorage", "x".into()),
            ("typtypmod", Value::Int(-1)),
        ]);
    }
}

fn builtin() -> &'static [PgType] {
    static TYPES: LazyLock<Vec<PgType>> =
        LazyLock::new(|| FILE.lines().skip(1).filter_map(parse).collect());
    &TYPES
}

fn parse(line: &'static str) -> Option<PgType> {
    let cells: Vec<&'static str> = line.split('\t').collect();
    Some(PgType {
        oid: cells.first()?.parse().ok()?,
        name: cells.get(1)?,
        length: cells.get(2)?.parse().ok()?,
        by_value: *cells.get(3)? == "t",
        element: cells.get(10)?.parse().ok()?,
        array: cells.get(11)?.parse().ok()?,
        align: cells.get(19)?,
        storage: cells.get(20)?,
        collation: cells.get(22)?.parse().ok()?,
    })
}

fn with_modifier(name: &str, modifier: Option<i32>) -> String {
    let sql = SQL_NAMES.iter().find(|(n, _)| *n == name).map_or(name, |(_, sql)| sql);
    let Some(modifier) = modifier.filter(|m| *m >= 0) else { return sql.to_owned() };
    let digits = match name {
        "numeric" => format!("({},{})", (modifier - 4) >> 16, signed_scale(modifier)),
        "varchar" | "bpchar" => format!("({})", modifier - 4),
        "bit" | "varbit" | "time" | "timetz" | "timestamp" | "timestamptz" => {
            format!("({modifier})")
        }
        _ => String::new(),
    };
    match sql.split_once(' ') {
        Some((first, rest)) if name.starts_with("time") => format!("{first}{digits} {rest}"),
        _ => format!("{sql}{digits}"),
    }
}

/// The scale of a numeric modifier: 11 bits, signed.
fn signed_scale(modifier: i32) -> i32 {
    (((modifier - 4) & 0x7ff) ^ 1_024) - 1_024
}

fn format_row_type(catalog: &Catalog, context: &PgContext, oid: ObjectId) -> Option<String> {
    if let Some(relation) = oid::relation_of_row_type(oid) {
        return relation_name(catalog, context, relation);
    }
    let relation = oid::relation_of_row_array_type(oid)?;
    let name = relation_name(catalog, context, relation)?;
    Some(format!("{name}[]"))
}
