//! An open database: what the tick loop, sessions, sources and sinks share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use datafusion::execution::context::SessionState;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use levada_catalog::pg::{PgSessions, PgSystemTable};
use levada_catalog::{Catalog, ObjectKind};
use levada_planner::bind::SystemTables;
use levada_planner::environment::{session_config, session_state};
use levada_storage::blob::{Blob, local_folder, open_blob};
use levada_storage::clock::{Clock, SystemClock};
use levada_storage::epoch::Epoch;
use levada_storage::log::EpochLog;
use levada_storage::log::record::SplitOffset;
use levada_storage::rng::Rng;
use levada_storage::table::DataFile;
use levada_storage::task::{self, Pool, Task, Thread};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::backfill::{Backfills, Progress};
use crate::dataflow::Dataflow;
use crate::emit::{self, SinkStatus};
use crate::error::{Error, Result};
use crate::ingest::{self, SourceStatus};
use crate::memory;
use crate::snapshot::{Relations, SnapshotSet};
use crate::spill::MemoryLimit;
use crate::system;
use crate::tick::{Backlog, Core};
use crate::transaction::{Request, Transaction};
use crate::workers::Workers;

/// How a database is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Bytes of memory that rows, operators and queries may take together; by default three quarters of
    /// what the machine or the control group has.
    pub memory_limit: Option<usize>,
    /// Bytes of rows and operators' state that stay in memory; by default what the limit leaves beside a
    /// reserve for queries and deltas on their way.
    pub state_memory: Option<usize>,
    /// Where state goes that does not fit; by default the folder of the database if that is a local one,
    /// else the system's folder for temporary files.
    pub spill_folder: Option<PathBuf>,
    /// Threads that share a large tick; by default one per processor.
    pub threads: Option<usize>,
    /// Rows from which on a delta is large; by default what was measured to pay.
    pub large_rows: Option<usize>,
    /// Rows to read from which on new views are filled while ticks go on; by default those of a few ticks.
    pub beside_rows: Option<u64>,
    /// The steps in which time passes for views; by default a second.
    pub clock_resolution: Option<Duration>,
    /// The source of time; by default the machine.
    pub clock: Option<Arc<dyn Clock>>,
}

/// The steps in which time passes for views.
const CLOCK_RESOLUTION: Duration = Duration::from_secs(1);

impl OpenOptions {
    fn memory_limit(&self) -> usize {
        self.memory_limit.unwrap_or_else(memory::default_limit)
    }

    /// The steps of time in microseconds, one at least.
    fn clock_resolution(&self) -> i64 {
        let micros = self.clock_resolution.unwrap_or(CLOCK_RESOLUTION).as_micros();
        i64::try_from(micros).unwrap_or(i64::MAX).max(1)
    }

    fn workers(&self) -> Workers {
        let workers = Workers::new(self.threads);
        match self.large_rows {
            Some(rows) => workers.sharing_from(rows),
            None => workers,
        }
    }

    fn means(&self, url: &str) -> Means {
        Means {
            limit: self.limit(url),
            workers: self.workers(),
            beside_from: self.beside_rows.unwrap_or(BESIDE_ROWS),
            clock_resolution: self.clock_resolution(),
        }
    }

    fn limit(&self, url: &str) -> MemoryLimit {
        let folder = self.spill_folder.clone().or_else(|| local_folder(url));
        let folder = folder.unwrap_or_else(std::env::temp_dir);
        let limit = MemoryLimit::new(self.memory_limit(), folder);
        match self.state_memory {
            Some(bytes) => limit.keeping(bytes),
            None => limit,
        }
    }
}

/// Requests that wait for the tick loop, at most; more wait where they come from.
const QUEUE_MAX: usize = 1024;

/// What the tick loop works with.
struct Means {
    limit: MemoryLimit,
    workers: Workers,
    /// Rows to read from which on new views are filled beside ticks.
    beside_from: u64,
    /// The steps of time in microseconds.
    clock_resolution: i64,
}

/// How long a directory may be in use before that is an error.
const HANDOVER: Duration = Duration::from_secs(5);

/// Rows to read from which on a new view is filled beside ticks: few enough for a join of all with all.
const BESIDE_ROWS: u64 = 512;

/// Rows of a relation per epoch that changed it, oldest first.
type History = BTreeMap<u32, Vec<(u64, u64)>>;

/// What all parts of an open database see.
pub(crate) struct Shared {
    pub(crate) blob: Arc<dyn Blob>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) state: SessionState,
    /// What everything takes memory from.
    pub(crate) memory: Arc<dyn MemoryPool>,
    pub(crate) system: SystemTables,
    /// Those of [`Self::system`] that the catalog does not list by itself.
    pub(crate) system_tables: Arc<[PgSystemTable]>,
    /// Who is connected.
    pub(crate) sessions: PgSessions,
    pub(crate) started_at: i64,
    published: ArcSwap<SnapshotSet>,
    epoch: watch::Sender<u64>,
    stopped: watch::Sender<bool>,
    offsets: Mutex<BTreeMap<(u32, String), SplitOffset>>,
    files: Mutex<BTreeMap<u32, Vec<DataFile>>>,
    history: Mutex<History>,
    rng: Rng,
    /// Where queries compute.
    pub(crate) pool: Pool,
    /// Names of files that are written and not referred to yet.
    pending: Mutex<BTreeSet<String>>,
    sources: Mutex<BTreeMap<u32, Arc<SourceStatus>>>,
    sinks: Mutex<BTreeMap<u32, Arc<SinkStatus>>>,
    backfills: Mutex<Vec<Arc<Progress>>>,
}

/// The owner of a database's thread and tasks. Dropping it is like a crash: no checkpoint is written.
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
    tasks: Mutex<BTreeMap<u32, Task<()>>>,
    thread: Mutex<Option<Thread<()>>>,
}

impl Inner {
    /// Opens or creates the database at `url` and recovers it.
    ///
    /// # Errors
    /// Those of storage; what is saved but does not decode.
    pub(crate) async fn open(url: &str, options: OpenOptions) -> Result<Arc<Self>> {
        let machine = || Arc::new(SystemClock::new()) as Arc<dyn Clock>;
        let clock = options.clock.clone().unwrap_or_else(machine);
        let blob = open_when_free(url, clock.as_ref()).await?;
        let memory = memory::pool(options.memory_limit());
        let means = options.means(url);
        let shared = Arc::new(Shared::new(blob, clock, memory)?);
        let (requests, queue) = mpsc::channel(QUEUE_MAX);
        let (ready, opened) = oneshot::channel();
        let runtime = Handle::current();
        let of_thread = Arc::clone(&shared);
        let thread =
            task::thread("levada-tick", move || match open_core(of_thread, runtime, means) {
                Ok(core) => {
                    if ready.send(Ok(())).is_ok() {
                        core.run(queue);
                    }
                }
                Err(error) => {
                    let _gone = ready.send(Err(error));
                }
            })?;
        opened.await.map_err(|_lost| Error::Closed)??;
        let inner = Arc::new(Self {
            shared,
            requests,
            tasks: Mutex::default(),
            thread: Mutex::new(Some(thread)),
        });
        inner.reconcile();
        Ok(inner)
    }

    /// Makes a transaction one epoch; visible to every reader when this returns.
    pub(crate) async fn commit(&self, transaction: Transaction) -> Result<Epoch> {
        let (answer, done) = oneshot::channel();
        self.send(Request::Commit(Box::new(transaction), answer)).await?;
        done.await.map_err(|_lost| Error::Closed)?
    }

    /// Brings the views to the time that it is; visible to every reader when this returns.
    pub(crate) async fn keep_time(&self) -> Result<Epoch> {
        let (answer, done) = oneshot::channel();
        self.send(Request::Time(answer)).await?;
        done.await.map_err(|_lost| Error::Closed)?
    }

    /// Writes a checkpoint.
    pub(crate) async fn checkpoint(&self) -> Result<Epoch> {
        let (answer, done) = oneshot::channel();
        self.send(Request::Checkpoint(answer)).await?;
        done.await.map_err(|_lost| Error::Closed)?
    }

    /// Lets sinks catch up, writes a clean checkpoint and stops everything.
    pub(crate) async fn close(&self) -> Result<()> {
        self.stop_tasks(ObjectKind::Source);
        emit::settle(&self.shared).await;
        self.stop_tasks(ObjectKind::Sink);
        let (answer, done) = oneshot::channel();
        self.send(Request::Close(answer)).await?;
        done.await.map_err(|_lost| Error::Closed)??;
        Ok(())
    }

    async fn send(&self, request: Request) -> Result<()> {
        self.requests.send(request).await.map_err(|_lost| Error::Closed)
    }

    /// Starts the tasks of new sources and sinks and stops those of dropped ones.
    pub(crate) fn reconcile(&self) {
        let catalog = Arc::clone(&self.shared.snapshot().catalog);
        let mut tasks = lock(&self.tasks);
        let wanted = |kind| catalog.objects_of(kind);
        let ids: BTreeSet<u32> = wanted(ObjectKind::Source)
            .chain(wanted(ObjectKind::Sink))
            .map(|object| object.id)
            .collect();
        tasks.retain(|id, _| ids.contains(id));
        lock(&self.shared.sources).retain(|id, _| ids.contains(id));
        lock(&self.shared.sinks).retain(|id, _| ids.contains(id));
        for object in wanted(ObjectKind::Source) {
            tasks.entry(object.id).or_insert_with(|| {
                let status = Arc::new(SourceStatus::new());
                lock(&self.shared.sources).insert(object.id, Arc::clone(&status));
                let shared = Arc::clone(&self.shared);
                let run = ingest::run(shared, Arc::clone(object), status, self.requests.clone());
                task::spawn(format!("source {}", object.name), run)
            });
        }
        for object in wanted(ObjectKind::Sink) {
            tasks.entry(object.id).or_insert_with(|| {
                let status = Arc::new(SinkStatus::default());
                lock(&self.shared.sinks).insert(object.id, Arc::clone(&status));
                let run = emit::run(Arc::clone(&self.shared), Arc::clone(object), status);
                task::spawn(format!("sink {}", object.name), run)
            });
        }
    }

    fn stop_tasks(&self, kind: ObjectKind) {
        let catalog = Arc::clone(&self.shared.snapshot().catalog);
        lock(&self.tasks).retain(|id, _| catalog.get(*id).is_some_and(|o| o.kind() != kind));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        lock(&self.tasks).clear();
        self.shared.stopped.send_replace(true);
        drop(lock(&self.thread).take());
    }
}

/// Opens the objects; a process that was killed keeps its directory until its memory is given back.
async fn open_when_free(url: &str, clock: &dyn Clock) -> Result<Arc<dyn Blob>> {
    let began = clock.monotonic();
    loop {
        match open_blob(url).await {
            Err(levada_storage::error::Error::InUse { .. })
                if clock.monotonic().saturating_sub(began) < HANDOVER =>
            {
                clock.sleep(HANDOVER / 100).await;
            }
            opened => return Ok(opened?),
        }
    }
}

fn open_core(shared: Arc<Shared>, runtime: Handle, means: Means) -> Result<Core> {
    let blob = Arc::clone(&shared.blob);
    let clock = Arc::clone(&shared.clock);
    let flow = Dataflow::new(Arc::clone(&shared), runtime.clone(), means.limit, means.workers);
    let (log, recovered) = runtime.block_on(EpochLog::open(blob, clock, shared.rng.clone()))?;
    let mut core = Core {
        shared,
        runtime,
        log,
        flow,
        backfills: Backfills::new(),
        beside_from: means.beside_from,
        clock_resolution: means.clock_resolution,
        unlogged: None,
        runs: BTreeMap::new(),
        loaded: Epoch(0),
        since_checkpoint: Backlog::default(),
        followed: Default::default(),
    };
    core.recover(recovered.manifest, recovered.commits)?;
    Ok(core)
}

impl Shared {
    fn new(
        blob: Arc<dyn Blob>,
        clock: Arc<dyn Clock>,
        memory: Arc<dyn MemoryPool>,
    ) -> Result<Self> {
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::clone(&memory)).build_arc()?;
        let empty = SnapshotSet {
            epoch: Epoch(0),
            catalog: Arc::new(Catalog::new()),
            relations: Relations::default(),
            now_us: clock.now_us(),
            operators: Arc::default(),
        };
        Ok(Self {
            started_at: clock.now_us(),
            blob,
            clock,
            state: session_state(session_config(), runtime),
            memory,
            system: system::tables(),
            system_tables: system::listed(),
            sessions: PgSessions::default(),
            published: ArcSwap::from_pointee(empty),
            epoch: watch::Sender::new(0),
            stopped: watch::Sender::new(false),
            offsets: Mutex::default(),
            files: Mutex::default(),
            history: Mutex::default(),
            rng: Rng::from_os(),
            pool: Pool::new("levada-query")?,
            pending: Mutex::default(),
            sources: Mutex::default(),
            sinks: Mutex::default(),
            backfills: Mutex::default(),
        })
    }

    /// The newest published epoch.
    pub(crate) fn snapshot(&self) -> Arc<SnapshotSet> {
        self.published.load_full()
    }

    /// Tells when a new epoch was published.
    pub(crate) fn epochs(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    /// Tells when the owner of the database let go of it.
    pub(crate) fn stopped(&self) -> watch::Receiver<bool> {
        self.stopped.subscribe()
    }

    /// Shows a new epoch to readers.
    pub(crate) fn publish(&self, set: SnapshotSet) {
        let epoch = set.epoch;
        self.published.store(Arc::new(set));
        self.epoch.send_replace(epoch.0);
    }

    pub(crate) fn offsets(&self) -> MutexGuard<'_, BTreeMap<(u32, String), SplitOffset>> {
        lock(&self.offsets)
    }

    pub(crate) fn take_offsets(&self, offsets: Vec<SplitOffset>) {
        let mut held = lock(&self.offsets);
        for offset in offsets {
            held.insert((offset.source, offset.split.clone()), offset);
        }
    }

    pub(crate) fn files(&self) -> MutexGuard<'_, BTreeMap<u32, Vec<DataFile>>> {
        lock(&self.files)
    }

    pub(crate) fn set_files(&self, files: BTreeMap<u32, Vec<DataFile>>) {
        *lock(&self.files) = files;
    }

    /// The backfills that run.
    pub(crate) fn backfills(&self) -> Vec<Arc<Progress>> {
        lock(&self.backfills).clone()
    }

    pub(crate) fn set_backfills(&self, running: Vec<Arc<Progress>>) {
        *lock(&self.backfills) = running;
    }

    /// A name for a file that is about to be written, kept from removal while the guard lives.
    pub(crate) fn mint_pending(self: &Arc<Self>) -> PendingFile {
        let mut pending = lock(&self.pending);
        let ulid = self.rng.ulid(self.clock.now_us());
        pending.insert(ulid.clone());
        PendingFile { shared: Arc::clone(self), ulid }
    }

    /// A name that nothing else has.
    pub(crate) fn mint(&self) -> String {
        self.rng.ulid(self.clock.now_us())
    }

    /// A name below every file that is being written.
    pub(crate) fn pending_floor(&self) -> String {
        let pending = lock(&self.pending);
        let oldest = pending.first().cloned();
        oldest.unwrap_or_else(|| self.rng.ulid(self.clock.now_us()))
    }

    pub(crate) fn source(&self, id: u32) -> Option<Arc<SourceStatus>> {
        lock(&self.sources).get(&id).map(Arc::clone)
    }

    pub(crate) fn sink(&self, id: u32) -> Option<Arc<SinkStatus>> {
        lock(&self.sinks).get(&id).map(Arc::clone)
    }

    /// Remembers how many rows an insert-only relation had at an epoch, for the sinks that follow it.
    pub(crate) fn note_rows(&self, relation: u32, epoch: Epoch, rows: u64) {
        let mut history = lock(&self.history);
        let known = history.entry(relation).or_default();
        if known.last().is_none_or(|(_, last)| *last != rows) {
            known.push((epoch.0, rows));
        }
    }

    /// Rows of a relation at an epoch; 0 when it had none or that epoch is forgotten.
    pub(crate) fn rows_at(&self, relation: u32, epoch: Epoch) -> u64 {
        let history = lock(&self.history);
        let known = history.get(&relation).into_iter().flatten();
        known.take_while(|(e, _)| *e <= epoch.0).last().map_or(0, |(_, rows)| *rows)
    }

    /// Forgets the history of a relation before an epoch.
    pub(crate) fn forget_rows_before(&self, relation: u32, epoch: Epoch) {
        if let Some(known) = lock(&self.history).get_mut(&relation) {
            let keep = known.iter().rposition(|(e, _)| *e <= epoch.0).unwrap_or(0);
            known.drain(..keep);
        }
    }

    pub(crate) fn encode_history(&self) -> Vec<u8> {
        serde_json::to_vec(&*lock(&self.history)).expect("plain data serialises")
    }

    pub(crate) fn decode_history(&self, bytes: &[u8]) {
        if let Ok(history) = serde_json::from_slice(bytes) {
            *lock(&self.history) = history;
        }
    }
}

/// Keeps a file that nothing refers to yet from being removed.
pub(crate) struct PendingFile {
    shared: Arc<Shared>,
    ulid: String,
}

impl PendingFile {
    /// The file's unique name.
    pub(crate) fn ulid(&self) -> &str {
        &self.ulid
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        lock(&self.shared.pending).remove(&self.ulid);
    }
}

/// The content of a mutex, whoever panicked while holding it: no lock is held over a half-made change.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
