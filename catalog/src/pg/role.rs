//! Roles: `pg_roles`, `pg_authid`, `pg_user`, `pg_auth_members`.

use std::collections::BTreeMap;

use super::table::{Table, Value};
use super::{PgContext, View};
use crate::Catalog;
use crate::object::ObjectId;

/// OID of the role that owns the system, as in `PostgreSQL`.
const BOOTSTRAP: ObjectId = 10;

/// A role that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// OID.
    pub oid: ObjectId,
    /// Name.
    pub name: String,
    /// Whether all rights are its.
    pub superuser: bool,
    /// Whether it may log in.
    pub login: bool,
    member_of: Vec<String>,
}

impl Role {
    /// Names of the roles it is a member of.
    #[must_use]
    pub fn groups(&self) -> &[String] {
        &self.member_of
    }
}

/// The OID of a role: the same for the same name, in every session and after every restart.
#[must_use]
pub fn role_oid(name: &str) -> ObjectId {
    if name == "admin" {
        return BOOTSTRAP;
    }
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    (7 << 28) | (hash & 0x0fff_ffff)
}

/// All roles: those of the context, the session's own, and the owners of objects.
#[must_use]
pub fn roles(catalog: &Catalog, context: &PgContext) -> Vec<Role> {
    let mut all = BTreeMap::new();
    for role in &context.roles {
        let known = Role {
            oid: role_oid(&role.name),
            name: role.name.clone(),
            superuser: role.superuser,
            login: role.login,
            member_of: role.member_of.clone(),
        };
        all.insert(role.name.clone(), known);
    }
    let owners = catalog.objects().map(|o| o.owner.as_str());
    for name in [context.role.as_str(), &context.session_role, "admin"].into_iter().chain(owners) {
        if !all.contains_key(name) {
            let superuser = name == "admin";
            let role = Role {
                oid: role_oid(name),
                name: name.to_owned(),
                superuser,
                login: true,
                member_of: Vec::new(),
            };
            all.insert(name.to_owned(), role);
        }
    }
    all.into_values().collect()
}

pub(super) fn role_rows(table: &mut Table, view: &View<'_>) {
    for role in roles(view.catalog, view.context) {
        table.push_all(role_cells(&role).into_iter().chain([("rolpassword", "********".into())]));
    }
}

pub(super) fn authids(table: &mut Table, view: &View<'_>) {
    for role in roles(view.catalog, view.context) {
        table.push(role_cells(&role));
    }
}

fn role_cells(role: &Role) -> [(&'static str, Value); 9] {
    [
        ("oid", role.oid.into()),
        ("rolname", (&role.name).into()),
        ("rolsuper", role.superuser.into()),
        ("rolinherit", true.into()),
        ("rolcreaterole", role.superuser.into()),
        ("rolcreatedb", role.superuser.into()),
        ("rolcanlogin", role.login.into()),
        ("rolreplication", role.superuser.into()),
        ("rolbypassrls", role.superuser.into()),
    ]
}

/// `pg_user` and `pg_shadow`, which have the same columns.
pub(super) fn users(table: &mut Table, view: &View<'_>) {
    for role in roles(view.catalog, view.context).into_iter().filter(|r| r.login) {
        table.push([
            ("usename", role.name.into()),
            ("usesysid", role.oid.into()),
            ("usecreatedb", role.superuser.into()),
            ("usesuper", role.superuser.into()),
            ("userepl", role.superuser.into()),
            ("usebypassrls", role.superuser.into()),
            ("passwd", "********".into()),
        ]);
    }
}

pub(super) fn members(table: &mut Table, view: &View<'_>) {
    for role in roles(view.catalog, view.context) {
        for group in &role.member_of {
            table.push([
                ("roleid", role_oid(group).into()),
                ("member", role.oid.into()),
                ("grantor", BOOTSTRAP.into()),
            ]);
        }
    }
}
