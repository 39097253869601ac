//! `EXPLAIN` of all sorts and `CHECK INCREMENTAL`.

use std::sync::Arc;

use arrow::array::{Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast;
use futures::TryStreamExt;
use levada_catalog::{Detail, Object, ObjectKind};
use levada_planner::bind::Binder;
use levada_planner::delta_plan::Node;
use levada_planner::statement::{
    Explain, ExplainFormat, ExplainOptions, Name, Parsed, Statement, Subject,
};
use levada_planner::{clock, explain, pg_compat};
use levada_storage::delta::DeltaBatch;

use super::{Outcome, Rows, RowsTag, Session};
use crate::batch;
use crate::definition::{BoundView, bind_view};
use crate::error::{Error, Result};
use crate::graph::OperatorInfo;
use crate::pass::consolidate;
use crate::snapshot::SnapshotSet;
use crate::system::Viewer;

/// A node of a plan, with the keys of `PostgreSQL`'s JSON where there are such.
fn node(plan: &dyn ExecutionPlan, options: &ExplainOptions) -> serde_json::Value {
    let shown = if options.analyze {
        DisplayableExecutionPlan::with_metrics(plan)
    } else {
        DisplayableExecutionPlan::new(plan)
    };
    let mut node = serde_json::json!({
        "Node Type": plan.name(),
        "Details": shown.one_line().to_string().trim_end(),
    });
    let children: Vec<serde_json::Value> =
        plan.children().iter().map(|child| self::node(child.as_ref(), options)).collect();
    if !children.is_empty() {
        node["Plans"] = children.into();
    }
    node
}

impl Session {
    /// `EXPLAIN`.
    pub(super) async fn explain(
        &mut self,
        what: &Explain,
        values: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        let (column, lines) = match what {
            Explain::Plan { options, statement } => {
                ("QUERY PLAN", self.explain_plan(*options, statement, values).await?)
            }
            Explain::Incremental(subject) => {
                ("INCREMENTAL PLAN", self.explain_incremental(subject)?)
            }
            Explain::Maintained(name) => ("INCREMENTAL PLAN", self.explain_maintained(name)?),
            Explain::Lineage { column, subject } => {
                let lineage = self.subject(subject)?.lineage()?;
                let only = column.as_ref().map(|c| c.name.as_str());
                if let Some(column) = column
                    && !lineage.outputs.iter().any(|o| o.column == column.name)
                {
                    return Err(Error::from(levada_planner::Error::UnknownColumn {
                        name: column.name.clone(),
                        position: column.position,
                        nearest: None,
                    }));
                }
                ("LINEAGE", lineage.lines(only))
            }
            _ => return Err(Error::statement("0A000", "this EXPLAIN is not supported yet")),
        };
        Ok(Outcome::Rows(text_rows(column, &lines)?))
    }

    async fn explain_plan(
        &mut self,
        options: ExplainOptions,
        statement: &Parsed,
        values: Vec<ScalarValue>,
    ) -> Result<Vec<String>> {
        let Statement::Sql(sql) = &statement.statement else {
            return Err(Error::statement(
                "0A000",
                "EXPLAIN of this statement is not supported yet",
            ));
        };
        let ast::Statement::Query(_) = sql.as_ref() else {
            return Err(Error::statement("0A000", "EXPLAIN of a write is not supported yet"));
        };
        let mut sql = sql.as_ref().clone();
        pg_compat::rewrite(&mut sql);
        let planning = self.planning()?;
        let plan = planning
            .apart(move |planning| {
                let plan = planning.binder().statement(sql)?.plan;
                planning.optimized(plan, values)
            })
            .await?;
        let state = &planning.state;
        let query = batch::query(state, &plan).await?;
        let physical = query.plan();
        let shown = if options.analyze {
            let mut rows = query.start(&self.inner.shared.pool, state.task_ctx());
            while rows.try_next().await?.is_some() {}
            DisplayableExecutionPlan::with_metrics(physical.as_ref())
        } else {
            DisplayableExecutionPlan::new(physical.as_ref())
        };
        let text = match options.format {
            ExplainFormat::Text => shown.indent(options.verbose || options.analyze).to_string(),
            ExplainFormat::Tree => shown.tree_render().to_string(),
            ExplainFormat::Dot => shown.graphviz().to_string(),
            ExplainFormat::Json => {
                let plan = serde_json::json!([{ "Plan": node(physical.as_ref(), &options) }]);
                let text = serde_json::to_string_pretty(&plan);
                // Clients read the document from one row.
                return Ok(vec![text.map_err(|e| Error::Internal(e.to_string()))?]);
            }
        };
        Ok(text.lines().map(str::to_owned).collect())
    }

    fn explain_incremental(&mut self, subject: &Subject) -> Result<Vec<String>> {
        let bound = self.subject(subject)?;
        let snapshot = self.snapshot();
        let insert_only = |id: u32| snapshot.relation(id).is_some_and(|r| r.append);
        let plan = bound.delta_plan(&self.inner.shared.state, &insert_only)?;
        Ok(explain::lines(&plan))
    }

    /// The plan of a materialized view with what its operators hold and have done.
    fn explain_maintained(&mut self, name: &Name) -> Result<Vec<String>> {
        let object = self.materialized_view(name)?;
        let snapshot = self.snapshot();
        let insert_only = |id: u32| snapshot.relation(id).is_some_and(|r| r.append);
        let bound = self.bound_view(&snapshot.catalog, &object)?;
        let plan = bound.delta_plan(&self.inner.shared.state, &insert_only)?;
        let running = |node: &Node| {
            let mut operators = snapshot.operators.iter();
            operators.find(|o| o.fingerprint == node.fingerprint && o.views.contains(&object.id))
        };
        Ok(explain::lines_with(&plan, &|node| match running(node) {
            Some(operator) => measured(operator),
            None => String::new(),
        }))
    }

    /// The query of a view, or the query itself.
    fn subject(&mut self, subject: &Subject) -> Result<BoundView> {
        match subject {
            Subject::Relation(name) => {
                let object = self.named(name)?;
                let catalog = self.catalog();
                self.bound_view(&catalog, &object)
            }
            Subject::Query(query) => {
                let catalog = self.catalog();
                let path = self.settings.search_path(&self.options.user);
                let shared = &self.inner.shared;
                let binder = Binder::new(&shared.state, &catalog, &shared.system, path);
                bind_view(&binder, &query.query, &[])
            }
        }
    }

    pub(super) fn bound_view(
        &self,
        catalog: &levada_catalog::Catalog,
        object: &Object,
    ) -> Result<BoundView> {
        let (Detail::MaterializedView { query, search_path, columns, .. }
        | Detail::View { query, search_path, columns }) = &object.detail
        else {
            let message = format!("{} \"{}\" has no query", object.kind().words(), object.name);
            return Err(Error::statement("42809", message));
        };
        let shared = &self.inner.shared;
        let binder = Binder::new(&shared.state, catalog, &shared.system, search_path.clone());
        let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
        let query = levada_planner::parse::query(query)?;
        bind_view(&binder, &query, &names)
    }

    /// The object that a name means.
    pub(super) fn named(&mut self, name: &Name) -> Result<Arc<Object>> {
        let path = self.settings.search_path(&self.options.user);
        let catalog = self.catalog();
        let found = catalog.resolve(name.schema.as_deref(), &name.name, &path).map(Arc::clone);
        found.map_err(|e| levada_planner::Error::from(e).at(name.position).into())
    }

    /// The materialized view that a name means.
    fn materialized_view(&mut self, name: &Name) -> Result<Arc<Object>> {
        let object = self.named(name)?;
        if object.kind() == ObjectKind::MaterializedView {
            return Ok(object);
        }
        Err(levada_catalog::Error::WrongKind {
            name: object.name.clone(),
            wanted: ObjectKind::MaterializedView,
            found: object.kind(),
        }
        .into())
    }

    /// `CHECK INCREMENTAL v`: recomputes a view and compares it with what is kept, row by row.
    pub(super) async fn check_incremental(&mut self, name: &Name) -> Result<Outcome> {
        let object = self.materialized_view(name)?;
        let snapshot = self.snapshot();
        let kept = snapshot.relation(object.id).ok_or_else(|| {
            Error::statement("55000", "the view is not part of the epoch that is read")
        })?;
        let view = snapshot.catalog.qualified_name(&object);
        let recomputed = self.recomputed(&snapshot, &object).await;
        let (status, rows, differences) = match (&kept.error, recomputed) {
            (Some((error, _)), Err(_)) => (format!("ok (fails: {})", error.message), 0, 0),
            (None, Err(error)) => return Err(error),
            (Some((error, _)), Ok(_)) => {
                let message = format!(
                    "materialized view \"{view}\" fails although its query does not: {}",
                    error.message
                );
                return Err(Error::statement("XX001", message));
            }
            (None, Ok(batches)) => {
                let mut parts: Vec<DeltaBatch> = Vec::new();
                for batch in batches {
                    let columns = batch.columns().to_vec();
                    let batch = RecordBatch::try_new(Arc::clone(&kept.schema), columns)?;
                    parts.push(DeltaBatch::inserts(batch));
                }
                let blob = Arc::clone(&self.inner.shared.blob);
                let mut stored = batch::rows(blob, Arc::clone(kept), None);
                let mut rows = 0;
                while let Some(batch) = stored.try_next().await? {
                    rows += batch.num_rows();
                    parts.push(DeltaBatch::retractions(batch));
                }
                let differences: usize = consolidate(&parts)?.iter().map(DeltaBatch::len).sum();
                ("ok".to_owned(), rows, differences)
            }
        };
        if differences > 0 {
            let message = format!(
                "materialized view \"{view}\" differs from its query in {differences} rows"
            );
            return Err(Error::statement("XX001", message));
        }
        let batch = RecordBatch::try_new(
            check_schema(),
            vec![
                Arc::new(StringArray::from(vec![view])),
                Arc::new(StringArray::from(vec![status])),
                Arc::new(Int64Array::from(vec![i64::try_from(rows).unwrap_or(i64::MAX)])),
                Arc::new(Int64Array::from(vec![0])),
                Arc::new(Int64Array::from(vec![
                    i64::try_from(snapshot.epoch.0).unwrap_or(i64::MAX),
                ])),
            ],
        )?;
        Ok(Outcome::Rows(Rows {
            schema: check_schema(),
            stream: memory_stream(batch)?,
            tag: RowsTag::Fixed("CHECK INCREMENTAL"),
        }))
    }

    /// What a view's query gives at a snapshot, by DataFusion's own plan.
    async fn recomputed(
        &self,
        snapshot: &Arc<SnapshotSet>,
        object: &Object,
    ) -> Result<Vec<RecordBatch>> {
        let bound = self.bound_view(&snapshot.catalog, object)?;
        let shared = &self.inner.shared;
        let state = batch::state_at(&shared.state, shared, snapshot, Viewer::default());
        let plan = clock::at(bound.comparable(&shared.state)?, snapshot.now_us)?;
        let plan = state.optimize(&plan)?;
        Ok(batch::stream(shared, &state, &plan).await?.try_collect().await?)
    }
}

/// What the fullest shard has more than its share for it to be worth telling.
const SKEWED: f64 = 1.25;

/// What an operator holds and has done since it was made or loaded.
fn measured(operator: &OperatorInfo) -> String {
    let metrics = operator.meter.get();
    let time = operator.meter.busy().as_secs_f64() * 1e3;
    let shared = match operator.views.len() {
        0 | 1 => String::new(),
        views => format!("  views={views}"),
    };
    let state = match (metrics.state_rows, metrics.state_bytes) {
        (0, 0) => String::new(),
        (rows, bytes) => format!("  state rows={rows} bytes={bytes}"),
    };
    let spilled = match metrics.spilled_bytes {
        0 => String::new(),
        bytes => format!(" spilled={bytes}"),
    };
    let skew = match operator.meter.skew() {
        even if even < SKEWED => String::new(),
        skew => format!(" skew={skew:.1}"),
    };
    let touched = match metrics.state_rows_touched {
        0 => String::new(),
        touched => format!(" touched={touched}"),
    };
    format!(
        "rows in={} out={}  time={time:.3} ms{state}{spilled}{skew}{touched}{shared}",
        metrics.rows_in, metrics.rows_out
    )
}

/// Columns of `CHECK INCREMENTAL`.
pub(super) fn check_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("view", DataType::Utf8, true),
        Field::new("status", DataType::Utf8, true),
        Field::new("rows", DataType::Int64, true),
        Field::new("differences", DataType::Int64, true),
        Field::new("epoch", DataType::Int64, true),
    ]))
}

/// One column of text.
pub(super) fn text_rows(column: &str, lines: &[String]) -> Result<Rows> {
    let schema = Arc::new(Schema::new(vec![Field::new(column, DataType::Utf8, true)]));
    let values: Arc<dyn Array> = Arc::new(StringArray::from_iter_values(lines));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![values])?;
    Ok(Rows { schema, stream: memory_stream(batch)?, tag: RowsTag::Fixed("EXPLAIN") })
}

/// One batch as a stream.
pub(super) fn memory_stream(batch: RecordBatch) -> Result<SendableRecordBatchStream> {
    let schema = batch.schema();
    Ok(Box::pin(MemoryStream::try_new(vec![batch], schema, None)?))
}
