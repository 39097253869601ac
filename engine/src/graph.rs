//! The graph of running operators: one for all views of a database.
//!
//! Nodes are numbered in the order in which they were made; a node reads only nodes of lower number, and a
//! view's relation is read by nodes made after the view's root. So ascending numbers are a topological
//! order, over views of views too, and a tick is one pass over the nodes that have input, and over those that are due:
//! a node that calls the clock says when it changes without input.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::memory_pool::MemoryPool;
use levada_planner::delta_plan::{DeltaPlan, Fingerprint, Op, Recompute};
use levada_storage::delta::{Delta, DeltaBatch};

use crate::arrangement::Arrangement;
use crate::error::Result;
use crate::lower::lower;
use crate::memory::Meter;
use crate::operator::{Operator, OperatorMetrics};
use crate::spill::{Holder, SpillSpace};
use crate::workers::Workers;

/// Number of a node.
pub(crate) type NodeKey = usize;

/// What a node does with its inputs.
pub(crate) enum Work {
    /// Picks columns of a stored relation's delta.
    Relation {
        /// The relation.
        id: u32,
        /// The columns.
        columns: Vec<usize>,
        /// Rows that went out.
        rows_out: u64,
    },
    /// An incremental operator.
    Operator(Box<dyn Operator>),
    /// A query that is run again.
    Recompute(Box<RecomputeState>),
}

/// State of a recomputed query.
pub(crate) struct RecomputeState {
    /// The query.
    pub(crate) recompute: Recompute,
    /// Its last output.
    pub(crate) last: Arrangement,
    /// Its last failure, if it failed.
    pub(crate) error: Option<levada_storage::delta::ErrorRow>,
    /// Rows that went out.
    pub(crate) rows_out: u64,
}

/// A running node.
pub(crate) struct GraphNode {
    /// Identity, for saved state.
    pub(crate) fingerprint: Fingerprint,
    /// For display.
    pub(crate) label: String,
    /// Cost class, for display.
    pub(crate) cost: String,
    /// What it does.
    pub(crate) work: Work,
    /// Whom it reads.
    pub(crate) inputs: Vec<NodeKey>,
    /// Who reads it.
    pub(crate) users: BTreeSet<NodeKey>,
    /// Views that it or its users belong to.
    pub(crate) views: BTreeSet<u32>,
    /// What it holds and has done.
    pub(crate) meter: Arc<Meter>,
    /// Whether it calls the clock.
    pub(crate) reads_clock: bool,
    /// When it changes without input, at the earliest.
    due: Option<i64>,
}

/// A running operator, as `sys.operators` shows it.
#[derive(Clone, Debug)]
pub(crate) struct OperatorInfo {
    /// Number of the node.
    pub node: u64,
    /// What it computes.
    pub fingerprint: Fingerprint,
    /// Views it works for, by identifier.
    pub views: Vec<u32>,
    /// What it does.
    pub label: String,
    /// How the work of a tick grows.
    pub cost: String,
    /// What it holds and has done.
    pub meter: Arc<Meter>,
}

/// All running nodes.
pub(crate) struct Graph {
    memory: Arc<dyn MemoryPool>,
    workers: Workers,
    /// What `sys.operators` shows, until nodes come or go.
    operators: Option<Arc<Vec<OperatorInfo>>>,
    nodes: BTreeMap<NodeKey, GraphNode>,
    next: NodeKey,
    /// The nodes that are filled, by what they compute.
    known: BTreeMap<Fingerprint, NodeKey>,
    /// Leaves by the relation they read.
    readers: BTreeMap<u32, BTreeSet<NodeKey>>,
    /// Views by the node that is their root.
    roots: BTreeMap<NodeKey, BTreeSet<u32>>,
    /// The nodes that change without input, by when they do.
    agenda: BTreeSet<(i64, NodeKey)>,
}

impl Graph {
    /// An empty graph whose operators take from `memory`; `workers` share their large deltas.
    pub(crate) fn new(memory: Arc<dyn MemoryPool>, workers: Workers) -> Self {
        Self {
            memory,
            workers,
            operators: None,
            nodes: BTreeMap::new(),
            next: 0,
            known: BTreeMap::new(),
            readers: BTreeMap::new(),
            roots: BTreeMap::new(),
            agenda: BTreeSet::new(),
        }
    }

    /// Adds the nodes of `plan` for `view`; those of `shared` with equal fingerprints are used again. The
    /// others are empty: once they are filled, [`Graph::unify`] makes one of equal ones.
    ///
    /// # Errors
    /// When a node cannot be lowered.
    pub(crate) fn add(
        &mut self,
        view: u32,
        plan: &DeltaPlan,
        shared: &mut BTreeMap<Fingerprint, NodeKey>,
    ) -> Result<Vec<NodeKey>> {
        self.operators = None;
        let mut keys = Vec::with_capacity(plan.nodes.len());
        let mut fresh = Vec::new();
        for (i, node) in plan.nodes.iter().enumerate() {
            if let Some(key) = shared.get(&node.fingerprint) {
                keys.push(*key);
                continue;
            }
            let work = match &node.op {
                Op::Relation { id, columns, .. } => {
                    Work::Relation { id: *id, columns: columns.clone(), rows_out: 0 }
                }
                Op::Recompute(recompute) => Work::Recompute(Box::new(RecomputeState {
                    recompute: recompute.clone(),
                    last: whole_row_arrangement(Arc::clone(&node.schema)),
                    error: None,
                    rows_out: 0,
                })),
                _ => Work::Operator(lower(plan, i, &self.workers)?),
            };
            let key = self.next;
            self.next += 1;
            let inputs: Vec<NodeKey> = node.inputs.iter().map(|i| keys[*i]).collect();
            for input in &inputs {
                self.nodes.get_mut(input).expect("inputs come first").users.insert(key);
            }
            if let Work::Relation { id, .. } = &work {
                self.readers.entry(*id).or_default().insert(key);
            }
            let label = levada_planner::explain::describe(node);
            let cost = node.op.cost().to_string();
            let fingerprint = node.fingerprint;
            let (users, views) = (BTreeSet::new(), BTreeSet::new());
            let meter = Arc::new(Meter::new(label.clone(), &self.memory));
            let (reads_clock, due) = (node.op.reads_clock(), None);
            let made = GraphNode {
                fingerprint,
                label,
                cost,
                work,
                inputs,
                users,
                views,
                meter,
                reads_clock,
                due,
            };
            self.nodes.insert(key, made);
            // When it is due is known once it has run.
            self.set_due(key, reads_clock.then_some(i64::MIN));
            shared.insert(node.fingerprint, key);
            keys.push(key);
            fresh.push(key);
        }
        for key in keys.iter().collect::<BTreeSet<_>>() {
            self.nodes.get_mut(key).expect("it was added").views.insert(view);
        }
        self.roots.entry(keys[plan.root]).or_default().insert(view);
        Ok(fresh)
    }

    /// Who shares the large deltas of its operators.
    pub(crate) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Takes over the nodes of another graph, in their order, behind its own; returns their new numbers.
    pub(crate) fn absorb(&mut self, other: Self) -> BTreeSet<NodeKey> {
        self.operators = None;
        let first = self.next;
        let keys: Vec<NodeKey> = other.nodes.keys().copied().collect();
        let renumbered = keys.into_iter().enumerate().map(|(i, old)| (old, first + i));
        let new: BTreeMap<NodeKey, NodeKey> = renumbered.collect();
        self.next = first + new.len();
        self.take_in(other, &new);
        new.into_values().collect()
    }

    /// Numbers the nodes anew after a view was given another root: a node behind the nodes it reads, and
    /// behind the roots of the views it reads.
    pub(crate) fn renumber(&mut self) {
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut seen = BTreeSet::new();
        let roots = self.roots.iter().flat_map(|(root, views)| views.iter().map(|v| (*v, *root)));
        let roots: BTreeMap<u32, NodeKey> = roots.collect();
        let mut stack: Vec<(NodeKey, bool)> =
            self.nodes.keys().rev().map(|key| (*key, false)).collect();
        while let Some((key, ready)) = stack.pop() {
            if ready {
                order.push(key);
            } else if seen.insert(key) {
                stack.push((key, true));
                let node = &self.nodes[&key];
                stack.extend(node.inputs.iter().map(|input| (*input, false)));
                if let Work::Relation { id, .. } = &node.work {
                    stack.extend(roots.get(id).map(|root| (*root, false)));
                }
            }
        }
        let new: BTreeMap<NodeKey, NodeKey> =
            order.into_iter().enumerate().map(|(new, old)| (old, new)).collect();
        let empty = Self::new(Arc::clone(&self.memory), self.workers.clone());
        let known = std::mem::take(&mut self.known);
        let old = std::mem::replace(self, empty);
        self.next = new.len();
        self.take_in(old, &new);
        self.known = known.into_iter().filter_map(|(f, k)| Some((f, *new.get(&k)?))).collect();
    }

    /// Takes over nodes under new numbers.
    fn take_in(&mut self, other: Self, new: &BTreeMap<NodeKey, NodeKey>) {
        for (key, mut node) in other.nodes {
            node.inputs.iter_mut().for_each(|input| *input = new[input]);
            node.users = node.users.iter().map(|user| new[user]).collect();
            self.agenda.extend(node.due.map(|due| (due, new[&key])));
            self.nodes.insert(new[&key], node);
        }
        for (relation, leaves) in other.readers {
            let leaves = leaves.iter().map(|leaf| new[leaf]);
            self.readers.entry(relation).or_default().extend(leaves);
        }
        let roots = other.roots.into_iter().map(|(root, views)| (new[&root], views));
        self.roots.extend(roots);
    }

    /// Makes one node of each of `fresh` and an older one that computes the same; both are filled.
    ///
    /// The older one stays, so that inputs keep lower numbers than their users.
    pub(crate) fn unify(&mut self, fresh: &BTreeSet<NodeKey>) {
        self.operators = None;
        for key in fresh {
            let Some(node) = self.nodes.get(key) else { continue };
            match self.known.get(&node.fingerprint) {
                Some(older) if older < key && self.nodes.contains_key(older) => {
                    let older = *older;
                    self.replace(*key, older);
                }
                _ => {
                    self.known.insert(node.fingerprint, *key);
                }
            }
        }
    }

    /// Puts `older` in the place of `key`.
    fn replace(&mut self, key: NodeKey, older: NodeKey) {
        self.set_due(key, None);
        let Some(node) = self.nodes.remove(&key) else { return };
        for input in &node.inputs {
            if let Some(input) = self.nodes.get_mut(input) {
                input.users.remove(&key);
            }
        }
        for user in &node.users {
            let inputs = self.nodes.get_mut(user).map(|u| u.inputs.iter_mut());
            inputs.into_iter().flatten().filter(|i| **i == key).for_each(|i| *i = older);
        }
        for readers in self.readers.values_mut() {
            readers.remove(&key);
        }
        if let Some(views) = self.roots.remove(&key) {
            self.roots.entry(older).or_default().extend(views);
        }
        let kept = self.nodes.get_mut(&older).expect("the older node is there");
        kept.users.extend(node.users);
        kept.views.extend(node.views);
    }

    /// Removes what only `view` needs.
    pub(crate) fn remove(&mut self, view: u32) {
        self.operators = None;
        for views in self.roots.values_mut() {
            views.remove(&view);
        }
        self.roots.retain(|_, views| !views.is_empty());
        let mut dead = Vec::new();
        for (key, node) in &mut self.nodes {
            if node.views.remove(&view) && node.views.is_empty() {
                dead.push(*key);
            }
        }
        for key in dead {
            self.set_due(key, None);
            if let Some(node) = self.nodes.remove(&key)
                && self.known.get(&node.fingerprint) == Some(&key)
            {
                self.known.remove(&node.fingerprint);
            }
            for node in self.nodes.values_mut() {
                node.users.remove(&key);
            }
            for readers in self.readers.values_mut() {
                readers.remove(&key);
            }
        }
    }

    /// Notes when a node changes without input.
    pub(crate) fn set_due(&mut self, key: NodeKey, due: Option<i64>) {
        let Some(node) = self.nodes.get_mut(&key) else { return };
        if let Some(old) = std::mem::replace(&mut node.due, due) {
            self.agenda.remove(&(old, key));
        }
        self.agenda.extend(due.map(|due| (due, key)));
    }

    /// The nodes that are due at a time.
    pub(crate) fn due_at(&self, now_us: i64) -> impl Iterator<Item = NodeKey> + '_ {
        self.agenda.range(..=(now_us, NodeKey::MAX)).map(|(_, key)| *key)
    }

    /// When the next node is due.
    pub(crate) fn next_due(&self) -> Option<i64> {
        self.agenda.first().map(|(due, _)| *due)
    }

    /// The leaves that read relation `id`.
    pub(crate) fn readers(&self, id: u32) -> Vec<NodeKey> {
        self.readers.get(&id).into_iter().flatten().copied().collect()
    }

    /// The views whose result node `key` is.
    pub(crate) fn views_of(&self, key: NodeKey) -> Vec<u32> {
        self.roots.get(&key).into_iter().flatten().copied().collect()
    }

    /// A node.
    pub(crate) fn node(&self, key: NodeKey) -> &GraphNode {
        &self.nodes[&key]
    }

    /// Whether the node exists.
    pub(crate) fn contains(&self, key: NodeKey) -> bool {
        self.nodes.contains_key(&key)
    }

    /// The numbers of all nodes.
    pub(crate) fn keys(&self) -> impl Iterator<Item = NodeKey> + '_ {
        self.nodes.keys().copied()
    }

    /// A node, to run it.
    pub(crate) fn node_mut(&mut self, key: NodeKey) -> &mut GraphNode {
        self.nodes.get_mut(&key).expect("callers hold numbers of existing nodes")
    }

    /// All nodes in order.
    pub(crate) fn nodes_mut(&mut self) -> impl Iterator<Item = (NodeKey, &mut GraphNode)> {
        self.nodes.iter_mut().map(|(k, n)| (*k, n))
    }

    /// What `sys.operators` shows.
    pub(crate) fn operators(&mut self) -> Arc<Vec<OperatorInfo>> {
        if let Some(operators) = &self.operators {
            return Arc::clone(operators);
        }
        let info = |(key, node): (&NodeKey, &GraphNode)| OperatorInfo {
            node: *key as u64,
            fingerprint: node.fingerprint,
            views: node.views.iter().copied().collect(),
            label: node.label.clone(),
            cost: node.cost.clone(),
            meter: Arc::clone(&node.meter),
        };
        let operators = Arc::new(self.nodes.iter().map(info).collect());
        self.operators = Some(Arc::clone(&operators));
        operators
    }
}

impl GraphNode {
    /// Notes what it holds and has done, after a step or a load.
    pub(crate) fn measure(&self) {
        self.meter.set(self.metrics());
        if let Work::Operator(operator) = &self.work {
            self.meter.set_skew(operator.skew());
        }
    }

    fn metrics(&self) -> OperatorMetrics {
        match &self.work {
            Work::Relation { rows_out, .. } => {
                OperatorMetrics { rows_out: *rows_out, ..OperatorMetrics::default() }
            }
            Work::Operator(operator) => operator.metrics(),
            Work::Recompute(state) => OperatorMetrics {
                state_rows: state.last.rows(),
                state_bytes: state.last.bytes(),
                spilled_bytes: state.last.spilled(),
                state_rows_touched: state.last.touched(),
                rows_in: 0,
                rows_out: state.rows_out,
            },
        }
    }
}

impl Holder for GraphNode {
    fn in_memory(&self) -> usize {
        self.metrics().in_memory()
    }

    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        let freed = match &mut self.work {
            Work::Relation { .. } => 0,
            Work::Operator(operator) => operator.spill(space, want)?,
            Work::Recompute(state) => state.last.spill(space, want)?,
        };
        self.measure();
        Ok(freed)
    }
}

/// An empty arrangement indexed by the whole row.
pub(crate) fn whole_row_arrangement(schema: arrow::datatypes::SchemaRef) -> Arrangement {
    let all = (0..schema.fields().len()).collect();
    Arrangement::new(schema, all)
}

/// The columns of a relation's delta that a leaf passes on.
pub(crate) fn pick(delta: &Delta, columns: &[usize]) -> Result<Delta> {
    let mut picked = Delta { ok: Vec::with_capacity(delta.ok.len()), err: delta.err.clone() };
    for batch in &delta.ok {
        let columns: RecordBatch = batch.columns.project(columns)?;
        picked.ok.push(DeltaBatch { columns, weights: batch.weights.clone() });
    }
    Ok(picked)
}
