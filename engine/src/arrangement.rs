//! Arrangements: bags of rows, indexed by key, that operators and tables keep between ticks.
//!
//! ```text
//! Arrangement  =  ColumnLog (rows by id, tombstones)
//!              +  TagIndex by the key columns   -> probes
//!              +  TagIndex by the whole row     -> retractions, made when a key has many rows
//! ```
//! Rows are **unit rows**: a row of weight 3 is stored three times, a retraction puts a tombstone on one
//! row of equal bits. A probe sees one of two **sides** of the running tick: `Before` is the state when
//! [`Arrangement::begin_tick`] was called (rows below a bound, without the deaths since), `After` is
//! everything so far. Dead rows are taken out of the chains by the probes that pass them, so a key that
//! changes for ever costs no more than one that does not.
//!
//! State leaves as hash-ordered Z-set runs: rows since the last one as +1, deaths of older rows as -1; a
//! replacing image when the log was compacted or the runs outgrow twice the live rows.

mod chain;
pub mod equal;
pub mod gather;
pub mod hash;
pub mod keyed;
pub mod log;
pub mod pages;
pub mod run;
pub mod tag_index;
pub mod view;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::take_arrays;
use arrow::datatypes::SchemaRef;
use levada_storage::delta::{Delta, DeltaBatch, Weights};

use crate::arrangement::chain::{Rows, Walk};
use crate::arrangement::equal::{Equality, retain_equal};
use crate::arrangement::hash::{HashWidth, hash_columns};
use crate::arrangement::log::{ColumnLog, Moves};
use crate::arrangement::run::ZSetRuns;
use crate::arrangement::tag_index::{Link, TagIndex};
use crate::arrangement::view::LogView;
use crate::error::{Error, Result};
use crate::operator::StateRun;

/// Rows of a key that are searched for the one to retract before an index by the whole row is made.
const SEARCH_ROUNDS: usize = 8;

/// Which state of the running tick a probe sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The state when the tick began.
    Before,
    /// The state with everything applied so far.
    After,
}

/// Pairs of a probing row and a row of the arrangement, in no order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// Row of the probing batch.
    pub probe: Vec<u32>,
    /// Row id in the arrangement.
    pub row: Vec<u32>,
}

/// An indexed bag of rows.
#[derive(Debug)]
pub struct Arrangement {
    rows: Rows,
    keys: Vec<usize>,
    width: HashWidth,
    /// By the key; none without key columns.
    by_key: Option<TagIndex>,
    /// By the whole row; `by_key` serves when the key is the whole row.
    by_row: Option<TagIndex>,
    runs: ZSetRuns,
    compactions: u64,
    touched: u64,
}

impl Arrangement {
    /// An empty arrangement of rows of `schema` by the columns `keys`.
    #[must_use]
    pub fn new(schema: SchemaRef, keys: Vec<usize>) -> Self {
        Self::with_hash_width(schema, keys, HashWidth::Full)
    }

    /// An empty arrangement that uses only some bits of its hashes.
    #[must_use]
    pub fn with_hash_width(schema: SchemaRef, keys: Vec<usize>, width: HashWidth) -> Self {
        Self {
            runs: ZSetRuns::new(&schema),
            rows: Rows::new(schema),
            by_key: (!keys.is_empty()).then(TagIndex::new),
            by_row: None,
            keys,
            width,
            compactions: 0,
            touched: 0,
        }
    }

    /// Schema of the rows.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        self.rows.log.schema()
    }

    /// The key columns; empty when there is none.
    #[must_use]
    pub fn keys(&self) -> &[usize] {
        &self.keys
    }

    /// Number of live rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.log.live_rows().into()
    }

    /// Ids are below it; a row appended later gets at least this id.
    #[must_use]
    pub fn row_bound(&self) -> u32 {
        self.rows.log.rows()
    }

    /// Bytes it occupies.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let indexes = [&self.by_key, &self.by_row];
        let index: usize = indexes.into_iter().flatten().map(TagIndex::bytes).sum();
        (self.rows.log.bytes() + index) as u64
    }

    /// Rows read or written since it was made.
    #[must_use]
    pub fn touched(&self) -> u64 {
        self.touched
    }

    /// How often ids have changed: ids are stable as long as this number is.
    #[must_use]
    pub fn compactions(&self) -> u64 {
        self.compactions
    }

    /// The live rows for readers.
    #[must_use]
    pub fn view(&self) -> LogView {
        self.rows.log.view()
    }

    /// The log: gathers, live ids.
    #[must_use]
    pub fn log(&self) -> &ColumnLog {
        &self.rows.log
    }

    /// Starts a tick: what is here becomes the `Before` side.
    pub fn begin_tick(&mut self) {
        self.rows.begin_tick();
    }

    /// The rows below `row_bound` of the tick's start that died since.
    pub fn died(&self) -> impl Iterator<Item = u32> + '_ {
        self.rows.died()
    }

    /// Applies a delta: all insertions, then all retractions, so their order in the delta is free.
    ///
    /// # Errors
    /// When a retracted row is not there.
    pub fn apply(&mut self, delta: &Delta) -> Result<()> {
        for batch in &delta.ok {
            self.insert(batch)?;
        }
        for batch in &delta.ok {
            let missing = self.retract(batch)?;
            if missing > 0 {
                let text = format!("{missing} retracted rows are not in the arrangement");
                return Err(Error::Internal(text));
            }
        }
        Ok(())
    }

    /// Inserts the rows of positive weight, each as often as its weight says.
    ///
    /// # Errors
    /// When the log is full or a type cannot be hashed.
    pub fn insert(&mut self, batch: &DeltaBatch) -> Result<()> {
        let columns = match &batch.weights {
            Weights::One => batch.columns.columns().to_vec(),
            Weights::MinusOne => return Ok(()),
            Weights::Each(weights) => {
                if weights.iter().all(|w| *w == 1) {
                    batch.columns.columns().to_vec()
                } else {
                    let rows = repeated(weights, |w| w)?;
                    if rows.is_empty() {
                        return Ok(());
                    }
                    take_arrays(batch.columns.columns(), &UInt32Array::from(rows), None)?
                }
            }
        };
        let rows = columns.first().map_or_else(|| batch.len(), |c| c.len());
        self.insert_columns(&columns, rows)
    }

    fn insert_columns(&mut self, columns: &[ArrayRef], rows: usize) -> Result<()> {
        let first = self.rows.log.rows();
        self.rows.log.append(columns, rows)?;
        self.touched += rows as u64;
        if let Some(index) = &mut self.by_key {
            let hashes = hash_columns(&project(columns, &self.keys), rows, self.width)?;
            (first..).zip(&hashes).for_each(|(row, hash)| index.insert(*hash, row));
        }
        if let Some(index) = &mut self.by_row {
            let hashes = hash_columns(columns, rows, self.width)?;
            (first..).zip(&hashes).for_each(|(row, hash)| index.insert(*hash, row));
        }
        Ok(())
    }

    /// Retracts the rows of negative weight, each as often as its weight says; returns how many found no
    /// row of equal bits.
    ///
    /// # Errors
    /// When rows cannot be compared.
    pub fn retract(&mut self, batch: &DeltaBatch) -> Result<usize> {
        let rows = match &batch.weights {
            Weights::One => return Ok(0),
            Weights::MinusOne => (0..to_u32(batch.len())?).collect(),
            Weights::Each(weights) => repeated(weights, |w| w.saturating_neg())?,
        };
        if rows.is_empty() {
            return Ok(0);
        }
        let columns = batch.columns.columns();
        let whole_row_key = self.keys.len() == self.schema().fields().len();
        let mut pending = rows;
        if self.by_row.is_none()
            && let Some(mut index) = self.by_key.take()
        {
            let keys = project(columns, &self.keys);
            let hashes = hash_columns(&keys, batch.len(), self.width)?;
            // An index by the whole row would have the same chains.
            let rounds = if whole_row_key { usize::MAX } else { SEARCH_ROUNDS };
            let left = self.retract_by(&mut index, columns, &hashes, pending, rounds);
            self.by_key = Some(index);
            pending = left?;
            if pending.is_empty() || whole_row_key {
                return Ok(pending.len());
            }
        }
        let mut index = match self.by_row.take() {
            Some(index) => index,
            None => self.index_by(None)?,
        };
        let hashes = hash_columns(columns, batch.len(), self.width)?;
        let left = self.retract_by(&mut index, columns, &hashes, pending, usize::MAX);
        self.by_row = Some(index);
        Ok(left?.len())
    }

    /// Walks the chains of `index`, a row of each per round; returns the rows that were not found in
    /// `rounds` or at all.
    fn retract_by(
        &mut self,
        index: &mut TagIndex,
        columns: &[ArrayRef],
        hashes: &[u64],
        mut pending: Vec<u32>,
        rounds: usize,
    ) -> Result<Vec<u32>> {
        let start = |probe: &u32| Walk::start(index, hashes[*probe as usize]);
        let mut walks: Vec<Walk> = pending.iter().map(start).collect();
        let mut missing = Vec::new();
        for round in 0.. {
            let (mut probes, mut rows, mut found) = (Vec::new(), Vec::new(), Vec::new());
            for (probe, mut walk) in pending.drain(..).zip(walks.drain(..)) {
                match walk.skip(index, &self.rows, Side::After) {
                    Some(row) if round < rounds => {
                        probes.push(probe);
                        rows.push(row);
                        found.push(walk);
                    }
                    _ => missing.push(probe),
                }
            }
            if rows.is_empty() {
                break;
            }
            self.touched += rows.len() as u64;
            let keep = self.equal_rows(columns, &probes, &rows)?;
            for (i, mut walk) in found.into_iter().enumerate() {
                // An equal row of the same batch may have taken this one in this round.
                if keep[i] && self.rows.log.is_live(rows[i]) {
                    self.runs.died(rows[i]);
                    self.rows.kill(rows[i]);
                } else {
                    walk.step(index);
                    pending.push(probes[i]);
                    walks.push(walk);
                }
            }
        }
        Ok(missing)
    }

    /// Which of the pairs of a row of `columns` and a stored row have equal bits.
    fn equal_rows(&self, columns: &[ArrayRef], probes: &[u32], rows: &[u32]) -> Result<Vec<bool>> {
        let mut keep = vec![true; rows.len()];
        let aligned: Vec<u32> = (0..to_u32(rows.len())?).collect();
        let located = self.rows.log.locate(rows);
        for (i, column) in columns.iter().enumerate() {
            let stored = located.column(i)?;
            retain_equal((column, probes), (&stored, &aligned), Equality::Bits, &mut keep)?;
        }
        Ok(keep)
    }

    /// Makes an index of the live rows by `keys`, or by the whole row.
    fn index_by(&self, keys: Option<&[usize]>) -> Result<TagIndex> {
        let mut index = TagIndex::new();
        let mut first = 0;
        let log = &self.rows.log;
        for piece in log.chunks().iter().flat_map(|c| &c.pieces) {
            let columns = keys.map(|k| project(&piece.columns, k));
            let columns = columns.as_deref().unwrap_or(&piece.columns);
            let hashes = hash_columns(columns, piece.rows as usize, self.width)?;
            let live = (first..).zip(hashes).filter(|(row, _)| log.is_live(*row));
            live.for_each(|(row, hash)| index.insert(hash, row));
            first += piece.rows;
        }
        Ok(index)
    }

    /// Pairs each row of the key columns `keys` with the rows of equal key.
    ///
    /// With `nulls_match`, NULL equals NULL; else a NULL in the key matches nothing. Without key columns
    /// every row matches all.
    ///
    /// # Errors
    /// When keys cannot be hashed or compared.
    pub fn probe(
        &mut self,
        keys: &[ArrayRef],
        rows: usize,
        nulls_match: bool,
        side: Side,
    ) -> Result<Matches> {
        let Some(index) = &mut self.by_key else { return self.all_pairs(rows, side) };
        let hashes = hash_columns(keys, rows, self.width)?;
        let mut heads = Vec::new();
        index.heads(&hashes, &mut heads);
        let has_null = |row: usize| !nulls_match && keys.iter().any(|k| k.is_null(row));
        let mut walks: Vec<(u32, Walk)> = Vec::with_capacity(rows);
        for (row, (hash, link)) in hashes.into_iter().zip(heads).enumerate() {
            if link != Link::END && !has_null(row) {
                walks.push((to_u32(row)?, Walk::at(hash, link)));
            }
        }
        let mut matches = Matches::default();
        // All chains advance together, so that their cache misses overlap.
        while !walks.is_empty() {
            walks.retain_mut(|(probe, walk)| {
                let Some(row) = walk.skip(index, &self.rows, side) else { return false };
                matches.probe.push(*probe);
                matches.row.push(row);
                walk.step(index);
                !walk.is_done()
            });
        }
        self.touched += matches.row.len() as u64;
        self.verify(keys, &mut matches)?;
        Ok(matches)
    }

    /// Drops the pairs whose keys differ.
    fn verify(&self, keys: &[ArrayRef], matches: &mut Matches) -> Result<()> {
        let mut keep = vec![true; matches.row.len()];
        let aligned: Vec<u32> = (0..to_u32(matches.row.len())?).collect();
        let located = self.rows.log.locate(&matches.row);
        for (key, column) in keys.iter().zip(&self.keys) {
            let stored = located.column(*column)?;
            let left = (key, &matches.probe[..]);
            retain_equal(left, (&stored, &aligned), Equality::Key, &mut keep)?;
        }
        if keep.iter().any(|k| !*k) {
            retain(&mut matches.probe, &keep);
            retain(&mut matches.row, &keep);
        }
        Ok(())
    }

    fn all_pairs(&mut self, rows: usize, side: Side) -> Result<Matches> {
        let visible: Vec<u32> =
            (0..self.rows.log.rows()).filter(|r| self.rows.sees(*r, side)).collect();
        self.touched += visible.len() as u64;
        let mut matches = Matches::default();
        for probe in 0..to_u32(rows)? {
            matches.probe.extend(std::iter::repeat_n(probe, visible.len()));
            matches.row.extend_from_slice(&visible);
        }
        Ok(matches)
    }

    /// The columns of rows, in the order given.
    ///
    /// # Errors
    /// When a string column would pass its offset range.
    pub fn gather(&self, rows: &[u32], columns: &[usize]) -> Result<Vec<ArrayRef>> {
        self.rows.log.gather(rows, columns)
    }

    /// Drops the dead rows when they are more than the live ones; between ticks only.
    ///
    /// Row ids change when it returns where the live rows went.
    ///
    /// # Errors
    /// When rows cannot be filtered or hashed.
    pub fn compact_if_worn(&mut self) -> Result<Option<Moves>> {
        if !self.rows.log.is_worn() {
            return Ok(None);
        }
        let moves = self.rows.log.compact()?;
        if self.by_key.is_some() {
            self.by_key = Some(self.index_by(Some(&self.keys))?);
        }
        if self.by_row.is_some() {
            self.by_row = if self.rows() == 0 { None } else { Some(self.index_by(None)?) };
        }
        self.runs.compacted();
        self.compactions += 1;
        self.begin_tick();
        Ok(Some(moves))
    }

    /// What changed since the last call as runs of `part`; `full` asks for a replacing image.
    ///
    /// # Errors
    /// When rows cannot be gathered.
    pub fn freeze(&mut self, part: u32, full: bool) -> Result<Vec<StateRun>> {
        let Self { runs, rows, keys, width, .. } = self;
        let all: Vec<usize> = (0..rows.log.schema().fields().len()).collect();
        let keys = if keys.is_empty() { &all } else { keys };
        let hashes = |ids: &[u32]| hash_columns(&rows.log.gather(ids, keys)?, ids.len(), *width);
        runs.freeze(part, full, &rows.log, &hashes)
    }

    /// Takes back the runs of one part, oldest first, on an empty arrangement.
    ///
    /// # Errors
    /// When the runs do not fit.
    pub fn restore<'a>(&mut self, runs: impl IntoIterator<Item = &'a StateRun>) -> Result<()> {
        let mut run_rows = 0;
        for run in runs {
            if run.replaces {
                let keys = std::mem::take(&mut self.keys);
                *self = Self::with_hash_width(Arc::clone(self.schema()), keys, self.width);
                run_rows = 0;
            }
            run_rows += run.rows.num_rows() as u64;
            let batch = self.runs.read(&run.rows, self.schema())?;
            self.apply(&Delta::of([batch]))?;
        }
        self.runs.restored(self.rows.log.rows(), run_rows);
        self.begin_tick();
        Ok(())
    }
}

/// The columns at `indices`.
pub(crate) fn project(columns: &[ArrayRef], indices: &[usize]) -> Vec<ArrayRef> {
    indices.iter().map(|i| ArrayRef::clone(&columns[*i])).collect()
}

/// A row count as a row number.
pub(crate) fn to_u32(n: usize) -> Result<u32> {
    u32::try_from(n).map_err(|_large| Error::Internal(format!("{n} rows in one batch")))
}

/// Keeps the values whose flag is set.
pub(crate) fn retain<T: Copy>(values: &mut Vec<T>, keep: &[bool]) {
    let mut flags = keep.iter();
    values.retain(|_| flags.next().copied().unwrap_or(false));
}

/// Each row as often as `times(weight)` says, if that is positive.
fn repeated(weights: &[i64], times: impl Fn(i64) -> i64) -> Result<Vec<u32>> {
    let mut rows = Vec::with_capacity(weights.len());
    for (row, weight) in weights.iter().enumerate() {
        if let Ok(n) = usize::try_from(times(*weight)) {
            if n > u32::MAX as usize {
                return Err(Error::Internal(format!("a row of weight {weight}")));
            }
            rows.extend(std::iter::repeat_n(to_u32(row)?, n));
        }
    }
    Ok(rows)
}
