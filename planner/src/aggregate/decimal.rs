//! Accumulators of sums and averages of decimals: the exact sum, read or divided once.
//!
//! The sum is an `i256`, which 2^63 values of 38 digits cannot overflow: what is too large for the result's
//! type is known when it is read, and an excess on the way is none. The average has at least
//! [`SCALE_MIN`] digits behind the point, as averages in `PostgreSQL` have; what is behind the last is rounded half
//! away from zero.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal256Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal256Type, Field, FieldRef, Int64Type, i256};
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::distinct::Distinct;
use super::for_each_counted;
use crate::pg_compat;

/// Fewest digits of an average behind the point.
pub const SCALE_MIN: i8 = 16;
/// The message of a result outside its type; SQLSTATE 22003.
pub const OUT_OF_RANGE: &str = "numeric field overflow";
/// Digits that an `i256` holds.
const DIGITS: u8 = 76;

/// The type of averages of values of type `input`.
#[must_use]
pub fn average_type(input: &DataType) -> Option<DataType> {
    let own = scale_of(input)?;
    // Four digits more than the values have, where all of the values' digits before the point fit.
    let wanted = own.saturating_add(4).max(SCALE_MIN);
    let before = precision_of(input)?.saturating_sub(own.unsigned_abs());
    let fits = wanted.unsigned_abs().saturating_add(before) <= 38;
    let scale = if fits { wanted } else { own.max(SCALE_MIN) };
    Some(match input {
        DataType::Decimal256(..) => DataType::Decimal256(DIGITS, scale),
        _ => DataType::Decimal128(38, scale),
    })
}

/// Digits behind the point of values of type `decimal`.
#[must_use]
pub fn scale_of(decimal: &DataType) -> Option<i8> {
    match decimal {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => Some(*scale),
        _ => None,
    }
}

fn precision_of(decimal: &DataType) -> Option<u8> {
    match decimal {
        DataType::Decimal32(precision, _)
        | DataType::Decimal64(precision, _)
        | DataType::Decimal128(precision, _)
        | DataType::Decimal256(precision, _) => Some(*precision),
        _ => None,
    }
}

/// How a result is read off the sum and the number of values.
#[derive(Clone, Debug)]
pub struct Reading {
    input_scale: i8,
    output: DataType,
    /// What a sum is multiplied with before it is divided; [`None`] where the sum is the result.
    factor: Option<i256>,
    /// Results are below it.
    limit: Option<i256>,
}

impl Reading {
    /// The sum, of type `output`, which has the scale of the values.
    ///
    /// # Errors
    /// When `output` is no decimal: a bug.
    pub fn sum(output: &DataType) -> Result<Self> {
        let (Some(scale), Some(precision)) = (scale_of(output), precision_of(output)) else {
            return internal_err!("decimal sum of type {output}");
        };
        let limit = i256::from_i128(10).checked_pow(precision.into());
        Ok(Self { input_scale: scale, output: output.clone(), factor: None, limit })
    }

    /// The average of values of type `input`.
    ///
    /// # Errors
    /// When `input` is no decimal: a bug.
    pub fn average(input: &DataType) -> Result<Self> {
        let (Some(input_scale), Some(output)) = (scale_of(input), average_type(input)) else {
            return internal_err!("decimal average over {input}");
        };
        let scale = scale_of(&output).unwrap_or(input_scale);
        let ten = i256::from_i128(10);
        let power = u32::try_from(i32::from(scale) - i32::from(input_scale)).unwrap_or(0);
        let limit = match output {
            DataType::Decimal256(..) => None,
            _ => ten.checked_pow(38),
        };
        Ok(Self { input_scale, output, factor: Some(ten.wrapping_pow(power)), limit })
    }

    /// The result as a number of the output's scale; [`None`] outside the type.
    #[must_use]
    pub fn read(&self, sum: i256, count: i64) -> Option<i256> {
        let result = match self.factor {
            None => sum,
            Some(factor) => divided(sum.checked_mul(factor)?, i256::from_i128(count.into()))?,
        };
        self.limit.is_none_or(|limit| result.wrapping_abs() < limit).then_some(result)
    }

    /// Values of the input's type, made wide.
    ///
    /// # Errors
    /// When they are no decimals: a bug.
    pub fn widened(&self, values: &dyn Array) -> Result<ArrayRef> {
        Ok(cast(values, &DataType::Decimal256(DIGITS, self.input_scale))?)
    }

    /// Results, [`None`] where nothing was added, as an array of the output's type.
    ///
    /// # Errors
    /// When the type refuses them: a bug.
    pub fn to_array(&self, results: impl Iterator<Item = Option<i256>>) -> Result<ArrayRef> {
        let wide: Decimal256Array = results.collect();
        let scale = scale_of(&self.output).unwrap_or(SCALE_MIN);
        let wide = wide.with_precision_and_scale(DIGITS, scale)?;
        match &self.output {
            DataType::Decimal256(..) => Ok(Arc::new(wide)),
            narrow => {
                let values = wide.unary_opt::<_, arrow::datatypes::Decimal128Type>(i256::to_i128);
                Ok(Arc::new(values.with_data_type(narrow.clone())))
            }
        }
    }

    fn checked(&self, sum: i256, count: i64) -> Result<Option<i256>> {
        if count <= 0 {
            return Ok(None);
        }
        self.read(sum, count).map(Some).ok_or_else(out_of_range)
    }
}

/// The quotient, rounded half away from zero.
fn divided(dividend: i256, count: i256) -> Option<i256> {
    let (quotient, rest) = (dividend.checked_div(count)?, dividend.checked_rem(count)?);
    let half = rest.wrapping_abs() >= count.wrapping_sub(rest.wrapping_abs());
    let away = if half { dividend.signum() } else { i256::ZERO };
    quotient.checked_add(away)
}

fn out_of_range() -> DataFusionError {
    pg_compat::error("22003", OUT_OF_RANGE.to_owned())
}

/// Fields of the partial state of values of type `input`.
#[must_use]
pub fn state_fields(name: &str, input: &DataType) -> Vec<FieldRef> {
    let sum = DataType::Decimal256(DIGITS, scale_of(input).unwrap_or_default());
    vec![
        Arc::new(Field::new(format!("{name}[sum]"), sum, true)),
        Arc::new(Field::new(format!("{name}[count]"), DataType::Int64, true)),
    ]
}

/// Type of the distinct values in a partial state.
#[must_use]
pub fn distinct_type(input: &DataType) -> DataType {
    DataType::Decimal256(DIGITS, scale_of(input).unwrap_or_default())
}

/// One sum or average.
#[derive(Debug)]
pub struct DecimalAccumulator {
    reading: Reading,
    sum: i256,
    count: i64,
}

impl DecimalAccumulator {
    /// Of no values.
    #[must_use]
    pub fn new(reading: Reading) -> Self {
        Self { reading, sum: i256::ZERO, count: 0 }
    }

    fn add(&mut self, values: &ArrayRef, weight: i64) -> Result<()> {
        let values = self.reading.widened(values)?;
        let values = values.as_primitive::<Decimal256Type>();
        for_each_counted(values, None, |i| {
            let term = values.value(i);
            let term = if weight < 0 { term.wrapping_neg() } else { term };
            self.sum = self.sum.wrapping_add(term);
            self.count += weight;
        });
        Ok(())
    }
}

impl Accumulator for DecimalAccumulator {
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
        let result = self.reading.checked(self.sum, self.count)?;
        ScalarValue::try_from_array(&self.reading.to_array(std::iter::once(result))?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::Decimal256(Some(self.sum), DIGITS, self.reading.input_scale),
            ScalarValue::Int64(Some(self.count)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let sums = states[0].as_primitive::<Decimal256Type>();
        let counts = states[1].as_primitive::<Int64Type>();
        for_each_counted(counts, None, |i| {
            self.sum = self.sum.wrapping_add(sums.value(i));
            self.count += counts.value(i);
        });
        Ok(())
    }
}

/// The sum or average of the distinct values.
#[derive(Debug)]
pub struct DistinctDecimalAccumulator {
    reading: Reading,
    values: Distinct<i256>,
}

impl DistinctDecimalAccumulator {
    /// Of no values.
    #[must_use]
    pub fn new(reading: Reading) -> Self {
        Self { reading, values: Distinct::new() }
    }

    fn add(&mut self, values: &dyn Array, weight: i64) -> Result<()> {
        let values = self.reading.widened(values)?;
        let values = values.as_primitive::<Decimal256Type>();
        for_each_counted(values, None, |i| self.values.add(values.value(i), weight));
        Ok(())
    }
}

impl Accumulator for DistinctDecimalAccumulator {
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
        let values = self.values.sorted();
        let sum = values.into_iter().fold(i256::ZERO, i256::wrapping_add);
        let count = i64::try_from(self.values.len()).unwrap_or(i64::MAX);
        let result = self.reading.checked(sum, count)?;
        ScalarValue::try_from_array(&self.reading.to_array(std::iter::once(result))?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let scale = self.reading.input_scale;
        let values = self.values.sorted().into_iter();
        let scalars: Vec<ScalarValue> =
            values.map(|v| ScalarValue::Decimal256(Some(v), DIGITS, scale)).collect();
        let item = DataType::Decimal256(DIGITS, scale);
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&scalars, &item))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states[0].as_list::<i32>().iter().flatten().try_for_each(|list| self.add(&list, 1))
    }
}

/// Sums or averages by group.
#[derive(Debug)]
pub struct DecimalGroups {
    reading: Reading,
    sums: Vec<i256>,
    counts: Vec<i64>,
}

impl DecimalGroups {
    /// No groups.
    #[must_use]
    pub fn new(reading: Reading) -> Self {
        Self { reading, sums: Vec::new(), counts: Vec::new() }
    }

    fn grow(&mut self, groups: usize) {
        self.sums.resize(groups, i256::ZERO);
        self.counts.resize(groups, 0);
    }
}

impl GroupsAccumulator for DecimalGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let values = self.reading.widened(&values[0])?;
        let values = values.as_primitive::<Decimal256Type>();
        for_each_counted(values, opt_filter, |i| {
            let group = group_indices[i];
            self.sums[group] = self.sums[group].wrapping_add(values.value(i));
            self.counts[group] += 1;
        });
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = emit_to.take_needed(&mut self.sums);
        let counts = emit_to.take_needed(&mut self.counts);
        let results = sums.into_iter().zip(counts).map(|(s, n)| self.reading.checked(s, n));
        let results = results.collect::<Result<Vec<_>>>()?;
        self.reading.to_array(results.into_iter())
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let sums: Decimal256Array =
            emit_to.take_needed(&mut self.sums).into_iter().map(Some).collect();
        let counts = Int64Array::from(emit_to.take_needed(&mut self.counts));
        let sums = sums.with_precision_and_scale(DIGITS, self.reading.input_scale)?;
        Ok(vec![Arc::new(sums), Arc::new(counts)])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let sums = values[0].as_primitive::<Decimal256Type>();
        let counts = values[1].as_primitive::<Int64Type>();
        for_each_counted(counts, None, |i| {
            let group = group_indices[i];
            self.sums[group] = self.sums[group].wrapping_add(sums.value(i));
            self.counts[group] += counts.value(i);
        });
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let mut one_each = Self::new(self.reading.clone());
        let rows = values[0].len();
        let groups: Vec<usize> = (0..rows).collect();
        one_each.update_batch(values, &groups, opt_filter, rows)?;
        one_each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.sums.capacity() * 32 + self.counts.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_rounded_half_away_from_zero() {
        let reading = Reading::average(&DataType::Decimal128(38, 16)).unwrap();
        let average = |sum: i128, count| reading.read(i256::from_i128(sum), count).unwrap();
        for (sum, count, wanted) in
            [(1, 2, 1), (-1, 2, -1), (1, 3, 0), (2, 3, 1), (-2, 3, -1), (10, 4, 3), (9, 4, 2)]
        {
            assert_eq!(average(sum, count), i256::from_i128(wanted), "{sum} / {count}");
        }
    }

    #[test]
    fn sums_may_pass_their_type_on_the_way_but_not_in_the_end() {
        let reading = Reading::sum(&DataType::Decimal128(38, 2)).unwrap();
        let highest = i256::from_i128(10_i128.pow(38) - 1);
        assert_eq!(reading.read(highest, 3), Some(highest));
        assert_eq!(reading.read(highest.wrapping_add(highest), 2), None);
        let back = highest.wrapping_add(highest).wrapping_sub(highest);
        assert_eq!(reading.read(back, 1), Some(highest));
    }
}
