//! Rows that no statement changes: access methods, casts, operators, functions of the types.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::role::role_oid;
use super::table::{Table, Value};
use super::{View, resolve_type};
use crate::object::{ObjectId, PG_CATALOG_OID};

const PROCEDURES: &str = include_str!("data/pg_proc.tsv");
const OPERATOR_CLASSES: &str = include_str!("data/pg_opclass.tsv");

/// OID of the first function that the context adds.
const FIRST_FUNCTION: u32 = 15_000;
/// OID of language `internal`.
const INTERNAL: u32 = 12;

pub(super) fn access_methods(table: &mut Table, _: &View<'_>) {
    for (oid, name, handler, kind) in [(2_u32, "heap", 3_u32, "t"), (403, "btree", 330, "i")] {
        table.push([
            ("oid", oid.into()),
            ("amname", name.into()),
            ("amhandler", handler.into()),
            ("amtype", kind.into()),
        ]);
    }
}

pub(super) fn casts(table: &mut Table, _: &View<'_>) {
    table.push_file(include_str!("data/pg_cast.tsv"), &[]);
}

pub(super) fn ranges(table: &mut Table, _: &View<'_>) {
    table.push_file(include_str!("data/pg_range.tsv"), &[]);
}

pub(super) fn operators(table: &mut Table, _: &View<'_>) {
    table.push_file(include_str!("data/pg_operator.tsv"), &in_catalog("oprnamespace", "oprowner"));
}

pub(super) fn operator_classes(table: &mut Table, _: &View<'_>) {
    table.push_file(OPERATOR_CLASSES, &in_catalog("opcnamespace", "opcowner"));
}

pub(super) fn operator_families(table: &mut Table, _: &View<'_>) {
    table.push_file(include_str!("data/pg_opfamily.tsv"), &in_catalog("opfnamespace", "opfowner"));
}

pub(super) fn collations(table: &mut Table, _: &View<'_>) {
    let rows = [
        (100_u32, "default", "d", None),
        (950, "C", "c", Some("C")),
        (951, "POSIX", "c", Some("POSIX")),
    ];
    for (oid, name, provider, locale) in rows {
        table.push([
            ("oid", oid.into()),
            ("collname", name.into()),
            ("collnamespace", PG_CATALOG_OID.into()),
            ("collowner", role_oid("admin").into()),
            ("collprovider", provider.into()),
            ("collisdeterministic", true.into()),
            ("collencoding", Value::Int(-1)),
            ("collcollate", locale.into()),
            ("collctype", locale.into()),
        ]);
    }
}

pub(super) fn languages(table: &mut Table, _: &View<'_>) {
    for (oid, name, trusted) in [(INTERNAL, "internal", false), (14, "sql", true)] {
        table.push([
            ("oid", oid.into()),
            ("lanname", name.into()),
            ("lanowner", role_oid("admin").into()),
            ("lanpltrusted", trusted.into()),
        ]);
    }
}

/// `pg_proc`: the functions of the types, then those that the context names.
pub(super) fn functions(table: &mut Table, view: &View<'_>) {
    let owned = in_catalog("pronamespace", "proowner");
    let cost = [("procost", Value::Real(1.0))];
    table.push_file(PROCEDURES, &[owned.as_slice(), &cost].concat());
    for (oid, function) in (FIRST_FUNCTION..).zip(&view.context.functions) {
        let types = |name: &String| resolve_type(view.catalog, view.context, name).unwrap_or(0);
        let arguments: Vec<ObjectId> = function.arguments.iter().map(types).collect();
        let cells = [
            ("oid", oid.into()),
            ("proname", Value::from(&function.name)),
            ("prolang", INTERNAL.into()),
            ("prokind", function.kind.into()),
            ("provolatile", "s".into()),
            ("proparallel", "s".into()),
            ("pronargs", Value::Int(i64::try_from(arguments.len()).unwrap_or(0))),
            ("prorettype", types(&function.result).into()),
            ("proargtypes", arguments.into()),
            ("prosrc", (&function.name).into()),
        ];
        table.push_all(cells.into_iter().chain(owned.clone()).chain(cost.clone()));
    }
}

/// A function of the types.
#[derive(Clone, Copy, Debug)]
pub struct BuiltInFunction {
    /// OID.
    pub oid: ObjectId,
    /// Name.
    pub name: &'static str,
    /// Type of the result.
    pub result: ObjectId,
    /// Types of the arguments, as `oidvector` prints them.
    pub arguments: &'static str,
}

/// The functions of the types, by OID.
#[must_use]
pub fn built_in_functions() -> &'static HashMap<ObjectId, BuiltInFunction> {
    static FUNCTIONS: LazyLock<HashMap<ObjectId, BuiltInFunction>> =
        LazyLock::new(|| PROCEDURES.lines().skip(1).filter_map(parse_function).collect());
    &FUNCTIONS
}

fn parse_function(line: &'static str) -> Option<(ObjectId, BuiltInFunction)> {
    let cells: Vec<&'static str> = line.split('\t').collect();
    let oid = cells.first()?.parse().ok()?;
    let function = BuiltInFunction {
        oid,
        name: cells.get(1)?,
        result: cells.get(11)?.parse().ok()?,
        arguments: cells.get(12)?,
    };
    Some((oid, function))
}

/// The OID of a function of the types by name; the lowest when the name is overloaded, 0 when unknown.
#[must_use]
pub fn function_oid(name: &str) -> ObjectId {
    static BY_NAME: LazyLock<HashMap<&'static str, ObjectId>> = LazyLock::new(|| {
        let mut names = HashMap::new();
        for line in PROCEDURES.lines().skip(1) {
            if let Some((oid, function)) = parse_function(line) {
                names.entry(function.name).or_insert(oid);
            }
        }
        names
    });
    BY_NAME.get(name).copied().unwrap_or(0)
}

/// The default btree operator class of a type, 0 when it has none.
pub(super) fn operator_class_of(type_oid: ObjectId) -> ObjectId {
    let wanted = type_oid.to_string();
    let rows = OPERATOR_CLASSES.lines().skip(1).map(|l| l.split('\t').collect::<Vec<_>>());
    let mut found = rows.filter(|cells| cells.get(4).is_some_and(|t| *t == wanted));
    found.find_map(|cells| cells.first()?.parse().ok()).unwrap_or(0)
}

fn in_catalog(namespace: &'static str, owner: &'static str) -> [(&'static str, Value); 2] {
    [(namespace, PG_CATALOG_OID.into()), (owner, role_oid("admin").into())]
}
