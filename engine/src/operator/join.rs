//! Equi-joins of two arranged inputs.
//!
//! **Meaning**     A JOIN B ON k AND c, as bags: `weight(a, b)` = `weight(a) * weight(b)` where it holds.
//!                 The outer kinds add rows without a partner beside NULLs; SEMI, ANTI and MARK give rows
//!                 of A by whether they have a partner.
//! **Delta rule**  d(A * B) = dA * B before + A after * dB; a stored row whose number of partners crosses
//!                 zero gives -old +new.
//! **State**       one [`Arrangement`] per input by k, of the columns that are used; for all but inner
//!                 joins the number of partners, per key or, with a condition c, per row. Without c, SEMI,
//!                 ANTI and MARK keep of B just the numbers.
//! **Cost**        per input row: one probe of the other side, plus its matches.
//! **Time**        the least of the inputs.
//!
//! Rows with a NULL in the key, if NULL does not equal NULL, match nothing and are not stored. Matches are
//! pairs of row numbers until the residual condition has been checked on the columns it reads; only the
//! output columns of the pairs that remain are gathered.

mod input;
mod partners;
mod residual;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::{Schema, SchemaRef};
use levada_planner::delta_plan::{Join as JoinNode, JoinKind};
use levada_storage::delta::{Delta, DeltaBatch, ErrorRow, Weights};

use crate::arrangement::hash::HashWidth;
use crate::arrangement::keyed::KeyedState;
use crate::arrangement::{Arrangement, Matches, Side, retain, to_u32};
use crate::error::Result;
use crate::operator::evaluate::batch_of;
use crate::operator::join::input::{Input, Taken};
use crate::operator::join::partners::{ByRow, Flips, KeyChanges, Partners, partners_of};
use crate::operator::join::residual::Residual;
use crate::operator::{Operator, OperatorMetrics, RunSink, SLICE_ROWS, StateRun, Tick, slices};
use crate::spill::SpillSpace;

/// Pairs that are assembled together.
const PAIRS: usize = 8192;
/// Pairs that a probing slice of a cross join may make at once.
const CROSS_PAIRS: usize = 1 << 20;

/// The operator.
#[derive(Debug)]
pub struct Join {
    kind: JoinKind,
    sides: [Input; 2],
    nulls_match: bool,
    residual: Option<Residual>,
    output: Vec<Place>,
    schema: SchemaRef,
    metrics: OperatorMetrics,
}

/// Where an output column comes from.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// A stored column of a side.
    Side(usize, usize),
    /// Whether there is a partner.
    Mark,
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
        let mark = left_columns + inputs[1].fields().len();
        let mut used: BTreeSet<usize> =
            node.output.iter().copied().filter(|c| *c != mark).collect();
        if let Some(residual) = &node.residual {
            used.extend(residual::columns_of(residual));
        }
        let left = used.iter().copied().filter(|c| *c < left_columns);
        let right = used.iter().copied().filter(|c| *c >= left_columns).map(|c| c - left_columns);
        let mut sides = [
            Input::new(inputs[0], &node.left_keys, left, width)?,
            Input::new(inputs[1], &node.right_keys, right, width)?,
        ];
        for (side, input) in sides.iter_mut().enumerate() {
            if node.kind.watches(side) {
                input.partners = match &node.residual {
                    Some(_) => Partners::ByRow(ByRow::new()),
                    None => {
                        let keys = SchemaRef::new(input.schema.project(&input.keys)?);
                        Partners::ByKey(Box::new(KeyedState::new(keys, 0, width)))
                    }
                };
            }
        }
        sides[1].is_kept = node.kind.gives_pairs() || node.residual.is_some();
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
        let place_or_mark = |c: &usize| {
            if *c == mark {
                return Place::Mark;
            }
            let (side, column) = place(*c);
            Place::Side(side, column)
        };
        let places = node.output.iter().map(place_or_mark).collect();
        Ok(Self {
            kind: node.kind,
            output: places,
            residual,
            sides,
            nulls_match: node.null_equals_null,
            schema: output,
            metrics: OperatorMetrics::default(),
        })
    }

    /// Takes in the delta of one side: the other one is at `view` and stays so.
    fn take(&mut self, side: usize, taken: &Taken, view: Side, out: &mut Delta) -> Result<()> {
        let other = 1 - side;
        for batch in &taken.alone.ok {
            self.emit_rows(side, batch, &vec![0; batch.len()], out)?;
        }
        let mut counts = Vec::new();
        let mut changes = KeyChanges::default();
        if let Partners::ByKey(counts) = &mut self.sides[other].partners {
            counts.begin_tick();
        }
        let slice_rows = self.slice_rows(other);
        for slice in taken.able.ok.iter().flat_map(|b| slices(b, slice_rows)) {
            let keys = self.sides[side].keys_of(&slice);
            let mut of_slice = vec![0; slice.len()];
            if self.kind.gives_pairs() || self.residual.is_some() {
                self.pair(side, &slice, view, &mut of_slice, out)?;
            }
            if let Partners::ByKey(counts) = &mut self.sides[side].partners {
                of_slice = partners_of(counts, &keys, slice.len())?;
            }
            if self.kind.watches(side) {
                self.emit_rows(side, &slice, &of_slice, out)?;
            }
            if let Partners::ByKey(counts) = &mut self.sides[other].partners {
                let weights: Vec<i64> = (0..slice.len()).map(|i| slice.weights.get(i)).collect();
                changes.add(counts, &keys, &weights)?;
            }
            counts.extend(of_slice);
        }
        self.flip(other, changes, view, out)?;
        self.sides[side].apply(&taken.able, &counts)
    }

    /// Rows of one side that are probed together.
    fn slice_rows(&self, other: usize) -> usize {
        if !self.sides[other].keys.is_empty() {
            return SLICE_ROWS;
        }
        let others = usize::try_from(self.sides[other].rows.rows()).unwrap_or(usize::MAX);
        (CROSS_PAIRS / others.max(1)).clamp(1, SLICE_ROWS)
    }

    /// The partners of the rows of a slice; pairs that fail to evaluate go to `err`.
    fn partners(
        &mut self,
        side: usize,
        slice: &DeltaBatch,
        view: Side,
        err: &mut Vec<(ErrorRow, i64)>,
    ) -> Result<Matches> {
        let keys = self.sides[side].keys_of(slice);
        let rows = &mut self.sides[1 - side].rows;
        let found = rows.probe(&keys, slice.len(), self.nulls_match, view)?;
        if self.residual.is_none() {
            return Ok(found);
        }
        let mut matches = Matches::default();
        for mut part in parts(&found) {
            self.check(slice, side, &mut part, err)?;
            matches.probe.extend(part.probe);
            matches.row.extend(part.row);
        }
        Ok(matches)
    }

    /// Finds the partners of a slice, counts them and emits the pairs if the join gives them.
    fn pair(
        &mut self,
        side: usize,
        slice: &DeltaBatch,
        view: Side,
        counts: &mut [i64],
        out: &mut Delta,
    ) -> Result<()> {
        let matches = self.partners(side, slice, view, &mut out.err)?;
        matches.probe.iter().for_each(|row| counts[*row as usize] += 1);
        if let Partners::ByRow(partners) = &mut self.sides[1 - side].partners {
            for (probe, row) in matches.probe.iter().zip(&matches.row) {
                partners.add(*row, slice.weights.get(*probe as usize));
            }
        }
        if self.kind.gives_pairs() {
            for part in parts(&matches) {
                let columns = self.gather(slice, side, &part)?;
                let columns = batch_of(&self.schema, columns, part.row.len())?;
                out.push(DeltaBatch { columns, weights: slice.weights.take(&part.probe) });
            }
        }
        Ok(())
    }

    /// Drops the pairs for which the residual is not true.
    fn check(
        &self,
        slice: &DeltaBatch,
        side: usize,
        pairs: &mut Matches,
        err: &mut Vec<(ErrorRow, i64)>,
    ) -> Result<()> {
        let Some(residual) = &self.residual else { return Ok(()) };
        let gathered = {
            let gather = self.pair_columns(slice, side, pairs)?;
            let columns = residual.columns().iter().map(|(side, column)| gather(*side, *column));
            columns.collect::<Result<Vec<_>>>()?
        };
        let weights = slice.weights.take(&pairs.probe);
        let keep = residual.check(gathered, pairs.row.len(), &weights, err)?;
        if keep.iter().any(|k| !*k) {
            retain(&mut pairs.probe, &keep);
            retain(&mut pairs.row, &keep);
        }
        Ok(())
    }

    /// The output columns of pairs of a row of `slice`, from `side`, and a row of the other side.
    fn gather(&self, slice: &DeltaBatch, side: usize, pairs: &Matches) -> Result<Vec<ArrayRef>> {
        let gather = self.pair_columns(slice, side, pairs)?;
        let marks = || Arc::new(BooleanArray::from(vec![true; pairs.row.len()])) as ArrayRef;
        let column = |place: &Place| match place {
            Place::Side(side, column) => gather(*side, *column),
            Place::Mark => Ok(marks()),
        };
        self.output.iter().map(column).collect()
    }

    /// Gathers stored columns of pairs, by side and column.
    fn pair_columns<'a>(
        &'a self,
        slice: &'a DeltaBatch,
        side: usize,
        pairs: &'a Matches,
    ) -> Result<impl Fn(usize, usize) -> Result<ArrayRef> + 'a> {
        let located = self.sides[1 - side].rows.log().locate(&pairs.row);
        // Each row of the slice with exactly one match: nothing to take.
        let aligned = pairs.probe.len() == slice.len()
            && (0..to_u32(slice.len())?).eq(pairs.probe.iter().copied());
        let indices = UInt32Array::from(pairs.probe.clone());
        Ok(move |from: usize, column: usize| {
            if from != side {
                return located.column(column);
            }
            let column = slice.columns.column(column);
            if aligned { Ok(ArrayRef::clone(column)) } else { Ok(take(column, &indices, None)?) }
        })
    }

    /// Whether a row shows, beside pairs, that has partners or has none.
    fn shows(&self, has_partner: bool) -> bool {
        match self.kind {
            JoinKind::Inner => false,
            JoinKind::Left | JoinKind::Right | JoinKind::Full | JoinKind::Anti => !has_partner,
            JoinKind::Semi => has_partner,
            JoinKind::Mark => true,
        }
    }

    /// Emits rows of a delta by their numbers of partners.
    fn emit_rows(
        &self,
        side: usize,
        batch: &DeltaBatch,
        counts: &[i64],
        out: &mut Delta,
    ) -> Result<()> {
        for mark in [false, true] {
            if !self.shows(mark) {
                continue;
            }
            let rows = (0..to_u32(batch.len())?).zip(counts).filter(|(_, c)| (**c > 0) == mark);
            let rows: Vec<u32> = rows.map(|(row, _)| row).collect();
            if rows.is_empty() {
                continue;
            }
            let all = rows.len() == batch.len();
            let weights = if all { batch.weights.clone() } else { batch.weights.take(&rows) };
            let count = rows.len();
            let indices = UInt32Array::from(rows);
            let column = |column: usize| {
                let column = batch.columns.column(column);
                if all { Ok(ArrayRef::clone(column)) } else { Ok(take(column, &indices, None)?) }
            };
            out.push(self.lone(side, count, mark, weights, &column)?);
        }
        Ok(())
    }

    /// Output rows of one side by themselves.
    fn lone(
        &self,
        side: usize,
        rows: usize,
        mark: bool,
        weights: Weights,
        column: &dyn Fn(usize) -> Result<ArrayRef>,
    ) -> Result<DeltaBatch> {
        let columns = self.output.iter().zip(self.schema.fields()).map(|(place, field)| {
            Ok(match place {
                Place::Side(from, c) if *from == side => column(*c)?,
                Place::Side(..) => new_null_array(field.data_type(), rows),
                Place::Mark => Arc::new(BooleanArray::from(vec![mark; rows])) as ArrayRef,
            })
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(DeltaBatch { columns: batch_of(&self.schema, columns, rows)?, weights })
    }

    /// Emits the stored rows of `side` whose number of partners crossed zero.
    fn flip(
        &mut self,
        side: usize,
        changes: KeyChanges,
        view: Side,
        out: &mut Delta,
    ) -> Result<()> {
        let nulls_match = self.nulls_match;
        let Input { partners, rows, .. } = &mut self.sides[side];
        let flips = match partners {
            Partners::Ignored => return Ok(()),
            Partners::ByRow(by_row) => by_row.settle()?,
            Partners::ByKey(counts) => {
                let keys = changes.settle(counts)?;
                let mut rows_of = |(keys, count): (Vec<ArrayRef>, usize)| {
                    rows.probe(&keys, count, nulls_match, view).map(|matches| matches.row)
                };
                Flips { gained: rows_of(keys.gained)?, lost: rows_of(keys.lost)? }
            }
        };
        self.emit_flips(side, &flips.gained, true, out)?;
        self.emit_flips(side, &flips.lost, false, out)
    }

    fn emit_flips(&self, side: usize, rows: &[u32], gained: bool, out: &mut Delta) -> Result<()> {
        for rows in rows.chunks(PAIRS) {
            let located = self.sides[side].rows.log().locate(rows);
            for (mark, weights) in [(!gained, Weights::MinusOne), (gained, Weights::One)] {
                if self.shows(mark) {
                    let column = |c: usize| located.column(c);
                    out.push(self.lone(side, rows.len(), mark, weights, &column)?);
                }
            }
        }
        Ok(())
    }

    /// Counts the partners of all stored rows of a side anew.
    fn count_partners(&mut self, side: usize) -> Result<()> {
        if !matches!(self.sides[side].partners, Partners::ByRow(_)) {
            return Ok(());
        }
        let ids: Vec<u32> = self.sides[side].rows.log().live_from(0).collect();
        // What fails to evaluate was reported when it came in.
        let mut reported = Vec::new();
        for ids in ids.chunks(self.slice_rows(1 - side)) {
            let input = &self.sides[side];
            let columns = input.rows.log().gather_all(ids)?;
            let slice = DeltaBatch::inserts(batch_of(&input.schema, columns, ids.len())?);
            let matches = self.partners(side, &slice, Side::After, &mut reported)?;
            let mut counts = vec![0; ids.len()];
            matches.probe.iter().for_each(|row| counts[*row as usize] += 1);
            if let Partners::ByRow(by_row) = &mut self.sides[side].partners {
                for (row, count) in ids.iter().zip(counts) {
                    by_row.insert(*row, std::iter::once(count));
                }
            }
        }
        Ok(())
    }
}

/// Pairs in parts that are assembled together.
fn parts(matches: &Matches) -> impl Iterator<Item = Matches> + '_ {
    let parts = matches.probe.chunks(PAIRS).zip(matches.row.chunks(PAIRS));
    parts.map(|(probe, row)| Matches { probe: probe.to_vec(), row: row.to_vec() })
}

impl Operator for Join {
    fn step(&mut self, _tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        let mut out = Delta::default();
        for delta in inputs {
            out.err.extend(delta.err.iter().cloned());
            self.metrics.rows_in += delta.rows() as u64;
        }
        self.sides.iter_mut().for_each(|s| s.rows.begin_tick());
        let left = self.sides[0].take_in(inputs[0], self.nulls_match)?;
        self.take(0, &left, Side::Before, &mut out)?;
        let right = self.sides[1].take_in(inputs[1], self.nulls_match)?;
        self.take(1, &right, Side::After, &mut out)?;
        for side in &mut self.sides {
            side.compact_if_worn()?;
        }
        self.metrics.rows_out += out.rows() as u64;
        Ok(out)
    }

    fn freeze(&mut self, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        for (part, side) in (0..).zip(&mut self.sides) {
            if side.is_kept {
                side.rows.freeze(part, full, out)?;
            }
            if let Partners::ByKey(counts) = &mut side.partners {
                counts.freeze(2 + part, full, out)?;
            }
        }
        Ok(())
    }

    fn restore(&mut self, runs: &[StateRun]) -> Result<()> {
        for (part, side) in (0..).zip(&mut self.sides) {
            side.rows.restore(runs.iter().filter(|r| r.part == part))?;
            if let Partners::ByKey(counts) = &mut side.partners {
                counts.restore(runs.iter().filter(|r| r.part == 2 + part))?;
            }
        }
        self.count_partners(0)?;
        self.count_partners(1)
    }

    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        let mut freed = 0;
        for side in &mut self.sides {
            freed += side.spill(space, want.saturating_sub(freed))?;
        }
        Ok(freed)
    }

    fn metrics(&self) -> OperatorMetrics {
        let sum = |f: fn(&Arrangement) -> u64| self.sides.iter().map(|s| f(&s.rows)).sum::<u64>();
        let (mut rows, mut bytes, mut spilled, mut touched) = (0, 0, 0, 0);
        for side in &self.sides {
            match &side.partners {
                Partners::Ignored => {}
                Partners::ByKey(counts) => {
                    rows += counts.len() as u64;
                    bytes += counts.bytes();
                    spilled += counts.spilled();
                    touched += counts.touched();
                }
                Partners::ByRow(by_row) => {
                    bytes += by_row.bytes();
                    spilled += by_row.spilled();
                }
            }
        }
        OperatorMetrics {
            state_rows: sum(Arrangement::rows) + rows,
            state_bytes: sum(Arrangement::bytes) + bytes,
            spilled_bytes: sum(Arrangement::spilled) + spilled,
            state_rows_touched: sum(Arrangement::touched) + touched,
            ..self.metrics
        }
    }
}
