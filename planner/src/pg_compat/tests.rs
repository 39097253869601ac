//! Statements of real clients over a sample catalog, from text to rows.

mod clients;
mod sample;
mod traces;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::context::SessionState;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::sql::sqlparser::ast::Statement;
use levada_catalog::Catalog;
use levada_catalog::pg::{PgContext, relations, rows};

use super::{OutputNames, Snapshot, name_columns, prepare, rewrite};
use crate::bind::{Binder, SystemTables};
use crate::environment::{session_config, session_state};
use crate::relation::{RelationScan, RelationTable, with_scan};

/// A session over a catalog.
struct Session {
    catalog: Arc<Catalog>,
    context: PgContext,
    snapshot: Arc<Snapshot>,
    state: SessionState,
    system: SystemTables,
}

/// Rows of the system catalog; relations of users are empty.
#[derive(Debug)]
struct Scan {
    catalog: Arc<Catalog>,
    context: PgContext,
}

impl RelationScan for Scan {
    fn scan(
        &self,
        table: &RelationTable,
        projection: Option<&Vec<usize>>,
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batch = match relations().iter().find(|r| r.oid == table.id) {
            Some(relation) => rows(relation.name, &self.catalog, &self.context).unwrap(),
            None => RecordBatch::new_empty(datafusion::catalog::TableProvider::schema(table)),
        };
        let schema = batch.schema();
        let source = MemorySourceConfig::try_new_exec(&[vec![batch]], schema, projection.cloned())?;
        Ok(source)
    }
}

impl Session {
    fn new(catalog: Catalog, context: PgContext) -> Self {
        let catalog = Arc::new(catalog);
        let scan = Scan { catalog: Arc::clone(&catalog), context: context.clone() };
        let config = with_scan(session_config(), Arc::new(scan));
        let snapshot = Arc::new(Snapshot::new(Arc::clone(&catalog), context.clone()));
        let state = prepare(session_state(config, Default::default()), &snapshot).unwrap();
        let mut system: SystemTables = HashMap::new();
        for r in relations() {
            let schema = levada_catalog::pg::schema(r.name).unwrap();
            let name = format!("{}.{}", r.schema, r.name);
            let table = RelationTable::new(r.oid, name, schema, Vec::new());
            system.insert((r.schema.to_owned(), r.name.to_owned()), Arc::new(table));
        }
        Self { catalog, context, snapshot, state, system }
    }

    async fn run(&self, mut statement: Statement) -> std::result::Result<Rows, String> {
        let names = name_columns(&mut statement);
        rewrite(&mut statement);
        let path = self.context.search_path.clone();
        let binder = Binder::new(&self.state, &self.catalog, &self.system, path);
        let bound = binder.statement(statement).map_err(|e| format!("bind: {e:?}"))?;
        let plan = self.state.optimize(&bound.plan).map_err(|e| format!("optimize: {e}"))?;
        let planner = self.state.query_planner();
        let physical = planner
            .create_physical_plan(&plan, &self.state)
            .await
            .map_err(|e| format!("plan: {e}"))?;
        let context = Arc::new(TaskContext::from(&self.state));
        let batches = collect(physical, context).await.map_err(|e| format!("run: {e}"))?;
        Ok(Rows { names, fields: plan.schema().field_names(), batches })
    }

    async fn query(&self, sql: &str) -> std::result::Result<Rows, String> {
        let mut statements = parse(sql)?;
        assert_eq!(statements.len(), 1, "one statement in {sql}");
        self.run(statements.remove(0)).await
    }

    /// The rows of a query as lines of cells joined by `|`.
    async fn lines(&self, sql: &str) -> Vec<String> {
        match self.query(sql).await {
            Ok(rows) => rows.lines(),
            Err(error) => panic!("{sql}\n{error}"),
        }
    }

    async fn line(&self, sql: &str) -> String {
        let lines = self.lines(sql).await;
        assert_eq!(lines.len(), 1, "one row of {sql}");
        lines.into_iter().next().unwrap()
    }
}

/// The statements of a text that the engine plans; those of the session's own kinds are left out.
fn parse(sql: &str) -> std::result::Result<Vec<Statement>, String> {
    let parsed = crate::parse::parse(sql).map_err(|e| format!("parse: {e}"))?;
    let plain = |p: crate::statement::Parsed| match p.statement {
        crate::statement::Statement::Sql(statement) => Some(*statement),
        _ => None,
    };
    Ok(parsed.into_iter().filter_map(plain).collect())
}

struct Rows {
    names: OutputNames,
    fields: Vec<String>,
    batches: Vec<RecordBatch>,
}

impl Rows {
    fn lines(&self) -> Vec<String> {
        let options = FormatOptions::new();
        let mut lines = Vec::new();
        for batch in &self.batches {
            let columns: Vec<ArrayFormatter<'_>> = batch
                .columns()
                .iter()
                .map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap())
                .collect();
            for row in 0..batch.num_rows() {
                let cells: Vec<String> = columns.iter().map(|c| c.value(row).to_string()).collect();
                lines.push(cells.join("|"));
            }
        }
        lines
    }

    fn names(&self) -> Vec<String> {
        let planned: Vec<&str> =
            self.fields.iter().map(|n| n.rsplit('.').next().unwrap()).collect();
        self.names.names(&planned)
    }
}
