//! Inner joins.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use levada_planner::delta_plan::{Expression, Join, Op};

use crate::harness::{Case, expression};
use crate::rows::{F, I, K, S, T, schema};
use crate::unary::compare;

/// Offset of the right columns in the concatenation.
const RIGHT: usize = 7;

fn concatenation() -> Schema {
    let side = schema();
    let fields = side.fields().iter().chain(side.fields()).map(|f| f.as_ref().clone());
    Schema::new(fields.collect::<Vec<Field>>())
}

fn column(index: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(concatenation().field(index).name(), index))
}

fn join(keys: &[(usize, usize)], residual: Option<Expression>, sql: &'static str) -> Case {
    let (left_keys, right_keys) = keys.iter().copied().unzip();
    let output = vec![K, I, RIGHT + S, RIGHT + F];
    let null_equals_null = sql.contains("IS NOT DISTINCT");
    let op = Op::Join(Join { left_keys, right_keys, null_equals_null, residual, output });
    Case { inputs: vec![0, 1], ..Case::new(op, sql) }
}

#[test]
fn equal_keys_match() {
    join(&[(K, K)], None, "SELECT l.k, l.i, r.s, r.f FROM t0 l JOIN t1 r ON l.k = r.k").check();
    let sql = "SELECT l.k, l.i, r.s, r.f FROM t0 l JOIN t1 r ON l.i = r.i AND l.t = r.t";
    join(&[(I, I), (T, T)], None, sql).check();
    Case { ticks: 5, size: 900, ..join(&[(I, I), (T, T)], None, sql) }.check();
}

#[test]
fn float_keys_have_one_zero() {
    join(&[(F, F)], None, "SELECT l.k, l.i, r.s, r.f FROM t0 l JOIN t1 r ON l.f = r.f").check();
}

#[test]
fn nulls_match_when_asked() {
    let sql = "SELECT l.k, l.i, r.s, r.f FROM t0 l JOIN t1 r ON l.s IS NOT DISTINCT FROM r.s";
    join(&[(S, S)], None, sql).check();
}

#[test]
fn a_residual_sees_both_sides() {
    let less = compare(column(I), Operator::Lt, column(RIGHT + I), &concatenation());
    let sql = "SELECT l.k, l.i, r.s, r.f FROM t0 l JOIN t1 r ON l.k = r.k AND l.i < r.i";
    join(&[(K, K)], Some(expression(less)), sql).check();
}

#[test]
fn a_relation_joins_itself() {
    let sql = "SELECT l.k, l.i, r.s, r.f FROM t0 l JOIN t0 r ON l.k = r.k";
    Case { inputs: vec![0, 0], ..join(&[(K, K)], None, sql) }.check();
}

#[test]
fn no_keys_is_a_cross_join() {
    let sql = "SELECT l.k, l.i, r.s, r.f FROM t0 l CROSS JOIN t1 r";
    Case { ticks: 12, ..join(&[], None, sql) }.check();
    let less = compare(column(I), Operator::Lt, column(RIGHT + I), &concatenation());
    let sql = "SELECT l.k, l.i, r.s, r.f FROM t0 l JOIN t1 r ON l.i < r.i";
    Case { ticks: 12, ..join(&[], Some(expression(less)), sql) }.check();
}
