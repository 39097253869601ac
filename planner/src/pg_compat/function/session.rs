//! Functions about the session and the server.

use datafusion::common::Result;
use levada_catalog::pg::name::namespace_oid;
use levada_catalog::pg::{SERVER_VERSION, roles, setting};

use super::{Cell, Kind, Snapshot, Spec, argument, none, spec};
use crate::pg_compat::{SettingChange, error};

pub(super) const FUNCTIONS: &[Spec] = &[
    spec("version", 0..=0, Kind::Text, version),
    spec("current_database", 0..=0, Kind::Name, current_database),
    spec("current_catalog", 0..=0, Kind::Name, current_database),
    spec("current_user", 0..=0, Kind::Name, current_user),
    spec("current_role", 0..=0, Kind::Name, current_user),
    spec("user", 0..=0, Kind::Name, current_user),
    spec("session_user", 0..=0, Kind::Name, session_user),
    spec("current_schema", 0..=0, Kind::Name, current_schema),
    spec("current_schemas", 1..=1, Kind::Names, current_schemas),
    spec("current_setting", 1..=2, Kind::Text, current_setting),
    spec("set_config", 3..=3, Kind::Text, set_config),
    spec("pg_backend_pid", 0..=0, Kind::Int4, backend_pid),
    spec("pg_cancel_backend", 1..=1, Kind::Bool, cancel_backend),
    spec("pg_is_in_recovery", 0..=0, Kind::Bool, no),
    spec("pg_is_wal_replay_paused", 0..=0, Kind::Bool, no),
    spec("pg_jit_available", 0..=0, Kind::Bool, no),
    spec("pg_postmaster_start_time", 0..=0, Kind::Timestamptz, started_at),
    spec("pg_conf_load_time", 0..=0, Kind::Timestamptz, started_at),
    spec("txid_current", 0..=0, Kind::Int8, epoch),
    spec("txid_current_if_assigned", 0..=0, Kind::Int8, none),
    spec("pg_current_xact_id", 0..=0, Kind::Int8, epoch),
    spec("pg_my_temp_schema", 0..=0, Kind::Oid, zero),
    spec("pg_is_other_temp_schema", 1..=1, Kind::Bool, no),
    spec("inet_client_addr", 0..=0, Kind::Text, client_address),
    spec("inet_client_port", 0..=0, Kind::Int4, none),
    spec("inet_server_addr", 0..=0, Kind::Text, none),
    spec("inet_server_port", 0..=0, Kind::Int4, none),
    spec("pg_get_userbyid", 1..=1, Kind::Name, user_by_id),
    spec("pg_client_encoding", 0..=0, Kind::Name, utf8),
    spec("getdatabaseencoding", 0..=0, Kind::Name, utf8),
    spec("pg_encoding_to_char", 1..=1, Kind::Name, encoding_name),
    spec("pg_char_to_encoding", 1..=1, Kind::Int4, encoding_number),
    spec("pg_blocking_pids", 1..=1, Kind::Ints, no_pids),
    spec("pg_tablespace_location", 1..=1, Kind::Text, no_location),
    spec("pg_advisory_unlock_all", 0..=0, Kind::Void, nothing),
];

fn version(_: &Snapshot, _: &[Cell]) -> Result<Cell> {
    Ok(format!(
        "PostgreSQL {SERVER_VERSION} (Levada {}, DataFusion {}) on {}-{}",
        env!("CARGO_PKG_VERSION"),
        datafusion::DATAFUSION_VERSION,
        std::env::consts::ARCH,
        std::env::consts::OS,
    )
    .into())
}

fn current_database(snapshot: &Snapshot, _: &[Cell]) -> Result<Cell> {
    Ok(snapshot.context().database.as_str().into())
}

fn current_user(snapshot: &Snapshot, _: &[Cell]) -> Result<Cell> {
    Ok(snapshot.context().role.as_str().into())
}

fn session_user(snapshot: &Snapshot, _: &[Cell]) -> Result<Cell> {
    Ok(snapshot.context().session_role.as_str().into())
}

fn current_schema(snapshot: &Snapshot, _: &[Cell]) -> Result<Cell> {
    Ok(existing_path(snapshot, false).first().copied().into())
}

fn current_schemas(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let Some(implicit) = argument(row, 0).bool() else { return Ok(Cell::Null) };
    let path = existing_path(snapshot, implicit);
    Ok(Cell::List(path.into_iter().map(Cell::from).collect()))
}

/// The schemas of the search path that exist, with those searched unasked if `implicit`.
fn existing_path(snapshot: &Snapshot, implicit: bool) -> Vec<&str> {
    let context = snapshot.context();
    let named = |s: &&str| context.search_path.iter().any(|n| n == s);
    let path = context.effective_path().into_iter();
    path.filter(|s| namespace_oid(snapshot.catalog(), s).is_some())
        .filter(|s| implicit || *s != "pg_catalog" || named(s))
        .collect()
}

fn current_setting(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let Some(name) = argument(row, 0).text() else { return Ok(Cell::Null) };
    match setting(snapshot.context(), &name) {
        Some(value) => Ok(value.into()),
        None if argument(row, 1).bool() == Some(true) => Ok(Cell::Null),
        None => Err(error("42704", format!("unrecognized configuration parameter \"{name}\""))),
    }
}

fn set_config(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let (Some(name), Some(value)) = (argument(row, 0).text(), argument(row, 1).text()) else {
        return Ok(Cell::Null);
    };
    let local = argument(row, 2).bool() == Some(true);
    snapshot.change_setting(SettingChange { name, value: value.clone(), local });
    Ok(value.into())
}

fn backend_pid(snapshot: &Snapshot, _: &[Cell]) -> Result<Cell> {
    Ok(snapshot.context().backend_pid.into())
}

fn cancel_backend(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let Some(pid) = argument(row, 0).int() else { return Ok(Cell::Null) };
    Ok(i32::try_from(pid).is_ok_and(|pid| snapshot.context().sessions.interrupt(pid)).into())
}

fn no(_: &Snapshot, _: &[Cell]) -> Result<Cell> {
    Ok(false.into())
}

fn zero(_: &Snapshot, _: &[Cell]) -> Result<Cell> {
    Ok(0_u32.into())
}

fn started_at(snapshot: &Snapshot, _: &[Cell]) -> Result<Cell> {
    Ok(snapshot.context().started_at.into())
}

fn epoch(snapshot: &Snapshot, _: &[Cell]) -> Result<Cell> {
    Ok(i64::try_from(snapshot.context().epoch).ok().into())
}

fn client_address(snapshot: &Snapshot, _: &[Cell]) -> Result<Cell> {
    let context = snapshot.context();
    let own = context.sessions.list().into_iter().find(|s| s.pid == context.backend_pid);
    Ok(own.and_then(|s| s.client_address).into())
}

fn user_by_id(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let Some(oid) = argument(row, 0).oid() else { return Ok(Cell::Null) };
    let all = roles(snapshot.catalog(), snapshot.context());
    let found = all.into_iter().find(|r| r.oid == oid);
    Ok(found.map_or_else(|| format!("unknown (OID={oid})"), |r| r.name).into())
}

fn utf8(_: &Snapshot, _: &[Cell]) -> Result<Cell> {
    Ok("UTF8".into())
}

fn encoding_name(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    Ok(match argument(row, 0).int() {
        Some(0) => "SQL_ASCII".into(),
        Some(6) => "UTF8".into(),
        Some(_) => "".into(),
        None => Cell::Null,
    })
}

fn encoding_number(_: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let name = argument(row, 0).text().map(|t| t.to_uppercase());
    Ok(match name.as_deref() {
        Some("SQL_ASCII") => 0_i32.into(),
        Some("UTF8" | "UTF-8" | "UNICODE") => 6_i32.into(),
        Some(_) => (-1_i32).into(),
        None => Cell::Null,
    })
}

fn no_pids(_: &Snapshot, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::List(Vec::new()))
}

fn no_location(_: &Snapshot, _: &[Cell]) -> Result<Cell> {
    Ok("".into())
}

fn nothing(_: &Snapshot, _: &[Cell]) -> Result<Cell> {
    Ok("".into())
}
