//! One pass over the graph: the heart of a tick, and of a backfill.
//!
//! Nodes with input run in ascending order. What a view's root emits is applied to the view's relation and
//! handed to the leaves that read it, in the same pass: views over views see the same epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use levada_planner::clock;
use levada_storage::delta::{Delta, DeltaBatch, ErrorRow};

use crate::arrangement::equal::bits;
use crate::arrangement::hash::HashWidth;
use crate::arrangement::keyed::KeyedState;
use crate::batch;
use crate::dataflow::Dataflow;
use crate::digest;
use crate::error::{Error, Result};
use crate::graph::{NodeKey, RecomputeState, Work, pick};
use crate::operator::Tick;
use crate::snapshot::{Relations, SnapshotSet};

/// What changed in relations in one pass, by relation.
pub(crate) type Deltas = BTreeMap<u32, Arc<Delta>>;

impl Dataflow {
    /// Runs every node that a delta reaches or that is due, and the nodes of `start` in any case. Returns what
    /// changed: the deltas it was given and those of the views.
    pub(crate) fn pass(
        &mut self,
        tick: &Tick,
        mut relations: Deltas,
        start: BTreeSet<NodeKey>,
    ) -> Deltas {
        let mut todo = start;
        for id in relations.keys() {
            todo.extend(self.graph.readers(*id));
        }
        todo.extend(self.graph.due_at(tick.now_us));
        let mut outputs: BTreeMap<NodeKey, Arc<Delta>> = BTreeMap::new();
        while let Some(key) = todo.pop_first() {
            if self.is_unwanted() {
                break;
            }
            // A panic in a function of DataFusion costs the views that call it, not the database.
            let began = self.shared.clock.monotonic();
            let run = AssertUnwindSafe(|| self.run_node(tick, key, &relations, &outputs));
            let output = catch_unwind(run)
                .unwrap_or_else(|_panic| Err(Error::Internal("an operator panicked".to_owned())))
                .unwrap_or_else(|e| broken(&e));
            self.plan_next(tick, key);
            let node = self.graph.node(key);
            node.meter.worked(self.shared.clock.monotonic().saturating_sub(began));
            node.measure();
            self.relieve();
            let views = self.graph.views_of(key);
            let output = match self.clock_moved {
                Some(_) if !views.is_empty() => settled(output).unwrap_or_else(|e| broken(&e)),
                _ => output,
            };
            if output.is_empty() {
                continue;
            }
            let output = Arc::new(output);
            for view in views {
                self.apply_to_view(view, &output);
                relations.insert(view, Arc::clone(&output));
                todo.extend(self.graph.readers(view));
            }
            todo.extend(self.graph.node(key).users.iter().copied());
            outputs.insert(key, output);
        }
        relations
    }

    /// Whether nobody waits for the result any more: it will be thrown away.
    fn is_unwanted(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.go_on().is_err())
    }

    fn run_node(
        &mut self,
        tick: &Tick,
        key: NodeKey,
        relations: &Deltas,
        outputs: &BTreeMap<NodeKey, Arc<Delta>>,
    ) -> Result<Delta> {
        let nothing = Delta::default();
        let node = self.graph.node_mut(key);
        let inputs: Vec<&Delta> =
            node.inputs.iter().map(|i| outputs.get(i).map_or(&nothing, AsRef::as_ref)).collect();
        match &mut node.work {
            Work::Relation { id, columns, rows_out } => match relations.get(id) {
                Some(delta) => {
                    *rows_out += delta.rows() as u64;
                    pick(delta, columns)
                }
                None => Ok(nothing),
            },
            Work::Operator(operator) => operator.step(tick, &inputs),
            Work::Recompute(_) => {
                if let Some(deferred) = &mut self.deferred {
                    deferred.insert(key);
                    return Ok(nothing);
                }
                self.recompute(tick, key)
            }
        }
    }

    /// Notes when a node that has run changes without input.
    fn plan_next(&mut self, tick: &Tick, key: NodeKey) {
        let node = self.graph.node_mut(key);
        if !node.reads_clock {
            return;
        }
        let due = match &mut node.work {
            Work::Operator(operator) => operator.due(tick.now_us),
            Work::Relation { .. } | Work::Recompute(_) => Ok(Some(tick.now_us + 1)),
        };
        let due = due.unwrap_or_else(|error| {
            tracing::error!(%error, "an operator does not know when it is due");
            Some(tick.now_us + 1)
        });
        self.graph.set_due(key, due);
    }

    fn apply_to_view(&mut self, view: u32, output: &Delta) {
        let Some(relation) = self.relations.get_mut(view) else { return };
        if let Some(moved) = &mut self.clock_moved {
            *moved = true;
        }
        match digest::of_view(view, output) {
            Ok(_) if self.undigested.contains(&view) => {}
            Ok(digest) => self.digest = self.digest.wrapping_add(digest),
            Err(error) => tracing::error!(view, %error, "a view's delta has no digest"),
        }
        relation.apply_or_fail(output);
    }

    /// Runs a query again over the relations as they are and subtracts its last output.
    fn recompute(&mut self, tick: &Tick, key: NodeKey) -> Result<Delta> {
        let Work::Recompute(state) = &self.graph.node(key).work else {
            return Err(Error::Internal("not a recomputed node".to_owned()));
        };
        let ids = state.recompute.relations.clone();
        let query = clock::at(state.recompute.query.as_ref().clone(), tick.now_us)?;
        let epoch = self.epoch;
        let mut relations = Relations::default();
        for id in ids {
            let own = self.relations.get_mut(id).map(|relation| relation.snapshot(epoch));
            if let Some(relation) = own.or_else(|| self.foreign.get(&id).map(Arc::clone)) {
                relations.insert(id, relation);
            }
        }
        let snapshot = Arc::new(SnapshotSet {
            epoch,
            catalog: Arc::clone(&self.catalog),
            relations,
            operators: Arc::default(),
            now_us: tick.now_us,
        });
        let collecting = batch::collect(&self.shared, &snapshot, &query);
        let result = match self.wanted.clone() {
            None => self.shared.pool.block_on(collecting),
            Some(wanted) => {
                let guarded = wanted.guard(self.shared.clock.as_ref(), collecting);
                self.shared.pool.block_on(guarded)
            }
        };
        let Work::Recompute(state) = &mut self.graph.node_mut(key).work else {
            return Err(Error::Internal("not a recomputed node".to_owned()));
        };
        state.take(result)
    }
}

impl RecomputeState {
    fn take(&mut self, result: Result<Vec<RecordBatch>>) -> Result<Delta> {
        let mut delta = Delta::default();
        if let Some(error) = self.error.take() {
            delta.err.push((error, -1));
        }
        match result {
            Err(error) => {
                let (sqlstate, message) = batch::evaluation_error(&error);
                let row = ErrorRow { sqlstate, message, row_hash: 0 };
                delta.err.push((row.clone(), 1));
                self.error = Some(row);
            }
            Ok(batches) => {
                let schema = Arc::clone(self.last.schema());
                let mut parts = Vec::new();
                for batch in batches {
                    let columns = batch.columns().to_vec();
                    parts.push(DeltaBatch::inserts(RecordBatch::try_new(
                        Arc::clone(&schema),
                        columns,
                    )?));
                }
                for batch in self.last.view().batches() {
                    parts.push(DeltaBatch::retractions(batch?));
                }
                self.last.begin_tick();
                // The first rows replace none.
                delta.ok = if self.last.rows() == 0 { parts } else { consolidate(&parts)? };
                self.last.apply(&Delta::of(delta.ok.iter().cloned()))?;
                self.last.begin_tick();
                self.last.compact_if_worn()?;
                self.rows_out += delta.rows() as u64;
            }
        }
        Ok(delta)
    }
}

/// A delta without what cancels out.
fn settled(delta: Delta) -> Result<Delta> {
    let mut err: BTreeMap<ErrorRow, i64> = BTreeMap::new();
    for (row, weight) in delta.err {
        *err.entry(row).or_default() += weight;
    }
    err.retain(|_, weight| *weight != 0);
    Ok(Delta { ok: consolidate(&delta.ok)?, err: err.into_iter().collect() })
}

/// The schema of [`bits`] of the columns of `rows`.
pub(crate) fn bits_schema(rows: &RecordBatch) -> SchemaRef {
    let fields = rows.columns().iter().map(|c| Field::new("", bits(c).data_type().clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Equal rows as one row with the sum of their weights; zeros are gone.
pub(crate) fn consolidate(parts: &[DeltaBatch]) -> Result<Vec<DeltaBatch>> {
    let Some(first) = parts.first() else { return Ok(Vec::new()) };
    if first.columns.num_columns() == 0 {
        return Ok(parts.to_vec());
    }
    let mut rows = KeyedState::new(bits_schema(&first.columns), 0, HashWidth::Full);
    // Where the first row of each slot stands; no slot is freed, so they are numbered without gaps.
    let mut places: Vec<Option<(usize, usize)>> = Vec::new();
    for (p, part) in parts.iter().enumerate() {
        let columns: Vec<ArrayRef> = part.columns.columns().iter().map(bits).collect();
        let slots = rows.find_or_insert(&columns, part.len())?.slots;
        places.resize(rows.len(), None);
        for (i, slot) in slots.into_iter().enumerate() {
            rows.add_weight(slot, part.weights.get(i));
            places[slot as usize].get_or_insert((p, i));
        }
    }
    let mut kept: Vec<Vec<(u32, i64)>> = vec![Vec::new(); parts.len()];
    for (slot, (p, i)) in places.into_iter().flatten().enumerate() {
        let weight = rows.weight(u32::try_from(slot).unwrap_or(u32::MAX));
        if weight != 0 {
            let row = u32::try_from(i)
                .map_err(|_lost| Error::Internal("a batch of more than 2^32 rows".to_owned()))?;
            kept[p].push((row, weight));
        }
    }
    let mut out = Vec::new();
    for (part, mut rows) in parts.iter().zip(kept) {
        if rows.is_empty() {
            continue;
        }
        rows.sort_unstable();
        let indices: arrow::array::UInt32Array = rows.iter().map(|(r, _)| *r).collect();
        let columns = arrow::compute::take_record_batch(&part.columns, &indices)?;
        out.push(DeltaBatch::weighted(columns, rows.into_iter().map(|(_, w)| w).collect()));
    }
    Ok(out)
}

/// A broken invariant as an error row: the view reports it on read, the others go on.
pub(crate) fn broken(error: &Error) -> Delta {
    tracing::error!(%error, "an operator failed");
    let row = ErrorRow { sqlstate: "XX000".to_owned(), message: error.to_string(), row_hash: 0 };
    Delta { ok: Vec::new(), err: vec![(row, 1)] }
}
