//! A corpus of foreign scripts: each query becomes a materialized view over tables that change.
//!
//! The scripts are those of DataFusion's own sqllogictest. DataFusion itself runs their statements and so
//! says what the tables hold; the rows are copied into tables of Levada. The queries that follow one
//! another without a statement between them form a group and go through the same epochs together:
//!
//! | step | tables | views |
//! |---|---|---|
//! | 1 | full | half of them are made, by backfill |
//! | 2 | emptied | compared |
//! | 3 | filled again, a few rows per epoch | the other half is made after the first epoch; compared after each |
//! | 4 | every third row goes | compared |
//! | 5 | they come back, the first row twice; then it goes once | compared |
//!
//! The judge is the [oracle](crate::oracle): the query run again over what the tables hold. A query whose
//! answer is not the same when asked twice, or over the same rows in another order, has no right answer
//! and is only counted. Expected rows of the scripts are not compared: they belong to another dialect.
//!
//! | module | does |
//! |---|---|
//! | [`reader`] | cuts a file into statements and queries |
//! | [`mirror`] | DataFusion's tables, copied into a database and changed |
//! | [`tally`] | counts what became of the queries |

pub mod mirror;
pub mod reader;
pub mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use levada_engine::client::OpenOptions;

use crate::clock::SetClock;
use crate::embedded::Embedded;
use crate::oracle::compare;
use mirror::{Mirror, Step};
use reader::{Item, Query};
use tally::{Finding, Tally};

/// Views that go through their epochs together.
const GROUP_MAX: usize = 40;
/// How long one statement may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs one script in a database below `folder`.
///
/// # Errors
/// When the script cannot be read or the database cannot be opened; whatever a query does is counted.
pub async fn run(path: &Path, folder: &Path) -> Result<Tally> {
    let items = reader::read(path)?;
    let root = reader::root(path);
    let mut run = Run {
        name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        database: Embedded::open_at(folder, OpenOptions::default(), SetClock::standing()).await?,
        mirror: Mirror::new(root, folder),
        tally: Tally::default(),
    };
    let mut group = Vec::new();
    for item in items {
        match item {
            Item::Query(query) => {
                group.push(query);
                if group.len() == GROUP_MAX {
                    run.group(std::mem::take(&mut group)).await?;
                }
            }
            Item::Statement(sql) => {
                run.group(std::mem::take(&mut group)).await?;
                run.mirror.statement(&sql, &mut run.database).await;
            }
        }
    }
    run.group(group).await?;
    run.database.close().await.context("at the end of the file")?;
    Ok(run.tally)
}

struct Run {
    name: String,
    database: Embedded,
    mirror: Mirror,
    tally: Tally,
}

/// A view under comparison.
struct Watched {
    name: String,
    query: Query,
    wrong: bool,
}

impl Run {
    async fn group(&mut self, queries: Vec<Query>) -> Result<()> {
        if queries.is_empty() {
            return Ok(());
        }
        self.mirror.copy(&mut self.database).await?;
        self.mirror.concern(queries.iter().map(|q| q.sql.as_str()));
        let mut runnable = Vec::new();
        for query in queries {
            if self.runs(&query).await {
                runnable.push(query);
            }
        }
        let mut late = runnable.split_off(runnable.len().div_ceil(2));
        let mut views = Vec::new();
        self.make(runnable, 0, &mut views).await;
        self.judge("when it was made", &mut views).await;
        for step in self.mirror.steps() {
            let told = self.mirror.take(&step, &mut self.database).await;
            if matches!(step, Step::Fill(_)) {
                self.make(std::mem::take(&mut late), GROUP_MAX, &mut views).await;
            }
            if let Err(e) = told {
                for view in views.iter_mut().filter(|view| !view.wrong) {
                    let what = format!("{step}: {e:#}");
                    self.tally.found(Finding::new(&self.name, &view.query, "group", what));
                    view.wrong = true;
                }
            }
            self.judge(&step.to_string(), &mut views).await;
        }
        self.tally.right += views.iter().filter(|view| !view.wrong).count();
        for view in views.iter().rev() {
            let drop = format!("DROP MATERIALIZED VIEW {}", view.name);
            self.database.run(&drop).await.map_err(anyhow::Error::from)?;
        }
        Ok(())
    }

    /// Whether the query runs as it stands, and twice with one answer.
    async fn runs(&mut self, query: &Query) -> bool {
        self.tally.queries += 1;
        self.tally.planned += usize::from(self.mirror.plans(&query.sql).await);
        let Ok(first) = tokio::time::timeout(PATIENCE, self.database.rows(&query.sql)).await else {
            self.tally.not_run("longer than ten seconds");
            return false;
        };
        if let Err(failure) = &first {
            self.tally.not_run(&failure.line());
            return false;
        }
        self.tally.runnable += 1;
        let second = self.database.rows(&query.sql).await;
        if !matches!(compare(&first, &second), Ok(None)) {
            self.tally.unstable += 1;
            return false;
        }
        true
    }

    async fn make(&mut self, queries: Vec<Query>, first: usize, views: &mut Vec<Watched>) {
        for (i, query) in queries.into_iter().enumerate() {
            let name = format!("corpus_view_{}", first + i);
            let query = Query { sql: self.with_names(&query.sql).await, ..query };
            let create = format!("CREATE MATERIALIZED VIEW {name} AS {}", query.sql);
            match self.database.run(&create).await {
                Ok(_) => {
                    self.tally.views += 1;
                    self.explain(&name).await;
                    views.push(Watched { name, query, wrong: false });
                }
                Err(failure) => self.tally.refused(&self.name, &query, &failure),
            }
        }
    }

    /// The query, wrapped so that its columns have different names.
    async fn with_names(&mut self, sql: &str) -> String {
        let Ok((schema, _)) = self.database.rows(sql).await else { return sql.to_owned() };
        let names: BTreeSet<&String> = schema.fields().iter().map(|f| f.name()).collect();
        if names.len() == schema.fields().len() {
            return sql.to_owned();
        }
        let names: Vec<String> = (0..schema.fields().len()).map(|i| format!("c{i}")).collect();
        format!("SELECT * FROM (\n{sql}\n) AS q ({})", names.join(", "))
    }

    /// Counts the reasons of the view's recomputations.
    async fn explain(&mut self, name: &str) {
        let explain = format!("EXPLAIN INCREMENTAL FOR {name}");
        let Ok(answer) = self.database.run(&explain).await else { return };
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        for line in &answer.rows {
            if let Some((_, rest)) = line.split_once("Recompute reason=\"") {
                let reason = rest.split('"').next().unwrap_or_default().to_owned();
                *reasons.entry(reason).or_default() += 1;
            }
        }
        self.tally.recomputed(reasons.into_keys());
    }

    async fn judge(&mut self, when: &str, views: &mut [Watched]) {
        for view in views.iter_mut().filter(|view| !view.wrong) {
            let stored = self.database.rows(&format!("SELECT * FROM {}", view.name)).await;
            let computed = self.database.rows(&view.query.sql).await;
            self.tally.comparisons += 1;
            let what = match compare(&stored, &computed) {
                Ok(None) => continue,
                Ok(Some(what)) => what,
                Err(e) => format!("{e:#}"),
            };
            if self.mirror.has_one_answer(&view.query.sql, &computed, &mut self.database).await {
                self.tally.found(Finding::new(&self.name, &view.query, when, what));
            } else {
                self.tally.unstable += 1;
            }
            view.wrong = true;
        }
    }
}
