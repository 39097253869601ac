//! `levada-bench nexmark`: 23 views over the events of an auction house.
//!
//! | mode | runs | for comparison with |
//! |---|---|---|
//! | `memory` | the maintained operators alone, fed from memory in ticks | systems that maintain, without their storage |
//! | `database` | the embedded database: sources over the files, a view until it has everything | whole systems |
//! | `datafusion` | one batch run of DataFusion over the files | systems that recompute |
//!
//! Each query runs in a process of its own, so that its memory is its own.

mod database;
mod event;
mod query;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use levada_engine::client::OpenOptions;
use levada_engine::spill::MemoryLimit;
use levada_engine::workers::Workers;
use levada_storage::delta::{Delta, DeltaBatch};

use self::event::{Events, TABLES, rows_among};
use self::query::{QUERIES, Query};
use crate::answer::Answer;
use crate::batch::Batch;
use crate::maintained::{Keep, Maintained, megabytes};
use crate::measure::{Line, Stopwatch, reset_peak, rounded};
use crate::table::{FIRST_ID, Table, slice};
use crate::view::View;

/// All tables; the last is small and does not change.
const ALL_TABLES: [&str; 4] = ["person", "auction", "bid", "side_input"];

/// How the queries are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    Memory,
    Database,
    Datafusion,
}

/// Arguments of `nexmark`.
#[derive(Debug, Args)]
pub(crate) struct Nexmark {
    /// How the queries are run.
    #[arg(long, value_enum, default_value = "memory")]
    mode: Mode,
    /// Folder with the files of events; they are made if it has none.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Number of events to make.
    #[arg(long, default_value_t = 100_000)]
    events: i64,
    /// Seed of the events to make.
    #[arg(long, default_value_t = 42)]
    seed: u32,
    /// Events of a tick.
    #[arg(long, default_value_t = 40_000)]
    tick: i64,
    /// Queries, separated by commas.
    #[arg(long, value_delimiter = ',')]
    query: Vec<String>,
    /// Runs of each query.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Threads of a maintained view, or of a batch run.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Megabytes of memory that may be used; by default what the machine has.
    #[arg(long, value_name = "MB")]
    memory_mb: Option<usize>,
    /// What becomes of the view's rows.
    #[arg(long, value_enum, default_value = "rows")]
    keep: Keep,
    /// Prints what each operator did to standard error.
    #[arg(long)]
    profile: bool,
    /// Compares the answer with one batch run over the same rows.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    verify: bool,
    /// Makes the files and stops.
    #[arg(long)]
    generate: bool,
}

impl Nexmark {
    /// Runs what was asked for.
    ///
    /// # Errors
    /// When a query cannot run or its answer is wrong.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let folder = self.folder();
        if !folder.join("meta.json").exists() {
            Events { events: self.events, seed: self.seed, eps: 10_000 }.write(&folder)?;
        }
        let all = QUERIES.iter().map(|query| query.name.to_owned());
        let names: Vec<String> =
            if self.query.is_empty() { all.collect() } else { self.query.clone() };
        match (self.generate, names.as_slice()) {
            (true, _) => Ok(()),
            (_, [name]) if self.runs == 1 => self.measure(&folder, find(name)?).await,
            _ => self.run_apart(&folder, &names),
        }
    }

    fn folder(&self) -> PathBuf {
        let named = format!("levada-bench/nexmark-{}-{}", self.events, self.seed);
        self.data.clone().unwrap_or_else(|| std::env::temp_dir().join(named))
    }

    /// Each query in a process of its own; all of them run, whatever one runs into.
    fn run_apart(&self, folder: &Path, names: &[String]) -> anyhow::Result<()> {
        let program = std::env::current_exe()?;
        let mode = self.mode.to_possible_value().context("a mode has a name")?;
        let keep = self.keep.to_possible_value().context("it has a name")?;
        let mut failed = Vec::new();
        for name in names {
            for _ in 0..self.runs {
                let mut command = Command::new(&program);
                command.args(["nexmark", "--query", name, "--mode", mode.get_name()]);
                command.args(["--keep", keep.get_name(), "--tick", &self.tick.to_string()]);
                command.args(["--threads", &self.threads.to_string()]);
                if let Some(memory) = self.memory_mb {
                    command.args(["--memory-mb", &memory.to_string()]);
                }
                command.args(["--verify", &self.verify.to_string()]);
                command.args(self.profile.then_some("--profile"));
                if !command.arg("--data").arg(folder).status()?.success() {
                    failed.push(name.as_str());
                }
            }
        }
        failed.dedup();
        ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
        Ok(())
    }

    async fn measure(&self, folder: &Path, query: &Query) -> anyhow::Result<()> {
        let events = Events::read(folder)?;
        let measured = match self.mode {
            Mode::Memory => self.maintain(folder, events, query).await,
            Mode::Database => {
                let options = OpenOptions { memory_limit: self.memory(), ..Default::default() };
                database::run(folder, events, query, options, self.verify).await
            }
            Mode::Datafusion => self.datafusion(folder, events, query).await,
        };
        measured.with_context(|| query.name)
    }

    /// Bytes of memory that may be used, if there is a limit.
    fn memory(&self) -> Option<usize> {
        self.memory_mb.map(|megabytes| megabytes << 20)
    }

    async fn maintain(&self, folder: &Path, events: Events, query: &Query) -> anyhow::Result<()> {
        let tables = load(folder, query)?;
        let view = View::plan(query.sql, &tables, true)?;
        let ticks = ticks(&tables, events.events, self.tick);
        let workers = Workers::new(Some(self.threads));
        let (plan, schema) = (&view.delta_plan, &view.schema);
        let mut maintained = Maintained::new(plan, schema, self.keep, query.counted, &workers)?;
        if let Some(limit) = self.memory() {
            maintained = maintained.within(MemoryLimit::new(limit, std::env::temp_dir()));
        }
        reset_peak();
        let watch = Stopwatch::start();
        for tick in &ticks {
            maintained.tick(tick)?;
        }
        let cost = watch.stop();
        let answer = maintained.answer()?;
        Line::new("nexmark", "memory", query.name)
            .with_threads(self.threads)
            .costing(cost, events.events.unsigned_abs())
            .answering(answer)
            .with("tick_events", self.tick)
            .with("tick_p50_ms", maintained.tick_ms(0.5))
            .with("tick_p99_ms", maintained.tick_ms(0.99))
            .with("deltas", maintained.deltas)
            .with("state_mb", rounded(megabytes(maintained.state_bytes())))
            .print()?;
        if self.profile {
            maintained.print_profile(query.name)?;
        }
        if self.verify {
            let expected = Answer::of(&view.batch(&tables).await?, query.counted)?;
            ensure!(answer == expected, "maintained {answer:?}, batch {expected:?}");
        }
        Ok(())
    }

    async fn datafusion(&self, folder: &Path, events: Events, query: &Query) -> anyhow::Result<()> {
        let batch = Batch::open(folder, &ALL_TABLES, self.threads).await?;
        reset_peak();
        let watch = Stopwatch::start();
        let rows = batch.run(query.sql).await?;
        let cost = watch.stop();
        let mut line = Line::new("nexmark", "recompute", query.name)
            .costing(cost, events.events.unsigned_abs())
            .answering(Answer::of(&rows, query.counted)?);
        line.peer = "datafusion";
        line.id = format!("datafusion-{}", self.threads);
        line.version = datafusion::DATAFUSION_VERSION.to_owned();
        line.threads = self.threads;
        line.print()
    }
}

fn find(name: &str) -> anyhow::Result<&'static Query> {
    let known = QUERIES.iter().find(|query| query.name == name);
    known.with_context(|| format!("there is no query \"{name}\""))
}

/// The tables that `query` reads, with the columns that it reads and their rows.
fn load(folder: &Path, query: &Query) -> anyhow::Result<Vec<Table>> {
    let tables = (FIRST_ID..).zip(ALL_TABLES).map(|(id, name)| Table::open(folder, id, name));
    let tables = tables.collect::<anyhow::Result<Vec<Table>>>()?;
    let view = View::plan(query.sql, &tables, true)?;
    let mut loaded = Vec::new();
    for table in tables {
        let columns = view.reads(table.id);
        if !columns.is_empty() {
            loaded.push(table.load(folder, &columns)?);
        }
    }
    Ok(loaded)
}

/// The rows of `tables` in ticks of `step` events, in the order of events; what is no event comes first.
fn ticks(tables: &[Table], events: i64, step: i64) -> Vec<BTreeMap<u32, Delta>> {
    let bounds = (0..events).step_by(usize::try_from(step.max(1)).unwrap_or(1));
    let mut ticks: Vec<BTreeMap<u32, Delta>> = Vec::new();
    for from in bounds {
        let (before, after) = (rows_among(from), rows_among(events.min(from + step)));
        let part = |table: &Table| {
            let place = TABLES.iter().position(|name| *name == table.name);
            let rows = match place {
                Some(i) => slice(&table.batches, index(before[i]), index(after[i])),
                None if from == 0 => table.batches.clone(),
                None => Vec::new(),
            };
            (table.id, Delta::of(rows.into_iter().map(DeltaBatch::inserts)))
        };
        ticks.push(tables.iter().map(part).collect());
    }
    ticks
}

fn index(rows: i64) -> usize {
    usize::try_from(rows).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_is_maintained_and_equals_a_batch_run() {
        let folder = tempfile::tempdir().unwrap();
        let events = Events { events: 6000, seed: 3, eps: 500 };
        events.write(folder.path()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for query in &QUERIES {
            let tables = load(folder.path(), query).unwrap();
            let view = View::plan(query.sql, &tables, true).unwrap();
            let expected = runtime.block_on(view.batch(&tables)).unwrap();
            let expected = Answer::of(&expected, query.counted).unwrap();
            for keep in [Keep::Rows, Keep::Sum] {
                let (plan, schema) = (&view.delta_plan, &view.schema);
                let workers = Workers::new(Some(2)).sharing_from(64);
                let mut maintained =
                    Maintained::new(plan, schema, keep, query.counted, &workers).unwrap();
                for tick in ticks(&tables, events.events, 700) {
                    maintained.tick(&tick).unwrap();
                }
                assert_eq!(maintained.answer().unwrap(), expected, "{} {keep:?}", query.name);
            }
        }
    }
}
