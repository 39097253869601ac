//! Expressions below joins that multiply rows.
//!
//! A cross join with constant rows, as in hopping windows, makes several rows of each. What an expression
//! computes from the columns of the other side alone is the same for all of them, so it is computed
//! before. That is safe only because each row has a partner: else rows would be evaluated that the query
//! never sees, and could fail.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, CaseExpr, Column, Literal};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use super::{Builder, column};
use crate::arithmetic::as_operators;
use crate::delta_plan::{Expression, Join, JoinKind, NodeId, Op, Properties};
use crate::error::Result;

impl Builder<'_> {
    /// A projection of `input`, with what can be computed below a join computed there.
    pub(super) fn add_project(
        &mut self,
        exprs: Vec<Expression>,
        input: NodeId,
        schema: SchemaRef,
        properties: Properties,
    ) -> Result<NodeId> {
        let (input, exprs) = match &self.nodes[input].op {
            Op::Join(join) if self.multiplies(join, input) => {
                let join = join.clone();
                self.below_join(input, &join, exprs)?
            }
            _ => (input, exprs),
        };
        Ok(self.add(Op::Project(exprs), vec![input], schema, properties))
    }

    /// Whether every left row of a join meets constant rows.
    fn multiplies(&self, join: &Join, node: NodeId) -> bool {
        let right = self.nodes[node].inputs[1];
        let rows = match &self.nodes[right].op {
            Op::Constant(rows) => rows.num_rows(),
            Op::Project(_) => match self.nodes[right].inputs[..] {
                [input] => match &self.nodes[input].op {
                    Op::Constant(rows) => rows.num_rows(),
                    _ => 0,
                },
                _ => 0,
            },
            _ => 0,
        };
        join.kind == JoinKind::Inner
            && join.left_keys.is_empty()
            && join.residual.is_none()
            && rows > 1
    }

    fn below_join(
        &mut self,
        node: NodeId,
        join: &Join,
        exprs: Vec<Expression>,
    ) -> Result<(NodeId, Vec<Expression>)> {
        let [left, right] = self.nodes[node].inputs[..] else { return Ok((node, exprs)) };
        let left_schema = Arc::clone(&self.nodes[left].schema);
        let width = left_schema.fields().len();
        let mut hoisted: Vec<Expression> = Vec::new();
        let mut rewritten = Vec::with_capacity(exprs.len());
        let above = join.output.len();
        for expr in exprs {
            let physical = Arc::clone(&expr.physical).transform_down(|e| {
                let plain =
                    e.downcast_ref::<Column>().is_some() || e.downcast_ref::<Literal>().is_some();
                let columns = collect_columns(&e);
                let of_left = columns.iter().all(|c| join.output[c.index()] < width);
                if plain || columns.is_empty() {
                    return Ok(Transformed::no(e));
                }
                if !of_left {
                    // What is evaluated for some rows only must not be for all.
                    let next = if is_conditional(&e) {
                        TreeNodeRecursion::Jump
                    } else {
                        TreeNodeRecursion::Continue
                    };
                    return Ok(Transformed::new(e, false, next));
                }
                let below = onto(&e, &|c| join.output[c])?;
                let text = as_operators(&below)?.to_string();
                let known = hoisted.iter().position(|h| h.text == text);
                let at = known.unwrap_or(hoisted.len());
                if known.is_none() {
                    hoisted.push(Expression { physical: below, text: text.clone() });
                }
                let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(&text, above + at));
                Ok(Transformed::new(column, true, TreeNodeRecursion::Jump))
            })?;
            rewritten.push(match physical.transformed {
                false => expr,
                true => Expression {
                    text: as_operators(&physical.data)?.to_string(),
                    physical: physical.data,
                },
            });
        }
        if hoisted.is_empty() {
            return Ok((node, rewritten));
        }
        let added = hoisted.len();
        let mut fields: Vec<Field> =
            left_schema.fields().iter().map(|f| f.as_ref().clone()).collect();
        for expression in &hoisted {
            let data_type = expression.physical.data_type(&left_schema)?;
            fields.push(Field::new(&expression.text, data_type, true));
        }
        let new_fields: Vec<Field> = fields[width..].to_vec();
        let exprs = (0..width).map(|i| column(&left_schema, i)).chain(hoisted).collect();
        let properties = self.nodes[left].properties.clone();
        let widened = Arc::new(Schema::new(fields));
        let left = self.add(Op::Project(exprs), vec![left], widened, properties);
        let moved = |c: usize| if c < width { c } else { c + added };
        let output = join.output.iter().map(|c| moved(*c)).chain(width..width + added).collect();
        let fields = self.nodes[node].schema.fields().iter().map(|f| f.as_ref().clone());
        let schema = Arc::new(Schema::new(fields.chain(new_fields).collect::<Vec<_>>()));
        let properties = self.nodes[node].properties.clone();
        let join = Join { output, ..join.clone() };
        let joined = self.add(Op::Join(join), vec![left, right], schema, properties);
        Ok((joined, rewritten))
    }
}

/// Whether parts of the expression are evaluated only where others say so.
fn is_conditional(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let logic = |e: &BinaryExpr| matches!(e.op(), Operator::And | Operator::Or);
    expr.downcast_ref::<CaseExpr>().is_some()
        || expr.downcast_ref::<BinaryExpr>().is_some_and(logic)
        || expr.downcast_ref::<ScalarFunctionExpr>().is_some_and(|e| e.fun().short_circuits())
}

/// The expression with each column `c` replaced by column `to(c)`.
fn onto(
    expr: &Arc<dyn PhysicalExpr>,
    to: &dyn Fn(usize) -> usize,
) -> datafusion::error::Result<Arc<dyn PhysicalExpr>> {
    let moved = Arc::clone(expr).transform_up(|e| {
        let Some(column) = e.downcast_ref::<Column>() else { return Ok(Transformed::no(e)) };
        let column: Arc<dyn PhysicalExpr> =
            Arc::new(Column::new(column.name(), to(column.index())));
        Ok(Transformed::yes(column))
    })?;
    Ok(moved.data)
}
