//! `SELECT` lists: expressions on each row of the delta.
//!
//! A projection that only picks columns of a join is folded into the join's output, so that columns that
//! nobody needs are never gathered.

use datafusion::logical_expr::{LogicalPlan, Projection};

use super::{Builder, column_position, expression, has_subquery, output_schema};
use crate::delta_plan::{NodeId, Op, Properties};
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
        let from = projection.input.schema();
        let positions: Vec<Option<usize>> =
            projection.expr.iter().map(|e| column_position(e, from)).collect();
        let schema = output_schema(&projection.schema);
        let properties = project_properties(&self.nodes[input].properties, &positions);
        let picked: Option<Vec<usize>> = positions.iter().copied().collect();
        if let (Some(picked), Op::Join(join)) = (&picked, &self.nodes[input].op) {
            let mut join = join.clone();
            join.output = picked.iter().map(|p| join.output[*p]).collect();
            let inputs = self.nodes[input].inputs.clone();
            return Ok(self.add(Op::Join(join), inputs, schema, properties));
        }
        if picked.is_some_and(|p| p.iter().copied().eq(0..self.nodes[input].schema.fields().len()))
        {
            return Ok(input);
        }
        let exprs =
            projection.expr.iter().map(|e| expression(e, from)).collect::<Result<Vec<_>>>()?;
        Ok(self.add(Op::Project(exprs), vec![input], schema, properties))
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
