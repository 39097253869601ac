//! A query over tables in memory, planned as the database plans a materialized view.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use levada_catalog::{Catalog, Change, ChangeSet, Column, Detail, Object};
use levada_planner::bind::{Binder, SystemTables, with_storable_types};
use levada_planner::delta_plan::{DeltaPlan, Op};
use levada_planner::environment::{optimize_for_delta, session_config, session_state};
use levada_planner::incremental::{break_ties, delta_plan};
use levada_planner::relation::{RelationScan, RelationTable, with_scan};

use crate::table::Table;

/// The schema that the tables are in.
const SCHEMA: &str = "public";

/// A planned query.
pub(crate) struct View {
    state: SessionState,
    plan: LogicalPlan,
    pub(crate) delta_plan: DeltaPlan,
    /// Its columns, as the query names them.
    pub(crate) schema: SchemaRef,
}

impl View {
    /// Plans `sql` over `tables`, whose rows are never retracted if `insert_only`.
    ///
    /// # Errors
    /// When it does not plan.
    pub(crate) fn plan(sql: &str, tables: &[Table], insert_only: bool) -> anyhow::Result<Self> {
        let state = session_state(session_config(), Arc::new(RuntimeEnv::default()));
        let (catalog, system) = (catalog(tables)?, SystemTables::default());
        let binder = Binder::new(&state, &catalog, &system, vec![SCHEMA.to_owned()]);
        let bound = binder.query(levada_planner::parse::query(sql)?.as_ref())?;
        let plan = binder.analyzed(with_storable_types(bound.plan)?)?;
        let plan = break_ties(plan)?;
        let optimized = optimize_for_delta(&state, plan.clone())?;
        let delta_plan = delta_plan(&state, &optimized, &|_| insert_only)?;
        let fields = plan.schema().fields().iter().zip(bound.names);
        let fields = fields.map(|(f, name)| Field::new(name, f.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(Self { state, plan, delta_plan, schema })
    }

    /// The columns of table `id` that it reads, in order.
    pub(crate) fn reads(&self, id: u32) -> Vec<usize> {
        let mut positions: Vec<usize> = Vec::new();
        for node in &self.delta_plan.nodes {
            if let Op::Relation { id: relation, columns, .. } = &node.op
                && *relation == id
            {
                positions.extend(columns);
            }
        }
        positions.sort_unstable();
        positions.dedup();
        positions
    }

    /// What one batch run over the rows of `tables` gives.
    ///
    /// # Errors
    /// Whatever the run runs into.
    pub(crate) async fn batch(&self, tables: &[Table]) -> anyhow::Result<Vec<RecordBatch>> {
        let scan = Arc::new(TableScan(tables.to_vec()));
        let config = with_scan(self.state.config().clone(), scan);
        let state = SessionStateBuilder::new_from_existing(self.state.clone());
        let state = state.with_config(config).build();
        let plan = state.optimize(&self.plan)?;
        let physical = state.query_planner().create_physical_plan(&plan, &state).await?;
        Ok(datafusion::physical_plan::collect(physical, state.task_ctx()).await?)
    }
}

/// A catalog of `tables`.
fn catalog(tables: &[Table]) -> anyhow::Result<Catalog> {
    let mut catalog = Catalog::new();
    let schema = catalog.schema(SCHEMA)?.id;
    let create = |table: &Table| {
        let columns = table.schema.fields().iter().map(|f| Column::from(f.as_ref())).collect();
        Change::Create(Object {
            id: table.id,
            name: table.name.clone(),
            schema,
            owner: "admin".to_owned(),
            comment: None,
            definition: String::new(),
            depends_on: Vec::new(),
            detail: Detail::Table { columns, primary_key: table.key.clone() },
        })
    };
    let changes = tables.iter().map(create).collect();
    catalog.apply(&ChangeSet { changes });
    Ok(catalog)
}

/// The rows of tables in memory.
struct TableScan(Vec<Table>);

impl fmt::Debug for TableScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|table| &table.name)).finish()
    }
}

impl RelationScan for TableScan {
    fn scan(
        &self,
        table: &RelationTable,
        projection: Option<&Vec<usize>>,
        _limit: Option<usize>,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        let found = self.0.iter().find(|known| known.id == table.id);
        let missing = || DataFusionError::Internal("a table of the query is not there".to_owned());
        let found = found.ok_or_else(missing)?;
        let partitions = [found.batches.clone()];
        let schema = Arc::clone(&found.schema);
        Ok(MemorySourceConfig::try_new_exec(&partitions, schema, projection.cloned())?)
    }
}
