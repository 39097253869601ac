//! A view's operators by themselves: no database, no log, no readers.
//!
//! A [`Circuit`] is a lowered [`DeltaPlan`]. It takes the deltas of the plan's relations tick by tick and
//! gives the delta of the view: what the tick loop does for a view, without what surrounds it. Programs that
//! keep their rows themselves, and measurements of the operators, use it.
//!
//! ```text
//! step(deltas of relations)  ->  each node with input, in the plan's order  ->  delta of the root
//! ```
//! The clock that it is handed only tells how long each node worked; no operator sees it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use levada_planner::delta_plan::{DeltaPlan, NodeId, Op};
use levada_planner::explain::describe;
use levada_storage::clock::Clock;
use levada_storage::delta::Delta;

use crate::error::{Error, Result};
use crate::graph::pick;
use crate::lower::lower;
use crate::operator::{Operator, OperatorMetrics, Tick};
use crate::spill::{Holder, MemoryLimit, SpillSpace};
use crate::workers::Workers;

/// A running delta plan.
pub struct Circuit {
    nodes: Vec<CircuitNode>,
    root: NodeId,
    /// Whether no tick has run: then every node runs, for those that give rows without input.
    fresh: bool,
    clock: Arc<dyn Clock>,
    /// How much of the operators' state may be in memory.
    limit: Option<MemoryLimit>,
}

/// What a node of a circuit has done.
#[derive(Clone, Debug)]
pub struct NodeReport {
    /// What it does.
    pub label: String,
    /// The time it worked.
    pub busy: Duration,
    /// What it holds and has done; rows in and out are those of its deltas.
    pub metrics: OperatorMetrics,
}

struct CircuitNode {
    label: String,
    work: CircuitWork,
    inputs: Vec<NodeId>,
    /// When it changes without input; for nodes that call the clock.
    due: Option<i64>,
    reads_clock: bool,
    busy: Duration,
    rows_in: u64,
    rows_out: u64,
}

impl Holder for CircuitNode {
    fn in_memory(&self) -> usize {
        match &self.work {
            CircuitWork::Relation { .. } => 0,
            CircuitWork::Operator(operator) => operator.metrics().in_memory(),
        }
    }

    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        match &mut self.work {
            CircuitWork::Relation { .. } => Ok(0),
            CircuitWork::Operator(operator) => operator.spill(space, want),
        }
    }
}

enum CircuitWork {
    Relation { id: u32, columns: Vec<usize> },
    Operator(Box<dyn Operator>),
}

impl Circuit {
    /// The running form of `plan`, whose large ticks `workers` share.
    ///
    /// # Errors
    /// 0A000 when a part of it is recomputed: that needs a database. When a node cannot run.
    pub fn new(plan: &DeltaPlan, clock: Arc<dyn Clock>, workers: &Workers) -> Result<Self> {
        if let Some(reason) = plan.recompute_reasons().first() {
            let message = format!("a recomputed part cannot run outside a database: {reason}");
            return Err(Error::statement("0A000", message));
        }
        let node = |(id, node): (NodeId, &levada_planner::delta_plan::Node)| -> Result<_> {
            let reads_clock = node.op.reads_clock();
            let work = match &node.op {
                Op::Relation { id, columns, .. } => {
                    CircuitWork::Relation { id: *id, columns: columns.clone() }
                }
                _ => CircuitWork::Operator(lower(plan, id, workers)?),
            };
            let (label, inputs) = (describe(node), node.inputs.clone());
            let (due, busy) = (None, Duration::ZERO);
            let (rows_in, rows_out) = (0, 0);
            Ok(CircuitNode { label, work, inputs, due, reads_clock, busy, rows_in, rows_out })
        };
        let nodes = plan.nodes.iter().enumerate().map(node).collect::<Result<_>>()?;
        Ok(Self { nodes, root: plan.root, fresh: true, clock, limit: None })
    }

    /// The same with a limit to the state in memory.
    #[must_use]
    pub fn within(mut self, limit: MemoryLimit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Runs one tick over the deltas of relations and gives the view's delta.
    ///
    /// # Errors
    /// When an operator's state is broken; a row that fails to evaluate is an error row of the delta.
    pub fn step(&mut self, tick: &Tick, relations: &BTreeMap<u32, Delta>) -> Result<Delta> {
        let nothing = Delta::default();
        let mut outputs: Vec<Delta> = Vec::with_capacity(self.nodes.len());
        for node in &mut self.nodes {
            let inputs: Vec<&Delta> = node.inputs.iter().map(|input| &outputs[*input]).collect();
            let output = match &mut node.work {
                CircuitWork::Relation { id, columns } => {
                    pick(relations.get(id).unwrap_or(&nothing), columns)?
                }
                CircuitWork::Operator(operator) => {
                    let is_due = node.due.is_some_and(|due| due <= tick.now_us);
                    if self.fresh || is_due || inputs.iter().any(|input| !input.is_empty()) {
                        let began = self.clock.monotonic();
                        let output = operator.step(tick, &inputs)?;
                        if node.reads_clock {
                            node.due = operator.due(tick.now_us)?;
                        }
                        node.busy += self.clock.monotonic() - began;
                        output
                    } else {
                        Delta::default()
                    }
                }
            };
            node.rows_in += inputs.iter().map(|input| input.rows() as u64).sum::<u64>();
            node.rows_out += output.rows() as u64;
            outputs.push(output);
        }
        self.fresh = false;
        self.relieve()?;
        Ok(outputs.swap_remove(self.root))
    }

    fn relieve(&mut self) -> Result<()> {
        let Some(limit) = &mut self.limit else { return Ok(()) };
        let used = self.nodes.iter().map(Holder::in_memory).sum();
        if limit.is_exceeded(used) {
            limit.enforce(used, self.nodes.iter_mut().map(|n| n as &mut dyn Holder).collect())?;
        }
        limit.settle()
    }

    /// What each operator has done, inputs before users.
    #[must_use]
    pub fn report(&self) -> Vec<NodeReport> {
        let report = |node: &CircuitNode| {
            let CircuitWork::Operator(operator) = &node.work else { return None };
            let (rows_in, rows_out) = (node.rows_in, node.rows_out);
            let metrics = OperatorMetrics { rows_in, rows_out, ..operator.metrics() };
            Some(NodeReport { label: node.label.clone(), busy: node.busy, metrics })
        };
        self.nodes.iter().filter_map(report).collect()
    }
}
