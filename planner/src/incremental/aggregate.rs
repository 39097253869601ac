//! `GROUP BY`: keys, arguments and filters become columns, then groups are maintained.

mod call;
mod grouping_sets;

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::{Aggregate as LogicalAggregate, Expr, LogicalPlan};

use self::call::{Columns, Planned, planned};
use self::grouping_sets::GroupingSets;
use super::{Builder, has_subquery, is_hashable, output_schema};
use crate::delta_plan::{Aggregate, NodeId, Op, Properties};
use crate::error::Result;

impl Builder<'_> {
    pub(super) fn aggregate(
        &mut self,
        plan: &LogicalPlan,
        aggregate: &LogicalAggregate,
    ) -> Result<NodeId> {
        let all = || aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
        if all().any(has_subquery) {
            return self.recompute(plan, "correlated subquery");
        }
        let schema = output_schema(&aggregate.schema);
        let from = aggregate.input.schema();
        let sets = GroupingSets::of(&aggregate.group_expr)?;
        let keys = match &sets {
            Some(sets) => sets.keys(),
            None => aggregate.group_expr.iter().collect(),
        };
        if !schema.fields()[..keys.len()].iter().all(|f| is_hashable(f.data_type())) {
            return self.recompute(plan, "GROUP BY a type without equality");
        }
        let mut columns = Columns::default();
        let positions: Vec<usize> = keys.iter().map(|k| columns.add(k)).collect();
        let mut calls = Vec::with_capacity(aggregate.aggr_expr.len());
        for expr in &aggregate.aggr_expr {
            match planned(expr, from, &mut columns)? {
                Some(call) => calls.push(call),
                None => return self.recompute(plan, "an aggregate over a type without equality"),
            }
        }
        let input = self.plan(&aggregate.input)?;
        let exprs: Vec<&Expr> = columns.exprs.iter().collect();
        let (input, at) = self.with_columns(input, from, &exprs)?;
        let keys: Vec<usize> = positions.into_iter().map(|p| at[p]).collect();
        match sets {
            Some(sets) => self.grouping_sets(input, &keys, &sets, (&calls, &at), schema),
            None => Ok(self.groups(input, keys, &calls, &at, schema)),
        }
    }

    /// The groups of `input` by the columns `keys`; the columns that calls need stand at `at`.
    fn groups(
        &mut self,
        input: NodeId,
        keys: Vec<usize>,
        calls: &[Planned],
        at: &[usize],
        schema: SchemaRef,
    ) -> NodeId {
        let from = SchemaRef::clone(&self.nodes[input].schema);
        let results = schema.fields()[schema.fields().len() - calls.len()..].iter();
        let calls = calls.iter().zip(results);
        let calls = calls.map(|(c, result)| c.node(at, &from, result.data_type())).collect();
        let properties =
            Properties { insert_only: false, unique_keys: vec![(0..keys.len()).collect()] };
        self.add(Op::Aggregate(Aggregate { keys, calls }), vec![input], schema, properties)
    }
}
