//! Every relation over a catalog that has one object of each kind.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int16Type, UInt32Type};

use super::{
    PgContext, PgSystemTable, by_name, classes, format_type, name, of_arrow, oid, relations,
    resolve_type, rows, schema, setting,
};
use crate::object::{Column, Detail, Object, ObjectId, PUBLIC_OID, SYS_OID};
use crate::{Catalog, Change, ChangeSet};

const T: ObjectId = 16_384;
const M: ObjectId = 16_385;
const S: ObjectId = 16_386;

fn column(name: &str, data_type: DataType, nullable: bool) -> Column {
    Column { name: name.to_owned(), data_type, nullable, default: None }
}

fn object(id: ObjectId, name: &str, detail: Detail, depends_on: Vec<ObjectId>) -> Object {
    Object {
        id,
        name: name.to_owned(),
        schema: PUBLIC_OID,
        owner: "ann".to_owned(),
        comment: Some(format!("about {name}")),
        definition: String::new(),
        depends_on,
        detail,
    }
}

fn catalog() -> Catalog {
    let default = Column { default: Some("7".to_owned()), ..column("n", DataType::Int32, true) };
    let columns = vec![column("id", DataType::Int64, false), default];
    let table = Detail::Table { columns, primary_key: vec!["id".to_owned()] };
    let view = Detail::MaterializedView {
        columns: vec![column("id", DataType::Int64, true)],
        key: vec!["id".to_owned()],
        query: "SELECT id FROM t".to_owned(),
        search_path: vec!["public".to_owned()],
        revision: 0,
    };
    let source = Detail::Source {
        columns: vec![column("a", DataType::Utf8View, true)],
        primary_key: Vec::new(),
        connector: "files".to_owned(),
        arguments: vec!["x.csv".to_owned()],
        options: vec![("api_token".to_owned(), "hidden".to_owned())],
        format: "csv".to_owned(),
        format_options: Vec::new(),
    };
    let objects = [
        object(T, "t", table, Vec::new()),
        object(M, "Sum", view, vec![T]),
        object(S, "s", source, Vec::new()),
    ];
    let mut catalog = Catalog::new();
    catalog.apply(&ChangeSet { changes: objects.into_iter().map(Change::Create).collect() });
    catalog
}

fn all(name: &str) -> RecordBatch {
    rows(name, &catalog(), &PgContext::default()).unwrap()
}

/// The values of a text column by an OID column.
fn texts(batch: &RecordBatch, key: &str, value: &str) -> BTreeMap<u32, String> {
    let keys = batch.column_by_name(key).unwrap().as_primitive::<UInt32Type>();
    let values = batch.column_by_name(value).unwrap().as_string::<i32>();
    let pairs = keys.iter().zip(values.iter());
    pairs.map(|(k, v)| (k.unwrap(), v.unwrap_or_default().to_owned())).collect()
}

#[test]
fn every_relation_has_rows_of_its_schema() {
    let (catalog, context) = (catalog(), PgContext::default());
    let mut filled = 0;
    for relation in relations() {
        let batch = rows(relation.name, &catalog, &context).unwrap();
        assert_eq!(batch.schema(), schema(relation.name).unwrap(), "{}", relation.name);
        assert_eq!(batch.num_columns(), relation.columns.len(), "{}", relation.name);
        for (i, column) in relation.columns.iter().enumerate() {
            let nulls = batch.column(i).null_count();
            assert!(!column.not_null || nulls == 0, "{}.{}", relation.name, column.name);
        }
        filled += usize::from(batch.num_rows() > 0);
    }
    assert!(filled >= 40, "{filled} relations have rows");
}

#[test]
fn classes_have_their_kinds_and_distinct_oids() {
    let kinds = texts(&all("pg_class"), "oid", "relkind");
    assert_eq!(kinds[&T], "r");
    assert_eq!(kinds[&M], "m");
    assert_eq!(kinds[&S], "f");
    assert_eq!(kinds[&oid::key_index(T)], "i");
    assert_eq!(kinds[&1259], "r", "pg_class itself");
    let (catalog, context) = (catalog(), PgContext::default());
    assert_eq!(kinds.len(), classes(&catalog, &context).count(), "no OID twice");
}

#[test]
fn types_have_their_arrays_and_row_types() {
    let batch = all("pg_type");
    let names = texts(&batch, "oid", "typname");
    assert_eq!(names[&23], "int4");
    assert_eq!(names[&oid::row_type(T)], "t");
    assert_eq!(names[&oid::row_array_type(M)], "_Sum");
    let arrays = batch.column_by_name("typarray").unwrap().as_primitive::<UInt32Type>();
    for array in arrays.iter().flatten().filter(|a| *a != 0) {
        assert!(names.contains_key(&array), "type {array} is missing");
    }
}

#[test]
fn only_a_table_key_is_a_constraint() {
    let indexes = all("pg_index");
    assert_eq!(indexes.num_rows(), 2);
    let keys = indexes.column_by_name("indkey").unwrap().as_list::<i32>();
    assert_eq!(keys.value(0).as_primitive::<Int16Type>().values(), &[1]);
    let constraints = texts(&all("pg_constraint"), "oid", "conname");
    assert_eq!(
        constraints.into_iter().collect::<Vec<_>>(),
        [(oid::key_constraint(T), "t_pkey".to_owned())]
    );
}

#[test]
fn secrets_of_options_are_hidden() {
    let batch = all("pg_foreign_table");
    let options = batch.column_by_name("ftoptions").unwrap().as_list::<i32>().value(0);
    let texts: Vec<&str> = options.as_string::<i32>().iter().flatten().collect();
    assert_eq!(texts, ["argument_1=x.csv", "format=csv", "api_token=********"]);
}

#[test]
fn type_names_go_both_ways() {
    let (catalog, context) = (catalog(), PgContext::default());
    let cases = [
        (DataType::Boolean, "boolean"),
        (DataType::Int16, "smallint"),
        (DataType::Int64, "bigint"),
        (DataType::Decimal128(10, 2), "numeric(10,2)"),
        (DataType::Decimal128(10, -2), "numeric(10,-2)"),
        (DataType::new_list(DataType::Int32, true), "integer[]"),
        (DataType::Utf8View, "text"),
    ];
    for (data_type, text) in cases {
        let (oid, modifier) = of_arrow(&data_type);
        assert_eq!(format_type(&catalog, &context, oid, Some(modifier)), text);
        assert_eq!(resolve_type(&catalog, &context, text), Some(oid), "{text}");
    }
    assert_eq!(resolve_type(&catalog, &context, "\"Sum\"[]"), Some(oid::row_array_type(M)));
    assert_eq!(resolve_type(&catalog, &context, "nothing"), None);
    assert_eq!(by_name("timestamptz").map(|t| t.oid), Some(1184));
}

#[test]
fn names_resolve_along_the_path() {
    let catalog = catalog();
    let context = PgContext::default();
    let elsewhere = PgContext { search_path: vec!["sys".to_owned()], ..PgContext::default() };
    let resolve = |c: &PgContext, text: &str| name::resolve_relation(&catalog, c, text);
    assert_eq!(resolve(&context, "t"), Some(T));
    assert_eq!(resolve(&context, "T"), Some(T));
    assert_eq!(resolve(&context, "\"T\""), None);
    assert_eq!(resolve(&context, "public.\"Sum\""), Some(M));
    assert_eq!(resolve(&context, "pg_class"), Some(1259));
    assert_eq!(resolve(&context, "t_pkey"), Some(oid::key_index(T)));
    assert_eq!(resolve(&elsewhere, "t"), None);
    assert_eq!(name::relation_name(&catalog, &context, M).as_deref(), Some("\"Sum\""));
    assert_eq!(name::relation_name(&catalog, &elsewhere, M).as_deref(), Some("public.\"Sum\""));
}

#[test]
fn settings_of_the_session_go_first() {
    let settings = vec![("timezone".to_owned(), "Europe/Berlin".to_owned())];
    let context = PgContext { settings, ..PgContext::default() };
    assert_eq!(setting(&context, "TimeZone"), Some("Europe/Berlin"));
    assert_eq!(setting(&context, "server_version_num"), Some("150018"));
    assert_eq!(setting(&context, "none"), None);
    let batch = rows("pg_settings", &catalog(), &context).unwrap();
    let names: Vec<&str> = batch.column(0).as_string::<i32>().iter().flatten().collect();
    let zones = names.iter().filter(|n| n.eq_ignore_ascii_case("timezone")).count();
    assert_eq!(zones, 1);
}

#[test]
fn relations_of_the_system_are_found_by_name() {
    let table = PgSystemTable {
        oid: 14_001,
        namespace: SYS_OID,
        name: "lineage".to_owned(),
        columns: vec![column("output", DataType::Utf8View, true)],
    };
    let context = PgContext { system_tables: [table].into(), ..PgContext::default() };
    let catalog = catalog();
    assert_eq!(name::resolve_relation(&catalog, &context, "sys.lineage"), Some(14_001));
    let attributes = rows("pg_attribute", &catalog, &context).unwrap();
    assert_eq!(texts(&attributes, "attrelid", "attname")[&14_001], "output");
}
