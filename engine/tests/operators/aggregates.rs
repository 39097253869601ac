//! Groups and their aggregates.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use levada_engine::arrangement::hash::HashWidth;
use levada_engine::operator::Operator;
use levada_engine::operator::aggregate::Aggregate as Groups;
use levada_planner::delta_plan::{Aggregate, AggregateCall, AggregateFunction, Op, Quantile as At};
use levada_storage::delta::{Delta, DeltaBatch};

use crate::harness::{Case, step};
use crate::rows::{B, D, F, I, K, S, T, schema};
use AggregateFunction::{Avg, Count, Max, Min, Quantile, Sum};

fn call(function: AggregateFunction, argument: Option<usize>) -> AggregateCall {
    let input_type = argument.map_or(DataType::Int64, |a| schema().field(a).data_type().clone());
    let output_type = match (&function, &input_type) {
        (Count, _) => DataType::Int64,
        (Avg, DataType::Decimal128(..)) => DataType::Decimal128(38, 16),
        (Avg, _) => DataType::Float64,
        (Sum, DataType::Decimal128(..)) => DataType::Decimal128(20, 2),
        (Sum, DataType::Int64) => DataType::Decimal128(38, 0),
        (_, other) => other.clone(),
    };
    AggregateCall { function, argument, filter: None, distinct: false, input_type, output_type }
}

fn distinct(function: AggregateFunction, argument: usize) -> AggregateCall {
    AggregateCall { distinct: true, ..call(function, Some(argument)) }
}

fn filtered(function: AggregateFunction, argument: Option<usize>) -> AggregateCall {
    AggregateCall { filter: Some(B), ..call(function, argument) }
}

fn aggregate(keys: &[usize], calls: Vec<AggregateCall>, sql: &'static str) -> Case {
    let least_state = u64::from(keys.is_empty());
    let op = Op::Aggregate(Aggregate { keys: keys.to_vec(), calls });
    Case { least_state, ..Case::new(op, sql) }
}

#[test]
fn linear_aggregates_by_a_string_key() {
    let calls = || {
        vec![
            call(Count, None),
            call(Count, Some(F)),
            call(Sum, Some(I)),
            call(Sum, Some(F)),
            call(Avg, Some(F)),
            call(Avg, Some(I)),
            call(Sum, Some(D)),
            call(Avg, Some(D)),
        ]
    };
    let sql = "SELECT k, count(*), count(f), sum(i), sum(f), avg(f), avg(i), sum(d), avg(d) FROM t0 GROUP BY k";
    aggregate(&[K], calls(), sql).check();
    Case { ticks: 6, size: 4000, ..aggregate(&[K], calls(), sql) }.check();
    Case { insert_only: true, ..aggregate(&[K], calls(), sql) }.check();
}

#[test]
fn extremes_by_a_float_key() {
    let calls = || {
        [K, I, F, S, D, B, T]
            .into_iter()
            .flat_map(|c| [call(Min, Some(c)), call(Max, Some(c))])
            .collect()
    };
    let sql = "SELECT f, min(k), max(k), min(i), max(i), min(f), max(f), min(s), max(s), min(d), max(d), \
               min(b), max(b), min(t), max(t) FROM t0 GROUP BY f";
    aggregate(&[F], calls(), sql).check();
    Case { insert_only: true, ..aggregate(&[F], calls(), sql) }.check();
}

#[test]
fn quantiles_beside_extremes() {
    let part = |part| Quantile(At::Continuous(part));
    let calls = || {
        vec![
            call(Quantile(At::Median), Some(F)),
            distinct(Quantile(At::Median), F),
            call(part(0.3), Some(F)),
            distinct(part(0.9), F),
            filtered(part(0.5), Some(F)),
            call(part(1.0), Some(F)),
            call(Quantile(At::Median), Some(D)),
            distinct(Quantile(At::Median), D),
            call(Min, Some(D)),
            call(Max, Some(F)),
        ]
    };
    let sql = "SELECT k, median(f), median(DISTINCT f), percentile_cont(f, 0.3), \
               percentile_cont(DISTINCT f, 0.9), percentile_cont(f, 0.5) FILTER (WHERE b), \
               percentile_cont(f, 1.0), median(d), median(DISTINCT d), min(d), max(f) FROM t0 GROUP BY k";
    aggregate(&[K], calls(), sql).check();
    Case { ticks: 8, size: 4000, ..aggregate(&[K], calls(), sql) }.check();
    Case { insert_only: true, ..aggregate(&[K], calls(), sql) }.check();
    let sql = "SELECT median(f), median(DISTINCT f), percentile_cont(f, 0.3), \
               percentile_cont(DISTINCT f, 0.9), percentile_cont(f, 0.5) FILTER (WHERE b), \
               percentile_cont(f, 1.0), median(d), median(DISTINCT d), min(d), max(f) FROM t0";
    aggregate(&[], calls(), sql).check();
}

#[test]
fn a_change_of_a_large_group_touches_no_more_than_of_a_small_one() {
    let touched = |rows: u32| {
        let field = |name: &str| Field::new(name, DataType::Float64, true);
        let (input, output) =
            (Schema::new(vec![field("x")]), Schema::new(vec![field("m"), field("l")]));
        let of = |function| AggregateCall {
            function,
            argument: Some(0),
            filter: None,
            distinct: false,
            input_type: DataType::Float64,
            output_type: DataType::Float64,
        };
        let node = Aggregate { keys: Vec::new(), calls: vec![of(Quantile(At::Median)), of(Min)] };
        let mut groups = Groups::new(&node, &input, false, Arc::new(output), HashWidth::Full)
            .expect("an operator");
        let delta = |from: u32, to: u32| {
            let values: ArrayRef =
                Arc::new(Float64Array::from_iter_values((from..to).map(f64::from)));
            let rows = RecordBatch::try_from_iter([("x", values)]).expect("a column");
            Delta::of([DeltaBatch::inserts(rows)])
        };
        step(&mut groups, 0, &[&delta(0, rows)]);
        let before = groups.metrics().state_rows_touched;
        step(&mut groups, 1, &[&delta(rows / 2, rows / 2 + 100)]);
        groups.metrics().state_rows_touched - before
    };
    let (small, large) = (touched(2_000), touched(200_000));
    assert!(2 * large < 3 * small, "{small} rows of a small group, {large} of a large one");
}

#[test]
fn distinct_and_filtered_aggregates_by_two_keys() {
    let calls = vec![
        distinct(Count, S),
        distinct(Sum, I),
        distinct(Sum, F),
        distinct(Avg, F),
        filtered(Count, None),
        filtered(Sum, Some(I)),
        filtered(Max, Some(S)),
        AggregateCall { filter: Some(B), ..distinct(Count, T) },
        distinct(Max, F),
    ];
    let sql = "SELECT k, s, count(DISTINCT s), sum(DISTINCT i), sum(DISTINCT f), avg(DISTINCT f), \
               count(*) FILTER (WHERE b), sum(i) FILTER (WHERE b), max(s) FILTER (WHERE b), \
               count(DISTINCT t) FILTER (WHERE b), max(DISTINCT f) FROM t0 GROUP BY k, s";
    aggregate(&[K, S], calls, sql).check();
}

#[test]
fn a_global_aggregate_always_has_one_row() {
    let calls = vec![
        call(Count, None),
        call(Sum, Some(I)),
        call(Avg, Some(F)),
        call(Min, Some(S)),
        distinct(Count, I),
    ];
    let sql = "SELECT count(*), sum(i), avg(f), min(s), count(DISTINCT i) FROM t0";
    aggregate(&[], calls, sql).check();
}

#[test]
fn grouping_without_calls_is_distinct() {
    aggregate(&[I, K], Vec::new(), "SELECT i, k FROM t0 GROUP BY i, k").check();
}
