//! `pg_description`: comments on objects.

use super::View;
use super::table::Table;
use crate::Catalog;
use crate::object::{ObjectId, ObjectKind};

/// OID of relation `pg_class`, the class of relations.
pub(super) const PG_CLASS: u32 = 1259;
/// OID of relation `pg_namespace`, the class of schemas.
const PG_NAMESPACE: u32 = 2615;

pub(super) fn descriptions(table: &mut Table, view: &View<'_>) {
    for object in view.catalog.objects() {
        let class = match object.kind() {
            ObjectKind::Schema => PG_NAMESPACE,
            ObjectKind::Pipeline => continue,
            ObjectKind::Table
            | ObjectKind::Source
            | ObjectKind::View
            | ObjectKind::MaterializedView
            | ObjectKind::Sink => PG_CLASS,
        };
        if let Some(comment) = &object.comment {
            table.push([
                ("objoid", object.id.into()),
                ("classoid", class.into()),
                ("description", comment.into()),
            ]);
        }
    }
}

/// The comment on an object; `class` restricts it to `pg_class` or `pg_namespace`.
#[must_use]
pub fn comment<'a>(catalog: &'a Catalog, id: ObjectId, class: Option<&str>) -> Option<&'a str> {
    let object = catalog.get(id)?;
    let own = if object.kind() == ObjectKind::Schema { "pg_namespace" } else { "pg_class" };
    if class.is_some_and(|c| c != own) {
        return None;
    }
    object.comment.as_deref()
}
