//! `row_number() OVER (…) <= k`: a filter on a row's number reads only the first rows of each partition.
//!
//! So does one on `rank()` or `dense_rank()`, which takes all rows that tie with the last of them.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Filter, LogicalPlan, Operator, Projection, Window, WindowFunctionDefinition,
};

use super::window::call_of;
use super::{Builder, column_position, expression, has_subquery, output_schema};
use crate::delta_plan::{NodeId, Numbering, Op};
use crate::error::Result;

impl Builder<'_> {
    /// The filter, if it bounds the row number that its input computes.
    pub(super) fn ranked(&mut self, filter: &Filter) -> Result<Option<NodeId>> {
        match filter.input.as_ref() {
            LogicalPlan::Window(window) => self.ranked_window(filter, window),
            LogicalPlan::Projection(projection) => {
                let Some(below) = below(filter, projection)? else { return Ok(None) };
                let Some(ranked) = self.ranked(&below)? else { return Ok(None) };
                Ok(Some(self.project_node(ranked, projection)?))
            }
            _ => Ok(None),
        }
    }

    fn ranked_window(&mut self, filter: &Filter, window: &Window) -> Result<Option<NodeId>> {
        let Some((call, numbering)) = numbering(window) else { return Ok(None) };
        let number = window.input.schema().fields().len();
        let conjuncts = split_conjunction(&filter.predicate);
        let bounds = conjuncts.iter().map(|c| bound(c, &window.schema, number));
        let Some((which, (skip, fetch))) =
            bounds.enumerate().find_map(|(i, bound)| bound.map(|b| (i, b)))
        else {
            return Ok(None);
        };
        let params = &call.params;
        let exprs = params.partition_by.iter().chain(params.order_by.iter().map(|k| &k.expr));
        if exprs.into_iter().any(has_subquery) {
            return Ok(None);
        }
        let input = self.plan(&window.input)?;
        let from = window.input.schema();
        let Some(ordered) = self.ordered(input, from, &params.partition_by, &params.order_by)?
        else {
            return Ok(None);
        };
        let widened = self.nodes[ordered.input].schema.fields().len();
        let output = (0..number).chain([widened]).collect();
        let schema = output_schema(&window.schema);
        let first = self.numbered(ordered, (numbering, skip, fetch), output, schema);
        let rest = conjuncts.into_iter().enumerate().filter(|(i, _)| *i != which);
        let Some(rest) = conjunction(rest.map(|(_, c)| c.clone())) else {
            return Ok(Some(first));
        };
        let predicate = expression(&rest, &window.schema)?;
        let node = &self.nodes[first];
        let (schema, properties) = (Arc::clone(&node.schema), node.properties.clone());
        Ok(Some(self.add(Op::Filter(predicate), vec![first], schema, properties)))
    }
}

/// The filter below a projection that only picks columns.
fn below(filter: &Filter, projection: &Projection) -> Result<Option<Filter>> {
    let from = projection.input.schema();
    let picked: Option<Vec<usize>> =
        projection.expr.iter().map(|e| column_position(e, from)).collect();
    let Some(picked) = picked else { return Ok(None) };
    let columns = from.columns();
    let predicate = filter.predicate.clone().transform_up(|expr| {
        match column_position(&expr, &projection.schema) {
            Some(position) if matches!(expr, Expr::Column(_)) => {
                Ok(Transformed::yes(Expr::Column(columns[picked[position]].clone())))
            }
            _ => Ok(Transformed::no(expr)),
        }
    })?;
    Ok(Some(Filter::try_new(predicate.data, Arc::clone(&projection.input))?))
}

/// The only call of the window, if it numbers rows.
fn numbering(window: &Window) -> Option<(&WindowFunction, Numbering)> {
    let [only] = &window.window_expr[..] else { return None };
    let call = call_of(only)?;
    let WindowFunctionDefinition::WindowUDF(function) = &call.fun else { return None };
    let numbering = match function.name() {
        "row_number" => Numbering::Row,
        "rank" => Numbering::Rank,
        "dense_rank" => Numbering::DenseRank,
        _ => return None,
    };
    let plain = call.params.filter.is_none() && !call.params.distinct;
    let is_bigint = window.schema.fields().last().map(|f| f.data_type()) == Some(&DataType::Int64);
    (plain && is_bigint).then_some((call, numbering))
}

/// Numbers to skip and to fetch, if `condition` says just that of column `number`.
fn bound(condition: &Expr, schema: &DFSchema, number: usize) -> Option<(usize, usize)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
    let (op, literal) = match (left.as_ref(), right.as_ref()) {
        (column, Expr::Literal(value, _)) if column_position(column, schema) == Some(number) => {
            (*op, value)
        }
        (Expr::Literal(value, _), column) if column_position(column, schema) == Some(number) => {
            (op.swap()?, value)
        }
        _ => return None,
    };
    let ScalarValue::Int64(Some(k)) = literal.cast_to(&DataType::Int64).ok()? else { return None };
    let rows = |n: i64| usize::try_from(n.max(0)).ok();
    match op {
        Operator::LtEq => Some((0, rows(k)?)),
        Operator::Lt => Some((0, rows(k.checked_sub(1)?)?)),
        Operator::Eq if k < 1 => Some((0, 0)),
        Operator::Eq => Some((rows(k - 1)?, 1)),
        _ => None,
    }
}
