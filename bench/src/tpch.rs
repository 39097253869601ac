//! `levada-bench tpch`: the 22 queries of TPC-H.
//!
//! | mode | runs |
//! |---|---|
//! | `memory` | each query as a maintained view: the whole tables as one tick, then refreshes |
//! | `database` | each query as an ad-hoc query of the embedded database, over sources of the files |
//! | `datafusion` | each query by DataFusion alone over the same files |
//!
//! A refresh deletes one order of a thousand with its lines in one tick and puts it back in the next; the
//! median of both is told. Every query runs even where another one fails.

mod generate;
mod query;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use clap::{Args, ValueEnum};
use futures::TryStreamExt;
use levada_engine::client::{Outcome, SessionOptions};
use levada_engine::workers::Workers;
use levada_engine::{Database, Session};
use levada_storage::delta::{Delta, DeltaBatch};

use self::query::QUERIES;
use crate::answer::Answer;
use crate::batch::Batch;
use crate::maintained::{Keep, Maintained, megabytes};
use crate::measure::{Cost, Line, Stopwatch, peak_rss_mb, reset_peak, rounded};
use crate::table::{FIRST_ID, Table, whole};
use crate::view::View;

/// The tables with the columns of their keys.
const TABLES: [(&str, &[&str]); 8] = [
    ("region", &["r_regionkey"]),
    ("nation", &["n_nationkey"]),
    ("part", &["p_partkey"]),
    ("supplier", &["s_suppkey"]),
    ("partsupp", &["ps_partkey", "ps_suppkey"]),
    ("customer", &["c_custkey"]),
    ("orders", &["o_orderkey"]),
    ("lineitem", &["l_orderkey", "l_linenumber"]),
];
/// The tables that a refresh changes, with the column that names the order.
const REFRESHED: [(&str, &str); 2] = [("orders", "o_orderkey"), ("lineitem", "l_orderkey")];
/// One order of so many is deleted and put back.
const ONE_OF: i64 = 1000;
/// Refreshes of a view.
const REFRESHES: i64 = 5;
/// Runs of an ad-hoc query; the best counts.
const RUNS: usize = 3;

/// How the queries are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    Memory,
    Database,
    Datafusion,
}

/// Arguments of `tpch`.
#[derive(Debug, Args)]
pub(crate) struct Tpch {
    /// How the queries are run.
    #[arg(long, value_enum, default_value = "memory")]
    mode: Mode,
    /// Folder with the files of the tables; they are made if it has none.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Scale factor of the tables to make.
    #[arg(long, default_value_t = 0.1)]
    scale: f64,
    /// Queries, separated by commas.
    #[arg(long, value_delimiter = ',')]
    query: Vec<String>,
    /// Threads of a maintained view, or of DataFusion by itself.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Compares answers with a batch run over the same rows.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    verify: bool,
    /// Prints what each operator did to standard error.
    #[arg(long)]
    profile: bool,
}

impl Tpch {
    /// Runs what was asked for.
    ///
    /// # Errors
    /// When a query cannot run or its answer is wrong.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let named = format!("levada-bench/tpch-{}", self.scale);
        let folder = self.data.clone().unwrap_or_else(|| std::env::temp_dir().join(named));
        if !folder.join("lineitem.parquet").exists() {
            generate::write(&folder, self.scale)?;
        }
        let folder = std::path::absolute(folder)?;
        match self.mode {
            Mode::Memory => self.memory(&folder).await,
            Mode::Database => self.database(&folder).await,
            Mode::Datafusion => self.datafusion(&folder).await,
        }
    }

    fn queries(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let asked = |name: &str| self.query.is_empty() || self.query.iter().any(|q| q == name);
        QUERIES.into_iter().filter(move |(name, _)| asked(name))
    }

    async fn memory(&self, folder: &Path) -> anyhow::Result<()> {
        let tables = load(folder)?;
        let rows: usize = tables.iter().map(Table::rows).sum();
        let refreshes = (0..REFRESHES).map(|i| refresh(&tables, i));
        let refreshes = refreshes.collect::<anyhow::Result<Vec<_>>>()?;
        let mut failed = Vec::new();
        for (name, sql) in self.queries() {
            if let Err(error) = self.maintain(name, sql, &tables, rows, &refreshes).await {
                failed.push(format!("{name}: {error:#}"));
            }
        }
        settle(&failed)
    }

    async fn maintain(
        &self,
        name: &str,
        sql: &str,
        tables: &[Table],
        rows: usize,
        refreshes: &[BTreeMap<u32, Delta>],
    ) -> anyhow::Result<()> {
        let view = View::plan(sql, tables, false)?;
        let workers = Workers::new(Some(self.threads));
        let (plan, schema) = (&view.delta_plan, &view.schema);
        let mut maintained = Maintained::new(plan, schema, Keep::Rows, None, &workers)?;
        reset_peak();
        let watch = Stopwatch::start();
        maintained.tick(&whole(tables))?;
        let cost = watch.stop();
        let mut times = Vec::new();
        for deletes in refreshes {
            let inserts = deletes
                .iter()
                .map(|(id, delta)| (*id, Delta::of(delta.ok.iter().map(DeltaBatch::negated))));
            maintained.tick(deletes)?;
            times.extend(maintained.ticks.last().copied());
            maintained.tick(&inserts.collect())?;
            times.extend(maintained.ticks.last().copied());
        }
        times.sort_unstable();
        let refresh = times[times.len() / 2].as_secs_f64() * 1e3;
        let changed: usize = refreshes[0].values().map(Delta::rows).sum();
        let answer = maintained.answer()?;
        Line::new("tpch", "memory", name)
            .with_threads(self.threads)
            .costing(cost, rows as u64)
            .answering(answer)
            .with("refresh_ms_median", rounded(refresh))
            .with("refresh_rows", changed)
            .with("state_mb", rounded(megabytes(maintained.state_bytes())))
            .print()?;
        if self.profile {
            maintained.print_profile(name)?;
        }
        if self.verify {
            let expected = Answer::of(&view.batch(tables).await?, None)?;
            ensure!(answer == expected, "maintained {answer:?}, batch {expected:?}");
        }
        Ok(())
    }

    async fn database(&self, folder: &Path) -> anyhow::Result<()> {
        let named = format!("levada-bench/database-{}", std::process::id());
        let place = std::env::temp_dir().join(named);
        let database = Database::open(&place.to_string_lossy()).await?;
        let mut session = database.connect(SessionOptions::default());
        for (table, _) in TABLES {
            let file = folder.join(format!("{table}.parquet"));
            let sql = format!("CREATE SOURCE {table} FROM FILES ('{}')", file.display());
            session.run_script(&sql).await?;
            session.run_script(&format!("WAIT FOR {table}")).await?;
        }
        let mut failed = Vec::new();
        for (name, sql) in self.queries() {
            let mut best = Best::default();
            for _ in 0..RUNS {
                let watch = Stopwatch::start();
                match answer(&mut session, sql).await {
                    Ok(answer) => best.take(watch.stop(), answer),
                    Err(error) => best.failed = Some(format!("{name}: {error:#}")),
                }
            }
            failed.extend(best.failed.take());
            best.print(Line::new("tpch", "database", name))?;
        }
        drop(session);
        database.close().await?;
        drop(database);
        std::fs::remove_dir_all(&place)
            .with_context(|| format!("could not remove \"{}\"", place.display()))?;
        settle(&failed)
    }

    async fn datafusion(&self, folder: &Path) -> anyhow::Result<()> {
        let names: Vec<&str> = TABLES.iter().map(|(name, _)| *name).collect();
        let batch = Batch::open(folder, &names, self.threads).await?;
        let mut failed = Vec::new();
        for (name, sql) in self.queries() {
            let mut best = Best::default();
            for _ in 0..RUNS {
                let watch = Stopwatch::start();
                match batch.run(sql).await {
                    Ok(rows) => best.take(watch.stop(), Answer::of(&rows, None)?),
                    Err(error) => best.failed = Some(format!("{name}: {error:#}")),
                }
            }
            failed.extend(best.failed.take());
            let mut line = Line::new("tpch", "recompute", name);
            line.peer = "datafusion";
            line.id = format!("datafusion-{}", self.threads);
            line.version = datafusion::DATAFUSION_VERSION.to_owned();
            line.threads = self.threads;
            best.print(line)?;
        }
        settle(&failed)
    }
}

/// The fastest of some runs.
#[derive(Default)]
struct Best {
    run: Option<(Cost, Answer)>,
    failed: Option<String>,
}

impl Best {
    fn take(&mut self, cost: Cost, answer: Answer) {
        if self.run.is_none_or(|(best, _)| cost.wall < best.wall) {
            self.run = Some((cost, answer));
        }
    }

    fn print(&self, line: Line) -> anyhow::Result<()> {
        let Some((cost, answer)) = self.run else { return Ok(()) };
        line.with("wall_ms", rounded(cost.wall.as_secs_f64() * 1e3))
            .with("cpu_s", rounded(cost.cpu_s))
            .with("peak_rss_mb", peak_rss_mb())
            .answering(answer)
            .print()
    }
}

async fn answer(session: &mut Session, sql: &str) -> anyhow::Result<Answer> {
    match session.run_script(sql).await? {
        Outcome::Rows(rows) => {
            let batches: Vec<RecordBatch> = rows.stream.try_collect().await?;
            Answer::of(&batches, None)
        }
        _ => anyhow::bail!("a query gives rows"),
    }
}

fn settle(failed: &[String]) -> anyhow::Result<()> {
    ensure!(failed.is_empty(), "{} failed:\n  {}", failed.len(), failed.join("\n  "));
    Ok(())
}

fn load(folder: &Path) -> anyhow::Result<Vec<Table>> {
    let load = |(id, (name, key)): (u32, (&str, &[&str]))| {
        let mut table = Table::open(folder, id, name)?;
        table.key = key.iter().map(|column| (*column).to_owned()).collect();
        let all: Vec<usize> = (0..table.schema.fields().len()).collect();
        table.load(folder, &all)
    };
    (FIRST_ID..).zip(TABLES).map(load).collect()
}

/// The deletion of the orders whose key leaves a certain rest, with their lines.
fn refresh(tables: &[Table], number: i64) -> anyhow::Result<BTreeMap<u32, Delta>> {
    // Of each 32 keys of orders the first eight are in use.
    let rest = number % 7 + 1;
    let chosen = |key: i64| key % 8 == rest && key / 32 % (ONE_OF / 8) == number % (ONE_OF / 8);
    let mut deltas = BTreeMap::new();
    for (name, column) in REFRESHED {
        let table = tables.iter().find(|t| t.name == name).context("a table is missing")?;
        let mut delta = Delta::default();
        for batch in &table.batches {
            let keys = batch.column_by_name(column).context("a column is missing")?;
            let keys = keys.as_primitive::<Int64Type>().values();
            let kept: BooleanArray = keys.iter().map(|key| Some(chosen(*key))).collect();
            delta.push(DeltaBatch::retractions(filter_record_batch(batch, &kept)?));
        }
        deltas.insert(table.id, delta);
    }
    Ok(deltas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_is_maintained_through_refreshes() {
        let folder = tempfile::tempdir().unwrap();
        generate::write(folder.path(), 0.002).unwrap();
        let tables = load(folder.path()).unwrap();
        let deletes = refresh(&tables, 0).unwrap();
        assert!(deletes.values().all(|delta| delta.rows() > 0), "nothing is deleted");
        let negated = |(id, delta): (&u32, &Delta)| {
            (*id, Delta::of(delta.ok.iter().map(DeltaBatch::negated)))
        };
        let inserts = deletes.iter().map(negated).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (name, sql) in QUERIES {
            let view = View::plan(sql, &tables, false).unwrap();
            let expected = runtime.block_on(view.batch(&tables)).unwrap();
            let (plan, schema) = (&view.delta_plan, &view.schema);
            let workers = Workers::new(Some(2)).sharing_from(64);
            let mut maintained = Maintained::new(plan, schema, Keep::Rows, None, &workers).unwrap();
            for tick in [&whole(&tables), &deletes, &inserts] {
                maintained.tick(tick).unwrap();
            }
            let expected = Answer::of(&expected, None).unwrap();
            assert_eq!(maintained.answer().unwrap(), expected, "{name}");
        }
    }
}
