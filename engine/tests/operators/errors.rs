//! Rows that fail, and views that heal.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, binary, lit};
use levada_engine::arrangement::hash::HashWidth;
use levada_engine::operator::Operator as _;
use levada_engine::operator::aggregate::Aggregate;
use levada_engine::operator::filter::Filter;
use levada_engine::operator::join::Join;
use levada_engine::operator::project::Project;
use levada_planner::delta_plan::{
    Aggregate as AggregateNode, AggregateCall, AggregateFunction, Join as JoinNode, JoinKind,
};
use levada_storage::delta::{Delta, DeltaBatch, ErrorRow};

use crate::harness::{Bag, add, expression, step};

fn schema() -> SchemaRef {
    let fields = ["a", "b"].map(|name| Field::new(name, DataType::Int64, true));
    Arc::new(Schema::new(fields.to_vec()))
}

fn rows(rows: &[(i64, i64)]) -> RecordBatch {
    let columns: [ArrayRef; 2] = [
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.1))),
    ];
    RecordBatch::try_new(schema(), columns.to_vec()).expect("two columns")
}

fn quotient() -> Arc<dyn PhysicalExpr> {
    let column = |i: usize| Arc::new(Column::new(schema().field(i).name(), i));
    binary(column(0), Operator::Divide, column(1), &schema()).expect("typed")
}

fn error_sum(deltas: &[&Delta]) -> Vec<(ErrorRow, i64)> {
    let mut sum = std::collections::BTreeMap::new();
    for (row, weight) in deltas.iter().flat_map(|d| &d.err) {
        *sum.entry(row.clone()).or_insert(0) += weight;
    }
    sum.into_iter().filter(|(_, w)| *w != 0).collect()
}

#[test]
fn failing_rows_are_set_apart_and_heal() {
    let predicate = binary(quotient(), Operator::Gt, lit(1i64), &schema()).expect("typed");
    let operators: [Box<dyn levada_engine::operator::Operator>; 2] = [
        Box::new(Project::new(
            vec![expression(quotient())],
            Arc::new(Schema::new(vec![Field::new("q", DataType::Int64, true)])),
        )),
        Box::new(Filter::new(expression(predicate))),
    ];
    for mut operator in operators {
        let all: Vec<(i64, i64)> = (0..100).map(|i| (i * 10, i % 7)).collect();
        let bad = all.iter().filter(|r| r.1 == 0).count();
        let first = step(operator.as_mut(), 0, &[&Delta::of([DeltaBatch::inserts(rows(&all))])]);
        let errors = error_sum(&[&first]);
        assert_eq!(errors.len(), bad, "one error per failing row");
        assert!(
            errors
                .iter()
                .all(|(e, w)| e.sqlstate == "22012" && e.message == "division by zero" && *w == 1),
            "{errors:?}"
        );
        let gone: Vec<(i64, i64)> = all.iter().copied().filter(|r| r.1 == 0).collect();
        let second =
            step(operator.as_mut(), 1, &[&Delta::of([DeltaBatch::retractions(rows(&gone))])]);
        assert_eq!(error_sum(&[&first, &second]), [], "the errors are gone with their rows");
        assert_eq!(second.rows(), 0, "nothing else changed");
    }
}

#[test]
fn errors_of_inputs_pass_once() {
    let error = ErrorRow {
        sqlstate: "22012".to_owned(),
        message: "division by zero".to_owned(),
        row_hash: 1,
    };
    let delta = Delta { ok: Vec::new(), err: vec![(error, 1)] };
    let node = JoinNode {
        kind: JoinKind::Inner,
        left_keys: vec![0],
        right_keys: vec![0],
        null_equals_null: false,
        residual: None,
        output: vec![0],
    };
    let output = Arc::new(schema().project(&[0]).expect("a column"));
    let mut join =
        Join::new(&node, [&schema(), &schema()], output, HashWidth::Full).expect("a join");
    let out = step(&mut join, 0, &[&delta, &Delta::default()]);
    assert_eq!(out.err, delta.err, "from the left");
    let out = step(&mut join, 1, &[&Delta::default(), &Delta::default()]);
    assert!(out.is_empty(), "once");
}

#[test]
fn a_failing_residual_is_an_error_of_the_pair() {
    let concatenation =
        Schema::new(["a", "b", "a", "b"].map(|n| Field::new(n, DataType::Int64, true)).to_vec());
    let column = |i: usize| Arc::new(Column::new(concatenation.field(i).name(), i));
    let quotient = binary(column(1), Operator::Divide, column(3), &concatenation).expect("typed");
    let residual = binary(quotient, Operator::Gt, lit(0i64), &concatenation).expect("typed");
    let node = JoinNode {
        kind: JoinKind::Inner,
        left_keys: vec![0],
        right_keys: vec![0],
        null_equals_null: false,
        residual: Some(expression(residual)),
        output: vec![1, 3],
    };
    let output = Arc::new(concatenation.project(&[1, 3]).expect("columns"));
    let mut join =
        Join::new(&node, [&schema(), &schema()], output, HashWidth::Full).expect("a join");
    let left = Delta::of([DeltaBatch::inserts(rows(&[(1, 10), (1, 20), (2, 5)]))]);
    let right = Delta::of([DeltaBatch::inserts(rows(&[(1, 0), (1, 2), (2, 0)]))]);
    let first = step(&mut join, 0, &[&left, &right]);
    let mut sum = Bag::new();
    add(&mut sum, &first);
    assert_eq!(
        sum.into_iter().collect::<Vec<_>>(),
        [("'10' | '2'".to_owned(), 1), ("'20' | '2'".to_owned(), 1)],
        "the others"
    );
    assert_eq!(error_sum(&[&first]).iter().map(|e| e.1).sum::<i64>(), 3, "three pairs fail");
    let zero = Delta::of([DeltaBatch::retractions(rows(&[(1, 0), (2, 0)]))]);
    let second = step(&mut join, 1, &[&Delta::default(), &zero]);
    assert_eq!(error_sum(&[&first, &second]), [], "healed");
    assert!(second.ok.is_empty(), "nothing else changed");
}

#[test]
fn a_sum_out_of_range_is_an_error_of_its_group() {
    let call = AggregateCall {
        function: AggregateFunction::Sum,
        argument: Some(1),
        filter: None,
        distinct: false,
        input_type: DataType::Int64,
        output_type: DataType::Int64,
    };
    let node = AggregateNode { keys: vec![0], calls: vec![call] };
    let mut operator =
        Aggregate::new(&node, &schema(), false, schema(), HashWidth::Full).expect("sums");
    let mut sum = Bag::new();
    let delta = |b: DeltaBatch| Delta::of([b]);
    let first =
        step(&mut operator, 0, &[&delta(DeltaBatch::inserts(rows(&[(1, i64::MAX), (2, 1)])))]);
    add(&mut sum, &first);
    assert_eq!(sum.len(), 2, "two groups");
    let second = step(&mut operator, 1, &[&delta(DeltaBatch::inserts(rows(&[(1, 1)])))]);
    add(&mut sum, &second);
    assert_eq!(sum.keys().collect::<Vec<_>>(), ["'2' | '1'"], "the group has left");
    let errors = error_sum(&[&second]);
    assert_eq!(errors.len(), 1, "as an error");
    assert_eq!(
        (errors[0].0.sqlstate.as_str(), errors[0].0.message.as_str()),
        ("22003", "bigint out of range"),
        "named"
    );
    let third = step(&mut operator, 2, &[&delta(DeltaBatch::inserts(rows(&[(1, -5)])))]);
    add(&mut sum, &third);
    assert!(sum.contains_key(&format!("'1' | '{}'", i64::MAX - 4)), "and is back");
    assert_eq!(error_sum(&[&first, &second, &third]), [], "healed");
}

#[test]
fn retracting_what_is_not_there_is_an_internal_error() {
    let bad = Delta::of([DeltaBatch::retractions(rows(&[(1, 1)]))]);
    let node = AggregateNode { keys: vec![0], calls: Vec::new() };
    let output = Arc::new(schema().project(&[0]).expect("a column"));
    let tick = levada_engine::operator::Tick { epoch: levada_storage::epoch::Epoch(1), now_us: 0 };
    let mut groups =
        Aggregate::new(&node, &schema(), false, output, HashWidth::Full).expect("groups");
    assert!(groups.step(&tick, &[&bad]).is_err(), "a group");
    let mut distinct = levada_engine::operator::distinct::Distinct::new(schema(), HashWidth::Full);
    assert!(distinct.step(&tick, &[&bad]).is_err(), "a distinct row");
}
