//! Schemas, databases and tablespaces.

use super::role::role_oid;
use super::table::{Table, Value};
use super::{View, name};
use crate::object::ObjectKind;

/// OID of the database, the one `PostgreSQL` 15 gives its first.
pub(super) const DATABASE: u32 = 5;

/// OID of tablespace `pg_default`.
const DEFAULT_TABLESPACE: u32 = 1663;

pub(super) fn namespaces(table: &mut Table, view: &View<'_>) {
    for schema in view.catalog.objects_of(ObjectKind::Schema) {
        table.push([
            ("oid", schema.id.into()),
            ("nspname", (&schema.name).into()),
            ("nspowner", role_oid(&schema.owner).into()),
        ]);
    }
}

pub(super) fn databases(table: &mut Table, view: &View<'_>) {
    let owner = name::namespace_oid(view.catalog, "public").and_then(|id| view.catalog.get(id));
    table.push([
        ("oid", DATABASE.into()),
        ("datname", (&view.context.database).into()),
        ("datdba", role_oid(owner.map_or("admin", |o| &o.owner)).into()),
        ("encoding", Value::Int(6)),
        ("datlocprovider", "c".into()),
        ("datallowconn", true.into()),
        ("datconnlimit", Value::Int(-1)),
        ("dattablespace", DEFAULT_TABLESPACE.into()),
        ("datcollate", "C.UTF-8".into()),
        ("datctype", "C.UTF-8".into()),
    ]);
}

pub(super) fn tablespaces(table: &mut Table, _: &View<'_>) {
    for (oid, name) in [(DEFAULT_TABLESPACE, "pg_default"), (1664, "pg_global")] {
        table.push([
            ("oid", oid.into()),
            ("spcname", name.into()),
            ("spcowner", role_oid("admin").into()),
        ]);
    }
}
