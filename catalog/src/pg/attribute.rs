//! `pg_attribute` and `pg_attrdef`: columns and their defaults.

use super::class::{Class, Origin};
use super::key::Key;
use super::table::{Table, Value};
use super::{View, classes, of_arrow, oid, type_by_oid};
use crate::object::{Column, ObjectId};

pub(super) fn attributes(table: &mut Table, view: &View<'_>) {
    for class in classes(view.catalog, view.context) {
        push_class(table, &class);
    }
}

fn push_class(table: &mut Table, class: &Class<'_>) {
    match class.origin {
        Origin::Object(object) => {
            for (number, column) in (1..).zip(object.columns().unwrap_or_default()) {
                push_column(table, class.oid, number, column, !column.nullable);
            }
        }
        Origin::Key(object) => {
            let columns = Key::of(object).into_iter().flat_map(Key::columns);
            for (number, (_, column)) in (1..).zip(columns) {
                push_column(table, class.oid, number, column, false);
            }
        }
        Origin::Extra(extra) => {
            for (number, column) in (1..).zip(&extra.columns) {
                push_column(table, class.oid, number, column, !column.nullable);
            }
        }
        Origin::System(relation) => {
            for (number, column) in (1..).zip(&relation.columns) {
                let found = super::types::by_name(column.type_name).map_or(0, |t| t.oid);
                let attribute = Attribute {
                    name: column.name,
                    type_oid: found,
                    modifier: -1,
                    not_null: column.not_null,
                };
                push(table, class.oid, number, &attribute, false);
            }
        }
    }
}

struct Attribute<'a> {
    name: &'a str,
    type_oid: ObjectId,
    modifier: i32,
    not_null: bool,
}

fn push_column(
    table: &mut Table,
    relation: ObjectId,
    number: i16,
    column: &Column,
    not_null: bool,
) {
    let (type_oid, modifier) = of_arrow(&column.data_type);
    let attribute = Attribute { name: &column.name, type_oid, modifier, not_null };
    push(table, relation, number, &attribute, column.default.is_some());
}

fn push(
    table: &mut Table,
    relation: ObjectId,
    number: i16,
    attribute: &Attribute<'_>,
    has_default: bool,
) {
    let found = type_by_oid(attribute.type_oid);
    let is_array = found.is_some_and(|t| t.element != 0 && t.name.starts_with('_'));
    table.push([
        ("attrelid", relation.into()),
        ("attname", attribute.name.into()),
        ("atttypid", attribute.type_oid.into()),
        ("attstattarget", Value::Int(-1)),
        ("attlen", found.map_or(-1, |t| t.length).into()),
        ("attnum", number.into()),
        ("attndims", i32::from(is_array).into()),
        ("attcacheoff", Value::Int(-1)),
        ("atttypmod", attribute.modifier.into()),
        ("attbyval", found.is_some_and(|t| t.by_value).into()),
        ("attalign", found.map_or("d", |t| t.align).into()),
        ("attstorage", found.map_or("x", |t| t.storage).into()),
        ("attnotnull", attribute.not_null.into()),
        ("atthasdef", has_default.into()),
        ("attislocal", true.into()),
        ("attcollation", found.map_or(0, |t| t.collation).into()),
    ]);
}

pub(super) fn defaults(table: &mut Table, view: &View<'_>) {
    for object in view.catalog.objects() {
        for (number, column) in (1..).zip(object.columns().unwrap_or_default()) {
            let Some(expression) = &column.default else { continue };
            table.push([
                ("oid", oid::default_of(object.id, number).into()),
                ("adrelid", object.id.into()),
                ("adnum", number.into()),
                ("adbin", expression.into()),
            ]);
        }
    }
}
