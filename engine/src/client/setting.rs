//! Session settings: `SET`, `RESET`, `SHOW` and what the client is told of them.

mod value;

use std::sync::Arc;

use std::time::Duration;

use levada_catalog::pg::{self, PgContext};
use levada_planner::statement::Setting;
use levada_planner::statement::SettingValue;

use super::{Outcome, Session, SessionOptions};
use crate::error::{Error, Result};

/// Settings that the client is told of when they change, by their reported names.
const REPORTED: [&str; 13] = [
    "server_version",
    "server_encoding",
    "client_encoding",
    "application_name",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "integer_datetimes",
    "is_superuser",
    "session_authorization",
    "standard_conforming_strings",
    "default_transaction_read_only",
    "in_hot_standby",
];

/// Settings that no session can change.
const FIXED: [&str; 8] = [
    "server_version",
    "server_version_num",
    "server_encoding",
    "integer_datetimes",
    "is_superuser",
    "in_hot_standby",
    "max_identifier_length",
    "block_size",
];

/// The settings of one session.
pub(super) struct Settings {
    values: Vec<(String, String)>,
    /// Values before a `SET LOCAL`, to come back at the end of the transaction.
    before_local: Vec<(String, Option<String>)>,
    startup: Vec<(String, String)>,
    reported: Vec<(String, String)>,
}

impl SessionOptions {
    /// Whether the settings can have their values; those of unknown names are left out.
    ///
    /// # Errors
    /// 22023 for the first that cannot.
    pub fn check(&self) -> Result<()> {
        self.settings.iter().try_for_each(|(name, value)| value::checked(name, value).map(drop))
    }
}

impl Settings {
    pub(super) fn new(options: &SessionOptions) -> Self {
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut startup = vec![
            own("server_version", &format!("{} (Levada 0.1.0)", pg::SERVER_VERSION)),
            own("session_authorization", &options.user),
            own("is_superuser", "on"),
        ];
        let known = |(name, _): &&(String, String)| {
            pg::setting(&PgContext::default(), name).is_some() || name.contains('.')
        };
        for (name, value) in options.settings.iter().filter(known) {
            let value = value::checked(name, value).unwrap_or_else(|_refused| value.clone());
            startup.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
            startup.push((name.clone(), value));
        }
        Self { values: startup.clone(), before_local: Vec::new(), startup, reported: Vec::new() }
    }

    /// Own values, for the system catalog.
    pub(super) fn values(&self) -> &[(String, String)] {
        &self.values
    }

    /// The value of a setting.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let own = self.values.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        own.map(|(_, v)| v.clone())
            .or_else(|| pg::setting(&PgContext::default(), name).map(str::to_owned))
    }

    /// `application_name`.
    pub(super) fn application(&self) -> String {
        self.get("application_name").unwrap_or_default()
    }

    /// The value of a setting that is a duration; [`None`] when it is 0.
    pub(super) fn duration(&self, name: &str) -> Option<Duration> {
        value::duration(&self.get(name)?)
    }

    /// Schemas to search, in order.
    pub(super) fn search_path(&self, user: &str) -> Vec<String> {
        let text = self.get("search_path").unwrap_or_else(|| "\"$user\", public".to_owned());
        let names = text.split(',').map(|n| n.trim().trim_matches(['"', '\'']).to_owned());
        names
            .filter(|n| !n.is_empty())
            .map(|n| if n == "$user" { user.to_owned() } else { n })
            .collect()
    }

    /// Whether new transactions may not write.
    pub(super) fn is_read_only(&self) -> bool {
        self.get("default_transaction_read_only").is_some_and(|v| v == "on")
    }

    /// Changes a setting.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<()> {
        if self.get(name).is_none() && !name.contains('.') {
            return Err(Error::statement(
                "42704",
                format!("unrecognized configuration parameter \"{name}\""),
            ));
        }
        if FIXED.iter().any(|f| f.eq_ignore_ascii_case(name)) {
            return Err(Error::statement(
                "55P02",
                format!("parameter \"{name}\" cannot be changed"),
            ));
        }
        let value = value.map(|v| value::checked(name, v)).transpose()?;
        if local {
            let before = self.values.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
            self.before_local.push((name.to_owned(), before.map(|(_, v)| v.clone())));
        }
        self.put(name, value);
        Ok(())
    }

    fn put(&mut self, name: &str, value: Option<String>) {
        let startup = self.startup.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        let value = value.or_else(|| startup.map(|(_, v)| v.clone()));
        self.values.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        if let Some(value) = value {
            self.values.push((name.to_owned(), value));
        }
    }

    /// Takes back what `SET LOCAL` changed.
    pub(super) fn end_local(&mut self) {
        for (name, value) in std::mem::take(&mut self.before_local).into_iter().rev() {
            self.put(&name, value);
        }
    }

    pub(super) fn reset_all(&mut self) {
        self.values = self.startup.clone();
    }

    pub(super) fn take_reported(&mut self) -> Vec<(String, String)> {
        let value = |name: &str| self.get(name).unwrap_or_default();
        let all: Vec<(String, String)> =
            REPORTED.iter().map(|name| ((*name).to_owned(), value(name))).collect();
        let changed: Vec<_> = all.iter().filter(|s| !self.reported.contains(s)).cloned().collect();
        self.reported = all;
        changed
    }
}

/// A name as it is written: in quotes where it needs them.
fn identifier(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if starts && name.chars().all(plain) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Session {
    /// `SET` and `RESET`.
    pub(super) fn set(&mut self, setting: &Setting) -> Result<Outcome> {
        match setting {
            Setting::Set { name, value, local } => {
                let text = match value {
                    SettingValue::Default => None,
                    SettingValue::Values(values) if name.name == "search_path" => {
                        let names: Vec<String> = values.iter().map(|v| identifier(v)).collect();
                        Some(names.join(", "))
                    }
                    SettingValue::Values(values) => Some(values.join(", ")),
                };
                self.settings.set(&name.name, text.as_deref(), *local)?;
            }
            Setting::Transaction(_) => {}
            Setting::Session(modes) => {
                if let Some(access) = modes.access {
                    let on = access == levada_planner::statement::Access::ReadOnly;
                    let value = if on { "on" } else { "off" };
                    self.settings.set("default_transaction_read_only", Some(value), false)?;
                }
            }
            Setting::Reset(name) => {
                self.settings.set(&name.name, None, false)?;
                return Ok(Outcome::Done("RESET".to_owned()));
            }
            Setting::ResetAll => {
                self.settings.reset_all();
                return Ok(Outcome::Done("RESET".to_owned()));
            }
        }
        Ok(Outcome::Done("SET".to_owned()))
    }

    /// What the system catalog shows this session.
    pub(super) fn pg_context(&self) -> PgContext {
        let snapshot = self.inner.shared.snapshot();
        PgContext {
            database: "main".to_owned(),
            role: self.options.user.clone(),
            session_role: self.options.user.clone(),
            search_path: self.settings.search_path(&self.options.user),
            settings: self.settings.values().to_vec(),
            backend_pid: self.options.pid,
            started_at: self.inner.shared.started_at,
            transaction_at: self.transaction_at(),
            statement_at: self.statement_at,
            epoch: snapshot.epoch.0,
            sizes: snapshot.sizes(),
            system_tables: Arc::clone(&self.inner.shared.system_tables),
            sessions: self.inner.shared.sessions.clone(),
            ..PgContext::default()
        }
    }
}
