//! `WHERE` and `HAVING`: a predicate on each row of the delta.

use std::sync::Arc;

use datafusion::logical_expr::{Filter, LogicalPlan};

use super::{Builder, expression, has_subquery};
use crate::delta_plan::{NodeId, Op};
use crate::error::Result;

impl Builder<'_> {
    pub(super) fn filter(&mut self, plan: &LogicalPlan, filter: &Filter) -> Result<NodeId> {
        if has_subquery(&filter.predicate) {
            return self.recompute(plan, "correlated subquery");
        }
        if let Some(ranked) = self.ranked(filter)? {
            return Ok(ranked);
        }
        if let LogicalPlan::Join(join) = filter.input.as_ref()
            && let Some(bounded) = self.threshold(join, Some(&filter.predicate))?
        {
            return Ok(bounded);
        }
        let input = self.plan(&filter.input)?;
        let predicate = expression(&filter.predicate, filter.input.schema())?;
        let (schema, properties) =
            (Arc::clone(&self.nodes[input].schema), self.nodes[input].properties.clone());
        Ok(self.add(Op::Filter(predicate), vec![input], schema, properties))
    }
}
