//! Timestamps plus or minus intervals of a fixed length, as one addition per row.
//!
//! Arrow goes through the calendar for every row. Months need it; days and less of a timestamp without a
//! time zone do not. What does not fit (months, fractions of the timestamp's unit, overflow) is left to
//! Arrow, so the result is always its own.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ArrowTimestampType, DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
    Schema, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::BinaryExpr;
use datafusion::scalar::ScalarValue;

const NANOS_PER_DAY: i64 = 86_400_000_000_000;

/// A timestamp plus or minus an interval.
#[derive(Debug, Clone, Eq)]
struct ShiftTime {
    /// The operator that it stands for.
    whole: Arc<dyn PhysicalExpr>,
    time: Arc<dyn PhysicalExpr>,
    interval: Arc<dyn PhysicalExpr>,
    is_minus: bool,
}

/// `expr` with such operators replaced, over rows of `schema`.
///
/// # Errors
/// When a type cannot be told.
pub(crate) fn shift_times(
    expr: Arc<dyn PhysicalExpr>,
    schema: &Schema,
) -> Result<Arc<dyn PhysicalExpr>> {
    let shifted = expr.transform_up(|e| {
        let Some(shift) = e.downcast_ref::<BinaryExpr>().and_then(|b| shift_of(b, &e, schema))
        else {
            return Ok(Transformed::no(e));
        };
        let shift: Arc<dyn PhysicalExpr> = Arc::new(shift);
        Ok(Transformed::yes(shift))
    })?;
    Ok(shifted.data)
}

fn shift_of(
    binary: &BinaryExpr,
    whole: &Arc<dyn PhysicalExpr>,
    schema: &Schema,
) -> Option<ShiftTime> {
    let is_minus = match binary.op() {
        Operator::Plus => false,
        Operator::Minus => true,
        _ => return None,
    };
    let (time, interval) = (Arc::clone(binary.left()), Arc::clone(binary.right()));
    let types = (time.data_type(schema).ok()?, interval.data_type(schema).ok()?);
    let fits = matches!(
        types,
        (DataType::Timestamp(_, None), DataType::Interval(IntervalUnit::MonthDayNano))
    );
    fits.then(|| ShiftTime { whole: Arc::clone(whole), time, interval, is_minus })
}

/// The length of an interval in units of `nanos` nanoseconds, if it has just one.
fn length(interval: IntervalMonthDayNano, nanos: i64) -> Option<i64> {
    let all = i64::from(interval.days).checked_mul(NANOS_PER_DAY)?;
    let all = all.checked_add(interval.nanoseconds)?;
    (interval.months == 0 && all % nanos == 0).then(|| all / nanos)
}

/// The intervals of some rows.
enum Intervals<'a> {
    One(i64),
    Each(&'a PrimitiveArray<IntervalMonthDayNanoType>),
}

impl ShiftTime {
    /// The shifted times; none when one of them is not for us.
    fn shifted<T: ArrowTimestampType>(
        &self,
        times: &ArrayRef,
        intervals: &Intervals<'_>,
        nanos: i64,
    ) -> Option<ArrayRef> {
        let times = times.as_primitive_opt::<T>()?;
        let shift = |time: i64, by: i64| match self.is_minus {
            true => time.checked_sub(by),
            false => time.checked_add(by),
        };
        let (values, nulls) = match intervals {
            Intervals::One(by) => {
                let values =
                    times.values().iter().enumerate().map(|(i, time)| {
                        if times.is_null(i) { Some(0) } else { shift(*time, *by) }
                    });
                (values.collect::<Option<Vec<i64>>>()?, times.nulls().cloned())
            }
            Intervals::Each(intervals) => {
                let nulls = NullBuffer::union(times.nulls(), intervals.nulls());
                let pairs = times.values().iter().zip(intervals.values()).enumerate();
                let values = pairs.map(|(i, (time, by))| {
                    if nulls.as_ref().is_some_and(|n| n.is_null(i)) {
                        return Some(0);
                    }
                    shift(*time, length(*by, nanos)?)
                });
                (values.collect::<Option<Vec<i64>>>()?, nulls.clone())
            }
        };
        Some(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls)))
    }

    fn fast(&self, batch: &RecordBatch) -> Result<Option<ArrayRef>> {
        let times = self.time.evaluate(batch)?.into_array(batch.num_rows())?;
        let DataType::Timestamp(unit, None) = times.data_type() else { return Ok(None) };
        let nanos = match unit {
            TimeUnit::Second => 1_000_000_000,
            TimeUnit::Millisecond => 1_000_000,
            TimeUnit::Microsecond => 1_000,
            TimeUnit::Nanosecond => 1,
        };
        let interval = self.interval.evaluate(batch)?;
        let array;
        let intervals = match &interval {
            ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(interval))) => {
                match length(*interval, nanos) {
                    Some(by) => Intervals::One(by),
                    None => return Ok(None),
                }
            }
            ColumnarValue::Scalar(_) => return Ok(None),
            ColumnarValue::Array(values) => {
                array = values.as_primitive_opt::<IntervalMonthDayNanoType>();
                match array {
                    Some(values) => Intervals::Each(values),
                    None => return Ok(None),
                }
            }
        };
        Ok(match unit {
            TimeUnit::Second => self.shifted::<TimestampSecondType>(&times, &intervals, nanos),
            TimeUnit::Millisecond => {
                self.shifted::<TimestampMillisecondType>(&times, &intervals, nanos)
            }
            TimeUnit::Microsecond => {
                self.shifted::<TimestampMicrosecondType>(&times, &intervals, nanos)
            }
            TimeUnit::Nanosecond => {
                self.shifted::<TimestampNanosecondType>(&times, &intervals, nanos)
            }
        })
    }
}

// The operator that it stands for says all.
impl PartialEq for ShiftTime {
    fn eq(&self, other: &Self) -> bool {
        self.whole.eq(&other.whole)
    }
}

impl Hash for ShiftTime {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.whole.hash(state);
    }
}

impl fmt::Display for ShiftTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.whole)
    }
}

impl PhysicalExpr for ShiftTime {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.whole.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.whole.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        match self.fast(batch)? {
            Some(times) => Ok(ColumnarValue::Array(times)),
            None => self.whole.evaluate(batch),
        }
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.time, &self.interval]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let [time, interval] = &children[..] else {
            return internal_err!("a shifted time has two children");
        };
        let (time, interval) = (Arc::clone(time), Arc::clone(interval));
        let whole = Arc::clone(&self.whole).with_new_children(children)?;
        Ok(Arc::new(Self { whole, time, interval, is_minus: self.is_minus }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.whole.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, IntervalMonthDayNanoArray, RecordBatch, TimestampMicrosecondArray,
    };
    use arrow::datatypes::IntervalMonthDayNano;
    use datafusion::logical_expr::Operator;
    use datafusion::physical_expr::PhysicalExpr;
    use datafusion::physical_expr::expressions::{BinaryExpr, Column};

    use super::shift_times;

    #[test]
    fn shifted_times_are_those_of_arrow() {
        let times = [0, 1, -1, 1_700_000_000_123_456, -62_135_596_800_000_000, 951_782_400_000_000];
        let intervals =
            [(0, 0, 1000), (0, 1, -5000), (0, -400, 0), (1, 2, 3000), (0, 0, 1), (0, 3, 999)];
        let rows = times.iter().flat_map(|t| intervals.iter().map(move |i| (*t, *i)));
        let (mut left, mut right) = (vec![None], vec![None]);
        for (time, (months, days, nanos)) in rows {
            left.extend([Some(time), None]);
            right.extend([Some(IntervalMonthDayNano::new(months, days, nanos)); 2]);
        }
        let left: ArrayRef = Arc::new(TimestampMicrosecondArray::from(left));
        let right: ArrayRef = Arc::new(IntervalMonthDayNanoArray::from(right));
        let batch = RecordBatch::try_from_iter([("t", left), ("i", right)]).expect("two columns");
        let column = |name: &str, i| Arc::new(Column::new(name, i)) as Arc<dyn PhysicalExpr>;
        for operator in [Operator::Plus, Operator::Minus] {
            let whole: Arc<dyn PhysicalExpr> =
                Arc::new(BinaryExpr::new(column("t", 0), operator, column("i", 1)));
            let shifted = shift_times(Arc::clone(&whole), &batch.schema()).expect("typed");
            assert_eq!(shifted.to_string(), whole.to_string(), "it reads as before");
            for row in 0..batch.num_rows() {
                let row = batch.slice(row, 1);
                let value = |e: &Arc<dyn PhysicalExpr>| {
                    e.evaluate(&row).expect("in range").into_array(1).expect("an array")
                };
                assert_eq!(&value(&shifted), &value(&whole), "{row:?} {operator}");
            }
        }
    }
}
