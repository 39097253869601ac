//! `DISTINCT` and `UNION`: each row that occurs, once.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;

use super::{Builder, is_hashable};
use crate::delta_plan::{NodeId, Op, Properties};
use crate::error::Result;

impl Builder<'_> {
    pub(super) fn distinct(&mut self, input: &Arc<LogicalPlan>) -> Result<NodeId> {
        let child = self.plan(input)?;
        let schema = Arc::clone(&self.nodes[child].schema);
        if !schema.fields().iter().all(|f| is_hashable(f.data_type())) {
            let whole =
                LogicalPlan::Distinct(datafusion::logical_expr::Distinct::All(Arc::clone(input)));
            return self.recompute(&whole, "DISTINCT over a type without equality");
        }
        let properties = Properties {
            insert_only: self.nodes[child].properties.insert_only,
            unique_keys: vec![(0..schema.fields().len()).collect()],
        };
        Ok(self.add(Op::Distinct, vec![child], schema, properties))
    }
}
