//! `min` and `max`: over floats in `PostgreSQL`'s order, which is total, DataFusion's over all else.
//!
//! NaN is greater than every number and equal to itself, zero has no sign. DataFusion compares floats
//! partially, so there the result depends on the order of the rows as soon as a NaN is among them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator,
    ReversedUDAF, Signature,
};

use super::float::canonical;
use super::for_each_counted;

/// Which end of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum End {
    Least,
    Greatest,
}

/// The function. Its signature and result types are DataFusion's.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Extreme {
    end: End,
    standard: Arc<AggregateUDF>,
}

impl Extreme {
    /// The function `min`.
    #[must_use]
    pub fn min() -> Self {
        Self { end: End::Least, standard: min_udaf() }
    }

    /// The function `max`.
    #[must_use]
    pub fn max() -> Self {
        Self { end: End::Greatest, standard: max_udaf() }
    }
}

fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

/// The better of two canonical values.
fn better(end: End, a: f64, b: f64) -> f64 {
    // Canonical values have one zero and one NaN, whose bits make it the greatest.
    let b_wins = match end {
        End::Least => b.total_cmp(&a).is_lt(),
        End::Greatest => b.total_cmp(&a).is_gt(),
    };
    if b_wins { b } else { a }
}

/// The floats of an array by row.
fn reader(values: &dyn Array) -> Box<dyn Fn(usize) -> f64 + '_> {
    if let Some(values) = values.as_primitive_opt::<Float32Type>() {
        Box::new(move |i| canonical(values.value(i).into()))
    } else {
        let values = values.as_primitive::<Float64Type>();
        Box::new(move |i| canonical(values.value(i)))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the value was an f32")]
fn to_array(values: impl Iterator<Item = Option<f64>>, output: &DataType) -> ArrayRef {
    if *output == DataType::Float32 {
        Arc::new(values.map(|v| v.map(|v| v as f32)).collect::<Float32Array>())
    } else {
        Arc::new(values.collect::<Float64Array>())
    }
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &str {
        self.standard.name()
    }

    fn signature(&self) -> &Signature {
        self.standard.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.standard.return_type(arg_types)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.standard.coerce_types(arg_types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let output = args.return_type().clone();
        if is_float(&output) {
            Ok(Box::new(ExtremeAccumulator { end: self.end, output, best: None }))
        } else {
            self.standard.accumulator(args)
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.standard.create_sliding_accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.standard.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        is_float(args.return_type()) || self.standard.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let output = args.return_type().clone();
        if is_float(&output) {
            Ok(Box::new(ExtremeGroups { end: self.end, output, best: Vec::new() }))
        } else {
            self.standard.create_groups_accumulator(args)
        }
    }

    fn is_descending(&self) -> Option<bool> {
        self.standard.is_descending()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.standard.documentation()
    }
}

#[derive(Debug)]
struct ExtremeAccumulator {
    end: End,
    output: DataType,
    best: Option<f64>,
}

impl Accumulator for ExtremeAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let value = reader(&values[0]);
        for_each_counted(&values[0], None, |i| {
            self.best = Some(self.best.map_or(value(i), |best| better(self.end, best, value(i))));
        });
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&to_array(std::iter::once(self.best), &self.output), 0)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

#[derive(Debug)]
struct ExtremeGroups {
    end: End,
    output: DataType,
    best: Vec<Option<f64>>,
}

impl GroupsAccumulator for ExtremeGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.best.resize(total_num_groups, None);
        let value = reader(&values[0]);
        for_each_counted(&values[0], opt_filter, |i| {
            let best = &mut self.best[group_indices[i]];
            *best = Some(best.map_or(value(i), |best| better(self.end, best, value(i))));
        });
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(to_array(emit_to.take_needed(&mut self.best).into_iter(), &self.output))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.update_batch(values, group_indices, None, total_num_groups)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let mut out = vec![None; values[0].len()];
        let value = reader(&values[0]);
        for_each_counted(&values[0], opt_filter, |i| out[i] = Some(value(i)));
        Ok(vec![cast(&to_array(out.into_iter(), &self.output), &self.output)?])
    }

    fn size(&self) -> usize {
        self.best.capacity() * size_of::<Option<f64>>()
    }
}
