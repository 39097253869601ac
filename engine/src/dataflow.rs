//! Stored relations and the operators between them: what a tick changes, in one value.
//!
//! ```text
//! Core      the log, the requests, the checkpoints   ->  flow: Dataflow    what a database serves
//! Backfill  a transaction on its way, a pinned epoch ->  flow: Dataflow    the views it adds, until they join
//! ```
//! A dataflow knows nothing of the log. It is stepped by one thread at a time, which need not be the tick
//! loop's: a backfill fills its own one beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use levada_catalog::Catalog;
use levada_storage::epoch::Epoch;
use tokio::runtime::Handle;

use crate::backfill::Wanted;
use crate::database::Shared;
use crate::graph::{Graph, NodeKey};
use crate::operator::Tick;
use crate::relation_set::RelationSet;
use crate::snapshot::RelationSnapshot;
use crate::spill::{Holder, MemoryLimit};
use crate::workers::Workers;

/// Relations and operators.
pub(crate) struct Dataflow {
    pub(crate) shared: Arc<Shared>,
    pub(crate) runtime: Handle,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) relations: RelationSet,
    /// Relations of another dataflow, as far as recomputed queries of this one read them.
    pub(crate) foreign: BTreeMap<u32, Arc<RelationSnapshot>>,
    pub(crate) graph: Graph,
    /// How much of these may be in memory.
    pub(crate) limit: MemoryLimit,
    /// The last epoch that was ticked.
    pub(crate) epoch: Epoch,
    /// The time of the last tick, in microseconds since 1970 UTC; it never goes back.
    pub(crate) now_us: i64,
    /// Sum over what the running tick changed; of the last one between ticks.
    pub(crate) digest: u64,
    /// Views whose changes are not part of it.
    pub(crate) undigested: BTreeSet<u32>,
    /// In a tick of nothing but the clock: whether a view has changed.
    pub(crate) clock_moved: Option<bool>,
    /// Whether somebody still waits for what it computes; always, where there is none.
    pub(crate) wanted: Option<Wanted>,
    /// Recomputed nodes that wait for the end of a fill.
    pub(crate) deferred: Option<BTreeSet<NodeKey>>,
}

impl Dataflow {
    /// One without relations and operators; `workers` share its large deltas.
    pub(crate) fn new(
        shared: Arc<Shared>,
        runtime: Handle,
        limit: MemoryLimit,
        workers: Workers,
    ) -> Self {
        let memory = Arc::clone(&shared.memory);
        Self {
            shared,
            runtime,
            catalog: Arc::new(Catalog::new()),
            relations: RelationSet::new(Arc::clone(&memory), workers.clone()),
            foreign: BTreeMap::new(),
            graph: Graph::new(memory, workers),
            limit,
            epoch: Epoch(0),
            now_us: i64::MIN,
            digest: 0,
            undigested: BTreeSet::new(),
            clock_moved: None,
            wanted: None,
            deferred: None,
        }
    }

    /// An empty one beside this one, at the same epoch and time, with the same threads and memory.
    pub(crate) fn beside(&self) -> Self {
        let (shared, runtime) = (Arc::clone(&self.shared), self.runtime.clone());
        let limit = self.limit.sibling();
        let mut other = Self::new(shared, runtime, limit, self.graph.workers().clone());
        other.catalog = Arc::clone(&self.catalog);
        other.epoch = self.epoch;
        other.now_us = self.now_us;
        other
    }

    /// What follows is part of `tick`.
    pub(crate) fn begin_tick(&mut self, tick: Tick) {
        self.epoch = tick.epoch;
        self.now_us = tick.now_us;
        self.digest = 0;
    }

    /// The tick that is running, or was the last one.
    pub(crate) fn tick(&self) -> Tick {
        Tick { epoch: self.epoch, now_us: self.now_us }
    }

    /// Settles what changed: the next tick starts from here.
    pub(crate) fn end_tick(&mut self) {
        self.relations.end_tick().expect("dead rows can be dropped");
        self.relieve();
        if let Err(error) = self.limit.settle() {
            tracing::warn!(%error, "could not release memory");
        }
    }

    /// Moves state to files when there is too much of it in memory.
    pub(crate) fn relieve(&mut self) {
        let used = self.shared.memory.reserved();
        if !self.limit.is_exceeded(used) {
            return;
        }
        let mut relations = self.relations.holders();
        let nodes = self.graph.nodes_mut().map(|(_, node)| node as &mut dyn Holder);
        let relations = relations.iter_mut().map(|relation| relation as &mut dyn Holder);
        // Without room on the disk, state stays in memory until sources have to wait.
        if let Err(error) = self.limit.enforce(used, nodes.chain(relations).collect()) {
            tracing::warn!(%error, "could not move state out of memory");
        }
        self.relations.moved();
    }
}
