//! Shards and threads: whatever their number, the same rows and the same errors.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::logical_expr::Operator as Sign;
use datafusion::physical_expr::expressions::{Column, binary};
use levada_engine::arrangement::hash::HashWidth;
use levada_engine::circuit::Circuit;
use levada_engine::error::Result;
use levada_engine::lower::{lower, lower_with};
use levada_engine::operator::sharded::{Route, SHARDS, Sharded};
use levada_engine::operator::{Operator, StateRun, Tick};
use levada_engine::workers::Workers;
use levada_planner::delta_plan::{
    Aggregate, AggregateCall, AggregateFunction, DeltaPlan, Fingerprint, Join, JoinKind, Node, Op,
    Properties,
};
use levada_storage::clock::SystemClock;
use levada_storage::delta::{Delta, DeltaBatch, ErrorRow};
use levada_storage::epoch::Epoch;

use crate::harness::{Bag, add, expression, step};
use crate::rows::Rng;

type Sum = (Bag, BTreeMap<ErrorRow, i64>);

fn schema(columns: usize) -> SchemaRef {
    let fields = ["a", "b", "c", "d"].map(|name| Field::new(name, DataType::Int64, true));
    Arc::new(Schema::new(fields[..columns].to_vec()))
}

/// `SELECT a, sum(a / b) FROM (t JOIN u USING (a)) GROUP BY a`: divisions by zero and sums out of range.
fn plan() -> DeltaPlan {
    let relation = |id: u32| Op::Relation { id, name: format!("t{id}"), columns: vec![0, 1] };
    let join = Op::Join(Join {
        kind: JoinKind::Full,
        left_keys: vec![0],
        right_keys: vec![0],
        null_equals_null: false,
        residual: None,
        output: vec![0, 1, 3],
    });
    let column = |i: usize| Arc::new(Column::new(schema(3).field(i).name(), i)) as _;
    let quotient = binary(column(1), Sign::Divide, column(2), &schema(3)).expect("typed");
    let project = Op::Project(vec![expression(column(0)), expression(quotient)]);
    let sum = AggregateCall {
        function: AggregateFunction::Sum,
        argument: Some(1),
        filter: None,
        distinct: false,
        input_type: DataType::Int64,
        output_type: DataType::Int64,
    };
    let aggregate = Op::Aggregate(Aggregate { keys: vec![0], calls: vec![sum] });
    let node = |op, inputs, columns| Node {
        op,
        inputs,
        schema: schema(columns),
        properties: Properties { insert_only: false, unique_keys: Vec::new() },
        fingerprint: Fingerprint(0),
    };
    let nodes = vec![
        node(relation(0), Vec::new(), 2),
        node(relation(1), Vec::new(), 2),
        node(join, vec![0, 1], 3),
        node(project, vec![2], 2),
        node(aggregate, vec![3], 2),
    ];
    DeltaPlan { root: 4, nodes }
}

fn batch(rows: &[(Option<i64>, Option<i64>)]) -> RecordBatch {
    let columns: [ArrayRef; 2] = [
        Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|r| r.1).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(schema(2), columns.to_vec()).expect("two columns")
}

/// Random changes of a table that holds `rows`.
fn change(rows: &mut Vec<(Option<i64>, Option<i64>)>, rng: &mut Rng) -> Delta {
    let mut some = |values: &[i64]| (rng.below(9) > 0).then(|| values[rng.below(values.len())]);
    let keys: Vec<i64> = (0..40).collect();
    let fresh: Vec<_> =
        (0..60).map(|_| (some(&keys), some(&[0, 1, 2, -3, i64::MAX, i64::MAX - 1]))).collect();
    let gone = rows.len() / 3;
    rng.shuffle(rows);
    let gone = rows.split_off(rows.len() - gone);
    rows.extend(&fresh);
    let halves = fresh.split_at(fresh.len() / 2);
    let inserts = [halves.0, halves.1].map(|half| DeltaBatch::inserts(batch(half)));
    Delta::of(inserts.into_iter().chain([DeltaBatch::retractions(batch(&gone))]))
}

/// Random ticks of both tables.
fn ticks(seed: u64) -> Vec<[Delta; 2]> {
    let (mut rng, mut tables) = (Rng(seed), [Vec::new(), Vec::new()]);
    (0..20).map(|_| tables.each_mut().map(|table| change(table, &mut rng))).collect()
}

fn sum_up(sum: &mut Sum, delta: &Delta) {
    add(&mut sum.0, delta);
    for (row, weight) in &delta.err {
        *sum.1.entry(row.clone()).or_insert(0) += weight;
    }
    sum.1.retain(|_, weight| *weight != 0);
}

/// The sums after each tick, of operators made by `made`; with `restore`, made anew between ticks.
fn run(made: &dyn Fn(usize) -> Box<dyn Operator>, ticks: &[[Delta; 2]], restore: bool) -> Vec<Sum> {
    let mut operators: Vec<Box<dyn Operator>> = (2..=4).map(made).collect();
    let mut runs: Vec<Vec<StateRun>> = vec![Vec::new(); operators.len()];
    let mut sums = vec![Sum::default()];
    for (number, [left, right]) in ticks.iter().enumerate() {
        let joined = step(operators[0].as_mut(), number, &[left, right]);
        let projected = step(operators[1].as_mut(), number, &[&joined]);
        let output = step(operators[2].as_mut(), number, &[&projected]);
        let mut sum = sums.last().cloned().unwrap_or_default();
        sum_up(&mut sum, &output);
        sums.push(sum);
        if restore {
            for (i, operator) in operators.iter_mut().enumerate() {
                let fresh = crate::harness::frozen(operator.as_mut(), number % 7 == 6);
                for run in &fresh {
                    let hashes = run.rows.column(0).as_primitive::<arrow::datatypes::UInt64Type>();
                    assert!(hashes.values().is_sorted(), "ordered by hash");
                }
                let replaced =
                    |old: &StateRun| fresh.iter().any(|f| f.replaces && f.part == old.part);
                runs[i].retain(|old| !replaced(old));
                runs[i].extend(fresh);
                *operator = made(i + 2);
                operator.restore(&runs[i]).expect("own runs");
            }
        }
    }
    sums
}

#[test]
fn rows_and_errors_are_those_of_one_piece() {
    let plan = plan();
    let ticks = ticks(11);
    let whole = |id: usize| lower_with(&plan, id, HashWidth::Full).expect("an operator");
    let expected = run(&whole, &ticks, false);
    let last = expected.last().expect("a sum");
    assert!(last.0.len() > 20 && last.1.len() > 2, "rows and errors: {last:?}");
    for (threads, rows) in [(1, 1), (2, 1), (3, 50), (4, 100_000)] {
        let workers = Workers::new(Some(threads)).sharing_from(rows);
        let made = |id: usize| lower(&plan, id, &workers).expect("an operator");
        for restore in [false, true] {
            let sums = run(&made, &ticks, restore);
            assert_eq!(sums, expected, "{threads} threads from {rows} rows, restored: {restore}");
        }
        let mut circuit =
            Circuit::new(&plan, Arc::new(SystemClock::new()), &workers).expect("runs");
        let mut sum = Sum::default();
        for (number, [left, right]) in ticks.iter().enumerate() {
            let tick = Tick { epoch: Epoch(number as u64 + 1), now_us: 0 };
            let deltas = BTreeMap::from([(0, left.clone()), (1, right.clone())]);
            sum_up(&mut sum, &circuit.step(&tick, &deltas).expect("a step"));
        }
        assert_eq!(&sum, last, "a circuit of {threads} threads from {rows} rows");
    }
}

/// Counts its rows and panics at a row of 13.
struct Superstitious {
    rows: u64,
}

impl Operator for Superstitious {
    fn step(&mut self, _tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        for batch in &inputs[0].ok {
            let column = batch.columns.column(0).as_primitive::<Int64Type>();
            assert!(column.iter().all(|value| value != Some(13)), "thirteen");
            self.rows += batch.len() as u64;
        }
        Ok(inputs[0].clone())
    }

    fn metrics(&self) -> levada_engine::operator::OperatorMetrics {
        levada_engine::operator::OperatorMetrics { state_rows: self.rows, ..Default::default() }
    }
}

#[test]
fn a_panic_of_a_shard_is_one_of_the_operator_and_costs_no_state() {
    for workers in [Workers::alone(), Workers::new(Some(3)).sharing_from(1)] {
        let shards = (0..SHARDS).map(|_| Box::new(Superstitious { rows: 0 }) as _).collect();
        let mut operator = Sharded::new(shards, vec![Route::Key(Arc::from([0]))], workers);
        let rows = |to: i64| {
            let rows: Vec<_> = (0..to).map(|i| (Some(i), None)).collect();
            Delta::of([DeltaBatch::inserts(batch(&rows))])
        };
        let out = step(&mut operator, 0, &[&rows(13)]);
        assert_eq!((out.rows(), operator.metrics().state_rows), (13, 13), "all shards");
        let panicked = catch_unwind(AssertUnwindSafe(|| step(&mut operator, 1, &[&rows(14)])));
        assert!(panicked.is_err(), "the panic is handed on");
        let before = operator.metrics().state_rows;
        step(&mut operator, 2, &[&rows(13)]);
        assert_eq!(operator.metrics().state_rows, before + 13, "the shards are all there");
    }
}

#[test]
fn one_row_touches_one_shard_as_it_is() {
    let shards = (0..SHARDS).map(|_| Box::new(Superstitious { rows: 0 }) as _).collect();
    let mut operator = Sharded::new(shards, vec![Route::Key(Arc::from([0]))], Workers::alone());
    let one = Delta::of([DeltaBatch::inserts(batch(&[(Some(7), Some(1))]))]);
    let out = step(&mut operator, 0, &[&one]);
    let (came, went) = (one.ok[0].columns.column(1), out.ok[0].columns.column(1));
    assert!(Arc::ptr_eq(came, went), "no copy was made");
}
