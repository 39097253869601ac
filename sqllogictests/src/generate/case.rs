//! Tables, views and epochs together, run against the engine and judged by the oracle.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use levada_engine::client::OpenOptions;
use levada_storage::delta::DeltaBatch;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::delta::{Contents, Epoch};
use super::query::Query;
use super::schema::Table;
use crate::class::{Class, View};
use crate::clock::SetClock;
use crate::embedded::{Embedded, SHARED};
use crate::oracle::{Depth, Oracle};
use crate::text;

/// A case to run.
#[derive(Clone, Debug)]
pub struct Case {
    /// Tables `t0`, `t1`, ...
    pub tables: Vec<Table>,
    /// Queries of the views `v0`, `v1`, ...
    pub views: Vec<Query>,
    /// Epochs in order.
    pub epochs: Vec<Epoch>,
    /// Epochs after which the database crashes and is opened again.
    pub crashes: Vec<usize>,
    /// How the database is opened: deltas are small or large.
    pub options: OpenOptions,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Views maintained.
    pub views: usize,
    /// Views that the planner refused, as it refuses their query.
    pub refused: usize,
    /// Views that the planner refused though their query runs: subqueries that stay subqueries.
    pub gaps: usize,
    /// Views compared, over all epochs.
    pub comparisons: usize,
}

impl Case {
    /// A random case of queries nested at most `depth` deep.
    #[must_use]
    pub fn random(seed: u64, views: usize, epochs: usize, depth: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let tables = Table::random(&mut rng);
        let views = (0..views)
            .map(|_| {
                let depth = rng.random_range(1..=depth);
                Query::random(&tables, depth, &mut rng)
            })
            .collect();
        let mut contents = Contents::new(&tables);
        let epochs: Vec<Epoch> = (0..epochs).map(|_| contents.epoch(&tables, &mut rng)).collect();
        let crashes = (0..epochs.len()).filter(|_| rng.random_bool(0.1)).collect();
        let options = OpenOptions {
            state_memory: rng.random_bool(0.3).then_some(0),
            ..if seed.is_multiple_of(3) { SHARED } else { OpenOptions::default() }
        };
        Self { tables, views, epochs, crashes, options }
    }

    /// Runs the case in a database below `folder`.
    ///
    /// # Errors
    /// The first difference, with its epoch.
    pub async fn run(&self, folder: &Path) -> Result<Outcome> {
        let clock = SetClock::standing();
        let mut database = Embedded::open_at(folder, self.options.clone(), clock).await?;
        let mut oracle = Oracle::default();
        let mut outcome = Outcome::default();
        for table in &self.tables {
            database.run(&table.sql()).await.with_context(|| table.sql())?;
        }
        // Half of the views see the first epochs as backfill.
        let late = self.epochs.len().min(3);
        let half = self.views.len() / 2;
        self.create(0..half, &mut database, &mut oracle, &mut outcome).await?;
        for (i, epoch) in self.epochs.iter().enumerate() {
            if i == late {
                self.create(half..self.views.len(), &mut database, &mut oracle, &mut outcome)
                    .await?;
            }
            self.apply(epoch, &mut database).await.with_context(|| format!("in epoch {i}"))?;
            oracle
                .check(&mut database, Depth::Compare)
                .await
                .with_context(|| format!("after epoch {i}"))?;
            outcome.comparisons += oracle.len();
            if self.crashes.contains(&i) {
                database.crash().await.with_context(|| format!("after epoch {i}"))?;
                oracle
                    .check(&mut database, Depth::Compare)
                    .await
                    .with_context(|| format!("after the crash after epoch {i}"))?;
            }
        }
        if self.epochs.len() <= late {
            self.create(half..self.views.len(), &mut database, &mut oracle, &mut outcome).await?;
        }
        oracle.check(&mut database, Depth::Check).await.context("at the end")?;
        self.empty(&mut database, &oracle).await?;
        database.close().await?;
        Ok(outcome)
    }

    /// Deletes every row: the views follow, and no operator keeps state but below an aggregate that has
    /// a row over nothing.
    async fn empty(&self, database: &mut Embedded, oracle: &Oracle) -> Result<()> {
        let mut contents = Contents::new(&self.tables);
        for epoch in &self.epochs {
            contents.follow(epoch);
        }
        for epoch in contents.clearing() {
            self.apply(&epoch, database).await.context("while every row was deleted")?;
        }
        oracle.check(database, Depth::Compare).await.context("after every row was deleted")?;
        let select = "SELECT view, operator, state_rows FROM sys.operators WHERE state_rows <> 0";
        let (_, batches) = database.rows(select).await?;
        for row in batches.iter().flat_map(text::rows) {
            let [Some(views), Some(operator), Some(count)] = row.as_slice() else { continue };
            // These two keep the row of the clock.
            let meets_clock = ["Join cross", "Threshold"].iter().any(|o| operator.starts_with(o));
            let empty = |view: &&str| self.must_be_empty(view, meets_clock);
            if let Some(view) = views.split(", ").find(empty) {
                bail!("{operator} of {view} keeps {count} rows of state over empty tables");
            }
        }
        Ok(())
    }

    /// Whether the state of a view goes with the rows of the tables.
    fn must_be_empty(&self, view: &str, meets_clock: bool) -> bool {
        let number = view.rsplit("v").next().and_then(|digits| digits.parse::<usize>().ok());
        let query = number.and_then(|number| self.views.get(number));
        query.is_some_and(|query| {
            !(query.has_global_aggregate() || meets_clock && query.calls_clock())
        })
    }

    async fn create(
        &self,
        which: std::ops::Range<usize>,
        database: &mut Embedded,
        oracle: &mut Oracle,
        outcome: &mut Outcome,
    ) -> Result<()> {
        for i in which {
            let query = self.views[i].sql();
            match database.run(&format!("CREATE MATERIALIZED VIEW v{i} AS {query}")).await {
                Ok(_) => {
                    let view =
                        View { name: format!("v{i}"), query, schema: None, if_missing: false };
                    oracle.note(&Class::CreateViews(vec![view]), database).await;
                    outcome.views += 1;
                }
                Err(failure) => {
                    if database.rows(&query).await.is_err() {
                        outcome.refused += 1;
                    } else if self.views[i].has_open_subquery() {
                        outcome.gaps += 1;
                    } else {
                        bail!("view v{i} is refused, its query runs: {failure}\nquery: {query}");
                    }
                }
            }
        }
        Ok(())
    }

    /// Moves the clock and commits an epoch.
    ///
    /// # Errors
    /// When the engine refuses it.
    pub async fn apply(&self, epoch: &Epoch, database: &mut Embedded) -> Result<()> {
        if epoch.seconds != 0 {
            database.clock().advance(epoch.seconds * 1_000_000);
            database.keep_time().await?;
        }
        let table = &self.tables[epoch.table];
        let select = format!("SELECT * FROM {} LIMIT 0", table.name);
        let (schema, _) = database.rows(&select).await?;
        let rows: Vec<_> = epoch.changes.iter().map(|(row, _)| row).collect();
        let weights = epoch.changes.iter().map(|(_, weight)| *weight).collect();
        let delta = DeltaBatch::weighted(table.batch(&rows, &schema)?, weights);
        Ok(database.apply(&table.name, vec![delta]).await?)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in &self.tables {
            writeln!(f, "{};", table.sql())?;
        }
        for (i, view) in self.views.iter().enumerate() {
            writeln!(f, "CREATE MATERIALIZED VIEW v{i} AS {};", view.sql())?;
        }
        for (i, epoch) in self.epochs.iter().enumerate() {
            writeln!(f, "epoch {i} of t{}, {} seconds later:", epoch.table, epoch.seconds)?;
            for (row, weight) in &epoch.changes {
                let values: Vec<String> = row.iter().map(ToString::to_string).collect();
                writeln!(f, "  {weight:+} ({})", values.join(", "))?;
            }
            if self.crashes.contains(&i) {
                writeln!(f, "crash")?;
            }
        }
        Ok(())
    }
}
