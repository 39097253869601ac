//! Arrangements: bags of rows, indexed by key, that operators and tables keep between ticks.
//!
//! ```text
//! Arrangement  =  ColumnLog (rows by id, tombstones)
//!              +  TagIndex by the key columns   -> probes
//!              +  TagIndex by the whole row     -> retractions, made when the lack of it has cost as much
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
pub mod multiset;
pub mod ordered;
pub mod pages;
pub mod run;
pub mod spine;
pub mod tag_index;
pub mod view;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array, make_comparator};
use arrow::compute::{SortOptions, concat_batches, take_arrays};
use arrow::datatypes::SchemaRef;
use hashbrown::HashTable;
use levada_storage::delta::{Delta, DeltaBatch, Weights};

use crate::arrangement::chain::{Rows, Walk};
use crate::arrangement::equal::{Equality, retain_equal};
use crate::arrangement::hash::{HashWidth, hash_columns, hash_with};
use crate::arrangement::log::{CHUNK_ROWS, ColumnLog, Moves};
use crate::arrangement::run::ZSetRuns;
use crate::arrangement::tag_index::{Link, TagIndex};
use crate::arrangement::view::LogView;
use crate::error::{Error, Result};
use crate::operator::evaluate::batch_of;
use crate::operator::{RunSink, StateRun};
use crate::spill::SpillSpace;
use crate::workers::Workers;

/// Other rows of a key that a search for one to retract may always pass.
const SEARCH_ROWS: usize = 8;
/// Rows passed beyond that cost as much as a row's place in an index by the whole row, or more.
const PASSED_PER_ENTRY: u64 = 4;
/// Rows of a chain that are compared together.
const ROUND_ROWS: usize = 256;

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
    /// Other rows that searches for rows to retract have passed, beyond the few that each may.
    passed: u64,
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
            passed: 0,
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

    /// Bytes of it in spill space.
    #[must_use]
    pub fn spilled(&self) -> u64 {
        let indexes = [&self.by_key, &self.by_row];
        let index: usize = indexes.into_iter().flatten().map(TagIndex::spilled).sum();
        (self.rows.log.spilled() + index) as u64
    }

    /// Moves what it holds to spill space, the oldest rows first and the indexes last, until that freed `want`
    /// bytes of memory; how many it freed.
    ///
    /// # Errors
    /// When there is no room.
    pub fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        let mut freed = self.rows.log.spill(space, want)?;
        for index in [&mut self.by_row, &mut self.by_key].into_iter().flatten() {
            if freed < want {
                freed += index.spill(space)?;
            }
        }
        Ok(freed)
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
        self.apply_with(delta, &Workers::alone())
    }

    /// As [`Arrangement::apply`]; `workers` share the copying and hashing of what is inserted.
    ///
    /// # Errors
    /// As [`Arrangement::apply`].
    pub fn apply_with(&mut self, delta: &Delta, workers: &Workers) -> Result<()> {
        for batch in together(&delta.ok)? {
            self.insert_with(&batch, workers)?;
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
        self.insert_with(batch, &Workers::alone())
    }

    fn insert_with(&mut self, batch: &DeltaBatch, workers: &Workers) -> Result<()> {
        let columns = batch.columns.columns();
        match &batch.weights {
            Weights::MinusOne => Ok(()),
            Weights::Each(weights) if weights.iter().any(|w| *w != 1) => {
                let rows = repeated(weights)?;
                let count = rows.len();
                let columns = take_arrays(columns, &UInt32Array::from(rows), None)?;
                self.insert_columns(&columns, count, workers)
            }
            Weights::One | Weights::Each(_) => self.insert_columns(columns, batch.len(), workers),
        }
    }

    fn insert_columns(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        workers: &Workers,
    ) -> Result<()> {
        let first = self.rows.log.rows();
        self.rows.log.append_with(columns, rows, workers)?;
        self.touched += rows as u64;
        if let Some(index) = &mut self.by_key {
            let hashes = hash_with(project(columns, &self.keys), rows, self.width, workers)?;
            (first..).zip(&hashes).for_each(|(row, hash)| index.insert(*hash, row));
        }
        if let Some(index) = &mut self.by_row {
            let hashes = hash_with(columns.to_vec(), rows, self.width, workers)?;
            (first..).zip(&hashes).for_each(|(row, hash)| index.insert(*hash, row));
        }
        Ok(())
    }

    /// Retracts the rows of negative weight, each as often as its weight says; returns how many found no
    /// row of equal bits.
    ///
    /// # Errors
    /// When rows cannot be compared.
    pub fn retract(&mut self, batch: &DeltaBatch) -> Result<u64> {
        let mut wanted: Vec<Wanted> = Vec::new();
        for row in 0..batch.len() {
            let weight = batch.weights.get(row);
            if weight < 0 {
                wanted.push(Wanted { row: to_u32(row)?, times: weight.unsigned_abs() });
            }
        }
        if wanted.is_empty() {
            return Ok(0);
        }
        let columns = batch.columns.columns();
        let hashes = hash_columns(columns, batch.len(), self.width)?;
        merge_equal(columns, &hashes, &mut wanted)?;
        let whole_row_key = self.keys.len() == self.schema().fields().len();
        if self.by_row.is_none()
            && let Some(mut index) = self.by_key.take()
        {
            let hashes = hash_columns(&project(columns, &self.keys), batch.len(), self.width)?;
            // Where the key is the whole row, another index would have the same chains.
            let most = if whole_row_key { u64::MAX } else { self.rows() / PASSED_PER_ENTRY };
            let left = self.retract_by(&mut index, columns, &hashes, wanted, most);
            self.by_key = Some(index);
            wanted = left?;
            if whole_row_key || wanted.is_empty() {
                return Ok(wanted.iter().map(|w| w.times).sum());
            }
        }
        let mut index = match self.by_row.take() {
            Some(index) => index,
            None => self.index_by(None, self.by_key.as_ref().and_then(TagIndex::space).cloned())?,
        };
        let left = self.retract_by(&mut index, columns, &hashes, wanted, u64::MAX);
        self.by_row = Some(index);
        Ok(left?.iter().map(|w| w.times).sum())
    }

    /// Walks the chains of `index` for the rows `wanted`, twice as many rows of each chain per round; returns
    /// what was not found at all, or not before `most` rows were passed.
    fn retract_by(
        &mut self,
        index: &mut TagIndex,
        columns: &[ArrayRef],
        hashes: &[u64],
        wanted: Vec<Wanted>,
        most: u64,
    ) -> Result<Vec<Wanted>> {
        let start = |w: Wanted| (w, Walk::start(index, hashes[w.row as usize]), 0);
        let mut searches: Vec<(Wanted, Walk, usize)> = wanted.into_iter().map(start).collect();
        let mut missing = Vec::new();
        while !searches.is_empty() {
            let (mut probes, mut rows) = (Vec::new(), Vec::new());
            let mut counts = Vec::with_capacity(searches.len());
            for (wanted, walk, others) in &mut searches {
                let first = rows.len();
                let times = usize::try_from(wanted.times).unwrap_or(usize::MAX);
                let round = times.max(*others).min(ROUND_ROWS);
                while rows.len() - first < round
                    && let Some(row) = walk.skip(index, &self.rows, Side::After)
                {
                    probes.push(wanted.row);
                    rows.push(row);
                    walk.step(index);
                }
                counts.push(rows.len() - first);
            }
            self.touched += rows.len() as u64;
            let equal = self.equal_rows(columns, &probes, &rows)?;
            let mut candidates = rows.into_iter().zip(equal);
            let mut counts = counts.into_iter();
            searches.retain_mut(|(wanted, _, others)| {
                let count = counts.next().unwrap_or(0);
                for (row, equal) in candidates.by_ref().take(count) {
                    if equal && wanted.times > 0 {
                        self.runs.died(row);
                        self.rows.kill(row);
                        wanted.times -= 1;
                    } else {
                        *others += 1;
                        self.passed += u64::from(*others > SEARCH_ROWS);
                    }
                }
                let found = wanted.times == 0;
                let ended = count == 0 || (*others > SEARCH_ROWS && self.passed > most);
                if ended && !found {
                    missing.push(*wanted);
                }
                !found && !ended
            });
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
    fn index_by(&self, keys: Option<&[usize]>, space: Option<Arc<SpillSpace>>) -> Result<TagIndex> {
        let mut index = TagIndex::within(space);
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
        let space = |index: TagIndex| index.space().cloned();
        // The old index goes before the new one is made: there need not be room for both.
        if let Some(space) = self.by_key.take().map(space) {
            self.by_key = Some(self.index_by(Some(&self.keys), space)?);
        }
        if let Some(space) = self.by_row.take().map(space).filter(|_| self.rows() > 0) {
            self.by_row = Some(self.index_by(None, space)?);
        }
        self.runs.compacted();
        self.compactions += 1;
        self.begin_tick();
        Ok(Some(moves))
    }

    /// Hands out what changed since the last call as runs of `part`; `full` asks for a replacing image.
    ///
    /// # Errors
    /// Those of `out`, and when rows cannot be gathered.
    pub fn freeze(&mut self, part: u32, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        let Self { runs, rows, keys, width, .. } = self;
        let all: Vec<usize> = (0..rows.log.schema().fields().len()).collect();
        let keys = if keys.is_empty() { &all } else { keys };
        let hashes = |ids: &[u32]| hash_columns(&rows.log.gather(ids, keys)?, ids.len(), *width);
        runs.freeze((part, full), &rows.log, &hashes, out)
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

/// The same rows in the same order, with neighbouring small batches of insertions as one: what is stored in pieces is copied
/// again when the pieces are joined.
///
/// # Errors
/// When a string column would pass its offset range.
pub fn together(batches: &[DeltaBatch]) -> Result<Vec<DeltaBatch>> {
    let mut out = Vec::with_capacity(batches.len());
    let mut waiting: Vec<&DeltaBatch> = Vec::new();
    let mut rows = 0;
    for batch in batches {
        let is_small = batch.len() < CHUNK_ROWS as usize / 2;
        let waits = is_small && matches!(batch.weights, Weights::One);
        if (!waits || rows >= CHUNK_ROWS as usize) && !waiting.is_empty() {
            out.push(joined(&waiting)?);
            waiting.clear();
            rows = 0;
        }
        if waits {
            waiting.push(batch);
            rows += batch.len();
        } else {
            out.push(batch.clone());
        }
    }
    if !waiting.is_empty() {
        out.push(joined(&waiting)?);
    }
    Ok(out)
}

fn joined(batches: &[&DeltaBatch]) -> Result<DeltaBatch> {
    if let [only] = batches {
        return Ok((*only).clone());
    }
    let schema = batches[0].schema();
    if schema.fields().is_empty() {
        let rows = batches.iter().map(|batch| batch.len()).sum();
        return Ok(DeltaBatch::inserts(batch_of(&schema, Vec::new(), rows)?));
    }
    let columns = concat_batches(&schema, batches.iter().map(|batch| &batch.columns))?;
    Ok(DeltaBatch::inserts(columns))
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

/// A row of a batch that is to be retracted some times.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    row: u32,
    times: u64,
}

/// Merges the rows of equal bits.
fn merge_equal(columns: &[ArrayRef], hashes: &[u64], wanted: &mut Vec<Wanted>) -> Result<()> {
    if wanted.len() < 2 {
        return Ok(());
    }
    let orders = columns.iter().map(|c| make_comparator(c, c, SortOptions::default()));
    let orders = orders.collect::<std::result::Result<Vec<_>, _>>()?;
    let equal = |a: u32, b: u32| orders.iter().all(|o| o(a as usize, b as usize).is_eq());
    let hash = |row: u32| hashes[row as usize];
    let mut merged: Vec<Wanted> = Vec::with_capacity(wanted.len());
    let mut places: HashTable<(u32, usize)> = HashTable::with_capacity(wanted.len());
    for w in wanted.drain(..) {
        let same = |(row, _): &(u32, usize)| hash(*row) == hash(w.row) && equal(*row, w.row);
        let place = places.entry(hash(w.row), same, |(row, _)| hash(*row)).or_insert_with(|| {
            merged.push(Wanted { times: 0, ..w });
            (w.row, merged.len() - 1)
        });
        merged[place.get().1].times += w.times;
    }
    *wanted = merged;
    Ok(())
}

/// Each row as often as its weight says, if that is positive.
fn repeated(weights: &[i64]) -> Result<Vec<u32>> {
    let mut rows = Vec::with_capacity(weights.len());
    for (row, weight) in weights.iter().enumerate() {
        if let Ok(n) = usize::try_from(*weight) {
            if n > u32::MAX as usize {
                return Err(Error::Internal(format!("a row of weight {weight}")));
            }
            rows.extend(std::iter::repeat_n(to_u32(row)?, n));
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
    use levada_storage::delta::{Delta, DeltaBatch};

    use super::{Arrangement, Side};
    use crate::arrangement::hash::HashWidth;
    use crate::arrangement::view::LogView;
    use crate::operator::StateRun;

    fn schema() -> SchemaRef {
        let k = Field::new("k", DataType::Int64, true);
        Arc::new(Schema::new(vec![k, Field::new("v", DataType::Utf8View, true)]))
    }

    fn rows(rows: impl IntoIterator<Item = (i64, i64)>) -> RecordBatch {
        let (k, v): (Vec<i64>, Vec<String>) =
            rows.into_iter().map(|(k, v)| (k, format!("the value number {v}"))).unzip();
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(k)), Arc::new(StringViewArray::from(v))];
        RecordBatch::try_new(schema(), columns).expect("two columns")
    }

    fn insert(arrangement: &mut Arrangement, batch: RecordBatch) {
        arrangement.apply(&Delta::of([DeltaBatch::inserts(batch)])).expect("inserted");
    }

    fn retract(arrangement: &mut Arrangement, batch: RecordBatch) {
        arrangement.apply(&Delta::of([DeltaBatch::retractions(batch)])).expect("retracted");
    }

    fn matches(arrangement: &mut Arrangement, key: i64, side: Side) -> usize {
        let key: ArrayRef = Arc::new(Int64Array::from(vec![key]));
        arrangement.probe(&[key], 1, false, side).expect("probed").row.len()
    }

    fn frozen(arrangement: &mut Arrangement) -> Vec<StateRun> {
        let mut runs = Vec::new();
        let mut take = |run| {
            runs.push(run);
            Ok(())
        };
        arrangement.freeze(0, false, &mut take).expect("runs");
        runs
    }

    fn keys_of(view: &LogView) -> Vec<i64> {
        let mut keys = Vec::new();
        for batch in view.batches() {
            let batch = batch.expect("a batch");
            keys.extend(batch.column(0).as_primitive::<Int64Type>().values().iter().copied());
        }
        keys.sort_unstable();
        keys
    }

    #[test]
    fn before_is_the_state_at_the_start_of_the_tick() {
        let mut a = Arrangement::new(schema(), vec![0]);
        insert(&mut a, rows([(1, 1), (1, 2), (2, 3)]));
        a.begin_tick();
        insert(&mut a, rows([(1, 4), (3, 5)]));
        retract(&mut a, rows([(1, 1), (2, 3), (1, 4)]));
        for (key, before, after) in [(1, 2, 1), (2, 1, 0), (3, 0, 1), (4, 0, 0)] {
            assert_eq!(matches(&mut a, key, Side::Before), before, "{key} before");
            assert_eq!(matches(&mut a, key, Side::After), after, "{key} after");
        }
        assert_eq!(a.died().count(), 2, "rows of the start that died");
        a.begin_tick();
        assert_eq!(
            matches(&mut a, 1, Side::Before),
            1,
            "the next tick starts where this one ended"
        );
    }

    #[test]
    fn a_view_never_changes() {
        let mut a = Arrangement::new(schema(), vec![0]);
        insert(&mut a, rows((0..20_000).map(|i| (i, i))));
        let view = a.view();
        retract(&mut a, rows((0..15_000).map(|i| (i, i))));
        insert(&mut a, rows([(99_999, 1)]));
        let between = a.view();
        a.compact_if_worn().expect("compacted").expect("most rows are dead");
        assert_eq!(keys_of(&view), (0..20_000).collect::<Vec<_>>(), "as it was");
        let now: Vec<i64> = (15_000..20_000).chain([99_999]).collect();
        assert_eq!(keys_of(&between), now, "before the compaction");
        assert_eq!(keys_of(&a.view()), now, "after it");
        assert_eq!(between.rows(), now.len(), "counted");
        assert_eq!(matches(&mut a, 16_000, Side::After), 1, "still indexed");
        assert_eq!(matches(&mut a, 1, Side::After), 0, "gone");
    }

    #[test]
    fn single_rows_do_not_make_single_pieces() {
        let mut a = Arrangement::new(schema(), vec![0]);
        (0..5000).for_each(|i| insert(&mut a, rows([(i, i)])));
        let pieces: usize = a.log().chunks().iter().map(|c| c.pieces.len()).sum();
        assert!(pieces <= 40, "{pieces} pieces of 5000 rows");
        assert_eq!(keys_of(&a.view()), (0..5000).collect::<Vec<_>>(), "all there");
        let bytes = a.log().bytes();
        assert!(bytes < 5000 * 100, "{bytes} bytes of 5000 rows of 40");
    }

    #[test]
    fn retraction_does_not_walk_a_big_key() {
        let mut a = Arrangement::new(schema(), vec![0]);
        insert(&mut a, rows((0..50_000).map(|i| (7, i))));
        retract(&mut a, rows([(7, 1)]));
        let before = a.touched();
        retract(&mut a, rows((100..1100).map(|i| (7, i))));
        assert!(a.touched() - before < 3000, "{} rows for 1000", a.touched() - before);
        assert_eq!(matches(&mut a, 7, Side::After), 48_999, "the others");
    }

    #[test]
    fn an_index_by_row_is_made_when_searches_have_cost_as_much() {
        let mut a = Arrangement::new(schema(), vec![0]);
        insert(&mut a, rows((0..40_000).map(|i| (i % 2000, i))));
        let before = a.touched();
        // The oldest row of a key of twenty.
        retract(&mut a, rows([(7, 7)]));
        assert!(a.by_row.is_none(), "one search is no reason");
        assert!(a.touched() - before < 50, "{} rows for one", a.touched() - before);
        let made = (0..2000).position(|key| {
            retract(&mut a, rows([(key, 2000 + key)]));
            a.by_row.is_some()
        });
        let made = made.expect("an index is made some time");
        assert!((500..1500).contains(&made), "after {made} searches");
        assert_eq!(matches(&mut a, 7, Side::After), 18, "the others");
    }

    #[test]
    fn a_key_that_changes_for_ever_stays_cheap() {
        let mut a = Arrangement::new(schema(), vec![0]);
        insert(&mut a, rows((0..10_000).map(|i| (i, i))));
        insert(&mut a, rows([(-1, 0)]));
        for i in 0..5000 {
            a.begin_tick();
            insert(&mut a, rows([(-1, i + 1)]));
            retract(&mut a, rows([(-1, i)]));
        }
        assert_eq!(matches(&mut a, -1, Side::After), 1, "one live row");
        let index = a.by_key.as_ref().expect("an index by key");
        let key: ArrayRef = Arc::new(Int64Array::from(vec![-1]));
        let hash = super::hash_columns(&[key], 1, HashWidth::Full).expect("hashed")[0];
        let mut link = index.head(hash);
        let mut length = 0;
        while link.entry().is_some() {
            length += 1;
            link = index.next(link);
        }
        assert!(length < 10, "a chain of {length} rows after a probe has passed");
    }

    #[test]
    fn equal_rows_are_retracted_one_by_one() {
        for width in [HashWidth::Full, HashWidth::Bits(0)] {
            let mut a = Arrangement::with_hash_width(schema(), vec![0], width);
            let weighted = DeltaBatch::weighted(rows([(1, 1), (2, 2)]), vec![3, 1]);
            a.apply(&Delta::of([weighted])).expect("inserted");
            assert_eq!((a.rows(), matches(&mut a, 1, Side::After)), (4, 3), "unit rows");
            let minus_two = DeltaBatch::weighted(rows([(1, 1)]), vec![-2]);
            a.apply(&Delta::of([minus_two.clone()])).expect("retracted");
            assert_eq!(matches(&mut a, 1, Side::After), 1, "one is left");
            assert!(a.apply(&Delta::of([minus_two])).is_err(), "two are not there");
        }
    }

    #[test]
    fn many_equal_rows_are_retracted_together() {
        let mut a = Arrangement::new(schema(), vec![0]);
        insert(&mut a, rows((0..30_000).map(|i| (i % 3, i % 3))));
        let before = a.touched();
        retract(&mut a, rows((0..27_000).map(|i| (i % 3, i % 3))));
        assert_eq!(a.rows(), 3000, "the others");
        assert!(a.touched() - before < 60_000, "{} rows for 27000", a.touched() - before);
    }

    #[test]
    fn runs_restore_the_rows() {
        let mut a = Arrangement::new(schema(), vec![0]);
        let mut runs = Vec::new();
        insert(&mut a, rows((0..3000).map(|i| (i % 50, i))));
        runs.extend(frozen(&mut a));
        insert(&mut a, rows((3000..3500).map(|i| (i % 50, i))));
        retract(&mut a, rows((0..1000).map(|i| (i % 50, i))));
        let fresh = frozen(&mut a);
        assert_eq!(fresh[0].rows.num_rows(), 1500, "only what changed");
        let hashes = fresh[0].rows.column(0).as_primitive::<arrow::datatypes::UInt64Type>();
        assert!(hashes.values().is_sorted(), "ordered by hash");
        runs.extend(fresh);
        let mut b = Arrangement::new(schema(), vec![0]);
        b.restore(&runs).expect("restored");
        assert_eq!(keys_of(&b.view()), keys_of(&a.view()), "the same rows");
        assert!(frozen(&mut b).is_empty(), "all of it is in runs");
        retract(&mut a, rows((1000..3400).map(|i| (i % 50, i))));
        a.compact_if_worn().expect("compacted").expect("worn");
        let image = frozen(&mut a);
        assert!(image[0].replaces && image[0].rows.num_rows() == 100, "an image after compaction");
        b.restore(&image).expect("restored");
        assert_eq!(keys_of(&b.view()), keys_of(&a.view()), "replaced");
    }
}
