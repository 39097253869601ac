//! `pg_tables`, `pg_views`, `pg_matviews`, `pg_indexes`: relations by name.

use super::class::{Class, schema_of};
use super::key::{Key, keys};
use super::table::Table;
use super::{View, classes, definition, name, oid};

pub(super) fn tables(table: &mut Table, view: &View<'_>) {
    for class in classes(view.catalog, view.context).filter(|c| c.kind == 'r') {
        table.push([
            ("schemaname", schema_of(view, &class).into()),
            ("tablename", class.name.as_ref().into()),
            ("tableowner", class.owner.into()),
            ("hasindexes", has_key(&class).into()),
            ("hasrules", false.into()),
            ("hastriggers", false.into()),
            ("rowsecurity", false.into()),
        ]);
    }
}

pub(super) fn views(table: &mut Table, view: &View<'_>) {
    for class in classes(view.catalog, view.context).filter(|c| c.kind == 'v') {
        table.push([
            ("schemaname", schema_of(view, &class).into()),
            ("viewname", class.name.as_ref().into()),
            ("viewowner", class.owner.into()),
            ("definition", definition::view(view.catalog, class.oid).into()),
        ]);
    }
}

pub(super) fn materialized_views(table: &mut Table, view: &View<'_>) {
    for class in classes(view.catalog, view.context).filter(|c| c.kind == 'm') {
        table.push([
            ("schemaname", schema_of(view, &class).into()),
            ("matviewname", class.name.as_ref().into()),
            ("matviewowner", class.owner.into()),
            ("hasindexes", has_key(&class).into()),
            ("ispopulated", true.into()),
            ("definition", definition::view(view.catalog, class.oid).into()),
        ]);
    }
}

pub(super) fn indexes(table: &mut Table, view: &View<'_>) {
    for key in keys(view) {
        let schema = name::namespace_name(view.catalog, key.object.schema).unwrap_or_default();
        let text = definition::index(view.catalog, oid::key_index(key.object.id), 0);
        table.push([
            ("schemaname", schema.into()),
            ("tablename", (&key.object.name).into()),
            ("indexname", key.name().into()),
            ("indexdef", text.into()),
        ]);
    }
}

fn has_key(class: &Class<'_>) -> bool {
    class.object().is_some_and(|o| Key::of(o).is_some())
}
