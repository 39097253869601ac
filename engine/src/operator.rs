//! Operators: the running form of the nodes of a `DeltaPlan`.
//!
//! An operator turns the deltas of its inputs in one tick into the delta of its output. It is synchronous
//! and pure but for its own state: it never waits, reads no clock, does no I/O and plans nothing. Operators
//! live as long as a view needs them; their state is what all former ticks left behind.
//!
//! ```text
//! output at tick t  =  step(inputs at t)  and  sum of outputs up to t = Q(sum of inputs up to t)
//! ```
//!
//! State leaves an operator as **runs** ([`StateRun`]): `freeze` hands out what changed since the last
//! `freeze` (or everything, with `replaces`), `restore` takes runs back in the order they were frozen.

pub mod aggregate;
pub mod clock;
pub mod constant;
pub(crate) mod cut;
pub mod distinct;
pub(crate) mod evaluate;
pub mod filter;
pub mod join;
pub mod project;
pub mod row_error;
pub mod sharded;
pub mod sliced;
pub mod temporal;
pub mod threshold;
pub(crate) mod time;
pub mod top_k;
pub mod union;
pub mod unnest;
pub mod window;

use std::sync::Arc;

use arrow::array::RecordBatch;
use levada_storage::delta::{Delta, DeltaBatch};
use levada_storage::epoch::Epoch;

use crate::spill::SpillSpace;

/// Version of the hash that orders runs and index.
pub const HASH_VERSION: u32 = 1;
/// Version of the runs as a whole: of the hash, and of the parts that operators have; a run of another version is not
/// loaded.
pub const RUN_VERSION: u32 = 3;

/// What an operator may know of the tick it takes part in.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// The epoch that this tick makes.
    pub epoch: Epoch,
    /// `now()` of this tick in microseconds since the Unix epoch, UTC; from the commit, never from a clock.
    pub now_us: i64,
}

/// A part of an operator's state on its way to or from a file.
#[derive(Clone, Debug)]
pub struct StateRun {
    /// Which part of the operator's state (a join has two sides).
    pub part: u32,
    /// Whether earlier runs of this part are void.
    pub replaces: bool,
    /// Rows ordered by key hash; the columns are the operator's own business.
    pub rows: RecordBatch,
}

/// Who takes runs, one at a time: all of them need not be in memory together.
pub type RunSink<'a> = dyn FnMut(StateRun) -> crate::error::Result<()> + 'a;

/// What an operator holds and has done, for `sys` relations, EXPLAIN and cost guards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperatorMetrics {
    /// Rows of state.
    pub state_rows: u64,
    /// Bytes of state, kept up to date incrementally.
    pub state_bytes: u64,
    /// Bytes of them in spill space; the others are in memory.
    pub spilled_bytes: u64,
    /// Rows of state read or written since the operator was made.
    pub state_rows_touched: u64,
    /// Rows that came in.
    pub rows_in: u64,
    /// Rows that went out.
    pub rows_out: u64,
}

impl OperatorMetrics {
    /// Bytes of state in memory.
    #[must_use]
    pub fn in_memory(&self) -> usize {
        usize::try_from(self.state_bytes.saturating_sub(self.spilled_bytes)).unwrap_or(usize::MAX)
    }
}

impl std::iter::Sum for OperatorMetrics {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            state_rows: sum.state_rows + one.state_rows,
            state_bytes: sum.state_bytes + one.state_bytes,
            spilled_bytes: sum.spilled_bytes + one.spilled_bytes,
            state_rows_touched: sum.state_rows_touched + one.state_rows_touched,
            rows_in: sum.rows_in + one.rows_in,
            rows_out: sum.rows_out + one.rows_out,
        })
    }
}

/// The running form of a plan node. See the module for the contract.
pub trait Operator: Send {
    /// Consumes the inputs' deltas of one tick and returns the output's delta.
    ///
    /// Called with `inputs.len()` equal to the node's inputs; an input that did not change is empty.
    ///
    /// # Errors
    /// Only for broken state or memory exhaustion; a row that fails to evaluate is an error row of the
    /// returned delta.
    fn step(&mut self, tick: &Tick, inputs: &[&Delta]) -> crate::error::Result<Delta>;

    /// When, after `now_us`, a tick without input changes what it has put out, at the earliest: a time in
    /// microseconds since 1970 UTC; [`None`] for an operator that only its inputs change. Asked after a
    /// [step](Operator::step) at `now_us`.
    ///
    /// # Errors
    /// When what it keeps cannot be read.
    fn due(&mut self, _now_us: i64) -> crate::error::Result<Option<i64>> {
        Ok(None)
    }

    /// Hands out the state that changed since the last call, or with `full` all of it as replacing runs.
    ///
    /// # Errors
    /// Those of `out`, and when rows cannot be gathered; then only a full call gives all that changed.
    fn freeze(&mut self, _full: bool, _out: &mut RunSink<'_>) -> crate::error::Result<()> {
        Ok(())
    }

    /// Takes back the runs of earlier `freeze` calls, oldest first; called on a fresh operator.
    ///
    /// # Errors
    /// When the runs do not fit this operator.
    fn restore(&mut self, runs: &[StateRun]) -> crate::error::Result<()> {
        let _ = runs;
        Ok(())
    }

    /// Moves state to spill space, what was used least lately first, until that freed about `want` bytes of
    /// memory; how many it freed. Nothing else changes.
    ///
    /// # Errors
    /// When there is no room.
    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> crate::error::Result<usize> {
        let _ = (space, want);
        Ok(0)
    }

    /// What it holds and has done.
    fn metrics(&self) -> OperatorMetrics {
        OperatorMetrics::default()
    }

    /// How much more state its fullest shard has than its share: 1 where it is even, or has no shards.
    fn skew(&self) -> f64 {
        1.0
    }
}

/// Rows that go through lookup, update and emission together: more would leave the cache between the
/// passes, fewer would pay the overhead of a pass more often.
pub(crate) const SLICE_ROWS: usize = 2048;

/// `batch` in slices of at most `rows` rows, zero copy.
pub(crate) fn slices(batch: &DeltaBatch, rows: usize) -> impl Iterator<Item = DeltaBatch> + '_ {
    (0..batch.len()).step_by(rows).map(move |from| batch.slice(from, rows.min(batch.len() - from)))
}
