//! `pg_rewrite` and `pg_depend`: which view needs which relation.
//!
//! As in `PostgreSQL`, a view's rule stands between: the rule is internal to the view and needs the relations that
//! the query names.

use super::description::PG_CLASS;
use super::table::Table;
use super::{View, class, oid};
use crate::object::{Object, ObjectKind};

/// OID of relation `pg_rewrite`, the class of rules.
const PG_REWRITE: u32 = 2618;

pub(super) fn rewrites(table: &mut Table, view: &View<'_>) {
    for object in views(view) {
        table.push([
            ("oid", oid::rewrite_rule(object.id).into()),
            ("rulename", "_RETURN".into()),
            ("ev_class", object.id.into()),
            ("ev_type", "1".into()),
            ("ev_enabled", "O".into()),
            ("is_instead", true.into()),
            ("ev_qual", "<>".into()),
            ("ev_action", query(object).into()),
        ]);
    }
}

pub(super) fn dependencies(table: &mut Table, view: &View<'_>) {
    for object in views(view) {
        push(table, object.id, object.id, "i");
        for needed in &object.depends_on {
            if class(view.catalog, view.context, *needed).is_some() {
                push(table, object.id, *needed, "n");
            }
        }
    }
}

fn push(table: &mut Table, owner: u32, needed: u32, kind: &str) {
    table.push([
        ("classid", PG_REWRITE.into()),
        ("objid", oid::rewrite_rule(owner).into()),
        ("refclassid", PG_CLASS.into()),
        ("refobjid", needed.into()),
        ("deptype", kind.into()),
    ]);
}

fn views<'a>(view: &View<'a>) -> impl Iterator<Item = &'a Object> {
    let kinds = [ObjectKind::View, ObjectKind::MaterializedView];
    view.catalog.objects().map(AsRef::as_ref).filter(move |o: &&Object| kinds.contains(&o.kind()))
}

fn query(object: &Object) -> &str {
    super::definition::query(object).unwrap_or_default()
}
