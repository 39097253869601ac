//! The fallback: what has no delta rule is run again and subtracted.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, lit};

use super::{Builder, break_ties, has_subquery, output_schema};
use crate::bind::relation_of;
use crate::clock::is_read_by;
use crate::delta_plan::{NodeId, Op, Properties, Recompute};
use crate::error::{Error, Result};

impl Builder<'_> {
    pub(super) fn recompute(&mut self, plan: &LogicalPlan, reason: &str) -> Result<NodeId> {
        let scans = scans(plan)?;
        let mut inputs = Vec::with_capacity(scans.len());
        let mut relations = Vec::with_capacity(scans.len());
        for (id, scan) in &scans {
            relations.push(*id);
            inputs.push(self.relation_changes(scan)?);
        }
        let plan = with_a_column(plan)?;
        let schema = output_schema(plan.schema());
        let query = self.state.optimize(&break_ties(plan)?)?;
        refuse_subqueries(&query)?;
        let text = text_of(&query)?;
        let op = Op::Recompute(Recompute {
            reason: reason.to_owned(),
            relations,
            text,
            reads_clock: is_read_by(&query)?,
            query: Arc::new(query),
        });
        Ok(self.add(op, inputs, schema, Properties::default()))
    }

    /// The relation of `scan` as a node without columns: it only tells that something changed.
    fn relation_changes(&mut self, scan: &LogicalPlan) -> Result<NodeId> {
        let LogicalPlan::TableScan(scan) = scan else { unreachable!("only scans are collected") };
        let mut narrow = scan.clone();
        narrow.projection = Some(Vec::new());
        narrow.projected_schema = Arc::new(datafusion::common::DFSchema::empty());
        narrow.filters.clear();
        let plan = LogicalPlan::TableScan(narrow.clone());
        self.relation(&plan, &narrow)
    }
}

/// The plan as text, with the tables that functions made: a plan names them without their arguments.
fn text_of(query: &LogicalPlan) -> Result<String> {
    let mut text = query.display_indent().to_string();
    query.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && relation_of(&scan.source).is_none()
        {
            let made = source_as_provider(&scan.source)?;
            write!(text, "\n{made:?}").expect("writing to a string succeeds");
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(text)
}

/// Refuses a query whose subqueries no rule turned into joins: nothing could run it.
fn refuse_subqueries(query: &LogicalPlan) -> Result<()> {
    let mut left = false;
    query.apply(|node| {
        left |= node.expressions().iter().any(has_subquery);
        Ok(TreeNodeRecursion::Continue)
    })?;
    if !left {
        return Ok(());
    }
    Err(Error::Unsupported {
        construct: "this correlated subquery in a materialized view".to_owned(),
        position: 0,
        hint: Some("Write it as a join.".to_owned()),
    })
}

/// A plan whose rows can be told apart from none: users that need no column get one they do not read.
fn with_a_column(plan: &LogicalPlan) -> Result<LogicalPlan> {
    if !plan.schema().fields().is_empty() {
        return Ok(plan.clone());
    }
    let builder = LogicalPlanBuilder::from(plan.clone());
    Ok(builder.project([lit(true).alias("row")])?.build()?)
}

/// The scans of stored relations in `plan` and its subqueries, one per relation, by identifier.
fn scans(plan: &LogicalPlan) -> Result<Vec<(u32, LogicalPlan)>> {
    let mut found: Vec<(u32, LogicalPlan)> = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some((id, _, _)) = relation_of(&scan.source)
            && !found.iter().any(|(f, _)| *f == id)
        {
            found.push((id, node.clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    found.sort_by_key(|(id, _)| *id);
    Ok(found)
}
