//! Expressions of the clock: their values at some times, and when they change.
//!
//! Such an expression is monotonic, so the first moment at which it has gone so far is found by doubling the
//! distance and then cutting it, many times in one evaluation. Nothing need be known of what it computes.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, SchemaRef};
use levada_planner::clock;
use levada_planner::delta_plan::Expression;

use crate::error::Result;

/// Times that are tried at once.
const TRIES: i64 = 64;
/// Doublings of a microsecond that are looked ahead: about 140 years.
const DOUBLINGS: u32 = 52;

/// Expressions over the clock.
#[derive(Debug)]
pub(crate) struct Readings {
    expressions: Vec<Expression>,
    schema: SchemaRef,
}

impl Readings {
    pub(crate) fn new(expressions: Vec<Expression>) -> Self {
        Self { expressions, schema: clock::schema() }
    }

    /// The type of value `i`.
    ///
    /// # Errors
    /// When the expression has none.
    pub(crate) fn data_type(&self, i: usize) -> Result<DataType> {
        Ok(self.expressions[i].physical.data_type(&self.schema)?)
    }

    /// A column per expression, with its value at each of these times, in microseconds since 1970 UTC.
    ///
    /// # Errors
    /// When an expression has no value at one of them.
    pub(crate) fn at(&self, times: &[i64]) -> Result<Vec<ArrayRef>> {
        let column = TimestampMicrosecondArray::from(times.to_vec());
        let column = column.with_data_type(self.schema.field(0).data_type().clone());
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), vec![Arc::new(column)])?;
        let value = |e: &Expression| -> Result<ArrayRef> {
            Ok(e.physical.evaluate(&rows)?.into_array(times.len())?)
        };
        self.expressions.iter().map(value).collect()
    }
}

/// The first time after `now` that is `reached`; `guess` may name it. What is reached once stays so. None
/// within the years that are looked ahead: their end, to ask again. If it cannot be told, the next moment.
pub(crate) fn first(
    now: i64,
    guess: Option<i64>,
    reached: &dyn Fn(&[i64]) -> Result<Vec<bool>>,
) -> i64 {
    search(now, guess, reached).unwrap_or_else(|error| {
        tracing::warn!(%error, "could not tell when the clock matters");
        now.saturating_add(1)
    })
}

fn search(
    now: i64,
    guess: Option<i64>,
    reached: &dyn Fn(&[i64]) -> Result<Vec<bool>>,
) -> Result<i64> {
    if let Some(guess) = guess.filter(|guess| *guess > now) {
        let near = [guess - 1, guess, guess.saturating_add(1)];
        let is_reached = reached(&near)?;
        let found = (0..near.len()).find(|i| is_reached[*i]);
        if let Some(i) = found.filter(|i| *i > 0 || near[0] == now + 1) {
            return Ok(near[i]);
        }
    }
    let far: Vec<i64> = (0..=DOUBLINGS).map(|k| now.saturating_add(1 << k)).collect();
    let Some(at) = reached(&far)?.iter().position(|reached| *reached) else {
        return Ok(far[far.len() - 1]);
    };
    let (mut before, mut after) = (if at == 0 { now } else { far[at - 1] }, far[at]);
    while after - before > 1 {
        let step = ((after - before) / TRIES).max(1);
        let tries: Vec<i64> =
            (1..=TRIES).map(|i| before + i * step).take_while(|time| *time < after).collect();
        match reached(&tries)?.iter().position(|reached| *reached) {
            Some(i) => {
                after = tries[i];
                before = if i == 0 { before } else { tries[i - 1] };
            }
            None => before = tries[tries.len() - 1],
        }
    }
    Ok(after)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::first;

    #[test]
    fn the_first_moment_is_found_in_few_evaluations() {
        for distance in [1, 2, 63, 64, 65, 1_000_000, 86_400_000_001, 3_155_760_000_000_000] {
            for guess in [None, Some(distance), Some(distance - 1), Some(distance + 1), Some(7)] {
                let asked = Cell::new(0);
                let reached = |times: &[i64]| {
                    asked.set(asked.get() + 1);
                    Ok(times.iter().map(|time| *time >= 1_000 + distance).collect())
                };
                let found = first(1_000, guess.map(|g| 1_000 + g), &reached);
                assert_eq!(found, 1_000 + distance, "guess {guess:?}");
                assert!(asked.get() < 14, "{distance}: {} evaluations", asked.get());
            }
        }
    }

    #[test]
    fn what_is_never_reached_is_looked_for_again_much_later() {
        let never = |times: &[i64]| Ok(vec![false; times.len()]);
        assert!(first(0, None, &never) > 4_000_000_000_000_000);
    }
}
