//! Window functions: calls over one partitioning and order become one node.

mod reach;

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr, Window as LogicalWindow};
use datafusion::physical_planner::create_window_expr;

use self::reach::reach_of;
use super::order::Ordered;
use super::project::project_properties;
use super::{Builder, column, compile, has_subquery, output_schema};
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
            let Some(Ordered { input, partition, order, asked }) =
                self.ordered(node, from, group.partition, group.order)?
            else {
                return self.recompute(plan, "window over a type without order");
            };
            let mut fields: Vec<_> = self.nodes[input].schema.fields().to_vec();
            let mut calls = Vec::new();
            for call in group.calls {
                places[width + call] = Some(fields.len());
                let field = &schema.fields()[width + call];
                calls.extend(compiled(&window.window_expr[call], from, field.data_type())?);
                fields.push(Arc::clone(field));
            }
            let properties =
                Properties { insert_only: false, ..self.nodes[input].properties.clone() };
            let schema = Arc::new(arrow::datatypes::Schema::new(fields));
            let op = Op::Window(Window { partition, order, asked, calls });
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

/// The call that an expression over rows of `schema` is, whose value is of type `output`.
fn compiled(expr: &Expr, schema: &DFSchema, output: &DataType) -> Result<Option<WindowCall>> {
    let Some(call) = call_of(expr) else { return Ok(None) };
    let (props, context) = (ExecutionProps::new(), PhysicalPlanningContext::default());
    let filter = call.params.filter.as_deref();
    Ok(Some(WindowCall {
        physical: create_window_expr(expr, schema, &props, &context)?,
        filter: filter.map(|filter| compile(filter, schema)).transpose()?,
        ignore_nulls: call.params.null_treatment == Some(NullTreatment::IgnoreNulls),
        reach: reach_of(call, schema, output),
        text: expr.to_string(),
    }))
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
