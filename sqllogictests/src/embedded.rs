//! The engine in this process: a database directory, one session, and the crash.
//!
//! A crash is the database dropped without `close`: no checkpoint, no farewell, files as they stand.
//! Settings made by `SET` are made again in the session that follows, as a client's driver would.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::TryStreamExt;
use levada_engine::client::{
    Database, Notice, OpenOptions, Outcome, Prepared, Rows, RowsTag, Session, SessionOptions,
    TransactionStatus,
};
use levada_engine::error::Error;
use levada_server::sqlstate::Report;
use levada_storage::delta::DeltaBatch;

use crate::class::{Class, classify};
use crate::clock::SetClock;
use crate::target::{Answer, Failure};
use crate::text;

/// Rows of a result with their schema.
pub type Table = (SchemaRef, Vec<RecordBatch>);

/// Options by which every delta is a large one, which several threads share, and every new view is filled
/// beside ticks.
pub const SHARED: OpenOptions = OpenOptions {
    memory_limit: None,
    state_memory: None,
    spill_folder: None,
    threads: Some(3),
    large_rows: Some(1),
    beside_rows: Some(0),
    clock_resolution: None,
    clock: None,
};

/// A database in this process with one session.
pub struct Embedded {
    folder: PathBuf,
    options: OpenOptions,
    open: Option<(Database, Session)>,
    settings: Vec<String>,
    clock: SetClock,
}

impl Embedded {
    /// Opens a database below `folder`, which also takes the script's files.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub async fn open(folder: &Path) -> Result<Self> {
        Self::open_with(folder, OpenOptions::default()).await
    }

    /// As [`Embedded::open`], with options that it keeps.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub async fn open_with(folder: &Path, options: OpenOptions) -> Result<Self> {
        Self::open_at(folder, options, SetClock::going()).await
    }

    /// As [`Embedded::open_with`], with the time of a clock.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub async fn open_at(folder: &Path, options: OpenOptions, clock: SetClock) -> Result<Self> {
        let (folder, settings) = (folder.to_owned(), Vec::new());
        let options = OpenOptions { clock: Some(Arc::new(clock.clone())), ..options };
        let mut embedded = Self { folder, options, open: None, settings, clock };
        embedded.start().await?;
        Ok(embedded)
    }

    /// The clock of its database.
    #[must_use]
    pub fn clock(&self) -> &SetClock {
        &self.clock
    }

    /// Brings its views to the time of the clock.
    ///
    /// # Errors
    /// When that cannot be made durable.
    pub async fn keep_time(&mut self) -> Result<()> {
        let (database, _) = self.open.as_ref().context("the database is open between calls")?;
        database.keep_time().await?;
        Ok(())
    }

    async fn start(&mut self) -> Result<()> {
        let path = self.folder.join("db");
        let opened = Database::open_with(&path.to_string_lossy(), self.options.clone()).await;
        let database = opened.context("could not open the database")?;
        let session = database.connect(SessionOptions { pid: 1, ..SessionOptions::default() });
        self.open = Some((database, session));
        for setting in self.settings.clone() {
            self.run(&setting).await.with_context(|| format!("could not repeat \"{setting}\""))?;
        }
        Ok(())
    }

    /// The newest epoch that readers see.
    ///
    /// # Errors
    /// When the database is not open.
    pub fn epoch(&self) -> Result<u64> {
        let (database, _) = self.open.as_ref().context("the database is open between calls")?;
        Ok(database.epoch().0)
    }

    /// The folder of the database and the script's files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Drops the database without closing it and opens the directory again.
    ///
    /// # Errors
    /// When it does not open.
    pub async fn crash(&mut self) -> Result<()> {
        self.open = None;
        self.start().await.context("after a crash")
    }

    /// Closes the database in order and opens it again.
    ///
    /// # Errors
    /// When it cannot be closed or opened.
    pub async fn reopen(&mut self) -> Result<()> {
        self.close().await?;
        self.start().await
    }

    /// Closes the database in order.
    ///
    /// # Errors
    /// When the checkpoint cannot be written.
    pub async fn close(&mut self) -> Result<()> {
        if let Some((database, session)) = self.open.take() {
            drop(session);
            database.close().await?;
        }
        Ok(())
    }

    /// Whether a transaction block is open.
    #[must_use]
    pub fn in_block(&self) -> bool {
        self.open
            .as_ref()
            .is_some_and(|(_, session)| session.transaction_status() != TransactionStatus::Idle)
    }

    fn session(&mut self) -> &mut Session {
        &mut self.open.as_mut().expect("the database is open between calls").1
    }

    fn prepare(&mut self, sql: &str) -> Result<Vec<Prepared>, Failure> {
        let sql = sql.replace("$DIR", &self.folder.to_string_lossy());
        self.session().parse(&sql).map_err(|e| failure(e, &sql))
    }

    /// Runs a string of statements and answers as psql would print the last.
    ///
    /// # Errors
    /// As the client sees it.
    pub async fn run(&mut self, sql: &str) -> Result<Answer, Failure> {
        let mut answer = Answer::default();
        for statement in self.prepare(sql)? {
            answer.rows.clear();
            let session = self.session();
            let outcome = match session.execute(&statement, Vec::new()).await {
                Ok(outcome) => outcome,
                Err(e) => return Err(failure(e, &statement.text)),
            };
            match outcome {
                Outcome::Rows(rows) => fill(&mut answer, rows, &statement.text).await?,
                Outcome::Done(tag) => answer.count = count(&tag),
                Outcome::CopyIn(_) | Outcome::CopyOut(_) => {
                    return Err(Failure {
                        sqlstate: "0A000".to_owned(),
                        message: "COPY needs a wire".to_owned(),
                        more: Vec::new(),
                    });
                }
                Outcome::Empty => {}
            }
            answer.messages.extend(self.session().take_notices().iter().flat_map(messages));
        }
        if classify(sql) == Class::Setting {
            self.settings.push(sql.to_owned());
        }
        Ok(answer)
    }

    /// Runs a query and returns its rows as they are.
    ///
    /// # Errors
    /// As the client sees it.
    pub async fn rows(&mut self, sql: &str) -> Result<Table, Failure> {
        let statements = self.prepare(sql)?;
        let [statement] = statements.as_slice() else {
            return Err(Failure { message: "not one statement".to_owned(), ..Failure::default() });
        };
        let outcome =
            self.session().execute(statement, Vec::new()).await.map_err(|e| failure(e, sql))?;
        let Outcome::Rows(rows) = outcome else {
            return Err(Failure { message: "no rows".to_owned(), ..Failure::default() });
        };
        let schema = SchemaRef::clone(&rows.schema);
        let batches = rows.stream.try_collect().await.map_err(|e| failure(Error::from(e), sql))?;
        Ok((schema, batches))
    }

    /// The only value of a query's result; [`None`] when it fails, is empty or is NULL.
    pub async fn value(&mut self, sql: &str) -> Option<String> {
        let (_, batches) = self.rows(sql).await.ok()?;
        let batch = batches.iter().find(|b| b.num_rows() > 0)?;
        text::value(batch.columns().first()?, 0)
    }

    /// Sets the search path, without repeating it after a crash.
    ///
    /// # Errors
    /// When the path is refused.
    pub async fn search(&mut self, path: &str) -> Result<(), Failure> {
        let sql = format!("SET search_path = {path}");
        for statement in self.prepare(&sql)? {
            let session = self.session();
            session.execute(&statement, Vec::new()).await.map_err(|e| failure(e, &sql))?;
        }
        Ok(())
    }

    /// Commits weighted rows to a table as one epoch.
    ///
    /// # Errors
    /// As the client sees it.
    pub async fn apply(&mut self, relation: &str, deltas: Vec<DeltaBatch>) -> Result<(), Failure> {
        match self.session().apply(relation, deltas).await {
            Ok(_) => Ok(()),
            Err(e) => Err(failure(e, "")),
        }
    }
}

async fn fill(answer: &mut Answer, rows: Rows, sql: &str) -> Result<(), Failure> {
    let types = rows.schema.fields().iter().map(|f| text::letter(f.data_type())).collect();
    answer.types = Some(types);
    let batches: Vec<RecordBatch> =
        rows.stream.try_collect().await.map_err(|e| failure(Error::from(e), sql))?;
    answer.rows = batches.iter().flat_map(text::lines).collect();
    if let RowsTag::Counted(_) = rows.tag {
        answer.count = u64::try_from(answer.rows.len()).ok();
    }
    Ok(())
}

fn count(tag: &str) -> Option<u64> {
    tag.rsplit(' ').next()?.parse().ok()
}

fn messages(notice: &Notice) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", notice.severity, notice.message)];
    lines.extend(notice.detail.iter().map(|d| format!("DETAIL: {d}")));
    lines.extend(notice.hint.iter().map(|h| format!("HINT: {h}")));
    lines
}

fn failure(error: Error, sql: &str) -> Failure {
    let report = Report::from(error);
    let mut more = Vec::new();
    more.extend(report.detail.map(|d| format!("DETAIL: {d}")));
    more.extend(report.hint.map(|h| format!("HINT: {h}")));
    more.extend(report.position.map(|p| format!("POSITION: {}", p.character_in(sql))));
    Failure { sqlstate: report.sqlstate.to_owned(), message: report.message, more }
}
