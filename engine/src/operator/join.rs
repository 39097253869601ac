//! Inner equi-join of two arranged inputs.
//!
//! **Meaning**     A JOIN B ON k AND c, as bags: `weight(a, b)` = `weight(a) * weight(b)` where it holds.
//! **Delta rule**  d(A * B) = dA * B before + A after * dB.
//! **State**       one [`Arrangement`] per input by k, of the columns that are used.
//! **Cost**        per input row: one probe of the other side, plus its matches.
//! **Time**        the least of the inputs.
//!
//! Rows with a NULL in the key, if NULL does not equal NULL, match nothing and are not stored. Matches are
//! pairs of row numbers until the residual condition has been checked on the columns it reads; only the
//! output columns of the pairs that remain are gathered.

mod residual;

use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Schema, SchemaRef};
use levada_planner::delta_plan::Join as JoinNode;
use levada_storage::delta::{Delta, DeltaBatch, Weights};

use crate::arrangement::hash::HashWidth;
use crate::arrangement::{Arrangement, Matches, Side, project, retain, to_u32};
use crate::error::Result;
use crate::operator::evaluate::batch_of;
use crate::operator::filter::kept;
use crate::operator::join::residual::Residual;
use crate::operator::{Operator, OperatorMetrics, SLICE_ROWS, StateRun, Tick, slices};

/// Pairs that are assembled together.
const PAIRS: usize = 8192;
/// Pairs that a probing slice of a cross join may make at once.
const CROSS_PAIRS: usize = 1 << 20;

/// The operator.
#[derive(Debug)]
pub struct Join {
    sides: [Input; 2],
    nulls_match: bool,
    residual: Option<Residual>,
    /// Side and column among its stored columns, by output column.
    output: Vec<(usize, usize)>,
    schema: SchemaRef,
    metrics: OperatorMetrics,
}

/// One input: the columns that are kept of it and its arrangement.
#[derive(Debug)]
struct Input {
    /// Columns of the input that are stored, ascending.
    stored: Vec<usize>,
    /// Schema of the stored columns.
    schema: SchemaRef,
    /// Key columns among the stored ones.
    keys: Vec<usize>,
    rows: Arrangement,
}

impl Input {
    fn new(
        schema: &Schema,
        keys: &[usize],
        used: impl Iterator<Item = usize>,
        width: HashWidth,
    ) -> Result<Self> {
        let stored: Vec<usize> =
            keys.iter().copied().chain(used).collect::<BTreeSet<_>>().into_iter().collect();
        let projected = SchemaRef::new(schema.project(&stored)?);
        let place = |c: &usize| stored.binary_search(c).unwrap_or_default();
        let keys: Vec<usize> = keys.iter().map(place).collect();
        let rows = Arrangement::with_hash_width(SchemaRef::clone(&projected), keys.clone(), width);
        Ok(Self { stored, schema: projected, keys, rows })
    }

    /// The stored columns of the rows of a delta that can match.
    fn take_in(&self, delta: &Delta, nulls_match: bool) -> Result<Delta> {
        let mut out = Delta::default();
        for batch in &delta.ok {
            let columns = project(batch.columns.columns(), &self.stored);
            let columns = batch_of(&self.schema, columns, batch.len())?;
            let batch = DeltaBatch { columns, weights: batch.weights.clone() };
            let keys = project(batch.columns.columns(), &self.keys);
            if nulls_match || keys.iter().all(|k| k.null_count() == 0) {
                out.push(batch);
            } else {
                let valid = |row: usize| keys.iter().all(|k| k.is_valid(row));
                let mask: BooleanArray = (0..batch.len()).map(|row| Some(valid(row))).collect();
                out.ok.extend(kept(&batch, &mask)?);
            }
        }
        Ok(out)
    }
}

impl Join {
    /// The join `node` of inputs of these schemas.
    ///
    /// # Errors
    /// When a column is not there or the residual cannot be rewritten.
    pub fn new(
        node: &JoinNode,
        inputs: [&Schema; 2],
        output: SchemaRef,
        width: HashWidth,
    ) -> Result<Self> {
        let left_columns = inputs[0].fields().len();
        let mut used: BTreeSet<usize> = node.output.iter().copied().collect();
        if let Some(residual) = &node.residual {
            used.extend(residual::columns_of(residual));
        }
        let left = used.iter().copied().filter(|c| *c < left_columns);
        let right = used.iter().copied().filter(|c| *c >= left_columns).map(|c| c - left_columns);
        let sides = [
            Input::new(inputs[0], &node.left_keys, left, width)?,
            Input::new(inputs[1], &node.right_keys, right, width)?,
        ];
        let place = |column: usize| {
            let (side, column) =
                if column < left_columns { (0, column) } else { (1, column - left_columns) };
            (side, sides[side].stored.binary_search(&column).unwrap_or_default())
        };
        let schemas = [&sides[0].schema, &sides[1].schema];
        let residual = match &node.residual {
            Some(expression) => Some(Residual::new(expression, &place, schemas)?),
            None => None,
        };
        let places = node.output.iter().map(|c| place(*c)).collect();
        Ok(Self {
            output: places,
            residual,
            sides,
            nulls_match: node.null_equals_null,
            schema: output,
            metrics: OperatorMetrics::default(),
        })
    }

    /// The pairs of a delta of one side with the rows of the other.
    fn pair(&mut self, delta: &Delta, side: usize, view: Side, out: &mut Delta) -> Result<()> {
        let keys = self.sides[side].keys.clone();
        let other = 1 - side;
        let slice_rows = if keys.is_empty() {
            let others = usize::try_from(self.sides[other].rows.rows()).unwrap_or(usize::MAX);
            (CROSS_PAIRS / others.max(1)).clamp(1, SLICE_ROWS)
        } else {
            SLICE_ROWS
        };
        for slice in delta.ok.iter().flat_map(|b| slices(b, slice_rows)) {
            let keys = project(slice.columns.columns(), &keys);
            let rows = &mut self.sides[other].rows;
            let matches = rows.probe(&keys, slice.len(), self.nulls_match, view)?;
            let mut from = 0;
            while from < matches.row.len() {
                let to = matches.row.len().min(from + PAIRS);
                let part = Matches {
                    probe: matches.probe[from..to].to_vec(),
                    row: matches.row[from..to].to_vec(),
                };
                self.emit(&slice, side, part, out)?;
                from = to;
            }
        }
        Ok(())
    }

    /// Checks the residual of pairs and assembles the output rows.
    fn emit(
        &self,
        slice: &DeltaBatch,
        side: usize,
        mut pairs: Matches,
        out: &mut Delta,
    ) -> Result<()> {
        if let Some(residual) = &self.residual {
            let gathered = self.gather(slice, side, &pairs, residual.columns())?;
            let weights = weights_of(slice, &pairs.probe);
            let keep = residual.check(gathered, pairs.row.len(), &weights, &mut out.err)?;
            if keep.iter().any(|k| !*k) {
                retain(&mut pairs.probe, &keep);
                retain(&mut pairs.row, &keep);
            }
        }
        if pairs.row.is_empty() {
            return Ok(());
        }
        let columns = self.gather(slice, side, &pairs, &self.output)?;
        let columns = batch_of(&self.schema, columns, pairs.row.len())?;
        out.push(DeltaBatch { columns, weights: weights_of(slice, &pairs.probe) });
        Ok(())
    }

    /// The columns `places` of pairs of a row of `slice`, from `side`, and a row of the other side.
    fn gather(
        &self,
        slice: &DeltaBatch,
        side: usize,
        pairs: &Matches,
        places: &[(usize, usize)],
    ) -> Result<Vec<ArrayRef>> {
        let located = self.sides[1 - side].rows.log().locate(&pairs.row);
        // Each row of the slice with exactly one match: nothing to take.
        let aligned = pairs.probe.len() == slice.len()
            && (0..to_u32(slice.len())?).eq(pairs.probe.iter().copied());
        let indices = UInt32Array::from(pairs.probe.clone());
        places
            .iter()
            .map(|(from, column)| {
                if *from != side {
                    return located.column(*column);
                }
                let column = slice.columns.column(*column);
                if aligned {
                    Ok(ArrayRef::clone(column))
                } else {
                    Ok(take(column, &indices, None)?)
                }
            })
            .collect()
    }
}

fn weights_of(slice: &DeltaBatch, probe: &[u32]) -> Weights {
    slice.weights.take(probe)
}

impl Operator for Join {
    fn step(&mut self, _tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        let mut out = Delta::default();
        for delta in inputs {
            out.err.extend(delta.err.iter().cloned());
            self.metrics.rows_in += delta.rows() as u64;
        }
        let left = self.sides[0].take_in(inputs[0], self.nulls_match)?;
        let right = self.sides[1].take_in(inputs[1], self.nulls_match)?;
        self.sides.iter_mut().for_each(|s| s.rows.begin_tick());
        self.pair(&left, 0, Side::Before, &mut out)?;
        self.sides[0].rows.apply(&left)?;
        self.pair(&right, 1, Side::After, &mut out)?;
        self.sides[1].rows.apply(&right)?;
        for side in &mut self.sides {
            side.rows.compact_if_worn()?;
        }
        self.metrics.rows_out += out.rows() as u64;
        Ok(out)
    }

    fn freeze(&mut self, full: bool) -> Result<Vec<StateRun>> {
        let mut runs = self.sides[0].rows.freeze(0, full)?;
        runs.extend(self.sides[1].rows.freeze(1, full)?);
        Ok(runs)
    }

    fn restore(&mut self, runs: &[StateRun]) -> Result<()> {
        for (part, side) in (0..).zip(&mut self.sides) {
            side.rows.restore(runs.iter().filter(|r| r.part == part))?;
        }
        Ok(())
    }

    fn metrics(&self) -> OperatorMetrics {
        let sum = |f: fn(&Arrangement) -> u64| self.sides.iter().map(|s| f(&s.rows)).sum();
        OperatorMetrics {
            state_rows: sum(Arrangement::rows),
            state_bytes: sum(Arrangement::bytes),
            state_rows_touched: sum(Arrangement::touched),
            ..self.metrics
        }
    }
}
