//! Stored relations: the leaves.

use datafusion::logical_expr::{LogicalPlan, TableScan};

use super::{Builder, output_schema};
use crate::bind::relation_of;
use crate::delta_plan::{NodeId, Op, Properties};
use crate::error::{Error, Result};

impl Builder<'_> {
    pub(super) fn relation(&mut self, plan: &LogicalPlan, scan: &TableScan) -> Result<NodeId> {
        let Some((id, name, key)) = relation_of(&scan.source) else {
            return self.recompute(plan, "table function");
        };
        if id < levada_catalog::object::FIRST_USER_OID {
            return Err(Error::Unsupported {
                construct: format!("system relation {name} in a materialized view"),
                position: 0,
                hint: None,
            });
        }
        let width = scan.source.schema().fields().len();
        let columns = scan.projection.clone().unwrap_or_else(|| (0..width).collect());
        let key: Option<Vec<usize>> =
            key.iter().map(|k| columns.iter().position(|c| c == k)).collect();
        let properties = Properties {
            insert_only: (self.insert_only)(id),
            unique_keys: key.into_iter().filter(|k| !k.is_empty()).collect(),
        };
        let schema = output_schema(plan.schema());
        Ok(self.add(Op::Relation { id, name, columns }, vec![], schema, properties))
    }
}
