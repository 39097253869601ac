//! Joins of all kinds.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use levada_planner::delta_plan::{Expression, Join, JoinKind, Op};

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
    let op = Op::Join(Join {
        kind: JoinKind::Inner,
        left_keys,
        right_keys,
        null_equals_null,
        residual,
        output,
    });
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

const ALL: &str = "l.k, l.i, r.s, r.f";

fn kind(
    kind: JoinKind,
    keys: &[(usize, usize)],
    residual: Option<Expression>,
    sql: String,
) -> Case {
    let sql: &'static str = sql.leak();
    let mut case = join(keys, residual, sql);
    if let Op::Join(join) = &mut case.op {
        join.kind = kind;
        match kind {
            JoinKind::Semi | JoinKind::Anti => join.output = vec![K, I],
            JoinKind::Mark => join.output = vec![K, I, 2 * RIGHT],
            _ => {}
        }
    }
    case
}

fn less() -> Option<Expression> {
    Some(expression(compare(column(I), Operator::Lt, column(RIGHT + I), &concatenation())))
}

#[test]
fn outer_joins_keep_rows_without_a_partner() {
    let kinds = [(JoinKind::Left, "LEFT"), (JoinKind::Right, "RIGHT"), (JoinKind::Full, "FULL")];
    for (join, word) in kinds {
        let on =
            |condition: &str| format!("SELECT {ALL} FROM t0 l {word} JOIN t1 r ON {condition}");
        kind(join, &[(K, K)], None, on("l.k = r.k")).check();
        kind(join, &[(S, S)], None, on("l.s IS NOT DISTINCT FROM r.s")).check();
        kind(join, &[(I, I), (T, T)], None, on("l.i = r.i AND l.t = r.t")).check();
        kind(join, &[(K, K)], less(), on("l.k = r.k AND l.i < r.i")).check();
        if join != JoinKind::Full {
            Case { ticks: 12, ..kind(join, &[], less(), on("l.i < r.i")) }.check();
        }
        Case { ticks: 12, ..kind(join, &[], None, on("true")) }.check();
        let sql = format!("SELECT {ALL} FROM t0 l {word} JOIN t0 r ON l.s = r.s AND l.i < r.i");
        Case { inputs: vec![0, 0], ..kind(join, &[(S, S)], less(), sql) }.check();
    }
}

#[test]
fn semijoins_ask_whether_there_is_a_partner() {
    let kinds = [(JoinKind::Semi, ""), (JoinKind::Anti, "NOT ")];
    for (join, not) in kinds {
        let exists = |condition: &str| {
            let inner = format!("SELECT 1 FROM t1 r WHERE {condition}");
            format!("SELECT l.k, l.i FROM t0 l WHERE {not}EXISTS ({inner})")
        };
        kind(join, &[(K, K)], None, exists("l.k = r.k")).check();
        kind(join, &[(S, S)], None, exists("l.s = r.s")).check();
        kind(join, &[(K, K)], less(), exists("l.k = r.k AND l.i < r.i")).check();
        Case { ticks: 12, ..kind(join, &[], less(), exists("l.i < r.i")) }.check();
        Case { ticks: 12, ..kind(join, &[], None, exists("true")) }.check();
    }
    let marked = |partners: &str, condition: &str| {
        let right = format!("LEFT JOIN ({partners}) r ON {condition}");
        format!("SELECT l.k, l.i, r.p IS NOT NULL FROM t0 l {right}")
    };
    let sql = marked("SELECT DISTINCT s, 1 AS p FROM t1", "l.s = r.s");
    kind(JoinKind::Mark, &[(S, S)], None, sql).check();
    let greatest = "SELECT k, max(i) AS i, 1 AS p FROM t1 GROUP BY k";
    let sql = marked(greatest, "l.k = r.k AND l.i < r.i");
    kind(JoinKind::Mark, &[(K, K)], less(), sql).check();
}
