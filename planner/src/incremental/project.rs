//! `SELECT` lists: expressions on each row of the delta.
//!
//! A projection that only picks columns of a join or of the first rows of an order is folded into the
//! output of those, so that columns that nobody needs are never gathered.

use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};

use super::{Builder, column_position, expression, has_subquery, output_schema};
use crate::delta_plan::{Join, NodeId, Op, Properties, Temporal, Threshold, TopK};
use crate::error::Result;

impl Builder<'_> {
    pub(super) fn projection(
        &mut self,
        plan: &LogicalPlan,
        projection: &Projection,
    ) -> Result<NodeId> {
        if projection.expr.iter().any(has_subquery) {
            return self.recompute(plan, "correlated subquery");
        }
        let input = self.plan(&projection.input)?;
        self.project_node(input, projection)
    }

    /// The projection of `input`, which stands for the projection's own.
    pub(super) fn project_node(
        &mut self,
        input: NodeId,
        projection: &Projection,
    ) -> Result<NodeId> {
        let from = projection.input.schema();
        self.project_exprs(input, &projection.expr, from, &projection.schema)
    }

    /// Expressions over `input`, whose columns are those of `from`.
    pub(super) fn project_exprs(
        &mut self,
        input: NodeId,
        exprs: &[Expr],
        from: &DFSchema,
        to: &DFSchema,
    ) -> Result<NodeId> {
        let positions: Vec<Option<usize>> =
            exprs.iter().map(|e| column_position(e, from)).collect();
        let schema = output_schema(to);
        let properties = project_properties(&self.nodes[input].properties, &positions);
        let picked: Option<Vec<usize>> = positions.iter().copied().collect();
        if let Some(picked) = picked {
            if picked.iter().copied().eq(0..self.nodes[input].schema.fields().len()) {
                return Ok(input);
            }
            if let Some(op) = picking(&self.nodes[input].op, &picked) {
                let inputs = self.nodes[input].inputs.clone();
                return Ok(self.add(op, inputs, schema, properties));
            }
        }
        let exprs = exprs.iter().map(|e| expression(e, from)).collect::<Result<Vec<_>>>()?;
        self.add_project(exprs, input, schema, properties)
    }
}

/// The operator that gives just some of its output columns, if it can.
fn picking(op: &Op, picked: &[usize]) -> Option<Op> {
    match op {
        Op::Join(join) => {
            let output = picked.iter().map(|p| join.output[*p]).collect();
            Some(Op::Join(Join { output, ..join.clone() }))
        }
        Op::Threshold(threshold) => {
            let output = picked.iter().map(|p| threshold.output[*p]).collect();
            Some(Op::Threshold(Threshold { output, ..threshold.clone() }))
        }
        Op::Temporal(temporal) => {
            let output = picked.iter().map(|p| temporal.output[*p]).collect();
            Some(Op::Temporal(Temporal { output, ..temporal.clone() }))
        }
        Op::TopK(top) => {
            let output = picked.iter().map(|p| top.output[*p]).collect();
            Some(Op::TopK(TopK { output, ..top.clone() }))
        }
        _ => None,
    }
}

/// Properties of rows of which output column `i` is input column `positions[i]`.
pub(super) fn project_properties(input: &Properties, positions: &[Option<usize>]) -> Properties {
    let map = |key: &Vec<usize>| {
        key.iter()
            .map(|k| positions.iter().position(|p| *p == Some(*k)))
            .collect::<Option<Vec<usize>>>()
    };
    Properties {
        insert_only: input.insert_only,
        unique_keys: input.unique_keys.iter().filter_map(map).collect(),
    }
}
