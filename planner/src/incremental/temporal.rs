//! `WHERE x > now() - interval '1 hour'`: comparisons with a bound that only rises.
//!
//! A row that such a bound passes has left for good, or has entered for good. So what is kept is just the rows
//! that the bound has not passed, in the order of `x`; a move of the clock touches those that it passes.
//!
//! ```text
//! Filter x > now() - 1h AND x <= now()        Temporal x > now() - 1h     keeps the rows of the last hour
//!   a                                    ->     Temporal x <= now()       keeps the rows of the future
//!                                                 a
//! ```
//! Comparisons that rows enter by come first: what is not there yet need not be kept twice.

use datafusion::logical_expr::Filter;

use super::clock::bound;
use super::order::Ordered;
use super::{Builder, output_schema};
use crate::clock::Temporal as Compared;
use crate::delta_plan::{NodeId, Op, Properties, Temporal};
use crate::error::Result;

impl Builder<'_> {
    /// The rows that pass all comparisons; none if their rows have no order.
    pub(super) fn temporal(
        &mut self,
        filter: &Filter,
        comparisons: &[Compared],
    ) -> Result<Option<NodeId>> {
        let schema = filter.input.schema();
        let mut node = self.plan(&filter.input)?;
        let (entering, leaving): (Vec<&Compared>, Vec<&Compared>) =
            comparisons.iter().partition(|c| c.comparison.passes_before());
        for compared in entering.into_iter().chain(leaving) {
            let by_row = [compared.row.clone().sort(true, false)];
            let Some(ordered) = self.ordered(node, schema, &[], &by_row)? else { return Ok(None) };
            let Ordered { input, order, .. } = ordered;
            let comparison = compared.comparison;
            let output = (0..schema.fields().len()).collect();
            let temporal = Temporal { order, comparison, bound: bound(&compared.bound)?, output };
            let properties = Properties {
                insert_only: comparison.passes_before() && self.nodes[node].properties.insert_only,
                ..self.nodes[node].properties.clone()
            };
            let columns = output_schema(schema);
            node = self.add(Op::Temporal(temporal), vec![input], columns, properties);
        }
        Ok(Some(node))
    }
}
