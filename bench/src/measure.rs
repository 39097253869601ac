//! What a run cost: wall time, CPU time, peak memory; and the line that tells it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use levada_storage::clock::{Clock, SystemClock};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::answer::Answer;

/// Clock ticks a second in `/proc`: the same on every Linux.
const TICKS: f64 = 100.0;

/// A running measurement.
pub(crate) struct Stopwatch {
    clock: Arc<dyn Clock>,
    began: Duration,
    cpu_began: f64,
}

/// What a run cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) cpu_s: f64,
    /// Peak of the resident memory of the process so far.
    pub(crate) peak_rss_mb: u64,
}

/// One result: the common keys; particulars stand beside them.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    /// The column of a table that it belongs to.
    pub(crate) id: String,
    pub(crate) peer: &'static str,
    pub(crate) version: String,
    pub(crate) machine: String,
    pub(crate) command: String,
    pub(crate) bench: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) threads: usize,
    pub(crate) query: String,
    #[serde(flatten)]
    pub(crate) particulars: Map<String, Value>,
}

/// The clock of all measurements.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

impl Stopwatch {
    /// Starts.
    pub(crate) fn start() -> Self {
        let clock = clock();
        Self { began: clock.monotonic(), clock, cpu_began: cpu_seconds() }
    }

    /// What it cost since.
    pub(crate) fn stop(&self) -> Cost {
        let wall = self.clock.monotonic() - self.began;
        Cost { wall, cpu_s: cpu_seconds() - self.cpu_began, peak_rss_mb: peak_rss_mb() }
    }
}

impl Line {
    /// A line without particulars.
    pub(crate) fn new(bench: &'static str, mode: &'static str, query: &str) -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        Self {
            id: format!("levada-{mode}"),
            peer: "levada",
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machine: machine(),
            command: format!("levada-bench {}", arguments.join(" ")),
            bench,
            mode,
            threads: 1,
            query: query.to_owned(),
            particulars: Map::new(),
        }
    }

    /// Of a run on so many threads.
    pub(crate) fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// With one more key.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.particulars.insert(key.to_owned(), value.into());
        self
    }

    /// With what a run over `events` cost.
    pub(crate) fn costing(self, cost: Cost, events: u64) -> Self {
        let wall_s = cost.wall.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = (events as f64 / wall_s).round();
        self.with("events", events)
            .with("wall_s", rounded(wall_s))
            .with("events_per_s", rate)
            .with("cpu_s", rounded(cost.cpu_s))
            .with("peak_rss_mb", cost.peak_rss_mb)
    }

    /// With an answer.
    pub(crate) fn answering(self, answer: Answer) -> Self {
        // Sums of a few million cells stay far below 2^63.
        let check = i64::try_from(answer.check).unwrap_or(i64::MAX);
        self.with("rows", answer.rows).with("check", check)
    }

    /// Prints it.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(self)?).context("could not print a result")
    }
}

/// Seconds, milliseconds, ... to four digits behind the point.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Forgets the peak of the resident memory, so that the next one is of what follows.
pub(crate) fn reset_peak() {
    // Not every kernel allows it; the peak of the whole process is told then.
    if let Ok(mut file) = OpenOptions::new().write(true).open("/proc/self/clear_refs") {
        drop(file.write_all(b"5"));
    }
}

fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the process, in brackets, may hold spaces.
    let behind = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = behind.split(' ').collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS
}

/// Resident memory at its highest.
pub(crate) fn peak_rss_mb() -> u64 {
    status_kb("VmHWM:") / 1024
}

fn status_kb(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// The processor, its cores and the memory.
fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|l| l.split_once(':')).map_or("unknown", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kb = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kb: u64 = kb.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
    format!("{model}, {cores} cores, {} GB", kb >> 20)
}
