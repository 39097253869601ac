//! Tables of a DataFusion session, copied into a database and changed there.
//!
//! DataFusion runs the statements of a script, so that their dialect is its own. Before a query is
//! looked at, the tables that are new or differ are made anew in the database, with columns of the
//! nearest types. Of a large table only the first rows are copied.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use arrow::array::{RecordBatch, UInt64Array};
use arrow::compute::{cast, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::datasource::TableType;
use datafusion::prelude::{SessionConfig, SessionContext};
use levada_engine::client::OpenOptions;
use levada_storage::delta::DeltaBatch;

use crate::clock::SetClock;
use crate::embedded::{Embedded, Table};
use crate::oracle::compare;
use crate::target::Failure;

/// The rows of a query, or why there are none.
type Answered = Result<Table, Failure>;

/// Rows copied of a table at most.
const ROWS_MAX: usize = 120;
/// Epochs in which a table is filled.
const FILLS: usize = 5;

/// A DataFusion session and its tables in a database.
pub struct Mirror {
    session: SessionContext,
    root: PathBuf,
    folder: PathBuf,
    tables: BTreeMap<String, Option<Copied>>,
    /// Statements that made or dropped views.
    views: Vec<String>,
    /// Tables that the queries at hand read.
    concerned: BTreeSet<String>,
}

/// A table of the database with the rows that it holds when it is full.
struct Copied {
    /// As the session holds them.
    rows: RecordBatch,
    /// As the database holds them.
    stored: RecordBatch,
}

/// Another order of a table's rows.
#[derive(Clone, Copy)]
enum Turn {
    Reverse,
    Rotate,
}

/// A change of all tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// All rows go.
    Empty,
    /// The rows of one part come.
    Fill(usize),
    /// Every third row goes.
    Thin,
    /// They come back, and the first row once more.
    Thicken,
    /// The first row goes once.
    Even,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "after all rows were deleted"),
            Self::Fill(part) => write!(f, "after part {part} of the rows was inserted"),
            Self::Thin => write!(f, "after every third row was deleted"),
            Self::Thicken => write!(f, "after they came back, the first one twice"),
            Self::Even => write!(f, "after the first row was deleted once"),
        }
    }
}

impl Mirror {
    /// A session whose relative paths start from `root`; what it writes goes below `folder`.
    #[must_use]
    pub fn new(root: PathBuf, folder: &Path) -> Self {
        let config = SessionConfig::new().with_information_schema(true).with_target_partitions(1);
        Self {
            session: SessionContext::new_with_config(config),
            root,
            folder: folder.to_owned(),
            tables: BTreeMap::new(),
            views: Vec::new(),
            concerned: BTreeSet::new(),
        }
    }

    /// Runs a statement in the session, and one that makes or drops a view in the database too.
    pub async fn statement(&mut self, sql: &str, database: &mut Embedded) {
        use datafusion::logical_expr::{DdlStatement, LogicalPlan};
        let sql = self.with_paths(sql);
        let Ok(plan) = self.session.state().create_logical_plan(&sql).await else { return };
        let is_view = matches!(
            plan,
            LogicalPlan::Ddl(DdlStatement::CreateView(_) | DdlStatement::DropView(_))
        );
        if let Ok(frame) = self.session.execute_logical_plan(plan).await {
            // A statement that fails here changes nothing in either place.
            drop(frame.collect().await);
        }
        if is_view && self.copy(database).await.is_ok() {
            // Queries over a view that the database refuses are counted as not run.
            if database.run(&sql).await.is_ok() {
                self.views.push(sql);
            }
        }
    }

    /// Notes which tables some queries read: those whose name is in their text, or in that of a view.
    pub fn concern<'a>(&mut self, queries: impl Iterator<Item = &'a str>) {
        let mut text: String = queries.collect::<Vec<_>>().join("\n").to_lowercase();
        text.extend(self.views.iter().map(|view| view.to_lowercase()));
        let names = self.tables.keys().filter(|name| text.contains(&name.to_lowercase()));
        self.concerned = names.cloned().collect();
    }

    /// Whether a query gives `answer` over the same rows in other orders too.
    pub async fn has_one_answer(
        &self,
        sql: &str,
        answer: &Answered,
        database: &mut Embedded,
    ) -> bool {
        for turn in [Turn::Reverse, Turn::Rotate] {
            let other = self.turned(sql, turn, database).await;
            if !other.is_ok_and(|other| matches!(compare(answer, &other), Ok(None))) {
                return false;
            }
        }
        true
    }

    /// The query's answer in a fresh database whose tables hold the rows in another order.
    async fn turned(&self, sql: &str, turn: Turn, database: &mut Embedded) -> Result<Answered> {
        let folder = self.folder.join("turned");
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder)?;
        let (options, clock) = (OpenOptions::default(), SetClock::standing());
        let mut fresh = Embedded::open_at(&folder, options, clock).await?;
        for (name, copied) in self.copied() {
            let (schema, batches) =
                database.rows(&format!("SELECT * FROM {}", quoted(name))).await?;
            let rows = concat_batches(&schema, &batches)?;
            let count = rows.num_rows() as u64;
            let indices: UInt64Array = match turn {
                Turn::Reverse => (0..count).rev().collect(),
                Turn::Rotate => (0..count).map(|i| (i + count / 2) % count).collect(),
            };
            fresh.run(&creation(name, &copied.rows)?).await?;
            let rows = take_record_batch(&rows, &indices)?;
            let weights = vec![1; rows.num_rows()];
            if rows.num_rows() > 0 {
                fresh.apply(name, vec![DeltaBatch::weighted(rows, weights)]).await?;
            }
        }
        for view in &self.views {
            drop(fresh.run(view).await);
        }
        let answer = fresh.rows(sql).await;
        fresh.close().await?;
        Ok(answer)
    }

    fn with_paths(&self, sql: &str) -> String {
        let scratch = self.folder.join("scratch");
        let scratch = scratch.display();
        let root = self.root.display();
        sql.replace("'test_files/scratch", &format!("'{scratch}"))
            .replace("'../", &format!("'{root}/../"))
            .replace("'test_files/", &format!("'{root}/test_files/"))
    }

    /// Whether the session plans a query.
    pub async fn plans(&self, sql: &str) -> bool {
        match self.session.state().create_logical_plan(sql).await {
            Ok(plan) => self.session.state().optimize(&plan).is_ok(),
            Err(_) => false,
        }
    }

    /// Brings the database's tables to what the session's hold.
    ///
    /// # Errors
    /// When a table that the database made cannot be filled.
    pub async fn copy(&mut self, database: &mut Embedded) -> Result<()> {
        let found = self.found().await;
        let gone = |name: &String| !found.contains_key(name);
        let old: Vec<String> = self.tables.keys().filter(|n| gone(n)).cloned().collect();
        for name in old {
            self.forget(&name, database).await;
        }
        for (name, rows) in found {
            if let Some(known) = self.tables.get(&name) {
                // A table that could not be copied is tried again when it changes; rows tell.
                if known.as_ref().is_some_and(|known| known.rows == rows) {
                    continue;
                }
            }
            self.forget(&name, database).await;
            let copied = make(&name, rows, database).await.ok();
            self.tables.insert(name, copied);
        }
        Ok(())
    }

    async fn found(&self) -> BTreeMap<String, RecordBatch> {
        let mut found = BTreeMap::new();
        let catalog = self.session.catalog("datafusion");
        let Some(schema) = catalog.and_then(|c| c.schema("public")) else { return found };
        for name in schema.table_names() {
            let Ok(Some(table)) = schema.table(&name).await else { continue };
            if table.table_type() != TableType::Base {
                continue;
            }
            let Ok(frame) = self.session.read_table(table) else { continue };
            let schema = SchemaRef::new(frame.schema().as_arrow().clone());
            let Ok(frame) = frame.limit(0, Some(ROWS_MAX)) else { continue };
            let Ok(batches) = frame.collect().await else { continue };
            let schema = batches.first().map_or(schema, RecordBatch::schema);
            if let Ok(rows) = concat_batches(&schema, &batches) {
                found.insert(name, rows);
            }
        }
        found
    }

    async fn forget(&mut self, name: &str, database: &mut Embedded) {
        if let Some(Some(_)) = self.tables.remove(name) {
            let name = quoted(name);
            drop(database.run(&format!("DROP TABLE IF EXISTS {name} CASCADE")).await);
        }
    }

    /// The changes that a group of views goes through, in order.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let rows = self.copied().map(|(_, c)| c.rows.num_rows()).max().unwrap_or(0);
        if rows == 0 {
            return vec![Step::Fill(0)];
        }
        let fills = (0..FILLS.min(rows)).map(Step::Fill);
        let ends = [Step::Thin, Step::Thicken, Step::Even];
        std::iter::once(Step::Empty).chain(fills).chain(ends).collect()
    }

    fn copied(&self) -> impl Iterator<Item = (&String, &Copied)> {
        let concerned = self.tables.iter().filter(|(name, _)| self.concerned.contains(*name));
        concerned.filter_map(|(name, copied)| Some((name, copied.as_ref()?)))
    }

    /// Makes the changes of a step.
    ///
    /// # Errors
    /// When the database refuses a change.
    pub async fn take(&self, step: &Step, database: &mut Embedded) -> Result<()> {
        for (name, copied) in self.copied() {
            let deltas = copied.changes(*step)?;
            if !deltas.is_empty() {
                database.apply(name, deltas).await?;
            }
        }
        Ok(())
    }
}

impl Copied {
    fn changes(&self, step: Step) -> Result<Vec<DeltaBatch>> {
        let count = self.rows.num_rows();
        let (positions, weight): (Vec<usize>, i64) = match step {
            Step::Empty => ((0..count).collect(), -1),
            Step::Fill(part) => {
                ((0..count).filter(|i| i * FILLS.min(count) / count.max(1) == part).collect(), 1)
            }
            Step::Thin => ((0..count).filter(|i| i % 3 == 0).collect(), -1),
            Step::Thicken => {
                ((0..count).filter(|i| i % 3 == 0).chain((0..count).take(1)).collect(), 1)
            }
            Step::Even => ((0..count).take(1).collect(), -1),
        };
        if positions.is_empty() {
            return Ok(Vec::new());
        }
        let indices: UInt64Array = positions.iter().map(|i| *i as u64).collect();
        let rows = take_record_batch(&self.stored, &indices)?;
        Ok(vec![DeltaBatch::weighted(rows, vec![weight; positions.len()])])
    }
}

/// Makes a table of the database, full.
async fn make(name: &str, rows: RecordBatch, database: &mut Embedded) -> Result<Copied> {
    database.run(&creation(name, &rows)?).await?;
    let (schema, _) = database.rows(&format!("SELECT * FROM {}", quoted(name))).await?;
    let stored = stored(&rows, &schema)?;
    if stored.num_rows() > 0 {
        let weights = vec![1; stored.num_rows()];
        let delta = DeltaBatch::weighted(stored.clone(), weights);
        database.apply(name, vec![delta]).await?;
    }
    Ok(Copied { rows, stored })
}

/// The statement that makes a table for `rows`.
fn creation(name: &str, rows: &RecordBatch) -> Result<String> {
    let columns: Option<Vec<String>> = rows
        .schema()
        .fields()
        .iter()
        .map(|f| Some(format!("{} {}", quoted(f.name()), sql_type(f.data_type())?)))
        .collect();
    let columns = columns.ok_or_else(|| anyhow::anyhow!("a column's type is not known"))?;
    Ok(format!("CREATE TABLE {} ({})", quoted(name), columns.join(", ")))
}

/// Rows in the types of the table.
fn stored(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = rows
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| cast(column, field.data_type()))
        .collect::<Result<Vec<_>, _>>()?;
    let fields: Vec<_> =
        schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    Ok(RecordBatch::try_new(SchemaRef::new(Schema::new(fields)), columns)?)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The SQL type nearest to an Arrow type.
fn sql_type(data_type: &DataType) -> Option<String> {
    let plain = match data_type {
        DataType::Boolean => "boolean",
        DataType::Int8 => "tinyint",
        DataType::Int16 => "smallint",
        DataType::Int32 => "int",
        DataType::Int64 => "bigint",
        DataType::UInt8 => "tinyint unsigned",
        DataType::UInt16 => "smallint unsigned",
        DataType::UInt32 => "int unsigned",
        DataType::UInt64 => "bigint unsigned",
        DataType::Float16 | DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => "bytea",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Interval(_) => "interval",
        DataType::Null => "int",
        DataType::Dictionary(_, value) => return sql_type(value),
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) => {
            return Some(format!("numeric({p}, {s})"));
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            return Some(format!("{}[]", sql_type(item.data_type())?));
        }
        _ => return None,
    };
    Some(plain.to_owned())
}
