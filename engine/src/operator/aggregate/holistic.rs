//! Any aggregate function of DataFusion: the rows of each group, and the function run over those of the
//! groups that changed.
//!
//! ```text
//! bag      = (group, what the call reads) of every row that its filter lets pass, by group
//! a tick   = evaluate before, change the bag, evaluate after
//! ```
//! The accumulators are those that a batch plan would use: one for many groups where the function has such
//! a one and there is a key, else one per group. What depends on the order of rows sorts them by itself.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array, new_empty_array};
use arrow::compute::{cast, take_arrays};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::EmitTo;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use levada_planner::delta_plan::{Holistic as HolisticNode, HolisticInput};
use levada_storage::delta::{Delta, DeltaBatch};

use crate::arrangement::hash::HashWidth;
use crate::arrangement::keyed::KeyedState;
use crate::arrangement::{Arrangement, Side as When, to_u32};
use crate::error::Result;
use crate::operator::aggregate::call::{Class, Failures, Side, Slice};
use crate::operator::evaluate::batch_of;
use crate::operator::row_error::describe;
use crate::operator::{RunSink, StateRun};
use crate::spill::SpillSpace;

/// The class.
pub(super) struct Holistic {
    call: Arc<AggregateFunctionExpr>,
    /// What the call reads; columns are those of the bag.
    reads: Vec<HolisticInput>,
    /// The input columns that the bag has, behind the group.
    kept: Vec<usize>,
    bag: Arrangement,
    /// Rows of the running tick.
    waiting: Vec<DeltaBatch>,
    /// Whether one accumulator serves many groups.
    grouped: bool,
    output: DataType,
}

/// Rows of groups, ordered by group.
struct Rows {
    columns: Vec<ArrayRef>,
    /// Position of each row's group among those asked for.
    groups: Vec<usize>,
}

impl Holistic {
    /// The call `node` over rows of schema `input`, with a result of type `output`.
    pub(super) fn new(
        node: &HolisticNode,
        output: DataType,
        input: &Schema,
        keyed: bool,
        width: HashWidth,
    ) -> Self {
        let mut kept: Vec<usize> = Vec::new();
        let mut reads = Vec::with_capacity(node.inputs.len());
        for read in &node.inputs {
            reads.push(match read {
                HolisticInput::Constant(value) => HolisticInput::Constant(value.clone()),
                HolisticInput::Column(column) => {
                    let known = kept.iter().position(|k| k == column);
                    HolisticInput::Column(known.unwrap_or_else(|| {
                        kept.push(*column);
                        kept.len() - 1
                    }))
                }
            });
        }
        let mut fields = vec![Field::new("__slot", DataType::UInt32, false)];
        fields.extend(kept.iter().enumerate().map(|(i, column)| {
            Field::new(format!("c{i}"), input.field(*column).data_type().clone(), true)
        }));
        let bag = Arrangement::with_hash_width(Arc::new(Schema::new(fields)), vec![0], width);
        let grouped = keyed && node.call.groups_accumulator_supported();
        let call = Arc::clone(&node.call);
        Self { call, reads, kept, bag, waiting: Vec::new(), grouped, output }
    }

    /// The rows of the groups `slots`.
    fn rows(&mut self, slots: &[u32]) -> Result<Rows> {
        let keys: [ArrayRef; 1] = [Arc::new(UInt32Array::from(slots.to_vec()))];
        let matches = self.bag.probe(&keys, slots.len(), true, When::After)?;
        let mut pairs: Vec<(u32, u32)> = matches.probe.into_iter().zip(matches.row).collect();
        pairs.sort_unstable();
        let (groups, rows): (Vec<u32>, Vec<u32>) = pairs.into_iter().unzip();
        let all: Vec<usize> = (1..=self.kept.len()).collect();
        let found = self.bag.gather(&rows, &all)?;
        let column = |read: &HolisticInput| match read {
            HolisticInput::Column(column) => Ok(ArrayRef::clone(&found[*column])),
            HolisticInput::Constant(value) => value.to_array_of_size(rows.len()),
        };
        let columns = self.reads.iter().map(column).collect::<std::result::Result<_, _>>()?;
        Ok(Rows { columns, groups: groups.into_iter().map(|g| g as usize).collect() })
    }

    /// The values of all groups at once.
    fn together(
        &self,
        rows: &Rows,
        groups: usize,
    ) -> std::result::Result<ArrayRef, DataFusionError> {
        let mut accumulator = self.call.create_groups_accumulator()?;
        accumulator.update_batch(&rows.columns, &rows.groups, None, groups)?;
        accumulator.evaluate(EmitTo::All)
    }

    /// The value of rows `from .. from + length`, which are a group.
    fn alone(
        &self,
        rows: &Rows,
        from: usize,
        length: usize,
    ) -> std::result::Result<ScalarValue, DataFusionError> {
        let mut accumulator = self.call.create_accumulator()?;
        if length > 0 {
            let rows: Vec<ArrayRef> = rows.columns.iter().map(|c| c.slice(from, length)).collect();
            accumulator.update_batch(&rows)?;
        }
        accumulator.evaluate()
    }

    fn one_by_one(&self, rows: &Rows, groups: usize, failures: &mut Failures) -> Result<ArrayRef> {
        let mut values = Vec::with_capacity(groups);
        let mut nothing = None;
        let mut from = 0;
        for group in 0..groups {
            let length = rows.groups[from..].iter().take_while(|g| **g == group).count();
            let value = match &nothing {
                Some(value) if length == 0 => ScalarValue::clone(value),
                _ => match self.alone(rows, from, length) {
                    Ok(value) => value,
                    Err(error) => {
                        failures.push((group, describe(&error)));
                        ScalarValue::try_from(&self.output)?
                    }
                },
            };
            if length == 0 && nothing.is_none() {
                nothing = Some(value.clone());
            }
            from += length;
            values.push(value);
        }
        if values.is_empty() {
            return Ok(new_empty_array(&self.output));
        }
        Ok(ScalarValue::iter_to_array(values)?)
    }
}

impl Class for Holistic {
    fn words(&self) -> usize {
        0
    }

    fn update(&mut self, _: &mut KeyedState, _: usize, slice: &Slice) -> Result<()> {
        let counted = slice.weights.iter().enumerate().filter(|(_, w)| **w != 0);
        let (rows, weights): (Vec<usize>, Vec<i64>) = counted.map(|(i, w)| (i, *w)).unzip();
        if rows.is_empty() {
            return Ok(());
        }
        let slots = UInt32Array::from_iter_values(rows.iter().map(|i| slice.slots[*i]));
        let indices = rows.into_iter().map(to_u32).collect::<Result<Vec<_>>>()?;
        let kept: Vec<ArrayRef> =
            self.kept.iter().map(|c| ArrayRef::clone(&slice.columns[*c])).collect();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(slots)];
        columns.extend(take_arrays(&kept, &UInt32Array::from(indices), None)?);
        let batch = batch_of(self.bag.schema(), columns, weights.len())?;
        self.waiting.push(DeltaBatch::weighted(batch, weights));
        Ok(())
    }

    fn end_tick(&mut self) -> Result<()> {
        self.bag.compact_if_worn()?;
        self.bag.begin_tick();
        self.bag.apply(&Delta::of(std::mem::take(&mut self.waiting)))
    }

    fn evaluate(
        &mut self,
        _: usize,
        _: (&KeyedState, usize),
        slots: &[u32],
        failures: &mut Failures,
    ) -> Result<ArrayRef> {
        let rows = self.rows(slots)?;
        let together = self.grouped.then(|| self.together(&rows, slots.len()));
        let values = match together {
            Some(Ok(values)) => values,
            // A group without a value fails the whole call: they are told apart one by one.
            Some(Err(_)) | None => self.one_by_one(&rows, slots.len(), failures)?,
        };
        if *values.data_type() == self.output {
            return Ok(values);
        }
        Ok(cast(&values, &self.output)?)
    }

    fn freeze(&mut self, part: u32, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        self.bag.freeze(part, full, out)
    }

    fn restore(&mut self, part: u32, runs: &[StateRun]) -> Result<()> {
        self.bag.restore(runs.iter().filter(|r| r.part == part))
    }

    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        self.bag.spill(space, want)
    }

    fn side(&self) -> Side {
        let bag = &self.bag;
        let (rows, bytes) = (bag.rows(), bag.bytes());
        Side { rows, bytes, spilled: bag.spilled(), touched: bag.touched() }
    }
}
