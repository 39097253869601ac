//! Accumulators of statistics for one group and for many.
//!
//! Partial state: the number of rows, and the sums without windows ([`Wide::encode`]).

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, Float64Array, Int64Array,
};
use arrow::datatypes::Int64Type;
use datafusion::common::{Result, ScalarValue, internal_datafusion_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::sums::{Bases, Wide};
use super::{Pairs, Statistic};

/// One statistic.
#[derive(Debug)]
pub(super) struct MomentAccumulator {
    statistic: Statistic,
    bases: Bases,
    words: Vec<u64>,
    wide: Wide,
}

impl MomentAccumulator {
    pub(super) fn new(statistic: Statistic) -> Self {
        let words = vec![0; statistic.columns().words()];
        Self { statistic, bases: Bases::default(), words, wide: Wide::default() }
    }

    /// Adds a row `weight` times.
    pub(super) fn add(&mut self, x: f64, y: f64, weight: i64) {
        let columns = self.statistic.columns();
        self.bases.see(x, y);
        if !columns.add(&self.bases, &mut self.words, x, y, weight) {
            self.wide.add(columns, x, y, weight);
        }
    }

    fn add_all(&mut self, values: &[ArrayRef], weight: i64) -> Result<()> {
        let pairs = pairs(self.statistic, values)?;
        (0..pairs.len()).filter_map(|i| pairs.get(i)).for_each(|(x, y)| self.add(x, y, weight));
        Ok(())
    }

    /// The statistic.
    pub(super) fn value(&self) -> Option<f64> {
        let columns = self.statistic.columns();
        self.statistic.of(&columns.read(&self.bases, &self.words, Some(&self.wide)))
    }
}

fn pairs(statistic: Statistic, values: &[ArrayRef]) -> Result<Pairs> {
    let count = match statistic.columns() {
        super::Columns::One => 1,
        super::Columns::Two => 2,
    };
    // Sort expressions may stand behind the arguments.
    let arguments: Vec<&ArrayRef> = values.iter().take(count).collect();
    Ok(Pairs::of(&arguments)?)
}

fn decode(states: &dyn Array, i: usize) -> Result<Wide> {
    Wide::decode(states.as_binary::<i32>().value(i))
        .ok_or_else(|| internal_datafusion_err!("partial state of a statistic is malformed"))
}

impl Accumulator for MomentAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add_all(values, 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add_all(values, -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.value()))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.words.len() * 8 + self.wide.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut wide = self.wide.clone();
        wide.merge_windows(self.statistic.columns(), &self.bases, &self.words);
        let count = ScalarValue::Int64(Some(self.words[0].cast_signed()));
        Ok(vec![count, ScalarValue::Binary(Some(wide.encode()))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let counts = states[0].as_primitive::<Int64Type>();
        for i in (0..counts.len()).filter(|i| counts.is_valid(*i)) {
            self.words[0] = self.words[0].wrapping_add(counts.value(i).cast_unsigned());
            self.wide.merge(&decode(&states[1], i)?);
        }
        Ok(())
    }
}

/// A statistic per group.
#[derive(Debug)]
pub(super) struct MomentGroups {
    statistic: Statistic,
    bases: Bases,
    words: Vec<u64>,
    wide: HashMap<usize, Wide>,
}

impl MomentGroups {
    pub(super) fn new(statistic: Statistic) -> Self {
        Self { statistic, bases: Bases::default(), words: Vec::new(), wide: HashMap::new() }
    }

    fn width(&self) -> usize {
        self.statistic.columns().words()
    }

    fn grow(&mut self, groups: usize) {
        self.words.resize(groups * self.width(), 0);
    }

    /// Takes the first groups out and moves the others down.
    fn take(&mut self, emit_to: EmitTo) -> (Vec<u64>, HashMap<usize, Wide>) {
        let EmitTo::First(n) = emit_to else {
            return (std::mem::take(&mut self.words), std::mem::take(&mut self.wide));
        };
        let rest = self.words.split_off(n * self.width());
        let words = std::mem::replace(&mut self.words, rest);
        let all = std::mem::take(&mut self.wide);
        let (first, rest): (_, HashMap<usize, Wide>) = all.into_iter().partition(|(g, _)| *g < n);
        self.wide = rest.into_iter().map(|(g, wide)| (g - n, wide)).collect();
        (words, first)
    }
}

impl GroupsAccumulator for MomentGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let (columns, width) = (self.statistic.columns(), self.width());
        let pairs = pairs(self.statistic, values)?;
        let passes = |i: usize| opt_filter.is_none_or(|p| p.is_valid(i) && p.value(i));
        for (i, group) in group_indices.iter().enumerate().filter(|(i, _)| passes(*i)) {
            let Some((x, y)) = pairs.get(i) else { continue };
            self.bases.see(x, y);
            let words = &mut self.words[group * width..(group + 1) * width];
            if !columns.add(&self.bases, words, x, y, 1) {
                self.wide.entry(*group).or_default().add(columns, x, y, 1);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (columns, width) = (self.statistic.columns(), self.width());
        let (words, wide) = self.take(emit_to);
        let groups = words.chunks_exact(width).enumerate();
        let value = |(group, words): (usize, &[u64])| {
            self.statistic.of(&columns.read(&self.bases, words, wide.get(&group)))
        };
        Ok(Arc::new(groups.map(value).collect::<Float64Array>()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (columns, width) = (self.statistic.columns(), self.width());
        let (words, mut wide) = self.take(emit_to);
        let mut sums = BinaryBuilder::new();
        let mut counts = Vec::with_capacity(words.len() / width);
        for (group, words) in words.chunks_exact(width).enumerate() {
            let mut sum = wide.remove(&group).unwrap_or_default();
            sum.merge_windows(columns, &self.bases, words);
            sums.append_value(sum.encode());
            counts.push(words[0].cast_signed());
        }
        Ok(vec![Arc::new(Int64Array::from(counts)), Arc::new(sums.finish())])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let width = self.width();
        let counts = values[0].as_primitive::<Int64Type>();
        for (i, group) in group_indices.iter().enumerate().filter(|(i, _)| counts.is_valid(*i)) {
            let count = &mut self.words[group * width];
            *count = count.wrapping_add(counts.value(i).cast_unsigned());
            self.wide.entry(*group).or_default().merge(&decode(&values[1], i)?);
        }
        Ok(())
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = values[0].len();
        let mut groups = Self::new(self.statistic);
        groups.update_batch(values, &(0..rows).collect::<Vec<_>>(), opt_filter, rows)?;
        groups.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.words.capacity() * 8 + self.wide.values().map(Wide::bytes).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::{MomentAccumulator, Statistic};

    fn value(statistic: Statistic, rows: &[(f64, f64)]) -> Option<f64> {
        let mut accumulator = MomentAccumulator::new(statistic);
        rows.iter().for_each(|(x, y)| accumulator.add(*x, *y, 1));
        accumulator.value()
    }

    #[test]
    fn neither_order_nor_what_went_shows() {
        let mut rows = vec![(1e9, 1.0), (1e9 + 1.0, -3.0), (1e9 + 2.0, 5e-300), (3e-310, 1e200)];
        for statistic in
            [Statistic::VariancePopulation, Statistic::CovarianceSample, Statistic::Slope]
        {
            let expected = value(statistic, &rows).map(f64::to_bits);
            rows.reverse();
            let mut other = MomentAccumulator::new(statistic);
            for gone in [(f64::NAN, 1.0), (1e308, 1e-308), (-7.5, f64::INFINITY)] {
                other.add(gone.0, gone.1, 2);
            }
            rows.iter().for_each(|(x, y)| other.add(*x, *y, 1));
            for gone in [(1e308, 1e-308), (f64::NAN, 1.0), (-7.5, f64::INFINITY)] {
                other.add(gone.0, gone.1, -2);
            }
            assert_eq!(other.value().map(f64::to_bits), expected, "{statistic:?}");
        }
    }

    #[test]
    fn nothing_cancels() {
        let rows = [(1e15, 0.0), (1e15 + 1.0, 0.0), (1e15 + 2.0, 0.0)];
        assert_eq!(value(Statistic::VarianceSample, &rows), Some(1.0), "three neighbours");
        assert_eq!(value(Statistic::VariancePopulation, &[(0.1, 0.0); 7]), Some(0.0), "constant");
        let line: Vec<(f64, f64)> =
            (0..50).map(|i| (f64::from(i), 3.0 - 2.0 * f64::from(i))).collect();
        assert_eq!(value(Statistic::Slope, &line), Some(-2.0), "slope");
        assert_eq!(value(Statistic::Intercept, &line), Some(3.0), "intercept");
        assert_eq!(value(Statistic::Correlation, &line), Some(-1.0), "correlation");
        assert_eq!(value(Statistic::Determination, &line), Some(1.0), "determination");
    }

    #[test]
    fn few_rows_have_the_values_of_postgres() {
        let one = [(2.0, 3.0)];
        assert_eq!(value(Statistic::VarianceSample, &one), None, "one row has no sample variance");
        assert_eq!(value(Statistic::VariancePopulation, &one), Some(0.0), "but a variance");
        assert_eq!(value(Statistic::Correlation, &one), None, "a constant column");
        assert_eq!(value(Statistic::AverageY, &one), Some(3.0), "an average");
        assert_eq!(value(Statistic::VariancePopulation, &[]), None, "no row");
        let special = value(Statistic::DeviationPopulation, &[(f64::INFINITY, 0.0)]);
        assert!(special.is_some_and(f64::is_nan), "an infinity");
    }
}
