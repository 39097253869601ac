//! Planning: what a statement is planned in, and the threads it is planned on.
//!
//! A plan may take its time: a long expression is walked by dozens of rules. It is made in the pool that runs
//! queries, never on the thread that polls a session, which serves the sockets of others too.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::ParamValues;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast;
use levada_catalog::Catalog;
use levada_catalog::pg::{PG_COLUMN_KEY, PG_TABLE_KEY};
use levada_planner::bind::Binder;
use levada_planner::environment;
use levada_planner::origin::origins;
use levada_planner::pg_compat::{self, OutputNames};

use super::Session;
use crate::batch;
use crate::database::Shared;
use crate::error::Result;
use crate::snapshot::SnapshotSet;

/// What a query is planned in: one snapshot, one catalog, one session's functions.
pub(super) struct Planning {
    pub(super) state: SessionState,
    pub(super) catalog: Arc<Catalog>,
    pub(super) search_path: Vec<String>,
    pub(super) functions: Arc<pg_compat::Snapshot>,
    shared: Arc<Shared>,
}

/// A bound query.
pub(super) struct Planned {
    pub(super) plan: LogicalPlan,
    /// Its columns, with the names that `PostgreSQL` gives.
    pub(super) schema: SchemaRef,
}

impl Session {
    /// What the next query is planned in.
    pub(super) fn planning(&mut self) -> Result<Arc<Planning>> {
        let snapshot = self.snapshot();
        self.planning_at(&snapshot)
    }

    pub(super) fn planning_at(&mut self, snapshot: &Arc<SnapshotSet>) -> Result<Arc<Planning>> {
        let catalog = self.catalog();
        let context = self.pg_context();
        let functions = Arc::new(pg_compat::Snapshot::new(Arc::clone(&catalog), context.clone()));
        let shared = Arc::clone(&self.inner.shared);
        let mut state = batch::state_at(&shared.state, &shared, snapshot, context);
        environment::set_time(&mut state, self.transaction_at())?;
        let state = pg_compat::prepare(state, &functions)?;
        let search_path = self.settings.search_path(&self.options.user);
        Ok(Arc::new(Planning { state, catalog, search_path, functions, shared }))
    }
}

impl Planning {
    /// A binder for statements of the session.
    pub(super) fn binder(&self) -> Binder<'_> {
        let path = self.search_path.clone();
        Binder::new(&self.state, &self.catalog, &self.shared.system, path)
    }

    /// Runs `work`, which computes, on a thread of the pool.
    pub(super) async fn apart<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let planning = Arc::clone(self);
        self.shared.pool.spawn("plan", async move { work(&planning) }).join().await?
    }

    /// Binds a query.
    pub(super) async fn query(
        self: &Arc<Self>,
        statement: &ast::Statement,
        types: &[Option<DataType>],
    ) -> Result<Planned> {
        let (mut statement, types) = (statement.clone(), types.to_vec());
        self.apart(move |planning| {
            let names = pg_compat::name_columns(&mut statement);
            pg_compat::rewrite(&mut statement);
            let binder = planning.binder().marking_views();
            let bound = binder.statement_with(statement, &types)?.plan;
            // The rows have the types after coercion; parameters of unknown type forbid it until they are
            // known.
            let plan = binder.analyzed(bound.clone()).unwrap_or(bound);
            let schema = output_schema(&plan, &names);
            Ok(Planned { plan, schema })
        })
        .await
    }

    /// Binds a write: the rows it adds, with the table's columns and types.
    pub(super) async fn write(
        self: &Arc<Self>,
        statement: &ast::Statement,
        types: &[Option<DataType>],
    ) -> Result<LogicalPlan> {
        let (mut statement, types) = (statement.clone(), types.to_vec());
        self.apart(move |planning| {
            pg_compat::rewrite(&mut statement);
            match planning.binder().statement_with(statement, &types)?.plan {
                LogicalPlan::Dml(dml) => Ok(Arc::unwrap_or_clone(dml.input)),
                other => Ok(other),
            }
        })
        .await
    }

    /// Optimises a bound plan with its parameters' values, and starts it.
    pub(super) async fn start(
        self: &Arc<Self>,
        plan: LogicalPlan,
        values: Vec<ScalarValue>,
    ) -> Result<SendableRecordBatchStream> {
        let planning = Arc::clone(self);
        let task = self.shared.pool.spawn("plan", async move {
            let plan = planning.optimized(plan, values)?;
            batch::query(&planning.state, &plan).await
        });
        let query = task.join().await??;
        Ok(query.start(&self.shared.pool, self.state.task_ctx()))
    }

    /// A bound plan with its parameters' values, optimised.
    pub(super) fn optimized(
        &self,
        mut plan: LogicalPlan,
        values: Vec<ScalarValue>,
    ) -> Result<LogicalPlan> {
        if !values.is_empty() {
            plan = plan.replace_params_with_values(&ParamValues::from(values))?;
        }
        Ok(self.state.optimize(&plan)?)
    }
}

/// The plan's output with the names that `PostgreSQL` gives, and the column of a relation that each is.
fn output_schema(plan: &LogicalPlan, names: &OutputNames) -> SchemaRef {
    let fields = plan.schema().fields();
    let planned: Vec<&str> = fields.iter().map(|f| f.name().as_str()).collect();
    let names = names.names(&planned);
    let named = fields.iter().zip(names).map(|(f, n)| f.as_ref().clone().with_name(n));
    let fields = named.zip(origins(plan)).map(|(field, origin)| {
        let mut metadata = field.metadata().clone();
        if let Some(origin) = origin {
            metadata.insert(PG_TABLE_KEY.to_owned(), origin.relation.to_string());
            metadata.insert(PG_COLUMN_KEY.to_owned(), origin.column.to_string());
        }
        field.with_nullable(true).with_metadata(metadata)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
