//! Queries: bind, rewrite `PostgreSQL`'s shapes, plan, stream at one epoch.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ParamValues};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast;
use futures::{StreamExt, TryStreamExt};
use levada_catalog::Catalog;
use levada_planner::bind::{Binder, relation_of};
use levada_planner::pg_compat::{self, OutputNames};
use levada_planner::statement::{Copy, CopyRows, CopyTarget, Explain, Parsed, Statement};

use super::{Description, Outcome, Rows, RowsTag, Session};
use crate::batch;
use crate::error::{Error, Result};
use crate::snapshot::SnapshotSet;

/// What a query is planned in: one snapshot, one catalog, one session's functions.
pub(super) struct Planning {
    pub(super) state: SessionState,
    pub(super) catalog: Arc<Catalog>,
    pub(super) search_path: Vec<String>,
    functions: Arc<pg_compat::Snapshot>,
}

/// A planned query.
struct Planned {
    plan: LogicalPlan,
    schema: SchemaRef,
}

impl Session {
    /// Statements of standard SQL.
    pub(super) async fn run_sql(
        &mut self,
        statement: &ast::Statement,
        parsed: &Parsed,
        values: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        match statement {
            ast::Statement::Query(_) => self.select(statement, values).await,
            ast::Statement::Insert(insert) => self.insert(insert, values).await,
            ast::Statement::Update(update) => self.update(update, values).await,
            ast::Statement::Delete(delete) => self.delete(delete, values).await,
            ast::Statement::Truncate(truncate) => Box::pin(self.truncate(truncate)).await,
            ast::Statement::CreateTable(table) => self.create_table(table, parsed, values).await,
            ast::Statement::Analyze { .. } => Ok(Outcome::Done("ANALYZE".to_owned())),
            ast::Statement::Vacuum(_) => Ok(Outcome::Done("VACUUM".to_owned())),
            other => {
                let text = other.to_string();
                let words: Vec<&str> = text.split_whitespace().take(2).collect();
                let message = format!("{} is not supported yet", words.join(" "));
                Err(Error::statement("0A000", message))
            }
        }
    }

    /// A query.
    pub(super) async fn select(
        &mut self,
        statement: &ast::Statement,
        values: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        let types: Vec<Option<DataType>> = values.iter().map(|v| Some(v.data_type())).collect();
        let (planning, planned) = self.plan_query(statement, &types).await?;
        let (schema, stream) = self.start(&planning, planned, values).await?;
        Ok(Outcome::Rows(Rows { schema, stream, tag: RowsTag::Counted("SELECT") }))
    }

    /// Binds a query after its reads are settled.
    async fn plan_query(
        &mut self,
        statement: &ast::Statement,
        types: &[Option<DataType>],
    ) -> Result<(Planning, Planned)> {
        let planning = self.planning()?;
        let planned = self.bind(&planning, statement, types)?;
        let relations = scanned(&planned.plan)?;
        if self.open.is_none() {
            return Ok((planning, planned));
        }
        self.settle_reads(&relations).await?;
        let planning = self.planning()?;
        let planned = self.bind(&planning, statement, types)?;
        Ok((planning, planned))
    }

    /// Starts a planned query; rows come as they are pulled.
    async fn start(
        &mut self,
        planning: &Planning,
        planned: Planned,
        values: Vec<ScalarValue>,
    ) -> Result<(SchemaRef, SendableRecordBatchStream)> {
        let mut plan = planned.plan;
        if !values.is_empty() {
            plan = plan.replace_params_with_values(&ParamValues::from(values))?;
        }
        let plan = planning.state.optimize(&plan)?;
        let stream = batch::stream(&self.inner.shared, &planning.state, &plan).await?;
        for change in planning.functions.take_settings() {
            self.settings.set(&change.name, Some(&change.value), change.local)?;
        }
        let schema = planned.schema;
        let named = {
            let schema = Arc::clone(&schema);
            stream.map(move |batch| renamed(&batch?, &schema))
        };
        let stream = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), named));
        Ok((schema, stream))
    }

    /// Runs a query to its end.
    pub(super) async fn collect(
        &mut self,
        statement: &ast::Statement,
        values: Vec<ScalarValue>,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let types: Vec<Option<DataType>> = values.iter().map(|v| Some(v.data_type())).collect();
        let (planning, planned) = self.plan_query(statement, &types).await?;
        let (schema, stream) = self.start(&planning, planned, values).await?;
        Ok((schema, stream.try_collect().await?))
    }

    /// Runs a query given as text, of our own making.
    pub(super) async fn select_text(&mut self, text: &str) -> Result<Rows> {
        let query = levada_planner::parse::query(text)?;
        match self.select(&ast::Statement::Query(query), Vec::new()).await? {
            Outcome::Rows(rows) => Ok(rows),
            _ => Err(Error::Internal("a query gave no rows".to_owned())),
        }
    }

    /// What the next query is planned in.
    pub(super) fn planning(&mut self) -> Result<Planning> {
        let snapshot = self.snapshot();
        self.planning_at(&snapshot)
    }

    pub(super) fn planning_at(&mut self, snapshot: &Arc<SnapshotSet>) -> Result<Planning> {
        let catalog = self.catalog();
        let context = self.pg_context();
        let functions = Arc::new(pg_compat::Snapshot::new(Arc::clone(&catalog), context.clone()));
        let shared = &self.inner.shared;
        let state = batch::state_at(&shared.state, shared, snapshot, context);
        let state = pg_compat::prepare(state, &functions)?;
        let search_path = self.settings.search_path(&self.options.user);
        Ok(Planning { state, catalog, search_path, functions })
    }

    fn bind(
        &self,
        planning: &Planning,
        statement: &ast::Statement,
        types: &[Option<DataType>],
    ) -> Result<Planned> {
        let mut statement = statement.clone();
        let names = pg_compat::name_columns(&mut statement);
        pg_compat::rewrite(&mut statement);
        let binder = self.binder(planning);
        let bound = binder.statement_with(statement, types)?.plan;
        // The rows have the types after coercion; parameters of unknown type forbid it until they are known.
        let plan = binder.analyzed(bound.clone()).unwrap_or(bound);
        let schema = output_schema(&plan, &names);
        Ok(Planned { plan, schema })
    }

    /// A binder for statements of this session.
    pub(super) fn binder<'a>(&'a self, planning: &'a Planning) -> Binder<'a> {
        let path = planning.search_path.clone();
        Binder::new(&planning.state, &planning.catalog, &self.inner.shared.system, path)
    }

    /// What a statement needs and gives, without running it.
    pub(super) async fn describe_statement(
        &mut self,
        parsed: &Parsed,
        given: &[Option<DataType>],
    ) -> Result<Description> {
        let text = |names: &[&str]| {
            let fields = names.iter().map(|n| Field::new(*n, DataType::Utf8, true));
            Some(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
        };
        let fields = match &parsed.statement {
            Statement::Sql(statement) => return self.describe_sql(statement, given),
            Statement::Execute(execute) => {
                let (prepared, types) = self.find_prepared(&execute.name.name)?;
                let inner = Box::pin(self.describe_statement(&prepared.parsed, &types)).await?;
                inner.fields
            }
            Statement::Explain(Explain::Plan { .. }) => text(&["QUERY PLAN"]),
            Statement::Explain(Explain::Incremental(_)) => text(&["INCREMENTAL PLAN"]),
            Statement::Explain(Explain::Lineage { .. }) => text(&["LINEAGE"]),
            Statement::Show(show) => Some(self.show_schema(show).await?),
            Statement::CheckIncremental(_) => Some(super::explain::check_schema()),
            Statement::Describe(_) => Some(super::show::describe_schema()),
            Statement::Copy(copy) => {
                let Copy { rows: CopyRows::Query(query), target: CopyTarget::ToClient, .. } =
                    copy.as_ref()
                else {
                    return Ok(Description { parameters: Vec::new(), fields: None });
                };
                let statement = ast::Statement::Query(query.query.clone());
                self.describe_sql(&statement, given)?;
                None
            }
            _ => None,
        };
        Ok(Description { parameters: Vec::new(), fields })
    }

    fn describe_sql(
        &mut self,
        statement: &ast::Statement,
        given: &[Option<DataType>],
    ) -> Result<Description> {
        if !matches!(
            statement,
            ast::Statement::Query(_)
                | ast::Statement::Insert(_)
                | ast::Statement::Update(_)
                | ast::Statement::Delete(_)
        ) {
            return Ok(Description { parameters: Vec::new(), fields: None });
        }
        let planning = self.planning()?;
        let (plan, fields) = if let ast::Statement::Query(_) = statement {
            let planned = self.bind(&planning, statement, given)?;
            (planned.plan, Some(planned.schema))
        } else {
            (self.describe_write(&planning, statement, given)?, None)
        };
        let mut inferred = plan.get_parameter_types()?;
        infer_from_casts(&plan, &mut inferred)?;
        let count = inferred
            .keys()
            .filter_map(|name| name.trim_start_matches('$').parse::<usize>().ok())
            .max()
            .unwrap_or(0)
            .max(given.len());
        let parameters = (0..count).map(|i| {
            let own = given.get(i).cloned().flatten();
            let found = || inferred.get(&format!("${}", i + 1)).cloned().flatten();
            own.or_else(found).unwrap_or(DataType::Utf8)
        });
        Ok(Description { parameters: parameters.collect(), fields })
    }
}

/// The relations that a plan and its subqueries scan.
pub(super) fn scanned(plan: &LogicalPlan) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some((id, _, _)) = relation_of(&scan.source)
        {
            found.push(id);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// A parameter that is cast has the type it is cast to, as in PostgreSQL.
fn infer_from_casts(
    plan: &LogicalPlan,
    types: &mut HashMap<String, Option<DataType>>,
) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::Cast(cast) = e
                    && let Expr::Placeholder(parameter) = cast.expr.as_ref()
                {
                    let known = types.entry(parameter.id.clone()).or_default();
                    known.get_or_insert_with(|| cast.field.data_type().clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

/// The plan's output with the names that `PostgreSQL` gives.
fn output_schema(plan: &LogicalPlan, names: &OutputNames) -> SchemaRef {
    let fields = plan.schema().fields();
    let planned: Vec<&str> = fields.iter().map(|f| f.name().as_str()).collect();
    let names = names.names(&planned);
    let named = fields.iter().zip(names).map(|(f, n)| f.as_ref().clone().with_name(n));
    Arc::new(Schema::new(named.map(|f| f.with_nullable(true)).collect::<Vec<_>>()))
}

fn renamed(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> std::result::Result<RecordBatch, DataFusionError> {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().to_vec();
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
