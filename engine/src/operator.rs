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
pub mod constant;
pub mod distinct;
mod evaluate;
pub mod filter;
pub mod join;
pub mod project;
pub mod row_error;
pub mod threshold;
pub mod top_k;
pub mod union;
pub mod unnest;
pub mod window;

use arrow::array::RecordBatch;
use levada_storage::delta::{Delta, DeltaBatch};
use levada_storage::epoch::Epoch;

/// Version of the hash that orders runs and index; a run of another version is not loaded.
pub const HASH_VERSION: u32 = 1;

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

/// What an operator holds and has done, for `sys` relations, EXPLAIN and cost guards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperatorMetrics {
    /// Rows of state.
    pub state_rows: u64,
    /// Bytes of state, kept up to date incrementally.
    pub state_bytes: u64,
    /// Rows of state read or written since the operator was made.
    pub state_rows_touched: u64,
    /// Rows that came in.
    pub rows_in: u64,
    /// Rows that went out.
    pub rows_out: u64,
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

    /// State that changed since the last call; `full` asks for all of it as replacing runs.
    ///
    /// # Errors
    /// When rows cannot be gathered.
    fn freeze(&mut self, full: bool) -> crate::error::Result<Vec<StateRun>> {
        let _ = full;
        Ok(Vec::new())
    }

    /// Takes back the runs of earlier `freeze` calls, oldest first; called on a fresh operator.
    ///
    /// # Errors
    /// When the runs do not fit this operator.
    fn restore(&mut self, runs: &[StateRun]) -> crate::error::Result<()> {
        let _ = runs;
        Ok(())
    }

    /// What it holds and has done.
    fn metrics(&self) -> OperatorMetrics {
        OperatorMetrics::default()
    }
}

/// Rows that go through lookup, update and emission together: more would leave the cache between the
/// passes, fewer would pay the overhead of a pass more often.
pub(crate) const SLICE_ROWS: usize = 2048;

/// `batch` in slices of at most `rows` rows, zero copy.
pub(crate) fn slices(batch: &DeltaBatch, rows: usize) -> impl Iterator<Item = DeltaBatch> + '_ {
    (0..batch.len()).step_by(rows).map(move |from| batch.slice(from, rows.min(batch.len() - from)))
}
