//! Sources at work: one task per source reads what is new and hands it to the tick loop in chunks.
//!
//! ```text
//! list splits -> open each at its offset -> read chunks -> [write large ones as Parquet] -> Request::Ingest
//! ```
//! A chunk's rows, its bad records and the positions after it become durable in one epoch: after a crash
//! reading goes on exactly behind the last epoch. The next chunk is read while the last one is ticked, no
//! more: a slow tick loop slows the source down.

mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    BinaryArray, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use levada_catalog::{Detail, Object};
use levada_connectors::registry::{self, SourceRequest};
use levada_connectors::source::{Budget, Chunk, Offset, Problem, Reject, Source, Split};
use levada_connectors::supervise::rate::RateLimit;
use levada_storage::epoch::Epoch;
use levada_storage::log::record::SplitOffset;
use levada_storage::table::file::{Profile, write_parquet};
use tokio::sync::{mpsc, oneshot};

use crate::checkpoint::folder_of;
use crate::database::Shared;
use crate::error::{Error, Result};
use crate::memory;
use crate::system;
use crate::transaction::{Ingest, Request};

pub(crate) use self::status::SourceStatus;

/// Rows of one chunk, about.
const CHUNK_ROWS: usize = 128 << 10;
/// Bytes of one chunk at most, about.
const CHUNK_BYTES: usize = 64 << 20;
/// Chunks that the memory limit would hold, at least: several sources read, write and hand on chunks at once.
const CHUNKS: usize = 64;
/// Rows from which a chunk becomes a file of its own before it is committed.
const FILE_ROWS: usize = 16 << 10;
/// How often a source looks for new input.
const POLL: Duration = Duration::from_millis(250);
/// How long a source, or a split of it, waits after its first failure; twice as long after each more.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
/// How long it waits at most.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// How long a source that is held back waits before it looks again.
const PAUSE: Duration = Duration::from_millis(50);

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
    let mut failed = 0;
    loop {
        let wanted = status.requested();
        let wait = match worker.pass().await {
            Ok(true) => continue,
            Ok(false) => {
                status.drained(wanted);
                failed = 0;
                POLL
            }
            Err(Error::Closed) => return,
            Err(error) => {
                status.set_error(&error);
                failed += 1;
                worker.known = worker.recover_known();
                backoff(failed)
            }
        };
        tokio::select! {
            () = worker.shared.clock.sleep(wait) => {}
            () = status.woken() => {}
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
    /// Splits that could not be read.
    failing: BTreeMap<String, Failing>,
    rate: Option<RateLimit>,
    /// Bytes of one chunk, about.
    chunk_bytes: usize,
    /// The chunk that is being ticked.
    pending: Option<oneshot::Receiver<Result<Epoch>>>,
}

/// A split that could not be read, and when to try again.
struct Failing {
    message: String,
    times: u32,
    again_us: i64,
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
        let now = since_1970(shared.clock.now_us());
        let rate = source.rate().map(|per_second| RateLimit::new(per_second, now));
        let limit = memory::limit(shared.memory.as_ref());
        let mut worker = Self {
            chunk_bytes: CHUNK_BYTES.min(limit / CHUNKS).max(1),
            shared,
            object,
            name,
            status,
            requests,
            source,
            known: BTreeMap::new(),
            failing: BTreeMap::new(),
            rate,
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
        let now = self.shared.clock.now_us();
        let listing = self.source.splits(&known, now).await?;
        let listed = |split: &str| listing.ready.iter().any(|s| s.name == split);
        self.failing.retain(|split, _| listed(split));
        self.tell(&listing.problems);
        let mut gathered = Gathered::default();
        let mut moved = false;
        for split in &listing.ready {
            if self.failing.get(&split.name).is_some_and(|f| f.again_us > now) {
                continue;
            }
            moved |= self.read(split, &mut gathered).await?;
        }
        moved |= self.flush(&mut gathered).await?;
        self.settle().await?;
        self.tell(&listing.problems);
        Ok(moved)
    }

    /// Shows what keeps splits from being read.
    fn tell(&self, listed: &[Problem]) {
        let listed = listed.iter().map(|p| (p.split.clone(), p.message.clone()));
        let failing = self.failing.iter().map(|(s, f)| (s.clone(), f.message.clone()));
        self.status.set_problems(listed.chain(failing));
    }

    /// Reads a split to its end; whether it held anything. A split that cannot be read is left for later,
    /// with what was read of it before standing.
    async fn read(&mut self, split: &Split, gathered: &mut Gathered) -> Result<bool> {
        let at = self.known.get(&split.name).map(|o| Offset(o.offset.clone()));
        let mut moved = false;
        let mut reader = match self.source.open(split, at).await {
            Ok(reader) => reader,
            Err(error) => {
                self.fail(split, &error);
                return Ok(moved);
            }
        };
        loop {
            let budget = Budget {
                rows: CHUNK_ROWS.saturating_sub(gathered.count).min(self.allowed(gathered).await?),
                bytes: self.chunk_bytes.saturating_sub(gathered.bytes).max(1),
            };
            let chunk = match reader.next(budget).await {
                Ok(chunk) => chunk,
                Err(error) => {
                    self.fail(split, &error);
                    return Ok(moved);
                }
            };
            self.failing.remove(&split.name);
            let end = chunk.end;
            moved |= self.gather(split, chunk, gathered);
            if gathered.count >= CHUNK_ROWS || gathered.bytes >= self.chunk_bytes {
                self.flush(gathered).await?;
            }
            if end {
                return Ok(moved);
            }
        }
    }

    /// Adds a chunk to what was gathered; whether the split's position moved.
    fn gather(&mut self, split: &Split, chunk: Chunk, gathered: &mut Gathered) -> bool {
        let rows = chunk.rows.as_ref().map_or(0, RecordBatch::num_rows);
        if let Some(rate) = &mut self.rate {
            rate.took(rows);
        }
        let before = self.known.get(&split.name);
        let moved = before.is_none_or(|b| b.offset != chunk.after.0);
        if moved {
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
        moved
    }

    /// How many rows may come in now, at least one. Waits, with what was gathered handed on, while the
    /// source's rate or the memory of the database allows none.
    async fn allowed(&mut self, gathered: &mut Gathered) -> Result<usize> {
        while memory::is_full(self.shared.memory.as_ref()) {
            self.flush(gathered).await?;
            self.settle().await?;
            let full = "the memory limit is reached; the source waits until there is room";
            self.status.set_error(&Error::statement("53200", full));
            self.shared.clock.sleep(PAUSE).await;
        }
        let Some(rate) = &mut self.rate else { return Ok(CHUNK_ROWS) };
        let mut rows = rate.available(since_1970(self.shared.clock.now_us()));
        if rows == 0 {
            self.flush(gathered).await?;
        }
        while rows == 0 {
            let Some(rate) = &mut self.rate else { break };
            self.shared.clock.sleep(rate.wait().max(PAUSE)).await;
            rows = rate.available(since_1970(self.shared.clock.now_us()));
        }
        Ok(rows)
    }

    /// Notes that a split could not be read.
    fn fail(&mut self, split: &Split, error: &levada_connectors::error::Error) {
        let times = self.failing.get(&split.name).map_or(0, |f| f.times) + 1;
        let wait = i64::try_from(backoff(times).as_micros()).unwrap_or(i64::MAX);
        let again_us = self.shared.clock.now_us().saturating_add(wait);
        let message = error.about(&split.name);
        self.failing.insert(split.name.clone(), Failing { message, times, again_us });
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
        self.status.reject(gathered.rejects.len());
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

/// How long to wait after the `failed`-th failure in a row.
fn backoff(failed: u32) -> Duration {
    let doublings = failed.saturating_sub(1).min(31);
    BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX)
}

/// A time of the clock as a duration.
fn since_1970(now_us: i64) -> Duration {
    Duration::from_micros(u64::try_from(now_us).unwrap_or(0))
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
