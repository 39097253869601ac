//! Classes of aggregate calls: how a call keeps its state and reads its result.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Schema};
use levada_planner::aggregate::float::Reading;
use levada_planner::delta_plan::{AggregateCall, AggregateFunction};

use crate::arrangement::hash::HashWidth;
use crate::arrangement::keyed::KeyedState;
use crate::error::{Error, Result};
use crate::operator::aggregate::{
    bits, boolean, count, decimal, distinct, extreme, float, holistic, integer, moment, ordered,
};
use crate::operator::{RunSink, StateRun};
use crate::spill::SpillSpace;

/// Rows of the requested groups that have no value: SQLSTATE and message.
pub(super) type Failures = Vec<(usize, (&'static str, String))>;

/// A slice of rows on its way into the groups.
pub(super) struct Slice<'a> {
    /// Group of each row.
    pub(super) slots: &'a [u32],
    /// Weight of each row; 0 where a filter hides it.
    pub(super) weights: &'a [i64],
    /// The argument, unless it is `count(*)`.
    pub(super) values: Option<&'a ArrayRef>,
    /// All input columns; none behind DISTINCT.
    pub(super) columns: &'a [ArrayRef],
}

impl Slice<'_> {
    /// Calls `f` with row, group and weight of each row that counts: with a weight and not NULL.
    #[inline]
    pub(super) fn each(&self, mut f: impl FnMut(usize, u32, i64)) {
        let nulls = self.values.and_then(Array::logical_nulls).filter(|n| n.null_count() > 0);
        let rows = self.slots.iter().zip(self.weights).enumerate();
        match nulls {
            None => rows.filter(|(_, (_, w))| **w != 0).for_each(|(i, (s, w))| f(i, *s, *w)),
            Some(nulls) => rows
                .filter(|(i, (_, w))| **w != 0 && nulls.is_valid(*i))
                .for_each(|(i, (s, w))| f(i, *s, *w)),
        }
    }
}

/// State of a call beside the groups' slots.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Side {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// Bytes in spill space.
    pub(super) spilled: u64,
    pub(super) touched: u64,
}

impl Side {
    /// Both together.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            bytes: self.bytes + other.bytes,
            spilled: self.spilled + other.spilled,
            touched: self.touched + other.touched,
        }
    }
}

/// One call over all groups, or some that share its state. Its words in a group's slot begin at `at`.
pub(super) trait Class: Send {
    /// Words it needs in a slot; a fresh slot holds zeros.
    fn words(&self) -> usize;

    /// Reads its state for another call with the same argument and filter too: the number of that call.
    fn share(&mut self, call: &AggregateCall) -> Option<usize> {
        let _ = call;
        None
    }

    /// Whether [`Class::prepare`] is most of the work.
    fn prepares(&self) -> bool {
        false
    }

    /// What of adding a slice needs nothing of the groups; [`Class::update`] follows.
    fn prepare(&mut self, slice: &Slice) -> Result<()> {
        let _ = slice;
        Ok(())
    }

    /// Adds the slice that was prepared.
    fn update(&mut self, groups: &mut KeyedState, at: usize, slice: &Slice) -> Result<()>;

    /// Checks what the slices of a tick left behind.
    fn end_tick(&mut self) -> Result<()> {
        Ok(())
    }

    /// The values of groups, for the call of that number among those that share the state, whose `words` begin at
    /// a place in the slots; a row without a value is noted in `failures` and has any value.
    fn evaluate(
        &mut self,
        reading: usize,
        words: (&KeyedState, usize),
        slots: &[u32],
        failures: &mut Failures,
    ) -> Result<ArrayRef>;

    /// Forgets a group that is gone.
    fn release(&mut self, slot: u32) -> Result<()> {
        let _ = slot;
        Ok(())
    }

    /// Runs of the state beside the slots, as parts from `part` on.
    fn freeze(&mut self, _part: u32, _full: bool, _out: &mut RunSink<'_>) -> Result<()> {
        Ok(())
    }

    /// Takes the runs of its parts back.
    fn restore(&mut self, part: u32, runs: &[StateRun]) -> Result<()> {
        let _ = (part, runs);
        Ok(())
    }

    /// Moves what it holds beside the slots to spill space until that freed `want` bytes of memory.
    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        let _ = (space, want);
        Ok(0)
    }

    /// What it holds beside the slots.
    fn side(&self) -> Side {
        Side::default()
    }
}

/// What is grouped.
#[derive(Clone, Copy)]
pub(super) struct Grouped<'a> {
    /// The input's columns.
    pub(super) schema: &'a Schema,
    /// Whether there are keys: groups come and go.
    pub(super) keyed: bool,
    /// Whether nothing is ever taken back.
    pub(super) insert_only: bool,
}

/// The class of a call.
pub(super) fn class_of(
    call: &AggregateCall,
    grouped: Grouped<'_>,
    width: HashWidth,
) -> Result<Box<dyn Class>> {
    let Grouped { schema: input, keyed, insert_only } = grouped;
    if let AggregateFunction::Holistic(node) = &call.function {
        let class = holistic::Holistic::new(node, call.output_type.clone(), input, keyed, width);
        return Ok(Box::new(class));
    }
    if let AggregateFunction::End(node) = &call.function {
        return extreme::row_end(node, input, insert_only);
    }
    let inner = plain(call, insert_only)?;
    let handles_distinct = matches!(
        call.function,
        AggregateFunction::Min
            | AggregateFunction::Max
            | AggregateFunction::BoolAnd
            | AggregateFunction::BoolOr
            | AggregateFunction::BitAnd
            | AggregateFunction::BitOr
            | AggregateFunction::Quantile(_)
    );
    if call.distinct && !handles_distinct && call.argument.is_some() {
        return Ok(Box::new(distinct::Distinct::new(inner, &call.input_type, width)));
    }
    Ok(inner)
}

fn plain(call: &AggregateCall, insert_only: bool) -> Result<Box<dyn Class>> {
    use AggregateFunction::{
        Avg, BitAnd, BitOr, BitXor, BoolAnd, BoolOr, Count, Max, Min, Moment, Sum,
    };
    use DataType::{Float64, Int64, UInt64};
    Ok(match (&call.function, &call.input_type, &call.output_type) {
        (Count, ..) => Box::new(count::Count),
        (Sum, input, output @ (Int64 | UInt64)) if input.is_integer() => {
            Box::new(integer::Sum::new(output.clone()))
        }
        (Sum, input, output @ DataType::Decimal128(_, 0)) if input.is_integer() => {
            Box::new(integer::Sum::new(output.clone()))
        }
        (Sum, input, Float64) if input.is_floating() => Box::new(float::Sum::new(Reading::Sum)),
        (Avg, input, Float64) if input.is_integer() || input.is_floating() => {
            Box::new(float::Sum::new(Reading::Average))
        }
        (Sum, input, output) if input.is_decimal() && output.is_decimal() => {
            Box::new(decimal::Decimal::sum(output.clone())?)
        }
        (Avg, input, output) if input.is_decimal() && output.is_decimal() => {
            Box::new(decimal::Decimal::average(input, output.clone())?)
        }
        (Min | Max, ..) => extreme::class(call, insert_only)?,
        (BoolAnd, ..) => Box::new(boolean::Boolean::new(boolean::Reading::All)),
        (BoolOr, ..) => Box::new(boolean::Boolean::new(boolean::Reading::Any)),
        (BitAnd, input, _) => Box::new(bits::Bits::new(bits::Reading::All, input)),
        (BitOr, input, _) => Box::new(bits::Bits::new(bits::Reading::Any, input)),
        (BitXor, input, _) => Box::new(bits::Xor::new(input)),
        (Moment { statistic, second }, ..) => Box::new(moment::Moment::new(*statistic, *second)),
        (function, input, _) => match ordered::class(call) {
            Some(class) => class,
            None => {
                let text = format!("no incremental {function:?} over {input}");
                return Err(Error::Internal(text));
            }
        },
    })
}
