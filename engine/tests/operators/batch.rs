//! The aggregate functions in batch queries: any order, any partitioning, the same bits.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::prelude::{SessionConfig, SessionContext};
use levada_planner::aggregate::aggregate_functions;

use crate::harness::{Bag, rows_of};
use crate::rows::Rng;

type Row = (Option<i64>, Option<f64>, i64);

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("g", DataType::Int64, true),
        Field::new("x", DataType::Float64, true),
        Field::new("n", DataType::Int64, false),
    ]))
}

async fn query(sql: &str, rows: &[Row], partitions: usize) -> Result<Bag> {
    let config = SessionConfig::new().with_target_partitions(partitions).with_batch_size(64);
    let context = SessionContext::new_with_config(config);
    for function in aggregate_functions() {
        context.register_udaf(function.as_ref().clone());
    }
    let parts = rows.chunks(rows.len().div_ceil(partitions).max(1)).map(|part| {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(part.iter().map(|r| r.0).collect::<Int64Array>()),
            Arc::new(part.iter().map(|r| r.1).collect::<Float64Array>()),
            Arc::new(Int64Array::from_iter_values(part.iter().map(|r| r.2))),
        ];
        vec![RecordBatch::try_new(schema(), columns).expect("three columns")]
    });
    let table = MemTable::try_new(schema(), parts.collect())?;
    context.register_table("t", Arc::new(table))?;
    let mut bag = Bag::new();
    for batch in context.sql(sql).await?.collect().await? {
        rows_of(&batch).into_iter().for_each(|r| *bag.entry(r).or_insert(0) += 1);
    }
    Ok(bag)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    runtime.expect("a runtime").block_on(future)
}

#[test]
fn order_and_partitions_do_not_change_a_bit() {
    let mut rng = Rng(5);
    let mut rows: Vec<Row> = (0..3000)
        .map(|_| {
            let exponent = i32::try_from(rng.below(80)).expect("small") - 40;
            let x = (rng.below(2_000_001) as f64 - 1_000_000.0) * 10f64.powi(exponent);
            let g = i64::try_from(rng.below(9)).expect("small");
            let n = i64::try_from(rng.below(1000)).expect("small");
            ((g > 0).then_some(g), (rng.below(10) > 0).then_some(x), n)
        })
        .collect();
    run(async {
        for sql in [
            "SELECT sum(x), avg(x), mean(x), min(x), max(x), sum(n), avg(n), count(x) FROM t",
            "SELECT g, sum(x), avg(x), sum(n), avg(n), min(x), max(x) FROM t GROUP BY g",
            "SELECT g, sum(DISTINCT x), avg(DISTINCT x), sum(DISTINCT n), sum(x) FROM t GROUP BY g",
            "SELECT g, sum(x) FILTER (WHERE n > 500), sum(n) FILTER (WHERE n > 500) FROM t GROUP BY g",
            "SELECT sum(DISTINCT n) FROM t",
            "SELECT sum(x), sum(n), avg(x), min(x) FROM t WHERE n < 0",
        ] {
            let expected = query(sql, &rows, 1).await.expect("an answer");
            for partitions in [1, 2, 7] {
                rng.shuffle(&mut rows);
                let found = query(sql, &rows, partitions).await.expect("an answer");
                assert_eq!(found, expected, "{sql} in {partitions} partitions");
            }
        }
    });
}

#[test]
fn known_answers() {
    let rows: Vec<Row> = [0.1, 0.2, 0.3, 1e300, -1e300].map(|x| (Some(1), Some(x), 3)).to_vec();
    run(async {
        let bag = query("SELECT sum(x), avg(x), sum(n) FROM t", &rows, 2).await.expect("an answer");
        assert_eq!(bag.keys().collect::<Vec<_>>(), ["0.6 | 0.12 | '15'"], "exact");
        let zeros: Vec<Row> =
            vec![(None, Some(-0.0), 1), (None, Some(0.0), 1), (None, Some(f64::NAN), 1)];
        let sql = "SELECT min(x), max(x), sum(x) FROM t GROUP BY g";
        let bag = query(sql, &zeros, 1).await.expect("an answer");
        assert_eq!(
            bag.keys().collect::<Vec<_>>(),
            ["0.0 | NaN | NaN"],
            "zero has no sign, NaN is greatest"
        );
    });
}

#[test]
fn a_window_sum_slides_exactly() {
    let rows: Vec<Row> = [1e300, 1.0, 2.0, -1e300, 0.5]
        .into_iter()
        .zip(0..)
        .map(|(x, n)| (Some(1), Some(x), n))
        .collect();
    let sql = "SELECT n, sum(x) OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t";
    let bag = run(query(sql, &rows, 1)).expect("an answer");
    let third = bag.keys().find(|k| k.starts_with("'2'")).expect("row 2");
    assert_eq!(third, "'2' | 3.0", "1e300 has left the window without a trace");
}

#[test]
fn a_sum_of_bigints_is_numeric() {
    let max = (Some(1), None, i64::MAX);
    run(async {
        for sql in ["SELECT sum(n) FROM t", "SELECT g, sum(n) FROM t GROUP BY g"] {
            let sums = query(sql, &[max, max], 2).await.expect("an answer");
            let sum = sums.keys().next().expect("a row");
            assert!(sum.ends_with("'18446744073709551614'"), "{sum}");
        }
    });
}
