//! A chain of twenty operators: filters and projections in turn, over few rows.

use std::collections::BTreeMap;

use levada_engine::workers::Workers;
use levada_planner::delta_plan::{DeltaPlan, Node, Op};
use levada_storage::delta::{Delta, DeltaBatch};

use super::touched::numbers;
use crate::maintained::{Keep, Maintained};
use crate::measure::{Line, rounded};
use crate::table::FIRST_ID;
use crate::view::View;

/// A link of the chain: two operators whose output fits the next link.
const LINK: &str = "SELECT k + 1 AS k, v FROM t WHERE v >= 0";
const LINKS: usize = 10;
/// Ticks that are measured.
const TICKS: usize = 1000;

/// Measures ticks of 1, 100 and 1,000 rows.
///
/// # Errors
/// When the chain cannot run.
pub(super) fn run() -> anyhow::Result<()> {
    for rows in [1, 100, 1000] {
        let table = numbers(FIRST_ID, "t", 0..rows, |i| [i, i])?;
        let link = View::plan(LINK, std::slice::from_ref(&table), true)?;
        let plan = chain(&link.delta_plan);
        let operators = plan.nodes.len() - 1;
        let mut maintained =
            Maintained::new(&plan, &link.schema, Keep::Sum, None, &Workers::alone())?;
        let delta = Delta::of(table.batches.into_iter().map(DeltaBatch::inserts));
        let tick = BTreeMap::from([(FIRST_ID, delta)]);
        for _ in 0..TICKS {
            maintained.tick(&tick)?;
        }
        Line::new("micro", "memory", "inline")
            .with("operators", operators)
            .with("delta", rows)
            .with("tick_p50_us", rounded(maintained.tick_ms(0.5) * 1e3))
            .with("tick_p99_us", rounded(maintained.tick_ms(0.99) * 1e3))
            .print()?;
    }
    Ok(())
}

/// The operators of `link` again and again, each reading the one before.
fn chain(link: &DeltaPlan) -> DeltaPlan {
    let relations: Vec<Node> =
        link.nodes.iter().filter(|n| matches!(n.op, Op::Relation { .. })).cloned().collect();
    let mut nodes = relations;
    for _ in 0..LINKS {
        let mut moved = Vec::with_capacity(link.nodes.len());
        let from = nodes.len() - 1;
        for node in &link.nodes {
            if matches!(node.op, Op::Relation { .. }) {
                moved.push(from);
                continue;
            }
            let inputs = node.inputs.iter().map(|input| moved[*input]).collect();
            moved.push(nodes.len());
            nodes.push(Node { inputs, ..node.clone() });
        }
    }
    DeltaPlan { root: nodes.len() - 1, nodes }
}
