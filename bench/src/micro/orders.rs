//! Five views over orders that change: first load, then deltas of growing size.

use std::collections::BTreeMap;

use anyhow::ensure;
use levada_engine::workers::Workers;
use levada_storage::delta::Delta;

use super::Micro;
use crate::answer::Answer;
use crate::maintained::{Keep, Maintained};
use crate::measure::{Line, peak_rss_mb, reset_peak, rounded};
use crate::orders::Workload;
use crate::table::{Table, whole};
use crate::view::View;

/// The views.
const VIEWS: [(&str, &str); 5] = [
    ("v1_join_agg", include_str!("../../micro/v1_join_agg.sql")),
    ("v2_agg", include_str!("../../micro/v2_agg.sql")),
    ("v3_max", include_str!("../../micro/v3_max.sql")),
    ("v4_topn", include_str!("../../micro/v4_topn.sql")),
    ("v5_distinct", include_str!("../../micro/v5_distinct.sql")),
];

/// Sizes of the deltas that are made, and how many of each.
const SIZES: [usize; 6] = [1, 10, 100, 1_000, 10_000, 100_000];
const REPEAT: usize = 5;

/// Measures the views that are asked for.
///
/// # Errors
/// When one cannot run or its answer is wrong.
pub(super) async fn run(micro: &Micro) -> anyhow::Result<()> {
    let named = format!("levada-bench/orders-{}", micro.orders);
    let folder = micro.data.clone().unwrap_or_else(|| std::env::temp_dir().join(named));
    if !folder.join("deltas.json").exists() {
        Workload::write(&folder, micro.orders, &SIZES, REPEAT)?;
    }
    let workload = Workload::read(&folder)?;
    let tables = Workload::tables(&folder)?;
    let deltas = workload.deltas.iter().map(|entry| Workload::delta(&folder, entry));
    let deltas = deltas.collect::<anyhow::Result<Vec<_>>>()?;
    let sizes: Vec<usize> = workload.deltas.iter().map(|entry| entry.size).collect();
    let last = if micro.verify { Some(after(&tables, &deltas)?) } else { None };
    for (name, sql) in VIEWS {
        if !micro.view.is_empty() && !micro.view.iter().any(|asked| asked == name) {
            continue;
        }
        let view = View::plan(sql, &tables, false)?;
        let maintained =
            measure(name, micro.threads, &view, &tables, sizes.iter().copied().zip(&deltas))?;
        if micro.profile {
            maintained.print_profile(name)?;
        }
        if let Some(last) = &last {
            let answer = maintained.answer()?;
            let expected = Answer::of(&view.batch(last).await?, None)?;
            ensure!(answer == expected, "{name}: maintained {answer:?}, batch {expected:?}");
        }
    }
    Ok(())
}

fn measure<'a>(
    name: &str,
    threads: usize,
    view: &View,
    tables: &[Table],
    deltas: impl Iterator<Item = (usize, &'a BTreeMap<u32, Delta>)>,
) -> anyhow::Result<Maintained> {
    reset_peak();
    let (plan, schema) = (&view.delta_plan, &view.schema);
    let workers = Workers::new(Some(threads));
    let mut maintained = Maintained::new(plan, schema, Keep::Rows, None, &workers)?;
    maintained.tick(&whole(tables))?;
    let line =
        |what: &str| Line::new("orders", "memory", name).with_threads(threads).with("what", what);
    line("initial").with("ms", last_ms(&maintained)).print()?;
    let mut by_size: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (size, delta) in deltas {
        maintained.tick(delta)?;
        by_size.entry(size).or_default().push(last_ms(&maintained));
    }
    for (size, mut times) in by_size {
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        line("refresh").with("delta", size).with("refresh_ms_median", median).print()?;
    }
    let answer = maintained.answer()?;
    line("final").answering(answer).with("peak_rss_mb", peak_rss_mb()).print()?;
    Ok(maintained)
}

fn last_ms(maintained: &Maintained) -> f64 {
    rounded(maintained.ticks.last().map_or(0.0, |tick| tick.as_secs_f64() * 1e3))
}

/// The tables after all deltas, kept by views of their own.
fn after(tables: &[Table], deltas: &[BTreeMap<u32, Delta>]) -> anyhow::Result<Vec<Table>> {
    let mut last = Vec::new();
    for table in tables {
        let view = View::plan(&format!("SELECT * FROM {}", table.name), tables, false)?;
        let (plan, schema, workers) = (&view.delta_plan, &view.schema, Workers::alone());
        let mut maintained = Maintained::new(plan, schema, Keep::Rows, None, &workers)?;
        maintained.tick(&whole(tables))?;
        deltas.iter().try_for_each(|delta| maintained.tick(delta))?;
        last.push(Table { batches: maintained.rows()?, ..table.clone() });
    }
    Ok(last)
}
