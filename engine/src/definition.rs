//! From a view's query to what is stored of it: columns, plan, lineage.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast;
use levada_catalog::{Catalog, Column, Detail, Object, ObjectId};
use levada_planner::bind::Binder;
use levada_planner::delta_plan::DeltaPlan;
use levada_planner::environment::optimize_for_delta;
use levada_planner::incremental::{break_ties, break_ties_in_windows, delta_plan};
use levada_planner::lineage::{Lineage, lineage};

use crate::database::Shared;
use crate::error::{Error, Result};

/// A bound query with named, storable output columns.
pub(crate) struct BoundView {
    /// The plan.
    pub(crate) plan: LogicalPlan,
    /// Its output columns.
    pub(crate) columns: Vec<Column>,
    /// The objects it names.
    pub(crate) depends_on: Vec<ObjectId>,
}

impl BoundView {
    /// Where the columns come from.
    pub(crate) fn lineage(&self) -> Result<Lineage> {
        Ok(lineage(&self.plan)?)
    }

    /// The delta plan.
    pub(crate) fn delta_plan(
        &self,
        state: &SessionState,
        insert_only: &dyn Fn(u32) -> bool,
    ) -> Result<DeltaPlan> {
        let optimized = optimize_for_delta(state, break_ties(self.plan.clone())?)?;
        Ok(delta_plan(state, &optimized, insert_only)?)
    }
}

impl BoundView {
    /// The query as DataFusion is to run it for a comparison with what is maintained. Where windows leave the
    /// order of equal rows open, it is that of the columns that are left once nobody needs the others.
    pub(crate) fn comparable(self, state: &SessionState) -> Result<LogicalPlan> {
        let has_window = self.plan.exists(|node| Ok(matches!(node, LogicalPlan::Window(_))))?;
        let plan =
            if has_window { optimize_for_delta(state, break_ties(self.plan)?)? } else { self.plan };
        Ok(break_ties_in_windows(plan)?)
    }
}

/// Binds `query` as a view whose columns are called `names` (the query's own where none is given).
pub(crate) fn bind_view(
    binder: &Binder<'_>,
    query: &ast::Query,
    names: &[String],
) -> Result<BoundView> {
    let bound = binder.query(query)?;
    let width = bound.plan.schema().fields().len();
    if names.len() > width {
        return Err(Error::statement(
            "42601",
            format!("{} columns were named but the query has {width}", names.len()),
        ));
    }
    let own = bound.names.iter().map(String::as_str);
    let all: Vec<&str> =
        own.enumerate().map(|(i, n)| names.get(i).map_or(n, String::as_str)).collect();
    if let Some(twice) = all.iter().enumerate().find(|(i, n)| all[..*i].contains(n)) {
        return Err(Error::statement(
            "42701",
            format!("column \"{}\" specified more than once", twice.1),
        )
        .with_hint("Give each output column its own name with AS."));
    }
    let plan = levada_planner::bind::rename(bound.plan.clone(), &all)?;
    // Types are known when they have been coerced: NULL in a UNION has that of the other branches.
    let plan = levada_planner::bind::with_storable_types(binder.analyzed(plan)?)?;
    let plan = binder.analyzed(plan)?;
    let columns = plan
        .schema()
        .fields()
        .iter()
        .map(|f| Column { nullable: true, ..Column::from(f.as_ref()) })
        .collect();
    Ok(BoundView { plan, columns, depends_on: bound.depends_on })
}

/// The delta plan of a materialized view of the catalog.
///
/// # Errors
/// When its query no longer plans.
pub(crate) fn plan_stored_view(
    shared: &Arc<Shared>,
    catalog: &Catalog,
    object: &Object,
    insert_only: &dyn Fn(u32) -> bool,
) -> Result<DeltaPlan> {
    let Detail::MaterializedView { query, search_path, columns, .. } = &object.detail else {
        return Err(Error::unfit("view"));
    };
    let binder = Binder::new(&shared.state, catalog, &shared.system, search_path.clone());
    let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
    let query = levada_planner::parse::query(query)?;
    bind_view(&binder, &query, &names)?.delta_plan(&shared.state, insert_only)
}

/// Whether values of this type can be kept in a table.
pub(crate) fn is_storable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null
        | DataType::Union(..)
        | DataType::RunEndEncoded(..)
        | DataType::Interval(_)
        | DataType::Duration(_) => false,
        DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) => {
            is_storable(f.data_type())
        }
        _ => true,
    }
}
