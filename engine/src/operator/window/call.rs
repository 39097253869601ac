//! One call of a window, evaluated for some rows of a partition.
//!
//! The rows around them that they look at are at hand. What moves with the frame is computed for the asked
//! rows alone: of the frames of the others a part may be missing.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, new_empty_array};
use arrow::compute::filter;
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::WindowFrameBound;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::window::{SlidingAggregateWindowExpr, WindowExpr};
use levada_planner::delta_plan::WindowCall;

use crate::operator::evaluate::true_rows;

type Evaluated<T> = Result<T, DataFusionError>;

/// Values of a call, and the rows where it failed.
pub(super) struct Values {
    /// One for each row; NULL where it was not asked for.
    pub(super) values: ArrayRef,
    pub(super) failed: Vec<(usize, DataFusionError)>,
}

/// Collects the values of a call row by row.
pub(super) struct Collected {
    null: ScalarValue,
    values: Vec<ScalarValue>,
    failed: Vec<(usize, DataFusionError)>,
}

impl Collected {
    pub(super) fn new(data_type: &DataType) -> Evaluated<Self> {
        let null = ScalarValue::try_from(data_type)?;
        Ok(Self { null, values: Vec::new(), failed: Vec::new() })
    }

    /// The values of the next rows.
    pub(super) fn push(&mut self, value: Evaluated<ScalarValue>, rows: usize) {
        match value {
            Ok(value) => self.values.extend(std::iter::repeat_n(value, rows)),
            Err(error) => {
                let message = Arc::new(error);
                let failed = self.values.len()..self.values.len() + rows;
                let errors = failed.map(|row| (row, DataFusionError::Shared(Arc::clone(&message))));
                self.failed.extend(errors);
                self.skip(rows);
            }
        }
    }

    /// The next rows are not asked for.
    pub(super) fn skip(&mut self, rows: usize) {
        self.values.extend(std::iter::repeat_n(self.null.clone(), rows));
    }

    pub(super) fn finish(self) -> Evaluated<Values> {
        let values = match self.values.is_empty() {
            true => new_empty_array(&self.null.data_type()),
            false => ScalarValue::iter_to_array(self.values)?,
        };
        Ok(Values { values, failed: self.failed })
    }
}

/// A call that looks at so many rows around each.
#[derive(Debug)]
pub(super) enum Call {
    /// DataFusion's form of it, over all rows that are at hand.
    Whole(Arc<dyn WindowExpr>),
    /// An aggregate over a moving frame.
    Moving(Box<Moving>),
}

impl Call {
    pub(super) fn new(call: &WindowCall) -> Self {
        let sliding = call.physical.as_any().downcast_ref::<SlidingAggregateWindowExpr>();
        match sliding {
            None => Self::Whole(Arc::clone(&call.physical)),
            Some(sliding) => Self::Moving(Box::new(Moving {
                call: Arc::clone(&call.physical),
                aggregate: sliding.get_aggregate_expr().clone(),
                filter: call.filter.clone(),
            })),
        }
    }

    /// Its values for the asked ones of `rows`.
    pub(super) fn evaluate(&self, rows: &RecordBatch, asked: Range<usize>) -> Evaluated<Values> {
        let (call, values) = match self {
            Self::Whole(call) => {
                let values = call.evaluate(rows);
                (call, values.map(|values| Values { values, failed: Vec::new() }))
            }
            Self::Moving(moving) => (&moving.call, moving.evaluate(rows, asked.clone())),
        };
        values.or_else(|error| {
            let mut failed = Collected::new(call.field()?.data_type())?;
            failed.skip(asked.start);
            failed.push(Err(error), asked.len());
            failed.skip(rows.num_rows() - asked.end);
            failed.finish()
        })
    }
}

/// An aggregate over the rows from one offset to another.
#[derive(Debug)]
pub(super) struct Moving {
    call: Arc<dyn WindowExpr>,
    aggregate: AggregateFunctionExpr,
    filter: Option<Arc<dyn PhysicalExpr>>,
}

impl Moving {
    fn evaluate(&self, rows: &RecordBatch, asked: Range<usize>) -> Evaluated<Values> {
        let arguments = Arguments::of(&self.call, self.filter.as_ref(), rows)?;
        let data_type = self.aggregate.field().data_type().clone();
        let mut collected = Collected::new(&data_type)?;
        collected.skip(asked.start);
        let mut sum = self.aggregate.create_sliding_accumulator()?;
        let mut last = 0..0;
        for row in asked.clone() {
            let frame = self.frame(row, rows.num_rows());
            if frame.is_empty() {
                collected.push(self.aggregate.default_value(&data_type), 1);
                continue;
            }
            if frame.start >= last.end {
                sum = self.aggregate.create_sliding_accumulator()?;
                last = frame.start..frame.start;
            }
            let moved = arguments
                .give(last.end..frame.end, &mut |values| sum.update_batch(values))
                .and_then(|()| {
                    let left = last.start..frame.start;
                    arguments.give(left, &mut |values| sum.retract_batch(values))
                });
            last = frame;
            match moved {
                Ok(()) => collected.push(sum.evaluate(), 1),
                Err(error) => {
                    collected.push(Err(error), 1);
                    last = 0..0;
                }
            }
        }
        collected.skip(rows.num_rows() - asked.end);
        collected.finish()
    }

    /// The frame of a row among `rows` rows.
    fn frame(&self, row: usize, rows: usize) -> Range<usize> {
        let frame = self.call.get_window_frame();
        let place = |bound: &WindowFrameBound| match bound {
            WindowFrameBound::CurrentRow => Some(row),
            WindowFrameBound::Preceding(by) => row.checked_sub(count(by)),
            WindowFrameBound::Following(by) => Some(row.saturating_add(count(by))),
        };
        let start = place(&frame.start_bound).unwrap_or(0).min(rows);
        let end = place(&frame.end_bound).map_or(0, |row| row.saturating_add(1)).min(rows);
        start..end
    }
}

/// A number of rows; without one there is no bound.
fn count(rows: &ScalarValue) -> usize {
    match rows {
        ScalarValue::UInt64(Some(rows)) => usize::try_from(*rows).unwrap_or(usize::MAX),
        _ => usize::MAX,
    }
}

/// The arguments of an aggregate, and the rows that its filter passes.
pub(super) struct Arguments {
    pub(super) columns: Vec<ArrayRef>,
    passes: Option<BooleanArray>,
}

impl Arguments {
    pub(super) fn of(
        call: &Arc<dyn WindowExpr>,
        filter: Option<&Arc<dyn PhysicalExpr>>,
        rows: &RecordBatch,
    ) -> Evaluated<Self> {
        let passes = filter.map(|filter| true_rows(filter, rows)).transpose()?;
        Ok(Self { columns: call.evaluate_args(rows)?, passes })
    }

    /// Calls `take` with the arguments of the rows of `range` that count, if it is not empty.
    pub(super) fn give(
        &self,
        range: Range<usize>,
        take: &mut dyn FnMut(&[ArrayRef]) -> Evaluated<()>,
    ) -> Evaluated<()> {
        if range.is_empty() {
            return Ok(());
        }
        let passes = self.passes.as_ref().map(|p| p.slice(range.start, range.len()));
        let columns = self.columns.iter().map(|column| {
            let part = column.slice(range.start, range.len());
            passes.as_ref().map_or_else(|| Ok(Arc::clone(&part)), |p| filter(&part, p))
        });
        take(&columns.collect::<Result<Vec<_>, _>>()?)
    }

    /// Whether the first argument of a row is not NULL.
    pub(super) fn has_value(&self, row: usize) -> bool {
        self.columns[0].is_valid(row)
    }
}
