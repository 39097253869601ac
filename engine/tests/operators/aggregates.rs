//! Groups and their aggregates.

use arrow::datatypes::DataType;
use levada_planner::delta_plan::{Aggregate, AggregateCall, AggregateFunction, Op};

use crate::harness::Case;
use crate::rows::{B, D, F, I, K, S, T, schema};
use AggregateFunction::{Avg, Count, Max, Min, Sum};

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
