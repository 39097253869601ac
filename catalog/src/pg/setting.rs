//! `pg_settings`: the session's settings over the constants of the system.

use std::collections::BTreeMap;

use super::table::Table;
use super::{PgContext, SERVER_VERSION, View};

/// Settings of the system that a session does not set: name, value, unit, type, description.
const BUILT_IN: &[(&str, &str, Option<&str>, &str, &str)] = &[
    ("DateStyle", "ISO, MDY", None, "string", "Sets the display format for date and time values."),
    ("IntervalStyle", "postgres", None, "enum", "Sets the display format for interval values."),
    (
        "TimeZone",
        "UTC",
        None,
        "string",
        "Sets the time zone for displaying and interpreting time stamps.",
    ),
    (
        "application_name",
        "",
        None,
        "string",
        "Sets the application name to be reported in statistics and logs.",
    ),
    ("block_size", "8192", None, "integer", "Shows the size of a disk block."),
    ("bytea_output", "hex", None, "enum", "Sets the output format for bytea."),
    ("client_encoding", "UTF8", None, "string", "Sets the client's character set encoding."),
    (
        "client_min_messages",
        "notice",
        None,
        "enum",
        "Sets the message levels that are sent to the client.",
    ),
    (
        "default_table_access_method",
        "heap",
        None,
        "string",
        "Sets the default table access method for new tables.",
    ),
    (
        "default_tablespace",
        "",
        None,
        "string",
        "Sets the default tablespace to create tables and indexes in.",
    ),
    (
        "default_transaction_isolation",
        "repeatable read",
        None,
        "enum",
        "Sets the transaction isolation level of each new transaction.",
    ),
    (
        "default_transaction_read_only",
        "off",
        None,
        "bool",
        "Sets the default read-only status of new transactions.",
    ),
    (
        "extra_float_digits",
        "1",
        None,
        "integer",
        "Sets the number of digits displayed for floating-point values.",
    ),
    ("in_hot_standby", "off", None, "bool", "Shows whether hot standby is currently active."),
    ("integer_datetimes", "on", None, "bool", "Shows whether datetimes are integer based."),
    ("is_superuser", "on", None, "bool", "Shows whether the current user is a superuser."),
    ("jit", "off", None, "bool", "Allow JIT compilation."),
    ("lc_collate", "C.UTF-8", None, "string", "Shows the collation order locale."),
    (
        "lc_ctype",
        "C.UTF-8",
        None,
        "string",
        "Shows the character classification and case conversion locale.",
    ),
    ("max_identifier_length", "63", None, "integer", "Shows the maximum identifier length."),
    ("max_index_keys", "32", None, "integer", "Shows the maximum number of index keys."),
    (
        "max_prepared_transactions",
        "0",
        None,
        "integer",
        "Sets the maximum number of simultaneously prepared transactions.",
    ),
    ("row_security", "on", None, "bool", "Enable row security."),
    (
        "search_path",
        "\"$user\", public",
        None,
        "string",
        "Sets the schema search order for names that are not schema-qualified.",
    ),
    (
        "server_encoding",
        "UTF8",
        None,
        "string",
        "Shows the server (database) character set encoding.",
    ),
    ("server_version", SERVER_VERSION, None, "string", "Shows the server version."),
    ("server_version_num", "150018", None, "integer", "Shows the server version as an integer."),
    (
        "standard_conforming_strings",
        "on",
        None,
        "bool",
        "Causes '...' strings to treat backslashes literally.",
    ),
    (
        "statement_timeout",
        "0",
        Some("ms"),
        "integer",
        "Sets the maximum allowed duration of any statement.",
    ),
    (
        "transaction_isolation",
        "repeatable read",
        None,
        "enum",
        "Sets the current transaction's isolation level.",
    ),
    (
        "transaction_read_only",
        "off",
        None,
        "bool",
        "Sets the current transaction's read-only status.",
    ),
];

/// The value of a setting, its name in any case; none when no such setting exists.
#[must_use]
pub fn setting<'a>(context: &'a PgContext, name: &str) -> Option<&'a str> {
    let own = context.settings.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
    let built_in = || BUILT_IN.iter().find(|s| s.0.eq_ignore_ascii_case(name)).map(|s| s.1);
    own.map(|(_, value)| value.as_str()).or_else(built_in)
}

pub(super) fn settings(table: &mut Table, view: &View<'_>) {
    let mut names: BTreeMap<String, &str> =
        BUILT_IN.iter().map(|s| (s.0.to_lowercase(), s.0)).collect();
    for (name, _) in &view.context.settings {
        names.entry(name.to_lowercase()).or_insert(name);
    }
    for name in names.into_values() {
        let built_in = BUILT_IN.iter().find(|s| s.0.eq_ignore_ascii_case(name));
        let value = setting(view.context, name);
        let default = built_in.map(|s| s.1).or(value);
        let changed = value != default;
        table.push([
            ("name", name.into()),
            ("setting", value.into()),
            ("unit", built_in.and_then(|s| s.2).into()),
            ("category", "Client Connection Defaults".into()),
            ("short_desc", built_in.map(|s| s.4).into()),
            ("context", "user".into()),
            ("vartype", built_in.map_or("string", |s| s.3).into()),
            ("source", if changed { "session" } else { "default" }.into()),
            ("boot_val", default.into()),
            ("reset_val", default.into()),
            ("pending_restart", false.into()),
        ]);
    }
}
