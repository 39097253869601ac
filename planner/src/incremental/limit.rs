//! `LIMIT` and `OFFSET`: the first rows of an order.

use datafusion::logical_expr::{FetchType, Limit, LogicalPlan, SkipType, Sort, SortExpr};

use super::order::Ordered;
use super::{Builder, has_subquery, output_schema};
use crate::delta_plan::{NodeId, Numbering, Op, Properties, TopK};
use crate::error::Result;

/// Which rows of an order.
#[derive(Clone, Copy)]
struct Rows {
    numbering: Numbering,
    skip: usize,
    fetch: Option<usize>,
}

impl Builder<'_> {
    pub(super) fn limit(&mut self, plan: &LogicalPlan, limit: &Limit) -> Result<NodeId> {
        let (skip, fetch) = (limit.get_skip_type()?, limit.get_fetch_type()?);
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) = (skip, fetch) else {
            return self.recompute(plan, "LIMIT that is no constant");
        };
        match self.first_rows(&limit.input, Rows { numbering: Numbering::Row, skip, fetch })? {
            Some(node) => Ok(node),
            None => self.recompute(plan, "LIMIT over a type without order"),
        }
    }

    /// `ORDER BY` with the number of rows that its user asks for.
    pub(super) fn sorted_first(&mut self, plan: &LogicalPlan, sort: &Sort) -> Result<NodeId> {
        let rows = Rows { numbering: Numbering::Row, skip: 0, fetch: sort.fetch };
        match self.first_of_sort(sort, rows)? {
            Some(node) => Ok(node),
            None => self.recompute(plan, "LIMIT over a type without order"),
        }
    }

    /// Some rows of `plan`, by the order it has: projections keep the order of what they project.
    fn first_rows(&mut self, plan: &LogicalPlan, rows: Rows) -> Result<Option<NodeId>> {
        match plan {
            LogicalPlan::SubqueryAlias(alias) => self.first_rows(&alias.input, rows),
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.first_of_sort(sort, rows),
            LogicalPlan::Projection(projection) if !projection.expr.iter().any(has_subquery) => {
                let input = self.first_rows(&projection.input, rows)?;
                input.map(|input| self.project_node(input, projection)).transpose()
            }
            other => {
                let input = self.plan(other)?;
                self.top(input, other, &[], rows)
            }
        }
    }

    fn first_of_sort(&mut self, sort: &Sort, rows: Rows) -> Result<Option<NodeId>> {
        if sort.expr.iter().any(|key| has_subquery(&key.expr)) {
            return Ok(None);
        }
        let input = self.plan(&sort.input)?;
        self.top(input, &sort.input, &sort.expr, rows)
    }

    fn top(
        &mut self,
        input: NodeId,
        plan: &LogicalPlan,
        order: &[SortExpr],
        rows: Rows,
    ) -> Result<Option<NodeId>> {
        let Some(ordered) = self.ordered(input, plan.schema(), &[], order)? else {
            return Ok(None);
        };
        let properties = Properties { insert_only: false, ..self.nodes[input].properties.clone() };
        let width = plan.schema().fields().len();
        let schema = output_schema(plan.schema());
        Ok(Some(self.top_k(ordered, rows, (0..width).collect(), schema, properties)))
    }

    fn top_k(
        &mut self,
        ordered: Ordered,
        rows: Rows,
        output: Vec<usize>,
        schema: arrow::datatypes::SchemaRef,
        properties: Properties,
    ) -> NodeId {
        let Ordered { input, partition, order, asked } = ordered;
        let Rows { numbering, skip, fetch } = rows;
        let top = TopK { partition, order, asked, numbering, skip, fetch, output };
        self.add(Op::TopK(top), vec![input], schema, properties)
    }

    /// Rows of each partition of a window by their number; see [`ranked`](super::ranked).
    pub(super) fn numbered(
        &mut self,
        ordered: Ordered,
        (numbering, skip, fetch): (Numbering, usize, usize),
        output: Vec<usize>,
        schema: arrow::datatypes::SchemaRef,
    ) -> NodeId {
        let rows = Rows { numbering, skip, fetch: Some(fetch) };
        self.top_k(ordered, rows, output, schema, Properties::default())
    }
}
