//! One client's session: what every entrance (wire, shell, embedding program) calls.
//!
//! A session parses SQL into [`Prepared`] statements, describes them, and runs them one at a time. Results
//! are streams: nothing is collected. Dropping a result stream or the future of a call cancels it.
//!
//! ```text
//! parse(text) -> [Prepared]      describe(prepared) -> parameter types, columns
//! execute(prepared, values) -> Rows | Done(tag) | CopyIn | CopyOut | Empty
//! ```

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::scalar::ScalarValue;

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

/// Format and options of a `COPY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// `text`, `csv` or `binary`.
    pub format: CopyFormat,
    /// Column delimiter.
    pub delimiter: char,
    /// The string that stands for NULL.
    pub null: String,
    /// Whether the first line holds column names.
    pub header: bool,
    /// Quote character (csv).
    pub quote: char,
    /// Escape character (csv).
    pub escape: char,
}

/// The data format of a `COPY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// PostgreSQL's text format.
    Text,
    /// Comma separated values.
    Csv,
    /// PostgreSQL's binary format.
    Binary,
}

/// A `COPY ... TO STDOUT` in progress.
pub struct CopyOut {
    /// The rows to encode.
    pub rows: Rows,
    /// How to encode them.
    pub options: CopyOptions,
}

/// A `COPY ... FROM STDIN` in progress. Decoded rows are pushed in; nothing is visible until `finish`.
pub struct CopyIn {
    /// The columns to send, in order.
    pub schema: SchemaRef,
    /// How the data is encoded.
    pub options: CopyOptions,
    batches: Vec<RecordBatch>,
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

/// One parsed statement. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The statement's own text.
    pub text: String,
}

/// A client's session. See the module.
pub struct Session {
    context: datafusion::prelude::SessionContext,
    options: SessionOptions,
    notices: Vec<Notice>,
}

/// An open database. Cheap to clone.
#[derive(Clone)]
pub struct Database {}

impl Database {
    /// Opens (or creates) the database at a path or URL.
    ///
    /// # Errors
    /// When the directory is in use, unreadable, of a newer format or not ours.
    pub async fn open(url: &str) -> crate::error::Result<Self> {
        let _ = url;
        Ok(Self {})
    }

    /// Starts a session.
    #[must_use]
    pub fn connect(&self, options: SessionOptions) -> Session {
        Session {
            context: datafusion::prelude::SessionContext::new(),
            options,
            notices: Vec::new(),
        }
    }

    /// Finishes what is running, writes a checkpoint and closes the files.
    ///
    /// # Errors
    /// When the checkpoint cannot be written; everything acknowledged is durable all the same.
    pub async fn close(&self) -> crate::error::Result<()> {
        Ok(())
    }
}

impl Session {
    /// Splits and parses a string of statements; an error anywhere means nothing runs.
    ///
    /// # Errors
    /// A syntax error with its position in `text`.
    pub fn parse(&self, text: &str) -> crate::error::Result<Vec<Prepared>> {
        Ok(vec![Prepared { text: text.to_owned() }])
    }

    /// Parameter types and output columns; `given` are the types the client declared.
    ///
    /// # Errors
    /// When the statement does not bind.
    pub async fn describe(
        &mut self,
        statement: &Prepared,
        given: &[Option<DataType>],
    ) -> crate::error::Result<Description> {
        let _ = given;
        let plan = self.context.state().create_logical_plan(&statement.text).await?;
        Ok(Description {
            parameters: vec![],
            fields: Some(std::sync::Arc::new(plan.schema().as_arrow().clone())),
        })
    }

    /// Runs a statement with parameter values.
    ///
    /// # Errors
    /// Whatever goes wrong; the transaction, if any, has failed then.
    pub async fn execute(
        &mut self,
        statement: &Prepared,
        values: Vec<ScalarValue>,
    ) -> crate::error::Result<Outcome> {
        let _ = values;
        let stream = self.context.sql(&statement.text).await?.execute_stream().await?;
        Ok(Outcome::Rows(Rows { schema: stream.schema(), stream, tag: RowsTag::Counted("SELECT") }))
    }

    /// Makes the following statements one implicit transaction until [`Self::end_implicit`]; used for a
    /// simple query of several statements. No effect inside a transaction block.
    pub fn begin_implicit(&mut self) {}

    /// Commits the implicit transaction, or rolls it back when a statement failed.
    ///
    /// # Errors
    /// When the commit is refused.
    pub async fn end_implicit(&mut self) -> crate::error::Result<()> {
        Ok(())
    }

    /// Where the session stands.
    #[must_use]
    pub fn transaction_status(&self) -> TransactionStatus {
        TransactionStatus::Idle
    }

    /// Messages since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Settings to report to the client (`ParameterStatus`): all at first, then those that changed.
    pub fn take_reported_settings(&mut self) -> Vec<(String, String)> {
        vec![("server_version".to_owned(), "15.18 (Levada 0.1.0)".to_owned())]
    }

    /// Marks the transaction as failed, for errors that the entrance itself found.
    pub fn fail(&mut self) {}

    /// Who this is.
    #[must_use]
    pub fn options(&self) -> &SessionOptions {
        &self.options
    }
}

impl CopyIn {
    /// Adds decoded rows of [`Self::schema`].
    ///
    /// # Errors
    /// When the rows do not fit the table.
    pub async fn push(&mut self, rows: RecordBatch) -> crate::error::Result<()> {
        self.batches.push(rows);
        Ok(())
    }

    /// Commits (or stages, in a transaction) what was pushed and returns the number of rows.
    ///
    /// # Errors
    /// When the commit is refused.
    pub async fn finish(self, session: &mut Session) -> crate::error::Result<u64> {
        let _ = session;
        Ok(self.batches.iter().map(|b| b.num_rows() as u64).sum())
    }
}
