//! Statistics views: sessions, the database, its tables.

use super::class::schema_of;
use super::namespace::DATABASE;
use super::role::role_oid;
use super::table::{Table, Value};
use super::{View, classes};

pub(super) fn activity(table: &mut Table, view: &View<'_>) {
    for session in view.context.sessions.list() {
        table.push([
            ("datid", DATABASE.into()),
            ("datname", (&view.context.database).into()),
            ("pid", session.pid.into()),
            ("usesysid", role_oid(&session.role).into()),
            ("usename", (&session.role).into()),
            ("application_name", (&session.application).into()),
            ("client_addr", session.client_address.as_ref().into()),
            ("backend_start", session.connected_at.into()),
            ("query_start", session.statement_at.into()),
            ("state_change", session.statement_at.into()),
            ("state", (&session.state).into()),
            ("query", (&session.query).into()),
            ("backend_type", "client backend".into()),
        ]);
    }
}

pub(super) fn databases(table: &mut Table, view: &View<'_>) {
    table.push([
        ("datid", DATABASE.into()),
        ("datname", (&view.context.database).into()),
        ("numbackends", Value::Int(i64::try_from(view.context.sessions.count()).unwrap_or(0))),
    ]);
}

pub(super) fn tables(table: &mut Table, view: &View<'_>) {
    let stored = |kind| matches!(kind, 'r' | 'm');
    for class in classes(view.catalog, view.context).filter(|c| c.is_user() && stored(c.kind)) {
        table.push([
            ("relid", class.oid.into()),
            ("schemaname", schema_of(view, &class).into()),
            ("relname", class.name.as_ref().into()),
        ]);
    }
}
