//! Names to objects: SQL syntax trees to logical plans over the catalog.
//!
//! Plain views and ephemeral steps are planned where they are used, with the search path they were made
//! with; tables, sources and materialized views become [`RelationTable`]s. System relations come from the
//! caller.

mod literal;
mod scalar_subquery;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::planner::{
    ContextProvider, ExprPlanner, RelationPlanner, TypePlanner,
};
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource,
    WindowUDF, cast,
};
use datafusion::sql::planner::{PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast;
use levada_catalog::{Catalog, Detail, Object, ObjectId};

use crate::error::{Error, Result};
use crate::pg_compat;
use crate::relation::RelationTable;
use crate::with_ties;

/// System relations by (schema, name).
pub type SystemTables = HashMap<(String, String), Arc<RelationTable>>;

/// Depth of views over views at which planning stops (54001).
const VIEW_DEPTH_MAX: usize = 64;

/// Binds statements at one version of the catalog.
pub struct Binder<'a> {
    state: &'a SessionState,
    catalog: &'a Catalog,
    system: &'a SystemTables,
    search_path: Vec<String>,
    depth: usize,
    used: RefCell<Vec<ObjectId>>,
    /// Whether rows are written: only then are the defaults of columns planned.
    writes: Cell<bool>,
    /// Whether the plans of views are marked, for [`crate::origin`].
    marks_views: bool,
}

/// A bound query and the objects it names.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The logical plan, neither analysed nor optimised.
    pub plan: LogicalPlan,
    /// Relations and views named in it directly, each once.
    pub depends_on: Vec<ObjectId>,
    /// Names of its output columns.
    pub names: Vec<String>,
}

impl<'a> Binder<'a> {
    /// A binder that resolves unqualified names along `search_path`.
    #[must_use]
    pub fn new(
        state: &'a SessionState,
        catalog: &'a Catalog,
        system: &'a SystemTables,
        search_path: Vec<String>,
    ) -> Self {
        Self {
            state,
            catalog,
            system,
            search_path,
            depth: 0,
            used: RefCell::default(),
            writes: Cell::new(false),
            marks_views: false,
        }
    }

    /// Marks the plans of views, so that [`crate::origin::origins`] knows their columns.
    #[must_use]
    pub fn marking_views(self) -> Self {
        Self { marks_views: true, ..self }
    }

    /// Plans a query in `PostgreSQL`'s terms: its shapes, and its names of output columns.
    ///
    /// # Errors
    /// Unknown names, wrong types, unsupported constructs.
    pub fn query(&self, query: &ast::Query) -> Result<Bound> {
        let mut statement = ast::Statement::Query(Box::new(query.clone()));
        let output = pg_compat::name_columns(&mut statement);
        pg_compat::rewrite(&mut statement);
        let mut bound = self.statement(statement)?;
        let planned: Vec<&str> =
            bound.plan.schema().fields().iter().map(|f| f.name().as_str()).collect();
        bound.names = output.names(&planned);
        Ok(bound)
    }

    /// Plans a statement that DataFusion knows.
    ///
    /// # Errors
    /// Unknown names, wrong types, unsupported constructs.
    pub fn statement(&self, statement: ast::Statement) -> Result<Bound> {
        self.statement_with(statement, &[])
    }

    /// As [`Self::statement`], with the types of parameters `$1`, `$2`, ... where they are known.
    ///
    /// # Errors
    /// Unknown names, wrong types, unsupported constructs.
    pub fn statement_with(
        &self,
        statement: ast::Statement,
        parameters: &[Option<DataType>],
    ) -> Result<Bound> {
        self.used.borrow_mut().clear();
        self.writes.set(matches!(statement, ast::Statement::Insert(_)));
        let known = parameters.iter().map(|t| {
            t.as_ref().map(|t| Arc::new(arrow::datatypes::Field::new("", t.clone(), true)))
        });
        let mut context =
            PlannerContext::new().with_prepare_param_data_types(known.collect::<Vec<_>>());
        let plan =
            SqlToRel::new(self).sql_statement_to_plan_with_context(statement, &mut context)?;
        let plan = scalar_subquery::check(literal::narrow(with_ties::expand(plan)?)?)?;
        let mut depends_on = self.used.borrow().clone();
        depends_on.sort_unstable();
        depends_on.dedup();
        let names = plan.schema().fields().iter().map(|f| f.name().clone()).collect();
        Ok(Bound { plan, depends_on, names })
    }

    /// A plan with its types coerced: its output has the types that running it gives.
    ///
    /// # Errors
    /// When types do not fit.
    pub fn analyzed(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let options = self.state.config_options();
        Ok(self.state.analyzer().execute_and_check(plan, options, |_, _| {})?)
    }

    /// The Arrow type of a SQL type name.
    ///
    /// # Errors
    /// When there is no such type.
    pub fn data_type(&self, data_type: &ast::DataType) -> Result<DataType> {
        let column = ast::ColumnDef {
            name: ast::Ident::new("c"),
            data_type: data_type.clone(),
            options: Vec::new(),
        };
        let schema = SqlToRel::new(self).build_schema(vec![column])?;
        Ok(schema.field(0).data_type().clone())
    }

    /// The table of a stored relation.
    #[must_use]
    pub fn table_of(&self, object: &Object) -> Option<RelationTable> {
        relation_table(self.catalog, object)
    }

    fn resolve(&self, name: &TableReference) -> Result<Arc<dyn TableSource>> {
        let (schema, table) = (name.schema(), name.table());
        if let Some(system) = self.system_table(schema, table) {
            return Ok(provider_as_source(system));
        }
        let object = self.catalog.resolve(schema, table, &self.search_path)?;
        self.used.borrow_mut().push(object.id);
        match &object.detail {
            Detail::View { query, search_path, columns } => {
                let plan = self.expand(object, query, search_path)?;
                let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
                let mut plan = rename(plan, &names)?;
                if self.marks_views {
                    let mark = crate::origin::view_mark(object.id);
                    plan = LogicalPlanBuilder::from(plan).alias(mark)?.build()?;
                }
                Ok(Arc::new(ViewSource::new(plan)))
            }
            Detail::Table { .. } | Detail::Source { .. } | Detail::MaterializedView { .. } => {
                let table = relation_table(self.catalog, object).expect("the kind is stored");
                if !self.writes.get() {
                    return Ok(provider_as_source(Arc::new(table)));
                }
                let defaults = self.defaults(object)?;
                Ok(provider_as_source(Arc::new(table.with_defaults(defaults))))
            }
            Detail::Schema { .. } | Detail::Pipeline { .. } | Detail::Sink { .. } => {
                Err(Error::Catalog(levada_catalog::Error::WrongKind {
                    name: table.to_owned(),
                    wanted: levada_catalog::ObjectKind::Table,
                    found: object.kind(),
                }))
            }
        }
    }

    fn system_table(&self, schema: Option<&str>, table: &str) -> Option<Arc<RelationTable>> {
        let schema = schema.unwrap_or("pg_catalog");
        self.system.get(&(schema.to_owned(), table.to_owned())).map(Arc::clone)
    }

    /// The default expressions of a table's columns.
    fn defaults(&self, object: &Object) -> Result<HashMap<String, Expr>> {
        let mut defaults = HashMap::new();
        for column in object.columns().unwrap_or_default() {
            let Some(text) = &column.default else { continue };
            let expr = crate::parse::expression(text)?;
            let schema = datafusion::common::DFSchema::empty();
            let expr =
                SqlToRel::new(self).sql_to_expr(expr, &schema, &mut PlannerContext::new())?;
            defaults.insert(column.name.clone(), cast(expr, column.data_type.clone()));
        }
        Ok(defaults)
    }

    fn expand(&self, view: &Object, query: &str, search_path: &[String]) -> Result<LogicalPlan> {
        if self.depth >= VIEW_DEPTH_MAX {
            return Err(Error::TooDeep { position: 0 });
        }
        let inner = Self {
            state: self.state,
            catalog: self.catalog,
            system: self.system,
            search_path: search_path.to_vec(),
            depth: self.depth + 1,
            used: RefCell::default(),
            writes: Cell::new(false),
            marks_views: false,
        };
        let query = crate::parse::query(query).map_err(|e| Error::InvalidDefinition {
            message: format!("could not read the stored query of view \"{}\": {e}", view.name),
            position: 0,
            hint: None,
        })?;
        Ok(inner.query(&query)?.plan)
    }
}

/// The table of a stored relation of `catalog`; [`None`] for other kinds.
#[must_use]
pub fn relation_table(catalog: &Catalog, object: &Object) -> Option<RelationTable> {
    let schema = object.is_stored().then(|| object.arrow_schema()).flatten()?;
    // NOT NULL is checked when rows are written, with PostgreSQL's error; a plan need not know.
    let fields = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
    let schema = Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()));
    // A materialized view's KEY is declared, not enforced: no plan may rest on it.
    let key = match &object.detail {
        Detail::Table { primary_key, .. } => {
            primary_key.iter().filter_map(|k| schema.index_of(k).ok()).collect()
        }
        _ => Vec::new(),
    };
    Some(RelationTable::new(object.id, catalog.qualified_name(object), schema, key))
}

/// The relation that a table source of a plan stands for.
#[must_use]
pub fn relation_of(source: &Arc<dyn TableSource>) -> Option<(u32, String, Vec<usize>)> {
    let provider = source_as_provider(source).ok()?;
    let table = provider.downcast_ref::<RelationTable>()?;
    Some((table.id, table.name.clone(), table.key().to_vec()))
}

/// `plan` with its output columns called `names` (as many as given), without qualifiers.
///
/// # Errors
/// When two columns get the same name.
pub fn rename(plan: LogicalPlan, names: &[&str]) -> Result<LogicalPlan> {
    let columns = plan.schema().columns();
    let same = plan.schema().fields().iter().zip(names).all(|(f, n)| f.name() == n);
    if same && columns.iter().all(|c| c.relation.is_none()) {
        return Ok(plan);
    }
    let exprs: Vec<Expr> = columns
        .into_iter()
        .enumerate()
        .map(|(i, c)| {
            let name = names.get(i).map_or_else(|| c.name.clone(), |n| (*n).to_owned());
            Expr::Column(c).alias(name)
        })
        .collect();
    Ok(LogicalPlanBuilder::from(plan).project(exprs)?.build()?)
}

/// `plan` with columns of unknown type (`SELECT NULL`) as text.
///
/// # Errors
/// When the plan cannot be rebuilt.
pub fn with_storable_types(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !plan.schema().fields().iter().any(|f| f.data_type().is_null()) {
        return Ok(plan);
    }
    let fields = plan.schema().iter().map(|(q, f)| (q.cloned(), Arc::clone(f)));
    let exprs: Vec<Expr> = fields
        .map(|(qualifier, field)| {
            let name = field.name().clone();
            let column = Expr::Column(datafusion::common::Column::new(qualifier, &name));
            if field.data_type().is_null() {
                cast(column, DataType::Utf8View).alias(name)
            } else {
                column
            }
        })
        .collect();
    Ok(LogicalPlanBuilder::from(plan).project(exprs)?.build()?)
}

/// A view where it is used: its plan takes its place.
struct ViewSource {
    plan: LogicalPlan,
    schema: SchemaRef,
}

impl ViewSource {
    fn new(plan: LogicalPlan) -> Self {
        let schema = Arc::new(plan.schema().as_arrow().clone());
        Self { plan, schema }
    }
}

impl TableSource for ViewSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        Some(Cow::Borrowed(&self.plan))
    }
}

impl ContextProvider for Binder<'_> {
    fn get_table_source(
        &self,
        name: TableReference,
    ) -> datafusion::common::Result<Arc<dyn TableSource>> {
        self.resolve(&name).map_err(|e| DataFusionError::External(Box::new(e)))
    }

    fn get_table_function_source(
        &self,
        name: &str,
        args: Vec<Expr>,
    ) -> datafusion::common::Result<Arc<dyn TableSource>> {
        crate::table_function::source(self.state, name, args)
    }

    fn create_cte_work_table(
        &self,
        name: &str,
        schema: SchemaRef,
    ) -> datafusion::common::Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        self.state.relation_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(crate::types::PostgresTypes))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _variable_names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}
