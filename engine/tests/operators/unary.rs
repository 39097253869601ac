//! Operators of one input without groups.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, binary, cast, lit};
use levada_planner::delta_plan::Op;

use crate::harness::{Case, expression};
use crate::rows::{I, K, S, schema};

pub(crate) fn column(index: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(schema().field(index).name(), index))
}

pub(crate) fn compare(
    left: Arc<dyn PhysicalExpr>,
    op: Operator,
    right: Arc<dyn PhysicalExpr>,
    schema: &Schema,
) -> Arc<dyn PhysicalExpr> {
    binary(left, op, right, schema).expect("comparable")
}

#[test]
fn filter_keeps_the_true_rows() {
    let positive = compare(column(I), Operator::Gt, lit(0i64), &schema());
    Case::new(Op::Filter(expression(positive)), "SELECT * FROM t0 WHERE i > 0").check();
    let all = lit(true);
    Case::new(Op::Filter(expression(all)), "SELECT * FROM t0 WHERE true").check();
    let null = lit(ScalarValue::Boolean(None));
    Case::new(Op::Filter(expression(null)), "SELECT * FROM t0 WHERE NULL").check();
}

#[test]
fn project_evaluates_each_row() {
    let sum = binary(column(I), Operator::Plus, lit(1i64), &schema()).expect("typed");
    let float = cast(column(I), &schema(), DataType::Float64).expect("castable");
    let expressions = [column(S), sum, float, column(K), lit(7i64)];
    let op = Op::Project(expressions.into_iter().map(expression).collect());
    Case::new(op, "SELECT s, i + 1, CAST(i AS DOUBLE), k, 7 FROM t0").check();
}

#[test]
fn union_adds_the_inputs() {
    let case = Case::new(
        Op::Union,
        "SELECT * FROM t0 UNION ALL SELECT * FROM t1 UNION ALL SELECT * FROM t0",
    );
    Case { inputs: vec![0, 1, 0], ..case }.check();
}

#[test]
fn distinct_emits_each_row_once() {
    Case::new(Op::Distinct, "SELECT DISTINCT * FROM t0").check();
    let big = Case::new(Op::Distinct, "SELECT DISTINCT * FROM t0");
    Case { ticks: 6, size: 3000, ..big }.check();
}

#[test]
fn constant_rows_come_once() {
    use crate::harness::{Bag, add, rows_of, step};
    use levada_engine::operator::Operator as _;
    let rows = crate::rows::batch(&[crate::rows::Rng(1).row(), crate::rows::Rng(2).row()]);
    let mut operator = levada_engine::operator::constant::Constant::new(rows.clone());
    let mut sum = Bag::new();
    add(&mut sum, &step(&mut operator, 0, &[]));
    add(&mut sum, &step(&mut operator, 1, &[]));
    let expected: Bag = rows_of(&rows).into_iter().map(|r| (r, 1)).collect();
    assert_eq!(sum, expected, "once");
    let runs = crate::harness::frozen(&mut operator, false);
    let mut restored = levada_engine::operator::constant::Constant::new(rows);
    restored.restore(&runs).expect("own runs");
    assert!(step(&mut restored, 2, &[]).is_empty(), "not again after a restart");
}
