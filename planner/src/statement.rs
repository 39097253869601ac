//! Every statement of Levada, one enum of plain data.
//!
//! | family | from | to |
//! |---|---|---|
//! | SQL | queries, DML, `CREATE TABLE` | [`Statement::Sql`], the syntax tree of sqlparser |
//! | objects | `CREATE`, `ALTER`, `DROP`, `COMMENT` of Levada's kinds | one struct per statement |
//! | inspection | `EXPLAIN`, `SHOW`, `DESCRIBE`, `CHECK INCREMENTAL` | [`Explain`], [`Show`], ... |
//! | session | transactions, settings, prepared statements, cursors | [`Transaction`], [`Setting`], ... |
//!
//! Names and options carry a position: the 1-based character in the string as it was sent, over all
//! of its statements, as `PostgreSQL` counts it. Positions never take part in equality, so that
//! `parse(print(x)) == x`. [`std::fmt::Display`] prints the canonical form.
//!
//! A statement says what was written; whether its names exist and its options make sense is decided
//! by those who carry it out.

use datafusion::sql::sqlparser::ast;
use levada_catalog::ObjectKind;

mod copy;
mod display;
mod option;
mod setting;

pub use copy::{Copy, CopyFormat, CopyHeader, CopyOptions, CopyRows, CopyTarget, ForcedColumns};
pub use option::{Opt, OptValue};
pub use setting::{Access, Isolation, Setting, SettingValue, Transaction, TransactionModes};

/// One statement of a string that was sent.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What it says.
    pub statement: Statement,
    /// Its own text, without surrounding blanks and comments or the closing semicolon.
    pub text: String,
    /// Characters before `text` in the whole string: adding it to a 1-based position in `text`
    /// gives the position in the whole string.
    pub offset: usize,
}

impl PartialEq for Parsed {
    fn eq(&self, other: &Self) -> bool {
        self.statement == other.statement
    }
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Statement {
    /// A query, DML, `CREATE TABLE`, or another statement of standard SQL.
    Sql(Box<ast::Statement>),
    /// `CREATE SCHEMA`.
    CreateSchema(CreateSchema),
    /// `CREATE SOURCE`.
    CreateSource(Box<CreateSource>),
    /// `CREATE VIEW`.
    CreateView(CreateView),
    /// `CREATE MATERIALIZED VIEW`.
    CreateMaterializedView(CreateMaterializedView),
    /// `CREATE PIPELINE`.
    CreatePipeline(CreatePipeline),
    /// `CREATE SINK`.
    CreateSink(Box<CreateSink>),
    /// `ALTER SOURCE`.
    AlterSource(AlterSource),
    /// `DROP` of any kind.
    Drop(Drop),
    /// `COMMENT ON`.
    Comment(Comment),
    /// `EXPLAIN` of any sort.
    Explain(Explain),
    /// `CHECK INCREMENTAL`.
    CheckIncremental(Name),
    /// `SHOW`.
    Show(Show),
    /// `DESCRIBE`.
    Describe(Name),
    /// `REFRESH MATERIALIZED VIEW`.
    Refresh(Name),
    /// `WAIT FOR`.
    WaitFor(WaitFor),
    /// `CHECKPOINT`.
    Checkpoint,
    /// `VACUUM` and `ANALYZE`.
    Maintain(Maintain),
    /// `COPY`.
    Copy(Box<Copy>),
    /// `BEGIN`, `COMMIT`, `ROLLBACK`, savepoints.
    Transaction(Transaction),
    /// `SET`, `RESET`.
    Setting(Setting),
    /// `DISCARD`.
    Discard(Discard),
    /// `PREPARE`.
    Prepare(Prepare),
    /// `EXECUTE`.
    Execute(Execute),
    /// `DEALLOCATE`; [`None`] is all.
    Deallocate(Option<String>),
    /// `DECLARE ... CURSOR`.
    DeclareCursor(DeclareCursor),
    /// `FETCH`, `MOVE`.
    Fetch(Fetch),
    /// `CLOSE`; [`None`] is all.
    CloseCursor(Option<String>),
    /// `LISTEN`.
    Listen(String),
    /// `UNLISTEN`; [`None`] is all.
    Unlisten(Option<String>),
    /// `NOTIFY`.
    Notify(Notify),
}

/// The name of a relation or another object, resolved to letters: folded unless it was quoted.
#[derive(Clone, Debug)]
pub struct Name {
    /// The database, if one was written before the schema.
    pub database: Option<String>,
    /// The schema, if one was written.
    pub schema: Option<String>,
    /// The name within the schema.
    pub name: String,
    /// Where it stands: 1-based character in the whole string, 0 when it was not read from text.
    pub position: usize,
}

impl Name {
    /// A name that was not read from text.
    #[must_use]
    pub fn new(schema: Option<&str>, name: &str) -> Self {
        Self {
            database: None,
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
            position: 0,
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.database == other.database && self.schema == other.schema && self.name == other.name
    }
}

impl Eq for Name {}

/// A column name, folded unless it was quoted.
#[derive(Clone, Debug)]
pub struct ColumnName {
    /// The name.
    pub name: String,
    /// Where it stands: 1-based character in the whole string.
    pub position: usize,
}

impl PartialEq for ColumnName {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ColumnName {}

/// A query inside a statement, with its own text.
#[derive(Clone, Debug)]
pub struct QueryText {
    /// The syntax tree.
    pub query: Box<ast::Query>,
    /// The text as written.
    pub text: String,
    /// Characters before `text` in the whole string.
    pub offset: usize,
}

impl PartialEq for QueryText {
    fn eq(&self, other: &Self) -> bool {
        self.query == other.query
    }
}

/// What to do when the name is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfExists {
    /// Fail.
    #[default]
    Fail,
    /// Leave the object alone, with a notice: `IF NOT EXISTS`.
    Skip,
    /// Put the new definition in its place: `OR REPLACE`.
    Replace,
}

/// `CREATE SCHEMA`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateSchema {
    /// The schema.
    pub name: ColumnName,
    /// What to do when the name is taken.
    pub if_exists: IfExists,
}

/// `FORMAT name (options)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Format {
    /// Name in lower case, for example `csv`.
    pub name: String,
    /// Options.
    pub options: Vec<Opt>,
    /// Where the name stands.
    pub position: FormatPosition,
}

/// Where a format name stands; equal to any other.
#[derive(Clone, Copy, Debug, Default)]
pub struct FormatPosition(pub usize);

impl PartialEq for FormatPosition {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// `CREATE SOURCE`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateSource {
    /// The source.
    pub name: Name,
    /// What to do when the name is taken.
    pub if_exists: IfExists,
    /// Declared columns; [`None`] when they are to be inferred. `PRIMARY KEY` of a column stands
    /// in `primary_key` only.
    pub columns: Option<Vec<ast::ColumnDef>>,
    /// Columns of the primary key; empty when there is none.
    pub primary_key: Vec<ColumnName>,
    /// What it reads.
    pub connector: Connector,
    /// `FORMAT`.
    pub format: Option<Format>,
    /// `ON ERROR`; [`None`] is the default, quarantine.
    pub on_error: Option<OnRecordError>,
}

/// The outside of a source or a sink.
#[derive(Clone, Debug)]
pub struct Connector {
    /// Name in lower case: `files`, `generator`.
    pub name: String,
    /// Positional arguments: the URIs of `FILES`, the generator's name in lower case.
    pub arguments: Vec<String>,
    /// Options.
    pub options: Vec<Opt>,
    /// Where the connector's name stands.
    pub position: usize,
}

impl PartialEq for Connector {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.arguments == other.arguments
            && self.options == other.options
    }
}

/// What a source does with a bad record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRecordError {
    /// Keep it aside, with its error.
    Quarantine,
    /// Leave it out and count it.
    Skip,
    /// Stop the source.
    Fail,
}

/// `CREATE VIEW`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateView {
    /// The view.
    pub name: Name,
    /// What to do when the name is taken.
    pub if_exists: IfExists,
    /// Names of the output columns; empty when the query's are used.
    pub columns: Vec<ColumnName>,
    /// The query.
    pub query: QueryText,
}

/// `CREATE MATERIALIZED VIEW`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateMaterializedView {
    /// The view.
    pub name: Name,
    /// What to do when the name is taken.
    pub if_exists: IfExists,
    /// Names of the output columns; empty when the query's are used.
    pub columns: Vec<ColumnName>,
    /// `KEY` columns; empty when there are none.
    pub key: Vec<ColumnName>,
    /// `INCREMENTAL`.
    pub incremental: Incremental,
    /// The query.
    pub query: QueryText,
}

/// Whether a view may be recomputed where no incremental plan exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Incremental {
    /// Yes, with a notice.
    #[default]
    AllowRecompute,
    /// No: such a view is refused.
    Strict,
}

/// `CREATE PIPELINE`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreatePipeline {
    /// The pipeline; its steps live in the schema of the same name.
    pub name: ColumnName,
    /// What to do when the name is taken.
    pub if_exists: IfExists,
    /// `VERSION` label.
    pub version: Option<String>,
    /// Steps, in the order written.
    pub steps: Vec<Step>,
    /// What advances it.
    pub trigger: Trigger,
}

/// What advances a pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trigger {
    /// Every epoch.
    #[default]
    Continuous,
}

/// A step of a pipeline.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// A named query.
    Query(QueryStep),
    /// A sink; its name and relation carry no schema of their own.
    Sink(Box<CreateSink>),
}

/// A named query of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryStep {
    /// The step.
    pub name: ColumnName,
    /// Whether its rows are stored; else it is a view.
    pub materialized: bool,
    /// `KEY` columns; empty when there are none.
    pub key: Vec<ColumnName>,
    /// The query.
    pub query: QueryText,
}

/// `CREATE SINK`, and the sink step of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateSink {
    /// The sink.
    pub name: Name,
    /// What to do when the name is taken.
    pub if_exists: IfExists,
    /// The relation it follows.
    pub from: Name,
    /// What it writes to.
    pub connector: Connector,
    /// `FORMAT`.
    pub format: Option<Format>,
}

/// `ALTER SOURCE`.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterSource {
    /// The source.
    pub name: Name,
    /// What to do with it.
    pub action: AlterSourceAction,
}

/// What `ALTER SOURCE` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AlterSourceAction {
    /// Stop reading.
    Pause,
    /// Read on from where it stopped.
    Resume,
}

/// `DROP`.
#[derive(Clone, Debug, PartialEq)]
pub struct Drop {
    /// The kind named.
    pub kind: ObjectKind,
    /// The objects, at least one.
    pub names: Vec<Name>,
    /// A missing object is a notice, not an error.
    pub if_exists: bool,
    /// Whether dependants are dropped too; else they forbid it.
    pub cascade: bool,
}

/// `COMMENT ON`.
#[derive(Clone, Debug, PartialEq)]
pub struct Comment {
    /// The kind of the object.
    pub kind: ObjectKind,
    /// The object.
    pub name: Name,
    /// The text; [`None`] takes the comment away.
    pub text: Option<String>,
}

/// `EXPLAIN`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Explain {
    /// The batch plan of a statement.
    Plan {
        /// How to show it.
        options: ExplainOptions,
        /// The statement.
        statement: Box<Parsed>,
    },
    /// How a relation or a query is maintained.
    Incremental(Subject),
    /// What the operators of a materialized view hold and have done.
    Maintained(Name),
    /// Which inputs an output comes from.
    Lineage {
        /// One output column; [`None`] is all.
        column: Option<ColumnName>,
        /// The relation or query.
        subject: Subject,
    },
}

/// How a plan is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExplainOptions {
    /// Run the statement and show measurements.
    pub analyze: bool,
    /// Show more detail.
    pub verbose: bool,
    /// The form.
    pub format: ExplainFormat,
}

/// The form of a shown plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExplainFormat {
    /// Indented lines.
    #[default]
    Text,
    /// Boxes.
    Tree,
    /// `PostgreSQL`'s JSON.
    Json,
    /// Graphviz.
    Dot,
}

/// A relation or a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A relation.
    Relation(Name),
    /// A query.
    Query(QueryText),
}

/// `SHOW`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Show {
    /// One setting, by its name in lower case.
    Setting(ColumnName),
    /// All settings.
    All,
    /// The objects of one kind.
    Objects {
        /// The kind.
        kind: ObjectKind,
        /// `IN schema`.
        schema: Option<ColumnName>,
        /// `LIKE 'pattern'`.
        like: Option<String>,
    },
    /// The canonical statement that makes an object.
    Create {
        /// The kind.
        kind: ObjectKind,
        /// The object.
        name: Name,
    },
}

/// `WAIT FOR`.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitFor {
    /// The view.
    pub name: Name,
    /// `UNTIL EPOCH n`; [`None`] waits until it reflects all input there is.
    pub epoch: Option<u64>,
}

/// `VACUUM` and `ANALYZE`, which `PostgreSQL`'s clients send: nothing here needs them.
#[derive(Clone, Debug, PartialEq)]
pub struct Maintain {
    /// `VACUUM`; else it is `ANALYZE` alone.
    pub vacuum: bool,
    /// `ANALYZE`.
    pub analyze: bool,
    /// The tables; empty is all.
    pub tables: Vec<Name>,
}

/// `DISCARD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// Everything of the session.
    All,
    /// Cached plans.
    Plans,
    /// Sequence state.
    Sequences,
    /// Temporary tables.
    Temporary,
}

/// `PREPARE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepare {
    /// The prepared statement's name.
    pub name: ColumnName,
    /// Declared types of the first parameters.
    pub types: Vec<ast::DataType>,
    /// The statement.
    pub statement: Box<Parsed>,
}

/// `EXECUTE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Execute {
    /// The prepared statement's name.
    pub name: ColumnName,
    /// Values of its parameters.
    pub parameters: Vec<ast::Expr>,
}

/// `DECLARE ... CURSOR`.
#[derive(Clone, Debug, PartialEq)]
pub struct DeclareCursor {
    /// The cursor.
    pub name: ColumnName,
    /// `BINARY`: rows are sent in binary form.
    pub binary: bool,
    /// `SCROLL` or `NO SCROLL`, if written.
    pub scroll: Option<bool>,
    /// `WITH HOLD`: it outlives its transaction.
    pub hold: bool,
    /// The query.
    pub query: QueryText,
}

/// `FETCH` and `MOVE`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetch {
    /// The cursor.
    pub cursor: ColumnName,
    /// Which rows.
    pub direction: FetchDirection,
    /// `MOVE`: go there and return none.
    pub only_move: bool,
}

/// Which rows a `FETCH` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchDirection {
    /// The next n, or with a negative n the n before.
    Forward(i64),
    /// All that are left.
    ForwardAll,
    /// All back to the first.
    BackwardAll,
    /// The n-th; negative counts from the end.
    Absolute(i64),
    /// The n-th after the current one.
    Relative(i64),
}

/// `NOTIFY`.
#[derive(Clone, Debug, PartialEq)]
pub struct Notify {
    /// The channel.
    pub channel: String,
    /// The payload.
    pub payload: Option<String>,
}
