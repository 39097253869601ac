//! One client's session: what every entrance (wire, shell, embedding program) calls.
//!
//! A session parses SQL into [`Prepared`] statements, describes them, and runs them one at a time. Results
//! are streams: nothing is collected. Dropping a result stream or the future of a call cancels it; before
//! the future of a call is dropped, its [`Withdrawal`] says whether its commit is already on its way.
//!
//! ```text
//! parse(text) -> [Prepared]      describe(prepared) -> parameter types, columns
//! execute(prepared, values) -> Rows | Done(tag) | CopyIn | CopyOut | Empty
//! ```

mod copy;
mod data;
mod definition;
mod drop;
mod explain;
mod lineage;
mod pipeline;
mod place;
mod planning;
mod query;
mod revise;
mod setting;
mod show;
mod transaction;
mod withdrawal;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;
use levada_catalog::pg::{PgPresence, PgSession};
use levada_planner::parse;
use levada_planner::statement::{Discard, Parsed, Statement};
use levada_storage::epoch::Epoch;

use crate::database::Inner;
pub use crate::database::OpenOptions;
use crate::error::{Error, Result};
pub use levada_catalog::pg::PgInterrupt;
pub use levada_catalog::pg::{PG_COLUMN_KEY, PG_TABLE_KEY};

use self::setting::Settings;
use self::transaction::Open;

pub use self::copy::{CopyFormat, CopyIn, CopyOptions, CopyOut};
pub use self::withdrawal::Withdrawal;

/// Who connects.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Role name.
    pub user: String,
    /// Database name.
    pub database: String,
    /// Settings of the startup packet (`application_name`, `search_path`, ...).
    pub settings: Vec<(String, String)>,
    /// Process id shown by `pg_backend_pid()`.
    pub pid: i32,
    /// Address of the client; none within the process.
    pub client_address: Option<String>,
    /// How others stop what the session runs (`pg_cancel_backend`).
    pub interrupt: Option<PgInterrupt>,
}

/// What a statement needs and gives.
#[derive(Clone, Debug)]
pub struct Description {
    /// Types of `$1`, `$2`, ...
    pub parameters: Vec<DataType>,
    /// Output columns; `None` for statements without rows.
    pub fields: Option<SchemaRef>,
}

/// The result of one statement.
pub enum Outcome {
    /// Rows to stream.
    Rows(Rows),
    /// Finished, with its command tag (`INSERT 0 3`, `CREATE TABLE`).
    Done(String),
    /// `COPY ... FROM STDIN`: the client sends data now.
    CopyIn(CopyIn),
    /// `COPY ... TO STDOUT`.
    CopyOut(CopyOut),
    /// The statement text was empty.
    Empty,
}

/// A streaming result.
pub struct Rows {
    /// Output columns.
    pub schema: SchemaRef,
    /// The rows.
    pub stream: SendableRecordBatchStream,
    /// How the command tag is made.
    pub tag: RowsTag,
}

/// How the tag of a result with rows is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowsTag {
    /// The words, a space and the number of rows (`SELECT 3`, `INSERT 0 3`).
    Counted(&'static str),
    /// The words alone (`SHOW`, `EXPLAIN`).
    Fixed(&'static str),
}

/// A message beside the result (`NOTICE`, `WARNING`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `NOTICE`, `WARNING` or `INFO`.
    pub severity: &'static str,
    /// SQLSTATE.
    pub sqlstate: &'static str,
    /// Primary message.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Where the session stands between statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// Outside a transaction block (`I`).
    Idle,
    /// Inside one (`T`).
    Open,
    /// Inside one that failed (`E`).
    Failed,
}

/// Times a statement is planned while others change the catalog.
const PLANNINGS_MAX: usize = 10;
/// Text of so many bytes is parsed apart: it takes longer than a client should be kept waiting.
const READ_APART_BYTES: usize = 8 << 10;

/// One parsed statement. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The statement's own text.
    pub text: String,
    parsed: Arc<Parsed>,
    /// The string it was part of: positions count from its start.
    whole: Arc<str>,
}

/// An open database. Cheap to clone; dropping the last clone and session without [`Database::close`] is
/// like a crash: nothing acknowledged is lost, the next open replays the log.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

/// A client's session. See the module.
pub struct Session {
    inner: Arc<Inner>,
    options: SessionOptions,
    settings: Settings,
    notices: Vec<Notice>,
    open: Option<Open>,
    prepared: BTreeMap<String, (Prepared, Vec<Option<DataType>>)>,
    withdrawal: Withdrawal,
    /// When the statement began, in microseconds since 1970 UTC.
    statement_at: i64,
    presence: PgPresence,
}

impl Database {
    /// Opens (or creates) the database at a path or URL.
    ///
    /// # Errors
    /// When the directory is in use, unreadable, of a newer format or not ours.
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_with(url, OpenOptions::default()).await
    }

    /// As [`Database::open`], not as usual.
    ///
    /// # Errors
    /// Those of [`Database::open`].
    pub async fn open_with(url: &str, options: OpenOptions) -> Result<Self> {
        Ok(Self { inner: Inner::open(url, options).await? })
    }

    /// Starts a session.
    #[must_use]
    pub fn connect(&self, options: SessionOptions) -> Session {
        let now = self.inner.shared.clock.now_us();
        let settings = Settings::new(&options);
        let presence = self.inner.shared.sessions.enter(PgSession {
            pid: options.pid,
            role: options.user.clone(),
            application: settings.application(),
            client_address: options.client_address.clone(),
            connected_at: now,
            state: "idle".to_owned(),
            interrupt: options.interrupt.clone(),
            ..PgSession::default()
        });
        Session {
            inner: Arc::clone(&self.inner),
            settings,
            presence,
            options,
            notices: Vec::new(),
            open: None,
            prepared: BTreeMap::new(),
            withdrawal: Withdrawal::default(),
            statement_at: now,
        }
    }

    /// Finishes what is running, writes a checkpoint and closes the files.
    ///
    /// # Errors
    /// When the checkpoint cannot be written; everything acknowledged is durable all the same.
    pub async fn close(&self) -> Result<()> {
        self.inner.close().await
    }

    /// Brings the views to the time that it is; every reader sees them so when this returns.
    ///
    /// # Errors
    /// When that cannot be made durable.
    pub async fn keep_time(&self) -> Result<Epoch> {
        self.inner.keep_time().await
    }

    /// Ends statements that fill views for long; to be called before sessions are waited for.
    pub fn interrupt_fills(&self) {
        self.inner.shared.backfills().iter().for_each(|progress| progress.stop());
    }

    /// The newest epoch that readers see.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.inner.shared.snapshot().epoch
    }
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            user: "admin".to_owned(),
            database: "main".to_owned(),
            settings: Vec::new(),
            pid: 0,
            client_address: None,
            interrupt: None,
        }
    }
}

impl Session {
    /// Splits and parses a string of statements; an error anywhere means nothing runs.
    ///
    /// # Errors
    /// A syntax error with its position in `text`.
    #[expect(clippy::unused_self, reason = "how text is read is a matter of the session")]
    pub fn parse(&self, text: &str) -> Result<Vec<Prepared>> {
        parse_all(text)
    }

    /// As [`Self::parse`]; a long text is read on a thread of its own, so that others are not held up.
    ///
    /// # Errors
    /// Those of [`Self::parse`].
    pub async fn read(&self, text: &str) -> Result<Vec<Prepared>> {
        if text.len() < READ_APART_BYTES {
            return parse_all(text);
        }
        let text = text.to_owned();
        self.inner.shared.pool.spawn("parse", async move { parse_all(&text) }).join().await?
    }

    /// Parameter types and output columns; `given` are the types the client declared.
    ///
    /// # Errors
    /// When the statement does not bind.
    pub async fn describe(
        &mut self,
        statement: &Prepared,
        given: &[Option<DataType>],
    ) -> Result<Description> {
        self.statement_at = self.inner.shared.clock.now_us();
        self.refuse_if_failed(&statement.parsed.statement)?;
        let described = Box::pin(self.describe_statement(&statement.parsed, given)).await;
        described.map_err(|error| place::locate(error, statement))
    }

    /// Runs a statement with parameter values.
    ///
    /// # Errors
    /// Whatever goes wrong; the transaction, if any, has failed then.
    pub async fn execute(
        &mut self,
        statement: &Prepared,
        values: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        self.statement_at = self.inner.shared.clock.now_us();
        self.presence.begin(&statement.text, self.statement_at);
        let result = self.run_alone(&statement.parsed, values).await;
        if result.is_err() {
            self.fail();
        }
        result.map_err(|error| place::locate(error, statement))
    }

    /// Parses and runs a string of statements and returns the outcome of the last one.
    ///
    /// # Errors
    /// The first error; statements before it have been run.
    pub async fn run_script(&mut self, text: &str) -> Result<Outcome> {
        let mut last = Outcome::Empty;
        for statement in self.read(text).await? {
            last = self.execute(&statement, Vec::new()).await?;
        }
        Ok(last)
    }

    /// Runs a statement; one that is its own transaction is planned again when the catalog has changed meanwhile.
    async fn run_alone(&mut self, parsed: &Parsed, values: Vec<ScalarValue>) -> Result<Outcome> {
        let notices = self.notices.len();
        for _ in 1..PLANNINGS_MAX {
            match Box::pin(self.run(parsed, values.clone())).await {
                Err(error) if error.is_catalog_changed() && self.open.is_none() => {
                    self.notices.truncate(notices);
                }
                done => return done,
            }
        }
        Box::pin(self.run(parsed, values)).await
    }

    async fn run(&mut self, parsed: &Parsed, values: Vec<ScalarValue>) -> Result<Outcome> {
        self.refuse_if_failed(&parsed.statement)?;
        match &parsed.statement {
            Statement::Sql(statement) => Box::pin(self.run_sql(statement, parsed, values)).await,
            Statement::CreateSchema(s) => self.create_schema(s).await,
            Statement::CreateSource(s) => self.create_source(s, parsed).await,
            Statement::CreateView(s) => self.create_view(s).await,
            Statement::CreateMaterializedView(s) => self.create_materialized_view(s).await,
            Statement::CreatePipeline(s) => self.create_pipeline(s, parsed).await,
            Statement::CreateSink(s) => self.create_sink(s, parsed).await,
            Statement::Drop(s) => self.drop_objects(s).await,
            Statement::Comment(s) => self.comment(s).await,
            Statement::Explain(s) => self.explain(s, values).await,
            Statement::CheckIncremental(name) => self.check_incremental(name).await,
            Statement::Show(s) => self.show(s).await,
            Statement::Describe(name) => self.describe_relation(name),
            Statement::WaitFor(s) => self.wait_for(s).await,
            Statement::Checkpoint => {
                self.inner.checkpoint().await?;
                Ok(Outcome::Done("CHECKPOINT".to_owned()))
            }
            Statement::Copy(s) => self.copy(s).await,
            Statement::Transaction(s) => self.transaction(s).await,
            Statement::Setting(s) => self.set(s),
            Statement::Discard(what) => Ok(self.discard(*what)),
            Statement::Prepare(s) => self.prepare(s),
            Statement::Execute(s) => Box::pin(self.execute_prepared(s)).await,
            Statement::Deallocate(name) => self.deallocate(name.as_deref()),
            Statement::Unlisten(_) => Ok(Outcome::Done("UNLISTEN".to_owned())),
            other => Err(unsupported(other)),
        }
    }

    /// Where the session stands.
    #[must_use]
    pub fn transaction_status(&self) -> TransactionStatus {
        match &self.open {
            None => TransactionStatus::Idle,
            Some(open) if open.implicit => TransactionStatus::Idle,
            Some(open) if open.failed => TransactionStatus::Failed,
            Some(_) => TransactionStatus::Open,
        }
    }

    /// The session waits for its client now, as `pg_stat_activity` shows.
    pub fn rest(&self) {
        let state = match self.transaction_status() {
            TransactionStatus::Idle => "idle",
            TransactionStatus::Open => "idle in transaction",
            TransactionStatus::Failed => "idle in transaction (aborted)",
        };
        self.presence.rest(state, &self.settings.application());
    }

    /// Messages since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Settings to report to the client (`ParameterStatus`): all at first, then those that changed.
    pub fn take_reported_settings(&mut self) -> Vec<(String, String)> {
        self.settings.take_reported()
    }

    /// Marks the transaction as failed, for errors that the entrance itself found.
    pub fn fail(&mut self) {
        if let Some(open) = &mut self.open {
            open.failed = true;
        }
    }

    /// Says whether a running statement may still be dropped.
    #[must_use]
    pub fn withdrawal(&self) -> Withdrawal {
        self.withdrawal.clone()
    }

    /// How long a statement may take (`statement_timeout`); [`None`] without a limit.
    #[must_use]
    pub fn statement_timeout(&self) -> Option<Duration> {
        self.settings.duration("statement_timeout")
    }

    /// Who this is.
    #[must_use]
    pub fn options(&self) -> &SessionOptions {
        &self.options
    }

    fn discard(&mut self, what: Discard) -> Outcome {
        if what == Discard::All {
            self.prepared.clear();
            self.settings = Settings::new(&self.options);
        }
        let word = match what {
            Discard::All => "ALL",
            Discard::Plans => "PLANS",
            Discard::Sequences => "SEQUENCES",
            Discard::Temporary => "TEMP",
        };
        Outcome::Done(format!("DISCARD {word}"))
    }

    fn notice(&mut self, sqlstate: &'static str, message: impl Into<String>) {
        self.notices.push(Notice {
            severity: "NOTICE",
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
        });
    }
}

fn unsupported(statement: &Statement) -> Error {
    let text = statement.to_string();
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    Error::statement("0A000", format!("{} is not supported yet", words.join(" ")))
}

/// Splits and parses a string of statements.
fn parse_all(text: &str) -> Result<Vec<Prepared>> {
    let whole: Arc<str> = text.into();
    let prepared = |parsed: Parsed| Prepared {
        text: parsed.text.clone(),
        parsed: Arc::new(parsed),
        whole: Arc::clone(&whole),
    };
    Ok(parse::parse(text)?.into_iter().map(prepared).collect())
}
