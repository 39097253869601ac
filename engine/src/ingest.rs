//! Sources at work: one task per source reads what is new and hands it to the tick loop in chunks.
//!
//! ```text
//! list splits -> open each at its offset -> read chunks -> [write large ones as Parquet] -> Request::Ingest
//! ```
//! A chunk's rows, its bad records and the positions after it become durable in one epoch: after a crash
//! reading goes on exactly behind the last epoch. The next chunk is read while the last one is ticked, no
//! more: a slow tick loop slows the source down.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{
    BinaryArray, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use levada_catalog::{Detail, Object};
use levada_connectors::registry::{self, SourceRequest};
use levada_connectors::source::{Budget, Offset, Problem, Reject, Source, Split};
use levada_storage::epoch::Epoch;
use levada_storage::log::record::SplitOffset;
use levada_storage::table::file::{Profile, write_parquet};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::checkpoint::folder_of;
use crate::database::{Shared, lock};
use crate::error::{Error, Result};
use crate::system;
use crate::transaction::{Ingest, Request};

/// Rows of one chunk, about.
const CHUNK_ROWS: usize = 128 << 10;
/// Bytes of one chunk, about.
const CHUNK_BYTES: usize = 64 << 20;
/// Rows from which a chunk becomes a file of its own before it is committed.
const FILE_ROWS: usize = 16 << 10;
/// How often a source looks for new input.
const POLL: Duration = Duration::from_millis(250);
/// How long a source waits after a failure, at most.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// How a source is doing, for `sys.sources` and `WAIT FOR`.
pub(crate) struct SourceStatus {
    state: Mutex<State>,
    rejected: AtomicU64,
    requested: AtomicU64,
    completed: watch::Sender<u64>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    word: &'static str,
    problems: BTreeMap<String, String>,
    error: Option<String>,
}

impl SourceStatus {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State { word: "starting", ..State::default() }),
            rejected: AtomicU64::new(0),
            requested: AtomicU64::new(0),
            completed: watch::Sender::new(0),
            wake: Notify::new(),
        }
    }

    /// One word: starting, running, failing.
    pub(crate) fn state(&self) -> &'static str {
        lock(&self.state).word
    }

    /// What is wrong, if anything.
    pub(crate) fn problem(&self) -> Option<String> {
        let state = lock(&self.state);
        let problems = state.problems.values().cloned();
        let all: Vec<String> = state.error.iter().cloned().chain(problems).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Bad records since the database was opened.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// Waits until everything that was there when this was called is committed.
    pub(crate) async fn wait_until_drained(&self) {
        let mut completed = self.completed.subscribe();
        let wanted = self.requested.fetch_add(1, Ordering::AcqRel) + 1;
        self.wake.notify_one();
        // The sender lives as long as this status.
        let _closed = completed.wait_for(|done| *done >= wanted).await;
    }

    fn set_problems(&self, problems: Vec<Problem>) {
        let mut state = lock(&self.state);
        state.problems = problems.into_iter().map(|p| (p.split, p.message)).collect();
        state.error = None;
        state.word = if state.problems.is_empty() { "running" } else { "problem" };
    }

    fn set_error(&self, error: &Error) {
        let mut state = lock(&self.state);
        state.error = Some(error.to_string());
        state.word = "failing";
    }
}

/// Reads a source until the database lets go of it.
pub(crate) async fn run(
    shared: Arc<Shared>,
    object: Arc<Object>,
    status: Arc<SourceStatus>,
    requests: mpsc::Sender<Request>,
) {
    let mut worker = match Worker::new(shared, object, Arc::clone(&status), requests) {
        Ok(worker) => worker,
        Err(error) => {
            status.set_error(&error);
            return;
        }
    };
    let mut backoff = POLL;
    loop {
        let wanted = status.requested.load(Ordering::Acquire);
        let wait = match worker.pass().await {
            Ok(true) => continue,
            Ok(false) => {
                status.completed.send_replace(wanted);
                backoff = POLL;
                POLL
            }
            Err(Error::Closed) => return,
            Err(error) => {
                status.set_error(&error);
                backoff = (backoff * 2).min(BACKOFF_MAX);
                worker.known = worker.recover_known();
                backoff
            }
        };
        tokio::select! {
            () = worker.shared.clock.sleep(wait) => {}
            () = status.wake.notified() => {}
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    object: Arc<Object>,
    name: String,
    status: Arc<SourceStatus>,
    requests: mpsc::Sender<Request>,
    source: Arc<dyn Source>,
    known: BTreeMap<String, SplitOffset>,
    /// The chunk that is being ticked.
    pending: Option<oneshot::Receiver<Result<Epoch>>>,
}

/// Rows and positions gathered for one epoch.
#[derive(Default)]
struct Gathered {
    rows: Vec<RecordBatch>,
    count: usize,
    bytes: usize,
    rejects: Vec<Reject>,
    offsets: BTreeMap<String, SplitOffset>,
}

impl Worker {
    fn new(
        shared: Arc<Shared>,
        object: Arc<Object>,
        status: Arc<SourceStatus>,
        requests: mpsc::Sender<Request>,
    ) -> Result<Self> {
        let source = open_source(&object)?;
        let name = shared.snapshot().catalog.qualified_name(&object);
        let mut worker = Self {
            shared,
            object,
            name,
            status,
            requests,
            source,
            known: BTreeMap::new(),
            pending: None,
        };
        worker.known = worker.recover_known();
        Ok(worker)
    }

    /// The positions that are durable.
    fn recover_known(&self) -> BTreeMap<String, SplitOffset> {
        let offsets = self.shared.offsets();
        let own = offsets.iter().filter(|((source, _), _)| *source == self.object.id);
        own.map(|((_, split), offset)| (split.clone(), offset.clone())).collect()
    }

    /// Reads everything that is there; `false` when there was nothing.
    async fn pass(&mut self) -> Result<bool> {
        let known: Vec<(String, Offset)> =
            self.known.iter().map(|(s, o)| (s.clone(), Offset(o.offset.clone()))).collect();
        let listing = self.source.splits(&known, self.shared.clock.now_us()).await?;
        self.status.set_problems(listing.problems);
        let mut gathered = Gathered::default();
        let mut moved = false;
        for split in &listing.ready {
            moved |= self.read(split, &mut gathered).await?;
        }
        moved |= self.flush(&mut gathered).await?;
        self.settle().await?;
        Ok(moved)
    }

    async fn read(&mut self, split: &Split, gathered: &mut Gathered) -> Result<bool> {
        let at = self.known.get(&split.name).map(|o| Offset(o.offset.clone()));
        let mut reader = self.source.open(split, at.clone()).await?;
        let mut moved = false;
        loop {
            let budget = Budget {
                rows: CHUNK_ROWS.saturating_sub(gathered.count).max(1),
                bytes: CHUNK_BYTES.saturating_sub(gathered.bytes).max(1),
            };
            let chunk = reader.next(budget).await?;
            let rows = chunk.rows.as_ref().map_or(0, RecordBatch::num_rows);
            let before = self.known.get(&split.name);
            let changed = before.is_none_or(|b| b.offset != chunk.after.0);
            moved |= changed;
            if changed {
                let offset = SplitOffset {
                    source: self.object.id,
                    split: split.name.clone(),
                    offset: chunk.after.0,
                    rows: before.map_or(0, |b| b.rows) + rows as u64,
                };
                self.known.insert(split.name.clone(), offset.clone());
                gathered.offsets.insert(split.name.clone(), offset);
            }
            if let Some(batch) = chunk.rows.filter(|b| b.num_rows() > 0) {
                gathered.count += batch.num_rows();
                gathered.bytes += batch.get_array_memory_size();
                gathered.rows.push(batch);
            }
            gathered.rejects.extend(chunk.rejects);
            if gathered.count >= CHUNK_ROWS || gathered.bytes >= CHUNK_BYTES {
                self.flush(gathered).await?;
            }
            if chunk.end {
                return Ok(moved);
            }
        }
    }

    /// Hands what was gathered to the tick loop, after the chunk before it is done.
    async fn flush(&mut self, gathered: &mut Gathered) -> Result<bool> {
        if gathered.offsets.is_empty() && gathered.rejects.is_empty() {
            return Ok(false);
        }
        let gathered = std::mem::take(gathered);
        let rows = self.fit(gathered.rows)?;
        let mut files = Vec::new();
        let mut pending = None;
        if gathered.count >= FILE_ROWS {
            let guard = self.shared.mint_pending();
            let path =
                format!("{}/{}.parquet", folder_of(&self.name, self.object.id), guard.ulid());
            let schema = self.object.arrow_schema().ok_or_else(|| Error::unfit("source"))?;
            let blob = Arc::clone(&self.shared.blob);
            files.push(write_parquet(blob.as_ref(), &path, &schema, &rows, Profile::Ingest).await?);
            pending = Some(guard);
        }
        self.status.rejected.fetch_add(gathered.rejects.len() as u64, Ordering::Relaxed);
        let rejects = self.quarantined(&gathered.rejects)?;
        self.settle().await?;
        let ingest = Ingest {
            source: self.object.id,
            rows,
            files,
            rejects,
            offsets: gathered.offsets.into_values().collect(),
        };
        let (answer, done) = oneshot::channel();
        let request = Request::Ingest(Box::new(ingest), answer);
        self.requests.send(request).await.map_err(|_lost| Error::Closed)?;
        if let Some(guard) = pending {
            // The file is referred to once the epoch is logged; wait for it while holding the guard.
            done.await.map_err(|_lost| Error::Closed)??;
            drop(guard);
        } else {
            self.pending = Some(done);
        }
        Ok(true)
    }

    /// Waits for the chunk that is being ticked.
    async fn settle(&mut self) -> Result<()> {
        match self.pending.take() {
            None => Ok(()),
            Some(done) => done.await.map_err(|_lost| Error::Closed)?.map(|_| ()),
        }
    }

    /// The rows with the source's own schema.
    fn fit(&self, rows: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
        let schema = self.object.arrow_schema().ok_or_else(|| Error::unfit("source"))?;
        rows.into_iter()
            .map(|b| Ok(RecordBatch::try_new(Arc::clone(&schema), b.columns().to_vec())?))
            .collect()
    }

    fn quarantined(&self, rejects: &[Reject]) -> Result<Option<RecordBatch>> {
        if rejects.is_empty() {
            return Ok(None);
        }
        let (_, _, schema, _) = system::stored()
            .into_iter()
            .find(|(id, ..)| *id == system::QUARANTINE_ID)
            .ok_or_else(|| Error::unfit("quarantine"))?;
        let file = |r: &Reject| match r.position.rsplit_once(':') {
            Some((path, _)) => path.to_owned(),
            None => r.position.clone(),
        };
        let line = |r: &Reject| i64::try_from(r.line).unwrap_or(i64::MAX);
        let raw = rejects.iter().map(|r| String::from_utf8_lossy(&r.raw).into_owned());
        let now = TimestampMicrosecondArray::from(vec![self.shared.clock.now_us(); rejects.len()]);
        Ok(Some(RecordBatch::try_new(
            schema,
            vec![
                Arc::new(StringViewArray::from_iter_values(rejects.iter().map(|_| &self.name))),
                Arc::new(StringViewArray::from_iter_values(rejects.iter().map(file))),
                Arc::new(rejects.iter().map(|r| Some(line(r))).collect::<Int64Array>()),
                Arc::new(StringViewArray::from_iter_values(raw)),
                Arc::new(BinaryArray::from_iter_values(rejects.iter().map(|r| &r.raw))),
                Arc::new(StringViewArray::from_iter_values(rejects.iter().map(|r| &r.error))),
                Arc::new(StringViewArray::from_iter_values(rejects.iter().map(|r| r.sqlstate))),
                Arc::new(now.with_timezone("+00:00")),
            ],
        )?))
    }
}

/// The connector of a source object.
pub(crate) fn open_source(object: &Object) -> Result<Arc<dyn Source>> {
    let Detail::Source { connector, arguments, options, format, format_options, .. } =
        &object.detail
    else {
        return Err(Error::unfit("source"));
    };
    Ok(registry::source(&SourceRequest {
        connector,
        arguments,
        options,
        format,
        format_options,
        declared: object.arrow_schema().filter(|schema| !schema.fields().is_empty()),
    })?)
}
