//! Accumulators of checked integer sums.
//!
//! Sums are kept in `i128`, which 2^64 values of 64 bits cannot overflow, and are checked against the
//! result type when they are read: an intermediate excess is no error, so the order does not matter.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, UInt64Array,
};
use arrow::datatypes::{
    DataType, Decimal128Type, Field, FieldRef, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt64Type,
};
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::distinct::Distinct;
use super::for_each_counted;
use crate::pg_compat;

/// The message of a sum outside its type; SQLSTATE 22003.
pub const OUT_OF_RANGE: &str = "bigint out of range";

/// The type of sums of `bigint`.
pub const WIDE: DataType = DataType::Decimal128(38, 0);

/// Fields of the partial state of integer sums.
#[must_use]
pub fn state_fields(name: &str) -> Vec<FieldRef> {
    vec![
        Arc::new(Field::new(format!("{name}[sum]"), DataType::Decimal128(38, 0), true)),
        Arc::new(Field::new(format!("{name}[count]"), DataType::Int64, true)),
    ]
}

fn out_of_range() -> DataFusionError {
    pg_compat::error("22003", OUT_OF_RANGE.to_owned())
}

/// The values of an array of integers as a function of the row.
fn reader(values: &dyn Array) -> Result<Box<dyn Fn(usize) -> i128 + '_>> {
    macro_rules! of {
        ($type:ty) => {{
            let values = values.as_primitive::<$type>().values();
            Ok(Box::new(move |i| i128::from(values[i])))
        }};
    }
    match values.data_type() {
        DataType::Int8 => of!(Int8Type),
        DataType::Int16 => of!(Int16Type),
        DataType::Int32 => of!(Int32Type),
        DataType::Int64 => of!(Int64Type),
        DataType::UInt64 => of!(UInt64Type),
        // A partial state of distinct values has the type of the result.
        DataType::Decimal128(..) => of!(Decimal128Type),
        other => internal_err!("integer sum over {other}"),
    }
}

/// Sums, `None` where nothing was added, as an array of `output`.
///
/// # Errors
/// When a sum is outside the type.
pub fn to_array(sums: impl Iterator<Item = Option<i128>>, output: &DataType) -> Result<ArrayRef> {
    let checked = match output {
        DataType::Decimal128(precision, scale) => {
            let sums: Decimal128Array = sums.collect();
            sums.validate_decimal_precision(*precision).map_err(|_overflow| out_of_range())?;
            return Ok(Arc::new(sums.with_precision_and_scale(*precision, *scale)?));
        }
        DataType::UInt64 => sums
            .map(|s| s.map(u64::try_from).transpose())
            .collect::<std::result::Result<UInt64Array, _>>()
            .map(|a| Arc::new(a) as ArrayRef),
        _ => sums
            .map(|s| s.map(i64::try_from).transpose())
            .collect::<std::result::Result<Int64Array, _>>()
            .map(|a| Arc::new(a) as ArrayRef),
    };
    checked.map_err(|_overflow| out_of_range())
}

/// One checked sum.
#[derive(Debug)]
pub struct IntegerAccumulator {
    output: DataType,
    sum: i128,
    count: i64,
}

impl IntegerAccumulator {
    /// The empty sum of type `output`: `Int64` or `UInt64`.
    #[must_use]
    pub fn new(output: DataType) -> Self {
        Self { output, sum: 0, count: 0 }
    }

    fn add(&mut self, values: &ArrayRef, weight: i64) -> Result<()> {
        let value = reader(values)?;
        for_each_counted(values, None, |i| {
            self.sum += value(i) * i128::from(weight);
            self.count += weight;
        });
        Ok(())
    }
}

impl Accumulator for IntegerAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = (self.count > 0).then_some(self.sum);
        ScalarValue::try_from_array(&to_array(std::iter::once(sum), &self.output)?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::Decimal128(Some(self.sum), 38, 0),
            ScalarValue::Int64(Some(self.count)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let sums = states[0].as_primitive::<Decimal128Type>();
        let counts = states[1].as_primitive::<Int64Type>();
        for_each_counted(counts, None, |i| {
            self.sum += sums.value(i);
            self.count += counts.value(i);
        });
        Ok(())
    }
}

/// The checked sum of the distinct values.
#[derive(Debug)]
pub struct DistinctIntegerAccumulator {
    output: DataType,
    values: Distinct<i128>,
}

impl DistinctIntegerAccumulator {
    /// No values; the sum is of type `output`.
    #[must_use]
    pub fn new(output: DataType) -> Self {
        Self { output, values: Distinct::new() }
    }

    fn add(&mut self, values: &dyn Array, weight: i64) -> Result<()> {
        let value = reader(values)?;
        for_each_counted(values, None, |i| self.values.add(value(i), weight));
        Ok(())
    }
}

impl Accumulator for DistinctIntegerAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = (self.values.len() > 0).then(|| self.values.sorted().into_iter().sum());
        ScalarValue::try_from_array(&to_array(std::iter::once(sum), &self.output)?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let array = to_array(self.values.sorted().into_iter().map(Some), &self.output)?;
        let scalars = (0..array.len()).map(|i| ScalarValue::try_from_array(&array, i));
        let list =
            ScalarValue::new_list_nullable(&scalars.collect::<Result<Vec<_>>>()?, &self.output);
        Ok(vec![ScalarValue::List(list)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states[0].as_list::<i32>().iter().flatten().try_for_each(|list| self.add(&list, 1))
    }
}

/// Checked sums by group.
#[derive(Debug)]
pub struct IntegerGroups {
    output: DataType,
    sums: Vec<i128>,
    counts: Vec<i64>,
}

impl IntegerGroups {
    /// No groups; sums are of type `output`: `Int64`, `UInt64` or [`WIDE`].
    #[must_use]
    pub fn new(output: DataType) -> Self {
        Self { output, sums: Vec::new(), counts: Vec::new() }
    }

    fn grow(&mut self, groups: usize) {
        self.sums.resize(groups, 0);
        self.counts.resize(groups, 0);
    }
}

impl GroupsAccumulator for IntegerGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let array = &values[0];
        let (sums, counts) = (&mut self.sums, &mut self.counts);
        let mut add = |i: usize, value: i128| {
            sums[group_indices[i]] += value;
            counts[group_indices[i]] += 1;
        };
        if let Some(values) = array.as_primitive_opt::<Int64Type>() {
            for_each_counted(values, opt_filter, |i| add(i, values.value(i).into()));
        } else {
            let value = reader(array)?;
            for_each_counted(array, opt_filter, |i| add(i, value(i)));
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = emit_to.take_needed(&mut self.sums);
        let counts = emit_to.take_needed(&mut self.counts);
        let sums = sums.into_iter().zip(counts).map(|(s, n)| (n > 0).then_some(s));
        to_array(sums, &self.output)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let sums = Decimal128Array::from(emit_to.take_needed(&mut self.sums));
        let counts = Int64Array::from(emit_to.take_needed(&mut self.counts));
        Ok(vec![Arc::new(sums.with_precision_and_scale(38, 0)?), Arc::new(counts)])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let sums = values[0].as_primitive::<Decimal128Type>();
        let counts = values[1].as_primitive::<Int64Type>();
        for_each_counted(counts, None, |i| {
            self.sums[group_indices[i]] += sums.value(i);
            self.counts[group_indices[i]] += counts.value(i);
        });
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let value = reader(&values[0])?;
        let mut sums = vec![0i128; values[0].len()];
        let mut counts = vec![0i64; values[0].len()];
        for_each_counted(&values[0], opt_filter, |i| {
            sums[i] = value(i);
            counts[i] = 1;
        });
        let sums = Decimal128Array::from(sums).with_precision_and_scale(38, 0)?;
        Ok(vec![Arc::new(sums), Arc::new(Int64Array::from(counts))])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * 16 + self.counts.capacity() * 8
    }
}
