//! Clauses that have one value in this release.
//!
//! Writing that value is allowed, as it is what holds anyway; it leaves no trace in the statement.
//! Any other value that is described is refused by name, the rest is a syntax error.

use crate::error::{Error, Result};
use crate::parse::refuse;
use crate::parse::stream::Stream;

/// A clause of one value.
pub(super) struct Fixed {
    /// Its first words.
    pub(super) clause: &'static str,
    /// Spellings of the value; none if the clause as a whole is refused.
    pub(super) values: &'static [&'static str],
    /// Values that are described and not carried out.
    pub(super) refused: &'static [&'static str],
}

/// Clauses of a materialized view.
pub(super) const VIEW: [Fixed; 17] = [
    EMIT,
    clause("REFRESH", &["CONTINUOUS"], &["EVERY", "CRON", "ON DEMAND"]),
    clause("LATE", &["UPDATE"], &["DROP", "INTO"]),
    clause("ON ERROR", &["FAIL"], &["QUARANTINE"]),
    clause("STORED AS", &["PARQUET"], &["DELTA", "ICEBERG"]),
    clause("BACKFILL", &["NOW"], &["NONE", "ORDERED", "FROM SNAPSHOT"]),
    clause("PARTITION BY", &[], &[]),
    clause("CLUSTER BY", &[], &[]),
    clause("FRESHNESS", &[], &[]),
    clause("KEEP STATE", &[], &[]),
    clause("KEEP HISTORY", &[], &[]),
    clause("MEMORY LIMIT", &[], &[]),
    clause("RESOURCE GROUP", &[], &[]),
    clause("FORWARD ONLY", &[], &[]),
    clause("NO WAIT", &[], &[]),
    clause("USING", &[], &[]),
    clause("WITH", &[], &[]),
];

/// The clause of a view that may also stand behind its query.
pub(super) const EMIT: Fixed =
    clause("EMIT", &["ON CHANGE", "CHANGES"], &["ON WINDOW CLOSE", "EVERY", "FINAL"]);

/// Clauses of a source.
pub(super) const SOURCE: [Fixed; 5] = [
    clause("ENVELOPE", &["APPEND"], &["UPSERT", "DEBEZIUM", "CDC"]),
    clause("START AT", &["EARLIEST"], &["LATEST", "TIMESTAMP", "OFFSET"]),
    clause("KEEP", &["ALL"], &["NONE", "LAST"]),
    clause("LATE", &["UPDATE"], &["DROP", "INTO"]),
    clause("SCHEMA EVOLUTION", &["LOCK"], &["ADD", "WIDEN", "RESCUE"]),
];

/// Clauses of a sink.
pub(super) const SINK: [Fixed; 7] = [
    clause("DELIVERY", &["EXACTLY ONCE"], &["AT LEAST ONCE"]),
    clause("SNAPSHOT", &["TRUE"], &["FALSE"]),
    clause("ON ERROR", &["PAUSE"], &["RETRY", "QUARANTINE"]),
    clause("KEY", &[], &[]),
    clause("ENVELOPE", &[], &[]),
    clause("BATCH", &[], &[]),
    clause("SPOOL LIMIT", &[], &[]),
];

/// Clauses of a pipeline, behind its steps.
pub(super) const PIPELINE: [Fixed; 13] = [
    clause("PARAMETERS", &[], &[]),
    clause("RETRY", &[], &[]),
    clause("TIMEOUT", &[], &[]),
    clause("CONCURRENCY", &[], &[]),
    clause("CATCH UP", &[], &[]),
    clause("FRESHNESS", &[], &[]),
    clause("MEMORY LIMIT", &[], &[]),
    clause("RESOURCE GROUP", &[], &[]),
    clause("OWNER", &[], &[]),
    clause("TAGS", &[], &[]),
    clause("ON FAILURE", &[], &[]),
    clause("FORWARD ONLY", &[], &[]),
    clause("WITHOUT DEPLOY", &[], &[]),
];

const fn clause(
    clause: &'static str,
    values: &'static [&'static str],
    refused: &'static [&'static str],
) -> Fixed {
    Fixed { clause, values, refused }
}

/// Reads one of some clauses if one comes next; whether one did.
pub(super) fn accept(stream: &mut Stream<'_>, clauses: &[Fixed]) -> Result<bool> {
    let position = stream.position();
    let Some(found) = clauses.iter().find(|fixed| stream.accept(fixed.clause)) else {
        return Ok(false);
    };
    if found.values.is_empty() {
        return refuse(found.clause, position);
    }
    if stream.accept_one(found.values).is_some() {
        return Ok(true);
    }
    match stream.accept_one(found.refused) {
        Some(index) => Err(Error::Unsupported {
            construct: format!("{} {}", found.clause, found.refused[index]),
            position,
            hint: Some(format!("{} {} is what holds.", found.clause, found.values[0])),
        }),
        None => Err(stream.expected(&[found.values, found.refused].concat())),
    }
}
