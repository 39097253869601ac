//! Bounds that rise with the clock: what is shown, what is kept, and what a move touches.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, IntervalMonthDayNano, Schema, SchemaRef, TimeUnit};
use datafusion::logical_expr::Operator as Sign;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, binary, lit};
use datafusion::scalar::ScalarValue;
use levada_engine::operator::clock::Clock;
use levada_engine::operator::temporal::Temporal;
use levada_engine::operator::{Operator, StateRun, Tick};
use levada_planner::clock;
use levada_planner::delta_plan::{Comparison, Expression, SortKey, Temporal as TemporalNode};
use levada_storage::delta::{Delta, DeltaBatch};
use levada_storage::epoch::Epoch;

use crate::harness::{Bag, add, expression, frozen};
use crate::rows::Rng;

const SECOND: i64 = 1_000_000;
const ALL: [Comparison; 4] =
    [Comparison::Above, Comparison::NotBelow, Comparison::Below, Comparison::NotAbove];

type Row = (i64, Option<i64>);

fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    let (id, at) = (Field::new("id", DataType::Int64, true), Field::new("at", time, true));
    Arc::new(Schema::new(vec![id, at]))
}

fn delta(changes: &[(Row, i64)]) -> Delta {
    let ids: ArrayRef = Arc::new(changes.iter().map(|c| c.0.0).collect::<Int64Array>());
    let times = changes.iter().map(|c| c.0.1).collect::<TimestampMicrosecondArray>();
    let columns = vec![ids, Arc::new(times.with_timezone("+00:00")) as ArrayRef];
    let rows = RecordBatch::try_new(schema(), columns).expect("rows");
    Delta::of([DeltaBatch::weighted(rows, changes.iter().map(|c| c.1).collect())])
}

fn now() -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(clock::schema().field(0).name(), 0))
}

/// Ten seconds ago.
fn bound() -> Expression {
    let ago = IntervalMonthDayNano::new(0, 0, 10 * SECOND * 1_000);
    let ago = lit(ScalarValue::IntervalMonthDayNano(Some(ago)));
    expression(binary(now(), Sign::Minus, ago, &clock::schema()).expect("typed"))
}

fn temporal(comparison: Comparison) -> Temporal {
    let options = SortOptions { descending: false, nulls_first: false };
    let order = [1, 0].map(|column| SortKey { column, options }).to_vec();
    let node = TemporalNode { order, comparison, bound: bound(), output: vec![0, 1] };
    Temporal::new(&node, &schema(), schema()).expect("an operator")
}

fn step(operator: &mut dyn Operator, now_us: i64, input: &Delta) -> Delta {
    operator.step(&Tick { epoch: Epoch(1), now_us }, &[input]).expect("a step")
}

fn small(rng: &mut Rng, n: usize) -> i64 {
    i64::try_from(rng.below(n)).expect("a small number")
}

fn passes(comparison: Comparison, at: Option<i64>, now_us: i64) -> bool {
    let bound = now_us - 10 * SECOND;
    at.is_some_and(|at| match comparison {
        Comparison::Above => at > bound,
        Comparison::NotBelow => at >= bound,
        Comparison::Below => at < bound,
        Comparison::NotAbove => at <= bound,
    })
}

#[test]
fn rows_are_shown_by_the_time_and_kept_until_the_bound_has_passed_them() {
    for (seed, comparison) in ALL.into_iter().enumerate() {
        let mut rng = Rng(seed as u64 + 77);
        let mut operator = temporal(comparison);
        let (mut rows, mut sum): (Vec<Row>, Bag) = (Vec::new(), Bag::new());
        let mut runs: Vec<StateRun> = Vec::new();
        let mut now_us = 100 * SECOND;
        for tick in 0..200 {
            now_us += [0, 0, 1, SECOND, 7 * SECOND][rng.below(5)];
            let mut changes: Vec<(Row, i64)> = Vec::new();
            for _ in 0..rng.below(4) {
                let at = now_us - 10 * SECOND + (small(&mut rng, 9) - 4) * SECOND;
                let row = (small(&mut rng, 5), (rng.below(8) > 0).then_some(at));
                rows.push(row);
                changes.push((row, 1));
            }
            for _ in 0..rng.below(3) {
                if !rows.is_empty() {
                    let at = rng.below(rows.len());
                    changes.push((rows.swap_remove(at), -1));
                }
            }
            add(&mut sum, &step(&mut operator, now_us, &delta(&changes)));
            let shown = rows.iter().filter(|row| passes(comparison, row.1, now_us));
            let mut expected = Bag::new();
            let shown: Vec<(Row, i64)> = shown.map(|row| (*row, 1)).collect();
            add(&mut expected, &delta(&shown));
            assert_eq!(sum, expected, "{comparison} tick {tick}");
            let leaves = !comparison.passes_before();
            let ahead = |row: &&Row| row.1.is_some() && passes(comparison, row.1, now_us) == leaves;
            let mut kept: Vec<Row> = rows.iter().filter(ahead).copied().collect();
            kept.sort_unstable_by_key(|row| (row.1, row.0));
            let behind = matches!(comparison, Comparison::Above | Comparison::NotAbove);
            let moment = |at: i64| at + 10 * SECOND + i64::from(!behind);
            let first = kept.first().and_then(|row| row.1).map(moment);
            assert_eq!(operator.due(now_us).expect("known"), first, "{comparison} tick {tick}");
            kept.dedup();
            assert_eq!(operator.metrics().state_rows, kept.len() as u64, "{comparison} {tick}");
            if tick % 5 == 4 {
                let fresh = frozen(&mut operator, tick % 3 == 0);
                runs.retain(|_| !fresh.iter().any(|run| run.replaces));
                runs.extend(fresh);
                operator = temporal(comparison);
                operator.restore(&runs).expect("own runs");
            }
        }
    }
}

#[test]
fn state_is_the_window_and_a_move_touches_the_rows_that_cross() {
    let mut operator = temporal(Comparison::Above);
    let mut most = 0;
    for second in 0..2_000 {
        let now_us = second * SECOND;
        let changes: Vec<(Row, i64)> =
            (0..50).map(|i| ((i, Some(now_us + i * SECOND / 50)), 1)).collect();
        step(&mut operator, now_us, &delta(&changes));
        most = most.max(operator.metrics().state_rows);
    }
    assert!(most <= 11 * 50, "{most} of 100,000 rows are kept at once");
    for moved in 2_000..2_005 {
        let before = operator.metrics();
        let out = step(&mut operator, moved * SECOND, &Delta::default());
        let touched = operator.metrics().state_rows_touched - before.state_rows_touched;
        assert_eq!(out.rows(), 50, "a second of rows leaves");
        assert!(touched <= 2 * 50, "{touched} rows are touched");
    }
}

#[test]
fn the_clock_gives_a_row_when_a_value_changes() {
    let day = clock::schema();
    let date = datafusion::physical_expr::expressions::cast(now(), &day, DataType::Date32);
    let schema = Arc::new(Schema::new(vec![Field::new("day", DataType::Date32, true)]));
    let values = vec![expression(date.expect("a cast"))];
    let mut operator = Clock::new(values.clone(), Arc::clone(&schema));
    let midnight = 86_400 * SECOND;
    assert_eq!(step(&mut operator, 7, &Delta::default()).rows(), 1);
    assert_eq!(operator.due(7).expect("known"), Some(midnight));
    assert_eq!(step(&mut operator, midnight - 1, &Delta::default()).rows(), 0);
    let runs = frozen(&mut operator, false);
    assert!(frozen(&mut operator, false).is_empty(), "nothing has changed since");
    let mut operator = Clock::new(values, schema);
    operator.restore(&runs).expect("own runs");
    assert_eq!(step(&mut operator, midnight, &Delta::default()).rows(), 2, "one goes, one comes");
}
