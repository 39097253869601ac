//! The filled relations of `information_schema`.
//!
//! Materialized views are listed here too, as `MATERIALIZED VIEW`: `PostgreSQL` hides them, but tools that read
//! only this schema would miss what this database is about.

use super::class::{Class, schema_of};
use super::key::{Key, keys};
use super::table::{Table, Value};
use super::{View, classes, definition, format_type, name, of_arrow, role, type_by_oid};
use crate::object::{Column, Object};

pub(super) fn catalog_name(table: &mut Table, view: &View<'_>) {
    table.push([("catalog_name", (&view.context.database).into())]);
}

pub(super) fn schemata(table: &mut Table, view: &View<'_>) {
    for schema in view.catalog.objects_of(crate::ObjectKind::Schema) {
        table.push([
            ("catalog_name", (&view.context.database).into()),
            ("schema_name", (&schema.name).into()),
            ("schema_owner", (&schema.owner).into()),
        ]);
    }
}

pub(super) fn tables(table: &mut Table, view: &View<'_>) {
    for class in classes(view.catalog, view.context).filter(|c| c.kind != 'i') {
        let (kind, writable) = match class.kind {
            'v' => ("VIEW", false),
            'm' => ("MATERIALIZED VIEW", false),
            'f' => ("FOREIGN", false),
            _ => ("BASE TABLE", class.is_user()),
        };
        let cells = [
            ("table_type", kind.into()),
            ("is_insertable_into", yes_no(writable)),
            ("is_typed", yes_no(false)),
        ];
        table.push_all(table_cells(view, &class).into_iter().chain(cells));
    }
}

pub(super) fn views(table: &mut Table, view: &View<'_>) {
    for class in classes(view.catalog, view.context).filter(|c| matches!(c.kind, 'v' | 'm')) {
        let cells = [
            ("view_definition", definition::view(view.catalog, class.oid).into()),
            ("check_option", "NONE".into()),
            ("is_updatable", yes_no(false)),
            ("is_insertable_into", yes_no(false)),
            ("is_trigger_updatable", yes_no(false)),
            ("is_trigger_deletable", yes_no(false)),
            ("is_trigger_insertable_into", yes_no(false)),
        ];
        table.push_all(table_cells(view, &class).into_iter().chain(cells));
    }
}

pub(super) fn columns(table: &mut Table, view: &View<'_>) {
    for class in classes(view.catalog, view.context).filter(|c| c.kind != 'i') {
        match class.origin {
            super::class::Origin::System(relation) => {
                for (number, column) in (1..).zip(&relation.columns) {
                    let oid = super::types::by_name(column.type_name).map_or(0, |t| t.oid);
                    let entry = Entry {
                        name: column.name,
                        oid,
                        modifier: -1,
                        nullable: !column.not_null,
                        default: None,
                    };
                    push_column(table, view, &class, number, &entry);
                }
            }
            super::class::Origin::Object(object) => {
                for (number, column) in (1..).zip(object.columns().unwrap_or_default()) {
                    push_column(table, view, &class, number, &Entry::of(column));
                }
            }
            super::class::Origin::Extra(extra) => {
                for (number, column) in (1..).zip(&extra.columns) {
                    push_column(table, view, &class, number, &Entry::of(column));
                }
            }
            super::class::Origin::Key(_) => {}
        }
    }
}

struct Entry<'a> {
    name: &'a str,
    oid: u32,
    modifier: i32,
    nullable: bool,
    default: Option<&'a str>,
}

impl<'a> Entry<'a> {
    fn of(column: &'a Column) -> Self {
        let (oid, modifier) = of_arrow(&column.data_type);
        Self {
            name: &column.name,
            oid,
            modifier,
            nullable: column.nullable,
            default: column.default.as_deref(),
        }
    }
}

fn push_column(
    table: &mut Table,
    view: &View<'_>,
    class: &Class<'_>,
    number: i32,
    entry: &Entry<'_>,
) {
    let found = type_by_oid(entry.oid);
    let is_array = found.is_some_and(|t| t.element != 0 && t.name.starts_with('_'));
    let data_type = if is_array {
        "ARRAY".to_owned()
    } else {
        format_type(view.catalog, view.context, entry.oid, None)
    };
    let (precision, radix, scale) = numeric_size(entry.oid, entry.modifier);
    let fractions = matches!(entry.oid, 1083 | 1114 | 1184 | 1266 | 1186).then_some(6);
    let date = (entry.oid == 1082).then_some(0);
    let characters = (matches!(entry.oid, 25 | 1043)).then_some(1_073_741_824);
    let cells = [
        ("column_name", entry.name.into()),
        ("ordinal_position", number.into()),
        ("column_default", entry.default.into()),
        ("is_nullable", yes_no(entry.nullable)),
        ("data_type", data_type.into()),
        ("character_octet_length", characters.into()),
        ("numeric_precision", precision.into()),
        ("numeric_precision_radix", radix.into()),
        ("numeric_scale", scale.into()),
        ("datetime_precision", fractions.or(date).into()),
        ("udt_catalog", (&view.context.database).into()),
        ("udt_schema", "pg_catalog".into()),
        ("udt_name", found.map(|t| t.name).into()),
        ("dtd_identifier", number.to_string().into()),
        ("is_self_referencing", yes_no(false)),
        ("is_identity", yes_no(false)),
        ("identity_cycle", yes_no(false)),
        ("is_generated", "NEVER".into()),
        ("is_updatable", yes_no(class.kind == 'r' && class.is_user())),
    ];
    table.push_all(table_cells(view, class).into_iter().chain(cells));
}

/// Precision, radix and scale of a numeric type.
fn numeric_size(oid: u32, modifier: i32) -> (Option<i32>, Option<i32>, Option<i32>) {
    match oid {
        21 => (Some(16), Some(2), Some(0)),
        23 => (Some(32), Some(2), Some(0)),
        20 => (Some(64), Some(2), Some(0)),
        700 => (Some(24), Some(2), None),
        701 => (Some(53), Some(2), None),
        1700 if modifier >= 4 => {
            (Some((modifier - 4) >> 16), Some(10), Some((modifier - 4) & 0x7ff))
        }
        1700 => (None, Some(10), None),
        _ => (None, None, None),
    }
}

pub(super) fn table_constraints(table: &mut Table, view: &View<'_>) {
    for key in keys(view).filter(Key::is_primary) {
        let cells = [
            ("table_catalog", (&view.context.database).into()),
            ("table_schema", schema(view, key.object).into()),
            ("table_name", (&key.object.name).into()),
            ("constraint_type", "PRIMARY KEY".into()),
            ("is_deferrable", yes_no(false)),
            ("initially_deferred", yes_no(false)),
            ("enforced", yes_no(true)),
        ];
        table.push_all(constraint_cells(view, &key).into_iter().chain(cells));
    }
}

pub(super) fn key_columns(table: &mut Table, view: &View<'_>) {
    for key in keys(view).filter(Key::is_primary) {
        for (position, (_, column)) in (1_i32..).zip(key.columns()) {
            let cells = [
                ("table_catalog", (&view.context.database).into()),
                ("table_schema", schema(view, key.object).into()),
                ("table_name", (&key.object.name).into()),
                ("column_name", (&column.name).into()),
                ("ordinal_position", position.into()),
            ];
            table.push_all(constraint_cells(view, &key).into_iter().chain(cells));
        }
    }
}

pub(super) fn constraint_columns(table: &mut Table, view: &View<'_>) {
    for key in keys(view).filter(Key::is_primary) {
        for (_, column) in key.columns() {
            let cells = [
                ("table_catalog", (&view.context.database).into()),
                ("table_schema", schema(view, key.object).into()),
                ("table_name", (&key.object.name).into()),
                ("column_name", (&column.name).into()),
            ];
            table.push_all(constraint_cells(view, &key).into_iter().chain(cells));
        }
    }
}

pub(super) fn constraint_tables(table: &mut Table, view: &View<'_>) {
    for key in keys(view).filter(Key::is_primary) {
        let cells = [
            ("table_catalog", (&view.context.database).into()),
            ("table_schema", schema(view, key.object).into()),
            ("table_name", (&key.object.name).into()),
        ];
        table.push_all(constraint_cells(view, &key).into_iter().chain(cells));
    }
}

pub(super) fn view_tables(table: &mut Table, view: &View<'_>) {
    for class in classes(view.catalog, view.context).filter(|c| matches!(c.kind, 'v' | 'm')) {
        let needed = class.object().map(|o| o.depends_on.as_slice()).unwrap_or_default();
        for used in needed.iter().filter_map(|id| super::class(view.catalog, view.context, *id)) {
            table.push([
                ("view_catalog", (&view.context.database).into()),
                ("view_schema", schema_of(view, &class).into()),
                ("view_name", class.name.as_ref().into()),
                ("table_catalog", (&view.context.database).into()),
                ("table_schema", schema_of(view, &used).into()),
                ("table_name", used.name.as_ref().into()),
            ]);
        }
    }
}

pub(super) fn foreign_tables(table: &mut Table, view: &View<'_>) {
    for (object, connector) in super::foreign::foreign(view) {
        table.push([
            ("foreign_table_catalog", (&view.context.database).into()),
            ("foreign_table_schema", schema(view, object).into()),
            ("foreign_table_name", (&object.name).into()),
            ("foreign_server_catalog", (&view.context.database).into()),
            ("foreign_server_name", connector.into()),
        ]);
    }
}

pub(super) fn table_privileges(table: &mut Table, view: &View<'_>) {
    for class in classes(view.catalog, view.context).filter(|c| c.is_user() && c.kind != 'i') {
        let rights: &[&str] = match class.kind {
            'r' => &["INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE"],
            _ => &["SELECT"],
        };
        for right in rights {
            let cells = [
                ("grantor", class.owner.into()),
                ("grantee", class.owner.into()),
                ("privilege_type", (*right).into()),
                ("is_grantable", yes_no(true)),
                ("with_hierarchy", yes_no(*right == "SELECT")),
            ];
            table.push_all(table_cells(view, &class).into_iter().chain(cells));
        }
    }
}

pub(super) fn enabled_roles(table: &mut Table, view: &View<'_>) {
    let applicable = table.has_column("grantee");
    for role in role::roles(view.catalog, view.context) {
        let own = role.name == view.context.role;
        if own && !applicable {
            table.push([("role_name", role.name.into())]);
        } else if applicable && own {
            for group in role.groups() {
                table.push([
                    ("grantee", (&role.name).into()),
                    ("role_name", group.into()),
                    ("is_grantable", yes_no(false)),
                ]);
            }
        }
    }
}

pub(super) fn character_sets(table: &mut Table, view: &View<'_>) {
    table.push([
        ("character_set_name", "UTF8".into()),
        ("character_repertoire", "UCS".into()),
        ("form_of_use", "UTF8".into()),
        ("default_collate_catalog", (&view.context.database).into()),
        ("default_collate_schema", "pg_catalog".into()),
        ("default_collate_name", "default".into()),
    ]);
}

fn table_cells(view: &View<'_>, class: &Class<'_>) -> [(&'static str, Value); 3] {
    [
        ("table_catalog", (&view.context.database).into()),
        ("table_schema", schema_of(view, class).into()),
        ("table_name", class.name.as_ref().into()),
    ]
}

fn constraint_cells(view: &View<'_>, key: &Key<'_>) -> [(&'static str, Value); 3] {
    [
        ("constraint_catalog", (&view.context.database).into()),
        ("constraint_schema", schema(view, key.object).into()),
        ("constraint_name", key.name().into()),
    ]
}

fn schema<'a>(view: &View<'a>, object: &Object) -> &'a str {
    name::namespace_name(view.catalog, object.schema).unwrap_or_default()
}

fn yes_no(yes: bool) -> Value {
    if yes { "YES" } else { "NO" }.into()
}
