//! Rows of state that the same delta touches, at 1 and at 100 times the state.
//!
//! Counters, not clocks: the claim is about work. The ratio of a kind whose work depends on the delta alone
//! is 1; a window reads its whole partition, so partitions are of equal size at both states.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use levada_engine::workers::Workers;
use levada_storage::delta::{Delta, DeltaBatch};

use crate::maintained::{Keep, Maintained};
use crate::measure::{Line, rounded};
use crate::table::{FIRST_ID, Table, whole};
use crate::view::View;

/// Rows of the small state, and how many times the large one is larger.
const SMALL: i64 = 2_000;
const TIMES: i64 = 100;
/// Rows of the delta.
const DELTA: i64 = 100;
/// Rows of each key.
const PER_KEY: i64 = 4;

/// A view for each kind of operator.
const KINDS: [(&str, &str); 21] = [
    ("distinct", "SELECT DISTINCT k FROM t"),
    ("aggregate sum", "SELECT k, sum(v) AS v, count(*) AS n FROM t GROUP BY k"),
    ("aggregate min max", "SELECT k, min(v) AS a, max(v) AS b FROM t GROUP BY k"),
    ("aggregate median", "SELECT k, median(v) AS m FROM t GROUP BY k"),
    (
        "aggregate percentiles",
        "SELECT percentile_cont(v, 0.1) AS a, median(v) AS m, percentile_cont(v, 0.9) AS b FROM t",
    ),
    ("aggregate distinct", "SELECT k, count(DISTINCT v) AS n FROM t GROUP BY k"),
    ("aggregate global", "SELECT sum(v) AS v, max(v) AS m FROM t"),
    ("join inner", "SELECT t.k, t.v, u.v AS w FROM t JOIN u ON u.k = t.k"),
    ("join left", "SELECT t.k, t.v, u.v AS w FROM t LEFT JOIN u ON u.k = t.k"),
    ("join right", "SELECT t.k, t.v, u.v AS w FROM t RIGHT JOIN u ON u.k = t.k"),
    ("join full", "SELECT t.k, t.v, u.v AS w FROM t FULL JOIN u ON u.k = t.k"),
    ("join semi", "SELECT k, v FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k)"),
    ("join anti", "SELECT k, v FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.k)"),
    ("join residual", "SELECT t.k, t.v FROM t LEFT JOIN u ON u.k = t.k AND u.v > t.v"),
    (
        "top rows",
        "SELECT k, v FROM (SELECT k, v, row_number() OVER (PARTITION BY k ORDER BY v DESC) AS n FROM t) x WHERE n <= 2",
    ),
    (
        "top ranks",
        "SELECT k, v FROM (SELECT k, v, rank() OVER (PARTITION BY k ORDER BY v DESC) AS n FROM t) x WHERE n <= 2",
    ),
    ("threshold", "SELECT k, v FROM t WHERE v >= (SELECT max(v) FROM t)"),
    ("window", "SELECT k, v, sum(v) OVER (PARTITION BY k ORDER BY v) AS s FROM t"),
    // One partition: what the rows around a change are, not how many there are.
    (
        "window lag",
        "SELECT k, v, lag(v) OVER (ORDER BY v) AS b, lead(v, 2) OVER (ORDER BY v) AS a FROM t",
    ),
    (
        "window frame",
        "SELECT k, v, sum(v) OVER (ORDER BY v ROWS BETWEEN 3 PRECEDING AND 1 FOLLOWING) AS s FROM t",
    ),
    // At the end of each partition: the rows before it are not read.
    (
        "window running",
        "SELECT k % 2 AS g, v, sum(v) OVER (PARTITION BY k % 2 ORDER BY v) AS s, rank() OVER (PARTITION BY k % 2 ORDER BY v) AS r FROM t WHERE k >= 50 OR v >= 200",
    ),
];

/// Measures each kind.
///
/// # Errors
/// When a view cannot run.
pub(super) fn run() -> anyhow::Result<()> {
    for (kind, sql) in KINDS {
        let (small, large) = (touched(sql, SMALL)?, touched(sql, SMALL * TIMES)?);
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let ratio = large as f64 / small.max(1) as f64;
        Line::new("micro", "memory", kind)
            .with("what", "touched")
            .with("delta", DELTA)
            .with("state_times", TIMES)
            .with("touched_small", small)
            .with("touched_large", large)
            .with("ratio", rounded(ratio))
            .print()?;
    }
    Ok(())
}

/// Rows of state that the delta touches when the tables have `rows` rows.
fn touched(sql: &str, rows: i64) -> anyhow::Result<u64> {
    let row = |i: i64| [i / PER_KEY, i];
    let tables = [numbers(FIRST_ID, "t", 0..rows, row)?, numbers(FIRST_ID + 1, "u", 0..rows, row)?];
    let view = View::plan(sql, &tables, false)?;
    let mut maintained =
        Maintained::new(&view.delta_plan, &view.schema, Keep::Sum, None, &Workers::alone())?;
    maintained.tick(&whole(&tables))?;
    let before = maintained.touched();
    // Half of it inserts rows of known keys, half of it deletes rows.
    let inserts = numbers(FIRST_ID, "t", 0..DELTA / 2, |i| [i, rows + i])?;
    let deletes = numbers(FIRST_ID, "t", DELTA..DELTA + DELTA / 2, row)?;
    let inserts = inserts.batches.into_iter().map(DeltaBatch::inserts);
    let deletes = deletes.batches.into_iter().map(DeltaBatch::retractions);
    maintained.tick(&BTreeMap::from([(FIRST_ID, Delta::of(inserts.chain(deletes)))]))?;
    Ok(maintained.touched() - before)
}

/// A table of two columns `k` and `v`, one row per number of `range`.
pub(super) fn numbers(
    id: u32,
    name: &str,
    range: Range<i64>,
    row: impl Fn(i64) -> [i64; 2],
) -> anyhow::Result<Table> {
    let column = |c: usize| -> ArrayRef {
        Arc::new(range.clone().map(|i| row(i)[c]).collect::<Int64Array>())
    };
    let batch = RecordBatch::try_from_iter([("k", column(0)), ("v", column(1))])?;
    Table::of(id, name, &[batch])
}
