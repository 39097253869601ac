//! Groups and their aggregates.
//!
//! **Meaning**     GROUP BY k: one row (k, calls) per key of positive weight; without k one row, always.
//! **Delta rule**  per group that dA touches: emit -old and +new where their bits differ.
//! **State**       k -> weight and a few words per call ([`KeyedState`]); medians, `min`, `max` under
//!                 retraction keep all values in order, DISTINCT keeps (group, value) -> count, holistic
//!                 calls all rows.
//! **Cost**        per input row: one lookup and one update per call; medians, `min`, `max`: O(log n) then;
//!                 holistic calls: the rows of the changed groups.
//! **Time**        as the input.
//!
//! A tick goes in slices: find the slots of the keys, read the old output of the slots that are touched
//! for the first time, update. When all slices are in, the new outputs are read and compared. A group
//! whose output cannot be computed, such as a sum out of range, is an error row instead, and heals.

mod bits;
mod boolean;
mod call;
mod count;
mod decimal;
mod distinct;
mod extreme;
mod float;
mod holistic;
mod integer;
mod moment;
mod ordered;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::{Schema, SchemaRef};
use levada_planner::delta_plan::{Aggregate as AggregateNode, AggregateCall};
use levada_storage::delta::{Delta, DeltaBatch, ErrorRow};

use crate::arrangement::equal::{Equality, retain_equal};
use crate::arrangement::hash::HashWidth;
use crate::arrangement::keyed::KeyedState;
use crate::arrangement::{project, to_u32};
use crate::error::{Error, Result};
use crate::operator::aggregate::call::{Class, Failures, Grouped, Side, Slice, class_of};
use crate::operator::evaluate::batch_of;
use crate::operator::{Operator, OperatorMetrics, RunSink, SLICE_ROWS, StateRun, Tick, slices};
use crate::spill::SpillSpace;
use crate::workers::Workers;

/// Rows of a slice whose calls are worth a thread each.
const SHARED_ROWS: usize = 4 * SLICE_ROWS;

/// The operator.
pub struct Aggregate {
    keys: Vec<usize>,
    calls: Vec<Call>,
    states: Vec<State>,
    groups: KeyedState,
    schema: SchemaRef,
    /// Whether the row of a global group has been emitted.
    started: bool,
    workers: Workers,
    metrics: OperatorMetrics,
}

/// State of one or more calls.
struct State {
    /// The first of them.
    node: AggregateCall,
    class: Box<dyn Class>,
    /// First of its words in a group's slot.
    at: usize,
}

/// What a call reads.
#[derive(Clone, Copy)]
struct Call {
    state: usize,
    /// Its number among the calls that share the state.
    reading: usize,
}

/// A slice of rows and their groups.
struct Rows {
    columns: Vec<ArrayRef>,
    slots: Vec<u32>,
    weights: Vec<i64>,
}

impl Rows {
    /// What of the rows a call sees; `masked` takes the weights where it sees not all.
    fn slice<'a>(&'a self, call: &AggregateCall, masked: &'a mut Vec<i64>) -> Slice<'a> {
        let weights = match call.filter {
            None => &self.weights,
            Some(filter) => {
                let passes = self.columns[filter].as_boolean().iter();
                let passes = passes.map(|f| i64::from(f == Some(true)));
                masked.extend(self.weights.iter().zip(passes).map(|(w, f)| w * f));
                masked
            }
        };
        let values = call.argument.map(|a| &self.columns[a]);
        Slice { slots: &self.slots, weights, values, columns: &self.columns }
    }
}

/// The groups met in a tick, and their output before it.
#[derive(Default)]
struct Touched {
    slots: Vec<u32>,
    hashes: Vec<u64>,
    existed: Vec<bool>,
    /// Old values by slice and call.
    old: Vec<Vec<ArrayRef>>,
    failed: Failures,
}

impl Aggregate {
    /// The aggregation `node` of an input of this schema.
    ///
    /// # Errors
    /// When a call has no incremental form.
    pub fn new(
        node: &AggregateNode,
        input: &Schema,
        insert_only: bool,
        output: SchemaRef,
        width: HashWidth,
    ) -> Result<Self> {
        let mut words = 0;
        let (mut calls, mut states) = (Vec::new(), Vec::new());
        for call in &node.calls {
            if let Some(shared) = shared(&mut states, call) {
                calls.push(shared);
                continue;
            }
            let grouped = Grouped { schema: input, keyed: !node.keys.is_empty(), insert_only };
            let class = class_of(call, grouped, width)?;
            let at = words;
            words += class.words();
            calls.push(Call { state: states.len(), reading: 0 });
            states.push(State { node: call.clone(), class, at });
        }
        let keys = SchemaRef::new(input.project(&node.keys)?);
        Ok(Self {
            keys: node.keys.clone(),
            calls,
            states,
            groups: KeyedState::new(keys, words, width),
            schema: output,
            started: false,
            workers: Workers::alone(),
            metrics: OperatorMetrics::default(),
        })
    }

    /// The same, whose calls share large ticks among `workers`.
    #[must_use]
    pub fn with_workers(self, workers: Workers) -> Self {
        Self { workers, ..self }
    }

    fn is_global(&self) -> bool {
        self.keys.is_empty()
    }

    fn exists(&self, slot: u32) -> bool {
        self.is_global() || self.groups.weight(slot) > 0
    }

    /// Takes a slice in.
    fn add(&mut self, batch: &DeltaBatch, touched: &mut Touched) -> Result<()> {
        let keys = project(batch.columns.columns(), &self.keys);
        let found = self.groups.find_or_insert(&keys, batch.len())?;
        let first = touched.slots.len();
        for (slot, hash) in found.slots.iter().zip(&found.hashes) {
            if self.groups.touch(*slot) {
                touched.slots.push(*slot);
                touched.hashes.push(*hash);
            }
        }
        self.read_old(first, touched)?;
        let weights: Vec<i64> = (0..batch.len()).map(|i| batch.weights.get(i)).collect();
        for (slot, weight) in found.slots.iter().zip(&weights) {
            self.groups.add_weight(*slot, *weight);
        }
        let (columns, slots) = (batch.columns.columns().to_vec(), found.slots);
        let rows = Arc::new(Rows { columns, slots, weights });
        self.prepare(&rows)?;
        for state in &mut self.states {
            let mut masked = Vec::new();
            let slice = rows.slice(&state.node, &mut masked);
            state.class.update(&mut self.groups, state.at, &slice)?;
        }
        Ok(())
    }

    /// Lets the calls do what they need no groups for: together if that is much.
    fn prepare(&mut self, rows: &Arc<Rows>) -> Result<()> {
        let prepare = |state: &mut State, rows: &Rows| {
            state.class.prepare(&rows.slice(&state.node, &mut Vec::new()))
        };
        let heavy = self.states.iter().filter(|state| state.class.prepares()).count();
        if heavy < 2 || !self.workers.pays(rows.slots.len()) {
            return self.states.iter_mut().try_for_each(|state| prepare(state, rows));
        }
        let rows = Arc::clone(rows);
        let prepared = self.workers.map(std::mem::take(&mut self.states), move |mut state| {
            let run = AssertUnwindSafe(|| prepare(&mut state, &rows));
            let result = catch_unwind(run);
            (state, result)
        });
        let (states, results): (Vec<_>, Vec<_>) = prepared.into_iter().unzip();
        self.states = states;
        let result = |result| match result {
            Ok(result) => result,
            Err(panic) => resume_unwind(panic),
        };
        results.into_iter().try_for_each(result)
    }

    /// Reads the output of the groups from `first` on, which nothing in this tick has changed yet.
    fn read_old(&mut self, first: usize, touched: &mut Touched) -> Result<()> {
        let slots = &touched.slots[first..];
        let existed: Vec<bool> =
            slots.iter().map(|s| self.started_or_keyed() && self.exists(*s)).collect();
        let (values, failed) = self.read(slots)?;
        touched.existed.extend(existed);
        touched.old.push(values);
        touched.failed.extend(failed.into_iter().map(|(row, text)| (row + first, text)));
        Ok(())
    }

    fn started_or_keyed(&self) -> bool {
        self.started || !self.is_global()
    }

    /// The values of all calls for groups, and which groups have none.
    fn read(&mut self, slots: &[u32]) -> Result<(Vec<ArrayRef>, Failures)> {
        let mut failures = Failures::new();
        let Self { calls, states, groups, .. } = self;
        let read = |call: &Call| {
            let State { class, at, .. } = &mut states[call.state];
            class.evaluate(call.reading, (groups, *at), slots, &mut failures)
        };
        let values = calls.iter().map(read).collect::<Result<Vec<_>>>()?;
        failures.sort_by_key(|(row, _)| *row);
        failures.dedup_by_key(|(row, _)| *row);
        Ok((values, failures))
    }

    /// Old and new output of the touched groups as a delta.
    fn emit(&mut self, touched: &Touched, out: &mut Delta) -> Result<()> {
        let slots = &touched.slots;
        let (new, new_failed) = self.read(slots)?;
        let old = self.old_values(touched)?;
        let aligned: Vec<u32> = (0..to_u32(slots.len())?).collect();
        let mut same = vec![true; slots.len()];
        for (old, new) in old.iter().zip(&new) {
            retain_equal((old, &aligned), (new, &aligned), Equality::Bits, &mut same)?;
        }
        let old_failed = flags(slots.len(), &touched.failed);
        let failed = flags(slots.len(), &new_failed);
        let (mut minus, mut plus) = (Vec::new(), Vec::new());
        for row in aligned {
            let i = row as usize;
            let was = touched.existed[i] && !old_failed[i];
            let is = self.exists(slots[i]) && !failed[i];
            if was && !(is && same[i]) {
                minus.push(row);
            }
            if is && !(was && same[i]) {
                plus.push(row);
            }
        }
        let errors = |failures: &Failures, weight: i64, exists: &dyn Fn(usize) -> bool| {
            let rows = failures.iter().filter(|(row, _)| exists(*row));
            let error = rows.map(|(row, (sqlstate, message))| {
                let row_hash = touched.hashes[*row];
                let (sqlstate, message) = ((*sqlstate).to_owned(), message.clone());
                (ErrorRow { sqlstate, message, row_hash }, weight)
            });
            error.collect::<Vec<_>>()
        };
        out.err.extend(errors(&touched.failed, -1, &|row| touched.existed[row]));
        out.err.extend(errors(&new_failed, 1, &|row| self.exists(slots[row])));
        out.push(DeltaBatch::retractions(self.rows(slots, &minus, &old)?));
        out.push(DeltaBatch::inserts(self.rows(slots, &plus, &new)?));
        Ok(())
    }

    fn old_values(&self, touched: &Touched) -> Result<Vec<ArrayRef>> {
        if let [only] = &touched.old[..] {
            return Ok(only.clone());
        }
        let of_call = |call: usize| {
            let parts: Vec<_> = touched.old.iter().map(|slice| slice[call].as_ref()).collect();
            Ok(concat(&parts)?)
        };
        (0..self.calls.len()).map(of_call).collect()
    }

    /// Output rows: the keys of the slots at `rows` and their values.
    fn rows(
        &self,
        slots: &[u32],
        rows: &[u32],
        values: &[ArrayRef],
    ) -> Result<arrow::array::RecordBatch> {
        let chosen: Vec<u32> = rows.iter().map(|r| slots[*r as usize]).collect();
        let mut columns = self.groups.gather_keys(&chosen)?;
        let indices = UInt32Array::from(rows.to_vec());
        for value in values {
            columns.push(take(value, &indices, None)?);
        }
        Ok(batch_of(&self.schema, columns, rows.len())?)
    }

    /// Frees the groups that are gone.
    fn release(&mut self, touched: &Touched) -> Result<()> {
        if self.is_global() {
            return Ok(());
        }
        for (slot, hash) in touched.slots.iter().zip(&touched.hashes) {
            if self.groups.weight(*slot) != 0 {
                continue;
            }
            for state in &mut self.states {
                state.class.release(*slot)?;
            }
            self.groups.remove(*slot, *hash);
        }
        self.groups.compact_if_worn()
    }
}

fn flags(rows: usize, failures: &Failures) -> Vec<bool> {
    let mut flags = vec![false; rows];
    failures.iter().for_each(|(row, _)| flags[*row] = true);
    flags
}

impl Operator for Aggregate {
    fn step(&mut self, _tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        self.groups.begin_tick();
        let mut touched = Touched::default();
        if self.is_global() && !self.started {
            // The one group exists before any row.
            let found = self.groups.find_or_insert(&[], 1)?;
            self.groups.touch(found.slots[0]);
            touched.slots = found.slots;
            touched.hashes = found.hashes;
            self.read_old(0, &mut touched)?;
        }
        let heavy = self.states.iter().filter(|state| state.class.prepares()).count();
        let slice_rows = if heavy > 1 { SHARED_ROWS } else { SLICE_ROWS };
        for batch in inputs[0].ok.iter().flat_map(|b| slices(b, slice_rows)) {
            self.metrics.rows_in += batch.len() as u64;
            self.add(&batch, &mut touched)?;
        }
        self.started = true;
        let mut out = Delta { ok: Vec::new(), err: inputs[0].err.clone() };
        if touched.slots.is_empty() {
            return Ok(out);
        }
        if touched.slots.iter().any(|s| self.groups.weight(*s) < 0) {
            let text = "rows of a group were retracted more often than added";
            return Err(Error::Internal(text.to_owned()));
        }
        for state in &mut self.states {
            state.class.end_tick()?;
        }
        self.emit(&touched, &mut out)?;
        self.release(&touched)?;
        self.metrics.rows_out += out.rows() as u64;
        Ok(out)
    }

    fn freeze(&mut self, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        self.groups.freeze(0, full, out)?;
        for (i, state) in self.states.iter_mut().enumerate() {
            state.class.freeze(part_of(i)?, full, out)?;
        }
        Ok(())
    }

    fn restore(&mut self, runs: &[StateRun]) -> Result<()> {
        let part = |part: u32| runs.iter().filter(move |r| r.part == part).collect::<Vec<_>>();
        self.groups.restore(part(0))?;
        for (i, state) in self.states.iter_mut().enumerate() {
            let first = part_of(i)?;
            state.class.restore(first, runs)?;
        }
        self.started = !runs.is_empty();
        Ok(())
    }

    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        let mut freed = 0;
        for state in &mut self.states {
            freed += state.class.spill(space, want.saturating_sub(freed))?;
        }
        Ok(freed + self.groups.spill(space, want.saturating_sub(freed))?)
    }

    fn metrics(&self) -> OperatorMetrics {
        let side = self.states.iter().map(|s| s.class.side()).fold(Side::default(), Side::plus);
        OperatorMetrics {
            state_rows: self.groups.len() as u64 + side.rows,
            state_bytes: self.groups.bytes() + side.bytes,
            spilled_bytes: self.groups.spilled() + side.spilled,
            state_rows_touched: self.groups.touched() + side.touched,
            ..self.metrics
        }
    }
}

/// The call as a reader of state that is there.
fn shared(states: &mut [State], call: &AggregateCall) -> Option<Call> {
    states.iter_mut().enumerate().find_map(|(number, state)| {
        let same = state.node.argument == call.argument && state.node.filter == call.filter;
        let reading = if same { state.class.share(call) } else { None };
        reading.map(|reading| Call { state: number, reading })
    })
}

/// The first part number of state beside the slots; the state of a call has up to 16 parts.
fn part_of(state: usize) -> Result<u32> {
    Ok(16 * (to_u32(state)? + 1))
}
