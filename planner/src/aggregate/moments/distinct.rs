//! Statistics over distinct rows.

use arrow::array::{Array, ArrayRef, AsArray};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::Accumulator;

use super::accumulator::MomentAccumulator;
use super::{Pairs, Statistic};
use crate::aggregate::distinct::Distinct;
use crate::aggregate::float::canonical;

/// The statistic over the rows that differ. Partial state: the bits of the rows.
#[derive(Debug)]
pub(super) struct DistinctAccumulator {
    statistic: Statistic,
    rows: Distinct<(u64, u64)>,
}

impl DistinctAccumulator {
    pub(super) fn new(statistic: Statistic) -> Self {
        Self { statistic, rows: Distinct::new() }
    }

    fn add(&mut self, values: &[ArrayRef], weight: i64) -> Result<()> {
        let count = match self.statistic.columns() {
            super::Columns::One => 1,
            super::Columns::Two => 2,
        };
        let arguments: Vec<&ArrayRef> = values.iter().take(count).collect();
        let pairs = Pairs::of(&arguments)?;
        for (x, y) in (0..pairs.len()).filter_map(|i| pairs.get(i)) {
            self.rows.add((canonical(x).to_bits(), canonical(y).to_bits()), weight);
        }
        Ok(())
    }
}

impl Accumulator for DistinctAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values, 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values, -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut moments = MomentAccumulator::new(self.statistic);
        for (x, y) in self.rows.sorted() {
            moments.add(f64::from_bits(x), f64::from_bits(y), 1);
        }
        Ok(ScalarValue::Float64(moments.value()))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.bytes()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let rows = self.rows.sorted();
        let bytes = rows.iter().flat_map(|(x, y)| [x.to_le_bytes(), y.to_le_bytes()]).flatten();
        Ok(vec![ScalarValue::Binary(Some(bytes.collect()))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let states = states[0].as_binary::<i32>();
        for i in (0..states.len()).filter(|i| states.is_valid(*i)) {
            let (words, rest) = states.value(i).as_chunks::<8>();
            if !rest.is_empty() || !words.len().is_multiple_of(2) {
                return internal_err!("partial state of a statistic is malformed");
            }
            for row in words.as_chunks::<2>().0 {
                self.rows.add((u64::from_le_bytes(row[0]), u64::from_le_bytes(row[1])), 1);
            }
        }
        Ok(())
    }
}
