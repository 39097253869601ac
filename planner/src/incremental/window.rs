//! Window functions: calls over one partitioning and order become one node.

use std::sync::Arc;

use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr, Window as LogicalWindow};
use datafusion::physical_planner::create_window_expr;

use super::order::Ordered;
use super::project::project_properties;
use super::{Builder, column, has_subquery, output_schema};
use crate::delta_plan::{Expression, NodeId, Op, Properties, Window, WindowCall};
use crate::error::Result;

/// Calls that share a partitioning and an order, by their position in the output.
struct Group<'a> {
    partition: &'a [Expr],
    order: &'a [SortExpr],
    calls: Vec<usize>,
}

impl Builder<'_> {
    pub(super) fn window(&mut self, plan: &LogicalPlan, window: &LogicalWindow) -> Result<NodeId> {
        if window.window_expr.iter().any(has_subquery) {
            return self.recompute(plan, "correlated subquery");
        }
        let Some(groups) = groups(&window.window_expr) else {
            return self.recompute(plan, "window expression");
        };
        let from = window.input.schema();
        let width = from.fields().len();
        let schema = output_schema(&window.schema);
        let mut node = self.plan(&window.input)?;
        // Where in the node each output column is.
        let mut places: Vec<Option<usize>> = vec![None; schema.fields().len()];
        (0..width).for_each(|column| places[column] = Some(column));
        for group in groups {
            let Some(Ordered { input, partition, order, .. }) =
                self.ordered(node, from, group.partition, group.order)?
            else {
                return self.recompute(plan, "window over a type without order");
            };
            let mut fields: Vec<_> = self.nodes[input].schema.fields().to_vec();
            let mut calls = Vec::new();
            for call in group.calls {
                let expr = &window.window_expr[call];
                let (props, context) = (ExecutionProps::new(), PhysicalPlanningContext::default());
                let physical = create_window_expr(expr, from, &props, &context)?;
                calls.push(WindowCall { physical, text: expr.to_string() });
                places[width + call] = Some(fields.len());
                fields.push(Arc::clone(&schema.fields()[width + call]));
            }
            let properties =
                Properties { insert_only: false, ..self.nodes[input].properties.clone() };
            let schema = Arc::new(arrow::datatypes::Schema::new(fields));
            let op = Op::Window(Window { partition, order, calls });
            node = self.add(op, vec![input], schema, properties);
        }
        let have = &self.nodes[node].schema;
        if places.iter().copied().eq((0..have.fields().len()).map(Some)) {
            return Ok(node);
        }
        let properties = project_properties(&self.nodes[node].properties, &places);
        let columns = places.iter().flatten().map(|place| column(have, *place));
        let columns: Vec<Expression> = columns.collect();
        Ok(self.add(Op::Project(columns), vec![node], schema, properties))
    }
}

/// The call that an expression is, looking through aliases.
pub(super) fn call_of(expr: &Expr) -> Option<&WindowFunction> {
    match expr {
        Expr::WindowFunction(call) => Some(call),
        Expr::Alias(alias) => call_of(&alias.expr),
        _ => None,
    }
}

fn groups(exprs: &[Expr]) -> Option<Vec<Group<'_>>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (i, expr) in exprs.iter().enumerate() {
        let params = &call_of(expr)?.params;
        let (partition, order) = (&params.partition_by[..], &params.order_by[..]);
        match groups.iter_mut().find(|g| g.partition == partition && g.order == order) {
            Some(group) => group.calls.push(i),
            None => groups.push(Group { partition, order, calls: vec![i] }),
        }
    }
    Some(groups)
}
