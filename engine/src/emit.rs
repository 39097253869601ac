//! Sinks at work: one task per sink follows the published epochs of its relation.
//!
//! | relation | the sink writes | after a crash |
//! |---|---|---|
//! | insert-only | the rows since the epoch it has | goes on behind the rows it has at that epoch |
//! | with retractions | the whole contents, in place of the former | writes the newest epoch again if it lacks it |
//!
//! A relation with rows that could not be evaluated is not written: the target keeps the last good epoch,
//! and the sink says why, until they are corrected.
//!
//! A sink never delays an epoch: it reads snapshots, and when it is slow it skips to the newest one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use futures::{StreamExt, TryStreamExt};
use levada_catalog::{Detail, Object, ObjectKind};
use levada_connectors::registry::{self, SinkRequest};
use levada_connectors::sink::{Sink, Writer};
use levada_storage::delta::ErrorRow;
use levada_storage::epoch::Epoch;

use crate::batch;
use crate::database::{Shared, lock};
use crate::error::{Error, Result};
use crate::snapshot::{RelationSnapshot, SnapshotSet};

/// Time between two writes of a sink whose relation changes all the time.
const PAUSE: Duration = Duration::from_millis(200);
/// Wait after a failure.
const BACKOFF: Duration = Duration::from_secs(1);
/// How long closing waits for sinks.
const SETTLE_MAX: Duration = Duration::from_secs(30);

/// How a sink is doing.
#[derive(Default)]
pub(crate) struct SinkStatus {
    problem: Mutex<Option<Problem>>,
    /// Newest epoch that the target reflects, plus one; 0 for none.
    epoch: AtomicU64,
}

/// What keeps a sink from going on.
enum Problem {
    /// The target, or a bug of ours.
    Target(String),
    /// Rows of the relation that could not be evaluated.
    Relation(String),
}

impl SinkStatus {
    /// One word: running, failing.
    pub(crate) fn state(&self) -> &'static str {
        if lock(&self.problem).is_some() { "failing" } else { "running" }
    }

    /// What is wrong, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        lock(&self.problem).as_ref().map(|problem| match problem {
            Problem::Target(text) | Problem::Relation(text) => text.clone(),
        })
    }

    /// The newest epoch that the target reflects.
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.epoch.load(Ordering::Acquire).checked_sub(1)
    }

    /// The relation cannot be read: the target keeps what it has.
    fn waits(&self, error: &ErrorRow, rows: i64) {
        let noun = if rows == 1 { "row" } else { "rows" };
        let message = &error.message;
        let text = format!("{rows} {noun} of the relation could not be evaluated: {message}");
        *lock(&self.problem) = Some(Problem::Relation(text));
    }

    /// Whether it is on its way to the newest epoch.
    fn lags(&self, sink: &Object, newest: &SnapshotSet) -> bool {
        let readable = || match &sink.detail {
            Detail::Sink { from, .. } => newest.relation(*from).is_some_and(|r| r.error.is_none()),
            _ => false,
        };
        let healthy = match &*lock(&self.problem) {
            None => true,
            Some(Problem::Target(_)) => false,
            Some(Problem::Relation(_)) => readable(),
        };
        healthy && self.epoch() < Some(newest.epoch.0)
    }

    fn reached(&self, epoch: Epoch) {
        *lock(&self.problem) = None;
        self.epoch.store(epoch.0 + 1, Ordering::Release);
    }
}

/// Follows a relation until the database lets go of the sink.
pub(crate) async fn run(shared: Arc<Shared>, object: Arc<Object>, status: Arc<SinkStatus>) {
    loop {
        let error = match follow(&shared, &object, &status).await {
            Ok(()) => return,
            Err(error) => error,
        };
        tracing::warn!(sink = object.name, %error, "could not write to a sink");
        *lock(&status.problem) = Some(Problem::Target(error.to_string()));
        shared.clock.sleep(BACKOFF).await;
    }
}

/// Waits until every healthy sink reflects the newest epoch.
pub(crate) async fn settle(shared: &Arc<Shared>) {
    let mut waited = Duration::ZERO;
    let step = Duration::from_millis(5);
    loop {
        let snapshot = shared.snapshot();
        let behind = snapshot
            .catalog
            .objects_of(ObjectKind::Sink)
            .any(|sink| shared.sink(sink.id).is_some_and(|status| status.lags(sink, &snapshot)));
        if !behind || waited > SETTLE_MAX {
            return;
        }
        shared.clock.sleep(step).await;
        waited += step;
    }
}

async fn follow(shared: &Arc<Shared>, object: &Object, status: &SinkStatus) -> Result<()> {
    let Detail::Sink { from, .. } = &object.detail else { return Err(Error::unfit("sink")) };
    let snapshot = shared.snapshot();
    let Some(relation) = snapshot.relation(*from) else { return Ok(()) };
    let append = relation.append;
    let name = snapshot.catalog.qualified_name(object);
    let mut sink = open_sink(object, name, &relation.schema)?;
    let mut done = sink.resume().await?;
    let mut epochs = shared.epochs();
    loop {
        epochs.borrow_and_update();
        let snapshot = shared.snapshot();
        let Some(relation) = snapshot.relation(*from) else { return Ok(()) };
        let behind = done.is_none_or(|epoch| epoch < relation.changed_at);
        if let Some((error, rows)) = &relation.error {
            status.waits(error, *rows);
        } else if behind {
            if append {
                let skip = done.map_or(0, |epoch| shared.rows_at(*from, epoch));
                write_appended(shared, sink.as_mut(), relation, snapshot.epoch, skip).await?;
                shared.forget_rows_before(*from, snapshot.epoch);
            } else {
                write_contents(shared, sink.as_mut(), relation, snapshot.epoch).await?;
            }
            done = Some(snapshot.epoch);
        }
        if relation.error.is_none() {
            status.reached(snapshot.epoch);
        }
        if behind {
            shared.clock.sleep(PAUSE).await;
        }
        if epochs.changed().await.is_err() {
            return Ok(());
        }
    }
}

async fn write_contents(
    shared: &Arc<Shared>,
    sink: &mut dyn Sink,
    relation: &Arc<RelationSnapshot>,
    epoch: Epoch,
) -> Result<()> {
    let rows = batch::rows(Arc::clone(&shared.blob), Arc::clone(relation), None);
    let rows = rows.map_err(|e| ArrowError::ExternalError(Box::new(e))).boxed();
    Ok(sink.replace(epoch, rows).await?)
}

/// Writes the rows behind the first `skip` ones as they are read. One call of the sink per epoch keeps it
/// exactly once.
async fn write_appended(
    shared: &Arc<Shared>,
    sink: &mut dyn Sink,
    relation: &Arc<RelationSnapshot>,
    epoch: Epoch,
    skip: u64,
) -> Result<()> {
    let rows = batch::rows_behind(Arc::clone(&shared.blob), relation, skip);
    let rows = rows.map_err(|e| ArrowError::ExternalError(Box::new(e))).boxed();
    Ok(sink.append(epoch, rows).await?)
}

/// The connector of a sink object with the qualified name `name`.
pub(crate) fn open_sink(
    object: &Object,
    name: String,
    schema: &SchemaRef,
) -> Result<Box<dyn Sink>> {
    let Detail::Sink {
        connector,
        arguments,
        options,
        format,
        format_options,
        identity,
        displaces,
        ..
    } = &object.detail
    else {
        return Err(Error::unfit("sink"));
    };
    Ok(registry::sink(&SinkRequest {
        connector,
        arguments,
        options,
        format,
        format_options,
        schema: Arc::clone(schema),
        writer: Writer { id: identity.clone(), name, displaces: displaces.clone() },
    })?)
}

/// Waits until one healthy sink reflects the epoch that is the newest one as this is called.
pub(crate) async fn settle_one(shared: &Arc<Shared>, id: u32, status: &SinkStatus) {
    let wanted = shared.snapshot();
    let Some(sink) = wanted.catalog.get(id) else { return };
    let step = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    while status.lags(sink, &wanted) && waited < SETTLE_MAX {
        shared.clock.sleep(step).await;
        waited += step;
    }
}
