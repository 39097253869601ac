//! Sources and sinks as foreign tables, their connectors as foreign servers.
//!
//! A connector is a server of the wrapper `levada`; an object's options are those of its foreign table.

use std::collections::BTreeSet;

use super::View;
use super::role::role_oid;
use super::table::Table;
use crate::object::{Detail, Object, ObjectId};

/// OID of the one wrapper.
const WRAPPER: u32 = 14_001;
/// OID of the first connector's server; those that follow are numbered by name.
const FIRST_SERVER: u32 = 14_002;

/// Parts of option names whose values are not shown.
const SECRET_WORDS: &[&str] = &["secret", "password", "token", "access_key", "credential"];

pub(super) fn wrappers(table: &mut Table, _: &View<'_>) {
    table.push([
        ("oid", WRAPPER.into()),
        ("fdwname", "levada".into()),
        ("fdwowner", role_oid("admin").into()),
    ]);
}

pub(super) fn servers(table: &mut Table, view: &View<'_>) {
    for (oid, connector) in (FIRST_SERVER..).zip(connectors(view)) {
        table.push([
            ("oid", oid.into()),
            ("srvname", connector.into()),
            ("srvowner", role_oid("admin").into()),
            ("srvfdw", WRAPPER.into()),
        ]);
    }
}

pub(super) fn tables(table: &mut Table, view: &View<'_>) {
    for (object, connector) in foreign(view) {
        table.push([
            ("ftrelid", object.id.into()),
            ("ftserver", server(view, connector).into()),
            ("ftoptions", options(object).into()),
        ]);
    }
}

/// Sources and sinks with the name of their connector.
pub(super) fn foreign<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a Object, &'a str)> {
    view.catalog.objects().filter_map(|object| match &object.detail {
        Detail::Source { connector, .. } | Detail::Sink { connector, .. } => {
            Some((object.as_ref(), connector.as_str()))
        }
        Detail::Schema { .. }
        | Detail::Table { .. }
        | Detail::View { .. }
        | Detail::MaterializedView { .. }
        | Detail::Pipeline { .. } => None,
    })
}

fn connectors<'a>(view: &View<'a>) -> BTreeSet<&'a str> {
    foreign(view).map(|(_, connector)| connector).collect()
}

fn server(view: &View<'_>, connector: &str) -> ObjectId {
    let numbered = (FIRST_SERVER..).zip(connectors(view));
    numbered.into_iter().find(|(_, c)| *c == connector).map_or(0, |(oid, _)| oid)
}

fn options(object: &Object) -> Vec<String> {
    let (Detail::Source { arguments, options, format, format_options, .. }
    | Detail::Sink { arguments, options, format, format_options, .. }) = &object.detail
    else {
        return Vec::new();
    };
    let location = (1..).zip(arguments).map(|(i, a)| format!("argument_{i}={a}"));
    let format = (!format.is_empty()).then(|| format!("format={format}"));
    let named = options.iter().chain(format_options).map(|(name, value)| {
        let secret = SECRET_WORDS.iter().any(|word| name.to_lowercase().contains(word));
        format!("{name}={}", if secret { "********" } else { value })
    });
    location.chain(format).chain(named).collect()
}
