//! An operator in shards: each holds the state of some of the keys, and large ticks step them together.
//!
//! ```text
//! delta --hash of the key columns--> shard 0..4 of the operator --> their deltas, one after the other
//! ```
//! Equal keys are in one shard, so the shards know nothing of each other. Their number is a constant: state
//! files do not depend on the machine. The shard is the lowest bits of the hash, which the tag index does not
//! use for places. Rows that are all of one shard are handed on as they are: so is every delta of one row.
//!
//! State leaves shard by shard, as parts of the operator that carry the number of the shard; the rows of
//! each part are ordered by hash.

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, NullArray, UInt32Array};
use arrow::compute::{interleave, take};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use levada_storage::delta::{Delta, DeltaBatch, Weights};

use crate::arrangement::hash::{HashWidth, hash_columns};
use crate::arrangement::{project, to_u32};
use crate::error::{Error, Result};
use crate::operator::evaluate::batch_of;
use crate::operator::{Operator, OperatorMetrics, RunSink, SLICE_ROWS, StateRun, Tick, slices};
use crate::spill::SpillSpace;
use crate::workers::Workers;

/// Shards of an operator, on every machine.
pub const SHARDS: usize = 4;
/// Bits of a part number below that of the shard.
const PART_BITS: u32 = 24;
/// Rows whose shards are looked up together.
const ROUTED_ROWS: usize = 16384;
/// Fewer rows of a batch than these are put together with those of others.
const FEW_ROWS: usize = SLICE_ROWS / 4;

/// The operator.
pub struct Sharded {
    shards: Vec<Box<dyn Operator>>,
    /// Where the rows of each input go.
    routes: Vec<Route>,
    workers: Workers,
}

/// Where the rows of an input go.
#[derive(Clone, Debug)]
pub enum Route {
    /// To the shard of the key in these columns.
    Key(Arc<[usize]>),
    /// The same; only some columns of the input are read.
    KeyOf(Arc<[usize]>, Arc<Reads>),
    /// To all shards.
    All,
}

/// Which columns of an input are read. The others are NULL where rows are copied.
#[derive(Debug)]
pub struct Reads {
    is_read: Vec<bool>,
    schema: SchemaRef,
}

impl Reads {
    /// The columns of `schema` that are in `columns`.
    #[must_use]
    pub fn new(schema: &Schema, columns: &BTreeSet<usize>) -> Self {
        let is_read: Vec<bool> =
            (0..schema.fields().len()).map(|column| columns.contains(&column)).collect();
        let null = |field: &FieldRef| Arc::new(Field::new(field.name(), DataType::Null, true));
        let fields = schema.fields().iter().zip(&is_read);
        let fields =
            fields.map(|(field, read)| if *read { Arc::clone(field) } else { null(field) });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Self { is_read, schema }
    }
}

/// A batch, and which of its rows go to which shard.
#[derive(Clone)]
struct Routed {
    batch: DeltaBatch,
    rows: Rows,
    reads: Option<Arc<Reads>>,
}

#[derive(Clone)]
enum Rows {
    /// All of them.
    All(usize),
    /// To every shard.
    Everywhere,
    /// These.
    Some(Arc<[Vec<u32>; SHARDS]>),
}

type Inputs = Vec<Vec<Routed>>;

impl Sharded {
    /// The operator whose shards are `shards`, equal and empty.
    #[must_use]
    pub fn new(shards: Vec<Box<dyn Operator>>, routes: Vec<Route>, workers: Workers) -> Self {
        assert_eq!(shards.len(), SHARDS, "the number of shards is part of the format of the state");
        Self { shards, routes, workers }
    }

    /// Which rows go where.
    fn route(&self, inputs: &[&Delta]) -> Result<Inputs> {
        let of_input = |(route, delta): (&Route, &&Delta)| {
            let batches = delta.ok.iter().filter(|batch| !batch.is_empty());
            if delta.rows() < 2 * ROUTED_ROWS || !self.workers.pays(delta.rows()) {
                return batches.map(|batch| routed(route, batch.clone())).collect();
            }
            let parts = batches.flat_map(|batch| slices(batch, ROUTED_ROWS)).collect();
            let route = route.clone();
            self.workers.map(parts, move |part| routed(&route, part)).into_iter().collect()
        };
        self.routes.iter().zip(inputs).map(of_input).collect()
    }

    /// The shards one after the other.
    fn step_each(&mut self, tick: &Tick, inputs: &Inputs, errors: Vec<Delta>) -> Result<Delta> {
        let mut parts = inputs.iter().map(|input| parted(input)).collect::<Result<Vec<_>>>()?;
        let mut errors = Some(errors);
        let mut out = Delta::default();
        for (number, shard) in self.shards.iter_mut().enumerate() {
            if reaches(inputs, number) {
                let mut deltas: Vec<Delta> =
                    parts.iter_mut().map(|part| std::mem::take(&mut part[number])).collect();
                for (delta, errors) in deltas.iter_mut().zip(errors.take().unwrap_or_default()) {
                    delta.err = errors.err;
                }
                out.append(shard.step(tick, &deltas.iter().collect::<Vec<_>>())?);
            }
        }
        Ok(out)
    }

    /// The shards together.
    fn step_together(&mut self, tick: &Tick, inputs: Inputs, errors: Vec<Delta>) -> Result<Delta> {
        let mut errors = Some(errors);
        let shards = std::mem::take(&mut self.shards).into_iter().enumerate();
        let shards = shards.map(|(number, shard)| {
            let reached = reaches(&inputs, number);
            (number, shard, reached.then(|| errors.take()))
        });
        let (shards, tick) = (shards.collect(), *tick);
        let stepped = self.workers.map(shards, move |(number, mut shard, reached)| {
            let run = || match reached {
                Some(errors) => step_one(shard.as_mut(), number, &tick, &inputs, errors),
                None => Ok(Delta::default()),
            };
            let output = catch_unwind(AssertUnwindSafe(run));
            (shard, output)
        });
        let (shards, outputs): (Vec<_>, Vec<_>) = stepped.into_iter().unzip();
        self.shards = shards;
        let mut out = Delta::default();
        for output in outputs {
            match output {
                Ok(delta) => out.append(delta?),
                Err(panic) => resume_unwind(panic),
            }
        }
        Ok(out)
    }
}

impl Operator for Sharded {
    fn step(&mut self, tick: &Tick, inputs: &[&Delta]) -> Result<Delta> {
        let routed = self.route(inputs)?;
        let reached: Vec<usize> = (0..SHARDS).filter(|s| reaches(&routed, *s)).collect();
        if let [] | [_] = reached[..] {
            return self.shards[reached.first().copied().unwrap_or(0)].step(tick, inputs);
        }
        // Error rows only pass through: any shard will do.
        let errors = inputs.iter().map(|d| Delta { ok: Vec::new(), err: d.err.clone() }).collect();
        if self.workers.pays(inputs.iter().map(|delta| delta.rows()).sum()) {
            return self.step_together(tick, routed, errors);
        }
        self.step_each(tick, &routed, errors)
    }

    fn freeze(&mut self, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        for (number, shard) in (0..).zip(&mut self.shards) {
            let mut of_shard = |run: StateRun| {
                assert!(run.part < 1 << PART_BITS, "an operator has few parts");
                out(StateRun { part: run.part | number << PART_BITS, ..run })
            };
            shard.freeze(full, &mut of_shard)?;
        }
        Ok(())
    }

    fn restore(&mut self, runs: &[StateRun]) -> Result<()> {
        let mut by_shard: Vec<Vec<StateRun>> = vec![Vec::new(); SHARDS];
        for run in runs {
            let shard = by_shard.get_mut((run.part >> PART_BITS) as usize).ok_or_else(|| {
                Error::Internal(format!("a state run of a shard beyond {SHARDS}"))
            })?;
            shard.push(StateRun { part: run.part & ((1 << PART_BITS) - 1), ..run.clone() });
        }
        self.shards.iter_mut().zip(by_shard).try_for_each(|(shard, runs)| shard.restore(&runs))
    }

    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        let mut freed = 0;
        for (number, shard) in self.shards.iter_mut().enumerate() {
            let share = want.saturating_sub(freed).div_ceil(SHARDS - number);
            freed += shard.spill(space, share)?;
        }
        Ok(freed)
    }

    fn metrics(&self) -> OperatorMetrics {
        self.shards.iter().map(|shard| shard.metrics()).sum()
    }

    #[expect(clippy::cast_precision_loss, reason = "a ratio for display")]
    fn skew(&self) -> f64 {
        let rows = || self.shards.iter().map(|shard| shard.metrics().state_rows);
        let (all, most) = (rows().sum::<u64>(), rows().max().unwrap_or(0));
        if all == 0 { 1.0 } else { (most * self.shards.len() as u64) as f64 / all as f64 }
    }
}

/// Whether a shard gets any row.
fn reaches(inputs: &Inputs, shard: usize) -> bool {
    inputs.iter().flatten().any(|routed| routed.rows_of(shard) > 0)
}

/// One step of one shard, on its rows.
fn step_one(
    shard: &mut dyn Operator,
    number: usize,
    tick: &Tick,
    inputs: &Inputs,
    errors: Option<Vec<Delta>>,
) -> Result<Delta> {
    let mut deltas = errors.unwrap_or_else(|| vec![Delta::default(); inputs.len()]);
    for (delta, routed) in deltas.iter_mut().zip(inputs) {
        gather(routed, number, delta)?;
    }
    shard.step(tick, &deltas.iter().collect::<Vec<_>>())
}

fn routed(route: &Route, batch: DeltaBatch) -> Result<Routed> {
    let (columns, reads) = match route {
        Route::All => return Ok(Routed { batch, rows: Rows::Everywhere, reads: None }),
        Route::Key(columns) => (columns, None),
        Route::KeyOf(columns, reads) => (columns, Some(Arc::clone(reads))),
    };
    let keys = project(batch.columns.columns(), columns);
    let hashes = hash_columns(&keys, batch.len(), HashWidth::Full)?;
    let first = hashes.first().map_or(0, |hash| shard_of(*hash));
    if hashes.iter().all(|hash| shard_of(*hash) == first) {
        return Ok(Routed { batch, rows: Rows::All(first), reads });
    }
    let mut rows: [Vec<u32>; SHARDS] = Default::default();
    rows.iter_mut().for_each(|rows| rows.reserve(hashes.len() / SHARDS));
    for (row, hash) in (0..to_u32(hashes.len())?).zip(hashes) {
        rows[shard_of(hash)].push(row);
    }
    Ok(Routed { batch, rows: Rows::Some(Arc::new(rows)), reads })
}

#[inline]
fn shard_of(hash: u64) -> usize {
    usize::from(hash.to_le_bytes()[0]) % SHARDS
}

impl Routed {
    /// How many rows a shard gets.
    fn rows_of(&self, shard: usize) -> usize {
        match &self.rows {
            Rows::All(all) if *all == shard => self.batch.len(),
            Rows::All(_) => 0,
            Rows::Everywhere => self.batch.len(),
            Rows::Some(rows) => rows[shard].len(),
        }
    }

    /// The rows of a shard, unless they are all rows.
    fn some_of(&self, shard: usize) -> Option<&[u32]> {
        match &self.rows {
            Rows::All(_) | Rows::Everywhere => None,
            Rows::Some(rows) => Some(&rows[shard]),
        }
    }

    /// Calls `each` with the rows of a shard.
    fn each_of(&self, shard: usize, mut each: impl FnMut(usize)) {
        match self.some_of(shard) {
            None => (0..self.batch.len()).for_each(each),
            Some(rows) => rows.iter().for_each(|row| each(*row as usize)),
        }
    }
}

/// The rows of each shard. Those of few rows are copied together, in the order of the shards, and cut.
fn parted(routed: &[Routed]) -> Result<[Delta; SHARDS]> {
    let mut parts: [Delta; SHARDS] = Default::default();
    let rows: usize = routed.iter().map(|piece| piece.batch.len()).sum();
    let are_mixed = routed.iter().all(|piece| matches!(piece.rows, Rows::Some(_)));
    if routed.is_empty() || !are_mixed || rows > SLICE_ROWS {
        for (number, part) in parts.iter_mut().enumerate() {
            gather(routed, number, part)?;
        }
        return Ok(parts);
    }
    let pieces: Vec<&Routed> = routed.iter().collect();
    let all = joined(&pieces, &Place::of(&pieces, 0..SHARDS, rows), rows)?;
    let mut from = 0;
    for (number, part) in parts.iter_mut().enumerate() {
        let found: usize = pieces.iter().map(|piece| piece.rows_of(number)).sum();
        if found > 0 {
            part.push(all.slice(from, found));
        }
        from += found;
    }
    Ok(parts)
}

/// Adds the rows of a shard to `out`. Few rows of many batches become one batch: what leaves the shards goes
/// to other shards, and batches must not become ever smaller on the way.
fn gather(routed: &[Routed], shard: usize, out: &mut Delta) -> Result<()> {
    let mut waiting: Vec<&Routed> = Vec::new();
    let mut rows = 0;
    for piece in routed.iter().filter(|piece| piece.rows_of(shard) > 0) {
        let found = piece.rows_of(shard);
        if found >= FEW_ROWS {
            out.push(joined_of(&[piece], shard, found)?);
            continue;
        }
        waiting.push(piece);
        rows += found;
        if rows >= SLICE_ROWS {
            out.push(joined_of(&waiting, shard, rows)?);
            waiting.clear();
            rows = 0;
        }
    }
    if !waiting.is_empty() {
        out.push(joined_of(&waiting, shard, rows)?);
    }
    Ok(())
}

/// One batch of the rows of a shard.
fn joined_of(pieces: &[&Routed], shard: usize, rows: usize) -> Result<DeltaBatch> {
    if let [only] = pieces
        && only.some_of(shard).is_none()
    {
        return Ok(only.batch.clone());
    }
    joined(pieces, &Place::of(pieces, shard..shard + 1, rows), rows)
}

/// One batch of the `rows` rows at `place`.
fn joined(pieces: &[&Routed], place: &Place, rows: usize) -> Result<DeltaBatch> {
    let first = pieces[0];
    let is_read = |column: usize| first.reads.as_ref().is_none_or(|reads| reads.is_read[column]);
    let schema = match &first.reads {
        None => first.batch.schema(),
        Some(reads) => Arc::clone(&reads.schema),
    };
    let column = |column: usize| -> Result<ArrayRef> {
        if !is_read(column) {
            return Ok(Arc::new(NullArray::new(rows)));
        }
        let part = |piece: &&Routed| ArrayRef::clone(piece.batch.columns.column(column));
        let parts: Vec<ArrayRef> = pieces.iter().map(part).collect();
        place.gather(&parts)
    };
    let columns = (0..schema.fields().len()).map(column).collect::<Result<Vec<_>>>()?;
    let weights = match place {
        Place::Of(rows) => first.batch.weights.take(rows.values()),
        Place::Among(places) => weights_of(pieces, places),
    };
    Ok(DeltaBatch { columns: batch_of(&schema, columns, rows)?, weights })
}

/// Where rows are gathered from.
enum Place {
    /// These of one batch.
    Of(UInt32Array),
    /// Batch and row of each.
    Among(Vec<(usize, usize)>),
}

impl Place {
    /// The rows of one shard after the other.
    fn of(pieces: &[&Routed], shards: Range<usize>, rows: usize) -> Self {
        if let [Routed { rows: Rows::Some(of_shard), .. }] = pieces {
            let rows = shards.flat_map(|shard| of_shard[shard].iter().copied());
            return Self::Of(UInt32Array::from_iter_values(rows));
        }
        let mut places = Vec::with_capacity(rows);
        for shard in shards {
            for (number, piece) in pieces.iter().enumerate() {
                piece.each_of(shard, |row| places.push((number, row)));
            }
        }
        Self::Among(places)
    }

    fn gather(&self, parts: &[ArrayRef]) -> Result<ArrayRef> {
        Ok(match self {
            Self::Of(rows) => take(&parts[0], rows, None)?,
            Self::Among(places) => {
                let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
                interleave(&parts, places)?
            }
        })
    }
}

fn weights_of(pieces: &[&Routed], places: &[(usize, usize)]) -> Weights {
    let all = |same: fn(&Weights) -> bool| pieces.iter().all(|piece| same(&piece.batch.weights));
    if all(|weights| matches!(weights, Weights::One)) {
        return Weights::One;
    }
    if all(|weights| matches!(weights, Weights::MinusOne)) {
        return Weights::MinusOne;
    }
    let weight = |(piece, row): &(usize, usize)| pieces[*piece].batch.weights.get(*row);
    Weights::Each(places.iter().map(weight).collect())
}
