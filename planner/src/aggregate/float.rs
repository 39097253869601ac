//! Accumulators of exact float sums and averages.
//!
//! Partial state: the sum without its window ([`Wide::encode`]) and the number of values.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, Float64Array, Int64Array,
};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, internal_datafusion_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::distinct::Distinct;
use super::exact_float::{Base, ExactSum, Wide, round};
use super::for_each_counted;

/// What a sum is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reading {
    /// The sum.
    Sum,
    /// The sum divided by the number of values.
    Average,
}

impl Reading {
    /// The value of `sum` over `count` values.
    #[must_use]
    pub fn of(self, sum: f64, count: i64) -> f64 {
        match self {
            Self::Sum => sum,
            Self::Average => sum / count as f64,
        }
    }
}

/// Fields of the partial state of float sums.
#[must_use]
pub fn state_fields(name: &str) -> Vec<FieldRef> {
    vec![
        Arc::new(Field::new(format!("{name}[exact]"), DataType::Binary, true)),
        Arc::new(Field::new(format!("{name}[count]"), DataType::Int64, true)),
    ]
}

/// Field of the partial state of sums of distinct values.
#[must_use]
pub fn distinct_state_field(name: &str, value: DataType) -> FieldRef {
    let item = Field::new_list_field(value, true);
    Arc::new(Field::new_list(format!("{name}[distinct]"), item, false))
}

fn decode(states: &dyn Array, i: usize) -> Result<Wide> {
    Wide::decode(states.as_binary::<i32>().value(i))
        .ok_or_else(|| internal_datafusion_err!("partial state of a float sum is malformed"))
}

/// One exact sum or average.
#[derive(Debug)]
pub struct FloatAccumulator {
    reading: Reading,
    sum: ExactSum,
    count: i64,
}

impl FloatAccumulator {
    /// The empty sum.
    #[must_use]
    pub fn new(reading: Reading) -> Self {
        Self { reading, sum: ExactSum::default(), count: 0 }
    }

    fn add(&mut self, values: &ArrayRef, weight: i64) {
        let values = values.as_primitive::<Float64Type>();
        for_each_counted(values, None, |i| {
            self.sum.add(values.value(i), weight);
            self.count += weight;
        });
    }
}

impl Accumulator for FloatAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], 1);
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], -1);
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = (self.count > 0).then(|| self.reading.of(self.sum.value(), self.count));
        Ok(ScalarValue::Float64(value))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sum.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::Binary(Some(self.sum.widened().encode())),
            ScalarValue::Int64(Some(self.count)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let counts = states[1].as_primitive::<Int64Type>();
        for i in (0..counts.len()).filter(|i| counts.is_valid(*i)) {
            self.sum.merge(&decode(&states[0], i)?);
            self.count += counts.value(i);
        }
        Ok(())
    }
}

/// The sum or average of the distinct values.
#[derive(Debug)]
pub struct DistinctFloatAccumulator {
    reading: Reading,
    /// How often each value, as canonical bits, came.
    values: Distinct<u64>,
}

impl DistinctFloatAccumulator {
    /// No values.
    #[must_use]
    pub fn new(reading: Reading) -> Self {
        Self { reading, values: Distinct::new() }
    }

    fn add(&mut self, values: &dyn Array, weight: i64) {
        let values = values.as_primitive::<Float64Type>();
        for_each_counted(values, None, |i| {
            self.values.add(canonical(values.value(i)).to_bits(), weight);
        });
    }

    fn bits(&self) -> impl Iterator<Item = f64> {
        self.values.sorted().into_iter().map(f64::from_bits)
    }
}

impl Accumulator for DistinctFloatAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], 1);
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], -1);
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut sum = ExactSum::default();
        let mut count = 0;
        for value in self.bits() {
            sum.add(value, 1);
            count += 1;
        }
        Ok(ScalarValue::Float64((count > 0).then(|| self.reading.of(sum.value(), count))))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self.bits().map(ScalarValue::from).collect();
        let list = ScalarValue::new_list_nullable(&values, &DataType::Float64);
        Ok(vec![ScalarValue::List(list)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for list in states[0].as_list::<i32>().iter().flatten() {
            self.add(&list, 1);
        }
        Ok(())
    }
}

/// One representative of the values that are equal in SQL: zero without sign, one NaN.
#[must_use]
pub fn canonical(x: f64) -> f64 {
    if x.is_nan() { f64::NAN } else { x + 0.0 }
}

/// Exact sums or averages by group.
#[derive(Debug)]
pub struct FloatGroups {
    reading: Reading,
    base: Option<Base>,
    windows: Vec<i128>,
    wide: HashMap<usize, Wide>,
    counts: Vec<i64>,
}

impl FloatGroups {
    /// No groups.
    #[must_use]
    pub fn new(reading: Reading) -> Self {
        let (windows, wide, counts) = (Vec::new(), HashMap::new(), Vec::new());
        Self { reading, base: None, windows, wide, counts }
    }

    fn grow(&mut self, groups: usize) {
        self.windows.resize(groups, 0);
        self.counts.resize(groups, 0);
    }

    /// Takes the first groups out and moves the others down.
    fn take(&mut self, emit_to: EmitTo) -> (Vec<i128>, HashMap<usize, Wide>, Vec<i64>) {
        let windows = emit_to.take_needed(&mut self.windows);
        let counts = emit_to.take_needed(&mut self.counts);
        let mut wide = std::mem::take(&mut self.wide);
        if let EmitTo::First(n) = emit_to {
            let (first, rest) = wide.into_iter().partition(|(g, _)| *g < n);
            wide = first;
            let rest: HashMap<usize, Wide> = rest;
            self.wide = rest.into_iter().map(|(g, w)| (g - n, w)).collect();
        }
        (windows, wide, counts)
    }
}

impl GroupsAccumulator for FloatGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let values = values[0].as_primitive::<Float64Type>();
        let base = match self.base {
            Some(base) => base,
            None => {
                self.base = values.iter().flatten().find_map(Base::around);
                self.base.unwrap_or(Base::new(0))
            }
        };
        for_each_counted(values, opt_filter, |i| {
            let (group, x) = (group_indices[i], values.value(i));
            self.counts[group] += 1;
            if !base.add(&mut self.windows[group], x, 1) {
                self.wide.entry(group).or_default().add(x, 1);
            }
        });
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (windows, wide, counts) = self.take(emit_to);
        let base = self.base.unwrap_or(Base::new(0));
        let sums = windows.iter().enumerate().map(|(g, window)| {
            let sum = || round(*window, base, wide.get(&g));
            (counts[g] > 0).then(|| self.reading.of(sum(), counts[g]))
        });
        Ok(Arc::new(sums.collect::<Float64Array>()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (windows, mut wide, counts) = self.take(emit_to);
        let base = self.base.unwrap_or(Base::new(0));
        let mut sums = BinaryBuilder::with_capacity(windows.len(), windows.len() * 60);
        for (g, window) in windows.iter().enumerate() {
            let mut sum = wide.remove(&g).unwrap_or_default();
            sum.add_window(*window, base);
            sums.append_value(sum.encode());
        }
        Ok(vec![Arc::new(sums.finish()), Arc::new(Int64Array::from(counts))])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let counts = values[1].as_primitive::<Int64Type>();
        for (i, group) in group_indices.iter().enumerate().filter(|(i, _)| counts.is_valid(*i)) {
            self.counts[*group] += counts.value(i);
            self.wide.entry(*group).or_default().merge(&decode(&values[0], i)?);
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<Float64Type>();
        let mut sums = vec![Wide::default(); values.len()];
        let mut counts = vec![0i64; values.len()];
        for_each_counted(values, opt_filter, |i| {
            sums[i].add(values.value(i), 1);
            counts[i] = 1;
        });
        let sums = sums.iter().map(|s| Some(s.encode()));
        Ok(vec![Arc::new(sums.collect::<BinaryArray>()), Arc::new(Int64Array::from(counts))])
    }

    fn size(&self) -> usize {
        self.windows.capacity() * 16 + self.counts.capacity() * 8 + self.wide.capacity() * 120
    }
}
