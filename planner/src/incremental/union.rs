//! `UNION ALL`: the deltas of all inputs.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::logical_expr::{Expr, Union, cast};
use datafusion::physical_expr::expressions::Column;

use super::{Builder, compile, output_schema};
use crate::delta_plan::{Expression, NodeId, Op, Properties};
use crate::error::Result;

impl Builder<'_> {
    pub(super) fn union(&mut self, union: &Union) -> Result<NodeId> {
        let schema = output_schema(&union.schema);
        let mut inputs = Vec::with_capacity(union.inputs.len());
        for input in &union.inputs {
            let id = self.plan(input)?;
            inputs.push(self.cast_to(id, input.schema(), &schema)?);
        }
        let properties = Properties {
            insert_only: inputs.iter().all(|i| self.nodes[*i].properties.insert_only),
            unique_keys: Vec::new(),
        };
        Ok(self.add(Op::Union, inputs, schema, properties))
    }

    /// A node whose columns have exactly the types of `schema`.
    fn cast_to(
        &mut self,
        input: NodeId,
        from: &datafusion::common::DFSchema,
        schema: &Arc<Schema>,
    ) -> Result<NodeId> {
        let fields = from.fields().iter().zip(schema.fields());
        if fields.clone().all(|(a, b)| a.data_type() == b.data_type()) {
            return Ok(input);
        }
        let mut exprs = Vec::new();
        for (i, (have, want)) in fields.enumerate() {
            let physical = if have.data_type() == want.data_type() {
                Arc::new(Column::new(have.name(), i)) as _
            } else {
                let column = Expr::Column(from.columns()[i].clone());
                compile(&cast(column, want.data_type().clone()), from)?
            };
            exprs.push(Expression { text: physical.to_string(), physical });
        }
        let properties = Properties {
            insert_only: self.nodes[input].properties.insert_only,
            unique_keys: Vec::new(),
        };
        Ok(self.add(Op::Project(exprs), vec![input], Arc::clone(schema), properties))
    }
}
