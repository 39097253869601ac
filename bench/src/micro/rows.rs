//! What a row costs in a join and in an aggregate whose state holds a million rows.

use std::collections::BTreeMap;

use levada_engine::workers::Workers;
use levada_storage::delta::{Delta, DeltaBatch};

use super::touched::numbers;
use crate::maintained::{Keep, Maintained};
use crate::measure::{Line, rounded};
use crate::table::{FIRST_ID, whole};
use crate::view::View;

/// Rows of state, and of the tick that is measured.
const STATE: i64 = 1_000_000;
const DELTA: i64 = 100_000;
/// Rows of `t` meet one row of `u` each.
const QUERIES: [(&str, &str); 3] = [
    ("join", "SELECT t.k, t.v, u.v AS w FROM t JOIN u ON u.k = t.k"),
    ("aggregate", "SELECT k, sum(v) AS v, count(*) AS n FROM t GROUP BY k"),
    ("distinct", "SELECT DISTINCT k FROM t"),
];

/// Measures each.
///
/// # Errors
/// When a view cannot run.
pub(super) fn run() -> anyhow::Result<()> {
    let tables = [
        numbers(FIRST_ID, "t", 0..STATE, |i| [i, i])?,
        numbers(FIRST_ID + 1, "u", 0..STATE, |i| [i, i])?,
    ];
    let delta = numbers(FIRST_ID, "t", 0..DELTA, |i| [(i * 7919) % STATE, i])?;
    let delta = Delta::of(delta.batches.into_iter().map(DeltaBatch::inserts));
    let tick = BTreeMap::from([(FIRST_ID, delta)]);
    for (name, sql) in QUERIES {
        let view = View::plan(sql, &tables, false)?;
        let mut maintained =
            Maintained::new(&view.delta_plan, &view.schema, Keep::Sum, None, &Workers::alone())?;
        maintained.tick(&whole(&tables))?;
        let before = maintained.busiest();
        maintained.tick(&tick)?;
        let busy = maintained.busiest() - before;
        #[expect(clippy::cast_precision_loss, reason = "a mean")]
        let nanoseconds = busy.as_nanos() as f64 / DELTA as f64;
        Line::new("micro", "memory", name)
            .with("what", "row")
            .with("state_rows", STATE)
            .with("delta", DELTA)
            .with("row_ns", rounded(nanoseconds))
            .print()?;
    }
    Ok(())
}
