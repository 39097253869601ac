//! Relations of the catalog as DataFusion tables.
//!
//! A [`RelationTable`] knows its identifier and schema but holds no rows: a plan that mentions it can be
//! run at any snapshot. Whoever runs the plan puts a [`RelationScan`] into the session's configuration;
//! the scan is asked for the rows then.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Constraint, Constraints, DataFusionError, Result};
use datafusion::execution::context::SessionConfig;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

/// Gives the rows of relations at one snapshot.
pub trait RelationScan: Send + Sync + fmt::Debug {
    /// A plan that streams the rows of relation `id`, with the columns of `projection`.
    ///
    /// # Errors
    /// When the relation is not part of the snapshot.
    fn scan(
        &self,
        table: &RelationTable,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>>;
}

/// The scan that a session's plans use.
#[derive(Clone)]
pub struct ScanExtension(pub Arc<dyn RelationScan>);

/// A stored relation, or one of the system's.
#[derive(Debug)]
pub struct RelationTable {
    /// The relation.
    pub id: u32,
    /// Its qualified name, for display.
    pub name: String,
    schema: SchemaRef,
    constraints: Constraints,
    defaults: HashMap<String, Expr>,
}

impl RelationTable {
    /// A relation with a key of column positions (empty: no key).
    #[must_use]
    pub fn new(id: u32, name: String, schema: SchemaRef, key: Vec<usize>) -> Self {
        let constraints = if key.is_empty() {
            Constraints::default()
        } else {
            Constraints::new_unverified(vec![Constraint::PrimaryKey(key)])
        };
        Self { id, name, schema, constraints, defaults: HashMap::new() }
    }

    /// The same relation with default values for columns that an INSERT leaves out.
    #[must_use]
    pub fn with_defaults(mut self, defaults: HashMap<String, Expr>) -> Self {
        self.defaults = defaults;
        self
    }

    /// Column positions of the key; empty when there is none.
    #[must_use]
    pub fn key(&self) -> &[usize] {
        match self.constraints.first() {
            Some(Constraint::PrimaryKey(key) | Constraint::Unique(key)) => key,
            None => &[],
        }
    }
}

#[async_trait::async_trait]
impl TableProvider for RelationTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn constraints(&self) -> Option<&Constraints> {
        Some(&self.constraints)
    }

    fn get_column_default(&self, column: &str) -> Option<&Expr> {
        self.defaults.get(column)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let scan = state.config().get_extension::<ScanExtension>().ok_or_else(|| {
            DataFusionError::Internal("no snapshot to scan relations of".to_owned())
        })?;
        scan.0.scan(self, projection, limit)
    }
}

/// `config` with `scan` as the source of all relations' rows.
#[must_use]
pub fn with_scan(config: SessionConfig, scan: Arc<dyn RelationScan>) -> SessionConfig {
    config.with_extension(Arc::new(ScanExtension(scan)))
}
