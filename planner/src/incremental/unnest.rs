//! `UNNEST`: the elements of lists as rows, the fields of structs as columns.

use datafusion::logical_expr::Unnest as LogicalUnnest;

use super::{Builder, output_schema};
use crate::delta_plan::{NodeId, Op, Properties, Unnest};
use crate::error::Result;

impl Builder<'_> {
    pub(super) fn unnest(&mut self, unnest: &LogicalUnnest) -> Result<NodeId> {
        let input = self.plan(&unnest.input)?;
        let lists = unnest.list_type_columns.iter().map(|(column, list)| (*column, list.depth));
        let node = Unnest {
            lists: lists.collect(),
            structs: unnest.struct_type_columns.clone(),
            options: unnest.options.clone(),
        };
        let properties = Properties {
            insert_only: self.nodes[input].properties.insert_only,
            unique_keys: Vec::new(),
        };
        let schema = output_schema(&unnest.schema);
        Ok(self.add(Op::Unnest(node), vec![input], schema, properties))
    }
}
