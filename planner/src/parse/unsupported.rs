//! Statements that are described, or that `PostgreSQL` has, and that are not carried out.
//!
//! They are known by their first words; what follows is not read.

use crate::error::{Error, Result};
use crate::parse::stream::Stream;

/// First words.
const STATEMENTS: [&str; 77] = [
    "CREATE SECRET PROVIDER",
    "CREATE SECRET",
    "CREATE CONNECTION",
    "CREATE TABLES FROM SOURCE",
    "CREATE LOOKUP TABLE",
    "CREATE BRANCH",
    "CREATE EXPECTATION",
    "CREATE TEST",
    "CREATE ALERT",
    "CREATE METRIC",
    "CREATE AGGREGATE",
    "CREATE MODEL",
    "CREATE EXPERIMENT",
    "CREATE FEATURE VIEW",
    "CREATE MASKING POLICY",
    "CREATE TENANT",
    "CREATE RESOURCE GROUP",
    "CREATE AUTHENTICATION METHOD",
    "CREATE RETENTION POLICY",
    "CREATE QUERY POLICY",
    "CREATE DURABLE SUBSCRIPTION",
    "CREATE SUBSCRIPTION",
    "CREATE PUBLICATION",
    "CREATE RULE",
    "CREATE STATISTICS",
    "CREATE EVENT TRIGGER",
    "CREATE FOREIGN TABLE",
    "CREATE FOREIGN DATA WRAPPER",
    "CREATE CAST",
    "CREATE TABLESPACE",
    "ALTER SECRET",
    "ALTER CONNECTION",
    "ALTER MATERIALIZED VIEW",
    "ALTER SINK",
    "ALTER PIPELINE",
    "ALTER ALERT",
    "ALTER MODEL",
    "ALTER TABLE ONLY",
    "ALTER DEFAULT PRIVILEGES",
    "ALTER SYSTEM",
    "ALTER DATABASE",
    "ALTER INDEX",
    "ALTER SEQUENCE",
    "ALTER VIEW",
    "DROP OWNED",
    "RUN PIPELINE",
    "RUN TESTS",
    "CANCEL RUN",
    "CANCEL JOB",
    "BACKFILL PIPELINE",
    "MERGE BRANCH",
    "REPLAY QUARANTINE",
    "REPLAY PIPELINE",
    "PROFILE",
    "INSTALL PACKAGE",
    "EVALUATE MODEL",
    "SUBSCRIBE",
    "FETCH FROM SUBSCRIPTION",
    "ACKNOWLEDGE",
    "BACKUP",
    "RESTORE",
    "SUPPORT BUNDLE",
    "ADVISE PIPELINE",
    "PROPOSE",
    "REPORT COMPLIANCE",
    "VERIFY AUDIT LOG",
    "PLAN",
    "REASSIGN OWNED",
    "REINDEX",
    "CLUSTER",
    "SECURITY LABEL",
    "IMPORT FOREIGN SCHEMA",
    "DO",
    "LOAD",
    "COMMIT PREPARED",
    "ROLLBACK PREPARED",
    "PREPARE TRANSACTION",
];

/// Kinds of objects that have no objects: `DROP kind`, `SHOW kinds`, `SHOW CREATE kind`.
pub(super) const KINDS: [(&str, &str); 19] = [
    ("SECRET", "SECRETS"),
    ("CONNECTION", "CONNECTIONS"),
    ("CONNECTOR", "CONNECTORS"),
    ("EXPECTATION", "EXPECTATIONS"),
    ("TEST", "TESTS"),
    ("JOB", "JOBS"),
    ("RUN", "RUNS"),
    ("SUBSCRIPTION", "SUBSCRIPTIONS"),
    ("ALERT", "ALERTS"),
    ("METRIC", "METRICS"),
    ("TENANT", "TENANTS"),
    ("BRANCH", "BRANCHES"),
    ("MODEL", "MODELS"),
    ("EXPERIMENT", "EXPERIMENTS"),
    ("PUBLICATION", "PUBLICATIONS"),
    ("RESOURCE GROUP", "RESOURCE GROUPS"),
    ("LOOKUP TABLE", "LOOKUP TABLES"),
    ("FEATURE VIEW", "FEATURE VIEWS"),
    ("MASKING POLICY", "MASKING POLICIES"),
];

/// Fails if the stream starts with a statement that is not carried out.
pub(super) fn check(stream: &Stream<'_>) -> Result<()> {
    let found = STATEMENTS.iter().find(|phrase| {
        stream.at(phrase)
            || phrase
                .strip_prefix("CREATE ")
                .is_some_and(|kind| stream.at("CREATE OR REPLACE") && stream.at_offset(3, kind))
    });
    match found {
        Some(phrase) => Err(Error::Unsupported {
            construct: (*phrase).to_owned(),
            position: stream.position(),
            hint: hint(phrase),
        }),
        None => Ok(()),
    }
}

/// What does the same, where there is something.
fn hint(phrase: &str) -> Option<String> {
    let hint = match phrase {
        "CREATE CONNECTION" => "Sources read FILES and GENERATOR without a connection.",
        "CREATE EXPECTATION" => "A WHERE clause leaves bad rows out.",
        "ALTER MATERIALIZED VIEW" | "ALTER VIEW" => {
            "Use CREATE OR REPLACE to change a definition, DROP to take it away."
        }
        "ALTER PIPELINE" => "Use CREATE OR REPLACE PIPELINE to change it.",
        "ALTER SINK" => "Use DROP SINK and CREATE SINK to change it.",
        "CREATE LOOKUP TABLE" => "Use CREATE TABLE, or CREATE SOURCE ... FROM FILES.",
        _ => return None,
    };
    Some(hint.to_owned())
}
