//! `pg_class`: all relations, those of users, their keys' indexes and the system catalog itself.

use std::borrow::Cow;
use std::sync::Arc;

use super::key::Key;
use super::relation::PgRelation;
use super::table::{Table, Value};
use super::{PgContext, PgSystemTable, View, name, oid, relations, role_oid};
use crate::Catalog;
use crate::object::{Detail, INFORMATION_SCHEMA_OID, Object, ObjectId, PG_CATALOG_OID};

/// OID of access method `heap`.
pub(super) const HEAP: u32 = 2;
/// OID of access method `btree`.
pub(super) const BTREE: u32 = 403;

/// A row of `pg_class` before it is one.
#[derive(Clone, Debug)]
pub struct Class<'a> {
    /// OID.
    pub oid: ObjectId,
    /// Name.
    pub name: Cow<'a, str>,
    /// OID of its schema.
    pub namespace: ObjectId,
    /// Role that owns it.
    pub owner: &'a str,
    /// `relkind`: `r` table, `v` view, `m` materialized view, `f` source or sink, `i` index.
    pub kind: char,
    /// Where it comes from.
    pub origin: Origin<'a>,
}

/// Where a class comes from.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// An object of the catalog.
    Object(&'a Object),
    /// The index of an object's declared key.
    Key(&'a Object),
    /// The system catalog.
    System(&'static PgRelation),
    /// Another relation of the system.
    Extra(&'a PgSystemTable),
}

impl<'a> Class<'a> {
    /// The class of an object, if it is a relation.
    #[must_use]
    pub fn of_object(object: &'a Object) -> Option<Self> {
        let kind = match &object.detail {
            Detail::Table { .. } => 'r',
            Detail::View { .. } => 'v',
            Detail::MaterializedView { .. } => 'm',
            Detail::Source { .. } | Detail::Sink { .. } => 'f',
            Detail::Schema { .. } | Detail::Pipeline { .. } => return None,
        };
        Some(Self {
            oid: object.id,
            name: Cow::Borrowed(&object.name),
            namespace: object.schema,
            owner: &object.owner,
            kind,
            origin: Origin::Object(object),
        })
    }

    fn of_key(object: &'a Object) -> Option<Self> {
        let key = Key::of(object)?;
        Some(Self {
            oid: oid::key_index(object.id),
            name: Cow::Owned(key.name()),
            namespace: object.schema,
            owner: &object.owner,
            kind: 'i',
            origin: Origin::Key(object),
        })
    }

    fn of_system(relation: &'static PgRelation) -> Self {
        let information = relation.schema == "information_schema";
        Self {
            oid: relation.oid,
            name: Cow::Borrowed(relation.name),
            namespace: if information { INFORMATION_SCHEMA_OID } else { PG_CATALOG_OID },
            owner: "admin",
            kind: relation.kind,
            origin: Origin::System(relation),
        }
    }

    fn of_extra(table: &'a PgSystemTable) -> Self {
        Self {
            oid: table.oid,
            name: Cow::Borrowed(&table.name),
            namespace: table.namespace,
            owner: "admin",
            kind: 'r',
            origin: Origin::Extra(table),
        }
    }

    /// Whether a user made it.
    #[must_use]
    pub fn is_user(&self) -> bool {
        !matches!(self.origin, Origin::System(_) | Origin::Extra(_))
    }

    /// The object it is, for relations of users.
    #[must_use]
    pub fn object(&self) -> Option<&'a Object> {
        if let Origin::Object(object) = self.origin { Some(object) } else { None }
    }

    /// How many columns it has.
    #[must_use]
    pub fn width(&self) -> usize {
        match self.origin {
            Origin::Object(object) => object.columns().map_or(0, <[_]>::len),
            Origin::Key(object) => object.key().len(),
            Origin::System(relation) => relation.columns.len(),
            Origin::Extra(table) => table.columns.len(),
        }
    }
}

/// All classes: relations of users, indexes of their keys, then the system's.
pub fn classes<'a>(
    catalog: &'a Catalog,
    context: &'a PgContext,
) -> impl Iterator<Item = Class<'a>> {
    let objects = catalog.objects().map(Arc::as_ref);
    let user = objects.flat_map(|o| Class::of_object(o).into_iter().chain(Class::of_key(o)));
    let extra = context.system_tables.iter().map(Class::of_extra);
    user.chain(extra).chain(relations().iter().map(Class::of_system))
}

/// The class with that OID.
#[must_use]
pub fn class<'a>(catalog: &'a Catalog, context: &'a PgContext, id: ObjectId) -> Option<Class<'a>> {
    if let Some(object) = catalog.get(id) {
        return Class::of_object(object);
    }
    if let Some(owner) = oid::relation_of_key_index(id) {
        return catalog.get(owner).and_then(|o| Class::of_key(o));
    }
    let system = relations().iter().find(|r| r.oid == id).map(Class::of_system);
    system.or_else(|| context.system_tables.iter().find(|t| t.oid == id).map(Class::of_extra))
}

pub(super) fn rows(table: &mut Table, view: &View<'_>) {
    for class in classes(view.catalog, view.context) {
        push(table, &class);
    }
}

fn push(table: &mut Table, class: &Class<'_>) {
    let object = class.object();
    let access_method = match class.kind {
        'r' | 'm' => HEAP,
        'i' => BTREE,
        _ => 0,
    };
    let has_type = object.is_some();
    let rule = matches!(class.kind, 'v' | 'm');
    table.push([
        ("oid", class.oid.into()),
        ("relname", class.name.as_ref().into()),
        ("relnamespace", class.namespace.into()),
        ("reltype", if has_type { oid::row_type(class.oid) } else { 0 }.into()),
        ("relowner", role_oid(class.owner).into()),
        ("relam", access_method.into()),
        ("relfilenode", if access_method == 0 { 0 } else { class.oid }.into()),
        ("reltuples", Value::Real(-1.0)),
        ("relhasindex", object.is_some_and(|o| Key::of(o).is_some()).into()),
        ("relpersistence", "p".into()),
        ("relkind", class.kind.into()),
        ("relnatts", Value::Int(i64::try_from(class.width()).unwrap_or(0))),
        ("relhasrules", rule.into()),
        ("relispopulated", true.into()),
        ("relreplident", if matches!(class.kind, 'r' | 'm') { "d" } else { "n" }.into()),
    ]);
}

/// The schema's name of a class.
pub(super) fn schema_of<'a>(view: &View<'a>, class: &Class<'_>) -> &'a str {
    name::namespace_name(view.catalog, class.namespace).unwrap_or_default()
}
