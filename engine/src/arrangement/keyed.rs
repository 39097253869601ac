//! Keyed state: a slot of words per key.
//!
//! ```text
//! TagIndex -> slot -> [weight | stamp, key row | words of the owner ...]     packed, in pages
//!                                      |
//!                                      v
//!                             ColumnLog of keys
//! ```
//! A slot keeps its number as long as its key lives, whatever happens to the log; freed numbers are used
//! again. The stamp finds the first touch of a slot in a tick. Changed slots are remembered, so a run
//! holds only them: of two runs that hold a slot the newer is right.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, RecordBatch, UInt32Array, UInt64Array,
    make_comparator,
};
use arrow::compute::{SortOptions, take, take_arrays};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type, UInt64Type};
use hashbrown::HashTable;

use crate::arrangement::equal::{Equality, canonical_key, retain_equal};
use crate::arrangement::hash::{HashWidth, hash_columns};
use crate::arrangement::log::ColumnLog;
use crate::arrangement::pages::Pages;
use crate::arrangement::run::{RUN_ROWS, SLACK};
use crate::arrangement::tag_index::TagIndex;
use crate::arrangement::to_u32;
use crate::error::{Error, Result};
use crate::operator::{RunSink, StateRun};
use crate::spill::SpillSpace;

/// Words of a slot before the owner's: the weight, then stamp and key row.
const HEAD: usize = 2;
/// No slot.
const NONE: u32 = u32::MAX;

/// A slot per key. Keys are canonical: `-0.0` is stored as `0.0`.
#[derive(Debug)]
pub struct KeyedState {
    keys: ColumnLog,
    index: TagIndex,
    words: Pages<u64>,
    owner_words: usize,
    width: HashWidth,
    /// Slots ever used; numbers are below it.
    slots: u32,
    free: Vec<u32>,
    live: Vec<u64>,
    tick: u32,
    /// Slots touched since the last run, each once.
    dirty: Vec<u32>,
    is_dirty: Vec<u64>,
    /// Hash of the key that each slot freed since the last run had.
    freed: HashMap<u32, u64>,
    run_schema: SchemaRef,
    run_rows: u64,
    touched: u64,
}

/// The slots of a slice of rows.
#[derive(Debug)]
pub struct Slots {
    /// Slot of each row.
    pub slots: Vec<u32>,
    /// Hash of each row's key.
    pub hashes: Vec<u64>,
}

impl KeyedState {
    /// Empty state of keys of `schema` with `owner_words` words beside the weight.
    #[must_use]
    pub fn new(schema: SchemaRef, owner_words: usize, width: HashWidth) -> Self {
        let bytes = i32::try_from(8 * (owner_words + 1)).unwrap_or(i32::MAX);
        let mut fields = vec![
            Arc::new(Field::new("__hash", DataType::UInt64, false)),
            Arc::new(Field::new("__slot", DataType::UInt32, false)),
        ];
        fields.extend(
            schema.fields().iter().map(|f| Arc::new(f.as_ref().clone().with_nullable(true))),
        );
        fields.push(Arc::new(Field::new("__words", DataType::FixedSizeBinary(bytes), true)));
        Self {
            keys: ColumnLog::new(schema),
            index: TagIndex::new(),
            words: Pages::new(HEAD + owner_words),
            owner_words,
            width,
            slots: 0,
            free: Vec::new(),
            live: Vec::new(),
            tick: 0,
            dirty: Vec::new(),
            is_dirty: Vec::new(),
            freed: HashMap::new(),
            run_schema: Arc::new(Schema::new(fields)),
            run_rows: 0,
            touched: 0,
        }
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots as usize - self.free.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes it occupies.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let lists = self.free.capacity() * 4 + self.dirty.capacity() * 4 + self.live.len() * 16;
        (self.keys.bytes() + self.index.bytes() + self.words.bytes() + lists) as u64
    }

    /// Bytes of it in spill space.
    #[must_use]
    pub fn spilled(&self) -> u64 {
        let words = if self.words.space().is_some() { self.words.bytes() } else { 0 };
        (self.keys.spilled() + self.index.spilled() + words) as u64
    }

    /// Moves what it holds to spill space, keys first, until that freed `want` bytes of memory.
    ///
    /// # Errors
    /// When there is no room.
    pub fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        let mut freed = self.keys.spill(space, want)?;
        if freed < want {
            freed += self.index.spill(space)? + self.words.spill(space)?;
        }
        Ok(freed)
    }

    /// Slots read or written since it was made.
    #[must_use]
    pub fn touched(&self) -> u64 {
        self.touched
    }

    /// Starts a tick: every slot is untouched.
    pub fn begin_tick(&mut self) {
        self.tick = self.tick.wrapping_add(1);
    }

    /// The weight of a slot.
    #[inline]
    #[must_use]
    pub fn weight(&self, slot: u32) -> i64 {
        self.words.get(slot)[0].cast_signed()
    }

    /// Adds to the weight of a slot.
    #[inline]
    pub fn add_weight(&mut self, slot: u32, weight: i64) {
        let word = &mut self.words.get_mut(slot)[0];
        *word = word.wrapping_add(weight.cast_unsigned());
    }

    /// The owner's words of a slot.
    #[inline]
    #[must_use]
    pub fn words(&self, slot: u32) -> &[u64] {
        &self.words.get(slot)[HEAD..]
    }

    /// The owner's words of a slot, to change; the slot must have been touched in this tick.
    #[inline]
    pub fn words_mut(&mut self, slot: u32) -> &mut [u64] {
        &mut self.words.get_mut(slot)[HEAD..]
    }

    /// Marks a slot as touched; whether this is the first time in this tick.
    #[inline]
    pub fn touch(&mut self, slot: u32) -> bool {
        let tick = u64::from(self.tick) << 32;
        let word = &mut self.words.get_mut(slot)[1];
        if *word >> 32 << 32 == tick {
            return false;
        }
        *word = tick | (*word & 0xffff_ffff);
        self.touched += 1;
        let (at, bit) = (slot as usize / 64, 1 << (slot % 64));
        if self.is_dirty[at] & bit == 0 {
            self.is_dirty[at] |= bit;
            self.dirty.push(slot);
        }
        true
    }

    #[inline]
    fn key_row(&self, slot: u32) -> u32 {
        u32::try_from(self.words.get(slot)[1] & 0xffff_ffff).unwrap_or(NONE)
    }

    /// The key columns of slots.
    ///
    /// # Errors
    /// When a string column would pass its offset range.
    pub fn gather_keys(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let rows: Vec<u32> = slots.iter().map(|s| self.key_row(*s)).collect();
        self.keys.gather_all(&rows)
    }

    /// The slot of each row's key, made if there is none. Keys need not be canonical.
    ///
    /// # Errors
    /// When keys cannot be hashed, compared or stored.
    pub fn find_or_insert(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Slots> {
        let keys: Vec<ArrayRef> = keys.iter().map(canonical_key).collect();
        let hashes = hash_columns(&keys, rows, self.width)?;
        let mut slots = vec![NONE; rows];
        let misses = self.find(&keys, &hashes, &mut slots)?;
        if !misses.is_empty() {
            self.insert(&keys, &hashes, &misses, &mut slots)?;
        }
        Ok(Slots { slots, hashes })
    }

    /// The slot of each row's key, if there is one. Keys need not be canonical.
    ///
    /// # Errors
    /// When keys cannot be hashed or compared.
    pub fn lookup(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<Option<u32>>> {
        let keys: Vec<ArrayRef> = keys.iter().map(canonical_key).collect();
        let hashes = hash_columns(&keys, rows, self.width)?;
        let mut slots = vec![NONE; rows];
        self.find(&keys, &hashes, &mut slots)?;
        Ok(slots.into_iter().map(|slot| (slot != NONE).then_some(slot)).collect())
    }

    /// Fills in the slots of known keys; returns the other rows.
    fn find(&self, keys: &[ArrayRef], hashes: &[u64], slots: &mut [u32]) -> Result<Vec<u32>> {
        let mut links = Vec::new();
        self.index.heads(hashes, &mut links);
        let mut pending: Vec<u32> = (0..to_u32(hashes.len())?).collect();
        let mut misses = Vec::new();
        while !pending.is_empty() {
            let mut candidates = Vec::with_capacity(pending.len());
            pending.retain(|row| match links[*row as usize].entry() {
                Some(slot) => {
                    candidates.push(self.key_row(slot));
                    true
                }
                None => {
                    misses.push(*row);
                    false
                }
            });
            let mut equal = vec![true; pending.len()];
            let aligned: Vec<u32> = (0..to_u32(pending.len())?).collect();
            let located = self.keys.locate(&candidates);
            for (i, key) in keys.iter().enumerate() {
                let stored = located.column(i)?;
                retain_equal((key, &pending), (&stored, &aligned), Equality::Bits, &mut equal)?;
            }
            let mut equal = equal.into_iter();
            pending.retain(|row| {
                let link = &mut links[*row as usize];
                if equal.next().unwrap_or(false) {
                    slots[*row as usize] = link.entry().unwrap_or(NONE);
                    return false;
                }
                *link = self.index.next(*link);
                true
            });
        }
        misses.sort_unstable();
        Ok(misses)
    }

    /// Makes slots for the keys of `misses`, one for equal keys.
    fn insert(
        &mut self,
        keys: &[ArrayRef],
        hashes: &[u64],
        misses: &[u32],
        slots: &mut [u32],
    ) -> Result<()> {
        let orders = keys.iter().map(|k| make_comparator(k, k, SortOptions::default()));
        let orders = orders.collect::<std::result::Result<Vec<_>, _>>()?;
        let equal = |a: u32, b: u32| orders.iter().all(|o| o(a as usize, b as usize).is_eq());
        let hash = |row: &u32| hashes[*row as usize];
        // Positions in `fresh`, by key.
        let mut seen: HashTable<(u32, u32)> = HashTable::with_capacity(misses.len());
        let mut fresh = Vec::new();
        let mut which = Vec::with_capacity(misses.len());
        for row in misses {
            let same = |(other, _): &(u32, u32)| hash(row) == hash(other) && equal(*row, *other);
            let rehash = |(other, _): &(u32, u32)| hash(other);
            let entry = seen.entry(hash(row), same, rehash).or_insert_with(|| {
                fresh.push(*row);
                (*row, u32::try_from(fresh.len() - 1).unwrap_or(NONE))
            });
            which.push(entry.get().1);
        }
        let first_row = self.keys.rows();
        let columns = if fresh.len() == hashes.len() {
            keys.to_vec()
        } else {
            take_arrays(keys, &UInt32Array::from(fresh.clone()), None)?
        };
        self.keys.append(&columns, fresh.len())?;
        let mut made = Vec::with_capacity(fresh.len());
        for (key_row, row) in (first_row..).zip(&fresh) {
            let slot = self.take_slot();
            self.words.get_mut(slot)[1] = key_row.into();
            self.index.insert(hash(row), slot);
            made.push(slot);
        }
        for (row, which) in misses.iter().zip(which) {
            slots[*row as usize] = made[which as usize];
        }
        Ok(())
    }

    fn take_slot(&mut self) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            let slot = self.slots;
            self.slots += 1;
            self.words.grow(self.slots as usize);
            self.live.resize((self.slots as usize).div_ceil(64), 0);
            self.is_dirty.resize(self.live.len().max(self.is_dirty.len()), 0);
            slot
        });
        self.live[slot as usize / 64] |= 1 << (slot % 64);
        slot
    }

    /// Frees a slot; `hash` is that of its key.
    pub fn remove(&mut self, slot: u32, hash: u64) {
        let known = self.index.remove(hash, slot);
        debug_assert!(known, "a live slot is in the index");
        self.keys.kill(self.key_row(slot));
        self.words.get_mut(slot).fill(0);
        self.live[slot as usize / 64] &= !(1 << (slot % 64));
        self.free.push(slot);
        self.freed.insert(slot, hash);
    }

    /// The slots that hold a key.
    pub fn live_slots(&self) -> impl Iterator<Item = u32> + use<> {
        let live = self.live.clone();
        (0..self.slots).filter(move |s| live[*s as usize / 64] >> (s % 64) & 1 == 1)
    }

    fn is_live(&self, slot: u32) -> bool {
        slot < self.slots && self.live[slot as usize / 64] >> (slot % 64) & 1 == 1
    }

    /// Drops the keys of freed slots when they are more than the live ones; slots keep their numbers.
    ///
    /// # Errors
    /// When keys cannot be filtered.
    pub fn compact_if_worn(&mut self) -> Result<()> {
        if !self.keys.is_worn() {
            return Ok(());
        }
        let moves = self.keys.compact()?;
        for slot in 0..self.slots {
            if !self.is_live(slot) {
                continue;
            }
            let word = &mut self.words.get_mut(slot)[1];
            let row = u32::try_from(*word & 0xffff_ffff).unwrap_or(NONE);
            *word = *word >> 32 << 32 | u64::from(moves.of(row));
        }
        if self.is_empty() {
            // Nothing is left: give the memory back.
            self.index = TagIndex::new();
            self.words = Pages::new(HEAD + self.owner_words);
            self.free.clear();
            self.slots = 0;
            self.live.clear();
        }
        Ok(())
    }

    /// Hands out the slots that changed since the last call as runs of `part`, or with `full` all of them.
    ///
    /// # Errors
    /// Those of `out`, and when keys cannot be gathered.
    pub fn freeze(&mut self, part: u32, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        let mut dirty = std::mem::take(&mut self.dirty);
        if dirty.is_empty() && !full {
            return Ok(());
        }
        dirty.iter().for_each(|slot| self.is_dirty[*slot as usize / 64] = 0);
        let limit = 2 * self.len() as u64 + SLACK;
        let replaces = full || self.run_rows + dirty.len() as u64 > limit;
        if replaces {
            dirty = (0..self.slots).filter(|s| self.is_live(*s)).collect();
        }
        let freed = std::mem::take(&mut self.freed);
        let empty = replaces && dirty.is_empty();
        for (i, slots) in dirty.chunks(RUN_ROWS).chain(empty.then_some(&[][..])).enumerate() {
            let rows = self.write(&self.by_hash(slots, &freed)?)?;
            out(StateRun { part, replaces: replaces && i == 0, rows })?;
        }
        self.run_rows = if replaces { 0 } else { self.run_rows } + dirty.len() as u64;
        Ok(())
    }

    /// Slots with the hashes of the keys that they hold, or held before they were freed, in order of these.
    fn by_hash(&self, slots: &[u32], freed: &HashMap<u32, u64>) -> Result<Vec<(u64, u32)>> {
        let (live, gone): (Vec<u32>, Vec<u32>) = slots.iter().partition(|s| self.is_live(**s));
        let mut hashes = hash_columns(&self.gather_keys(&live)?, live.len(), self.width)?;
        hashes.extend(gone.iter().map(|s| freed.get(s).copied().unwrap_or(0)));
        let slots = live.into_iter().chain(gone);
        let mut sorted: Vec<(u64, u32)> = hashes.into_iter().zip(slots).collect();
        sorted.sort_unstable();
        Ok(sorted)
    }

    /// The run of these slots: hash, slot, keys and words, the latter NULL where the slot is free.
    fn write(&self, block: &[(u64, u32)]) -> Result<RecordBatch> {
        let live: Vec<u32> = block.iter().map(|b| b.1).filter(|s| self.is_live(*s)).collect();
        let keys = self.gather_keys(&live)?;
        let mut at = 0..;
        let position = block.iter().map(|(_, s)| if self.is_live(*s) { at.next() } else { None });
        let position: UInt32Array = position.collect();
        let bytes = 8 * (self.owner_words + 1);
        let mut words = FixedSizeBinaryBuilder::with_capacity(
            block.len(),
            i32::try_from(bytes).unwrap_or(i32::MAX),
        );
        let mut value = Vec::with_capacity(bytes);
        for (_, slot) in block {
            if !self.is_live(*slot) {
                words.append_null();
                continue;
            }
            value.clear();
            value.extend_from_slice(&self.weight(*slot).to_le_bytes());
            self.words(*slot).iter().for_each(|w| value.extend_from_slice(&w.to_le_bytes()));
            words.append_value(&value)?;
        }
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(block.iter().map(|b| b.0))),
            Arc::new(UInt32Array::from_iter_values(block.iter().map(|b| b.1))),
        ];
        for key in &keys {
            columns.push(take(key, &position, None)?);
        }
        columns.push(Arc::new(words.finish()));
        Ok(RecordBatch::try_new(Arc::clone(&self.run_schema), columns)?)
    }

    /// Takes back the runs of one part, oldest first, on empty state.
    ///
    /// # Errors
    /// When the runs do not fit.
    pub fn restore<'a>(&mut self, runs: impl IntoIterator<Item = &'a StateRun>) -> Result<()> {
        // Of the rows of a slot the newest is right.
        let mut newest: HashMap<u32, (usize, u32)> = HashMap::new();
        let mut batches: Vec<&RecordBatch> = Vec::new();
        self.run_rows = 0;
        for run in runs {
            if run.replaces {
                newest.clear();
                self.run_rows = 0;
            }
            self.run_rows += run.rows.num_rows() as u64;
            let slots = column(&run.rows, 1, &self.run_schema)?.as_primitive::<UInt32Type>();
            for (row, slot) in (0..).zip(slots.values()) {
                newest.insert(*slot, (batches.len(), row));
            }
            batches.push(&run.rows);
        }
        let mut by_batch: Vec<Vec<(u32, u32)>> = vec![Vec::new(); batches.len()];
        newest.into_iter().for_each(|(slot, (batch, row))| by_batch[batch].push((row, slot)));
        for (batch, mut rows) in batches.into_iter().zip(by_batch) {
            rows.sort_unstable();
            self.restore_rows(batch, &rows)?;
        }
        self.free = (0..self.slots).rev().filter(|s| !self.is_live(*s)).collect();
        Ok(())
    }

    /// Takes in (row, slot) pairs of one run.
    fn restore_rows(&mut self, run: &RecordBatch, rows: &[(u32, u32)]) -> Result<()> {
        let last = run.num_columns() - 1;
        let words = column(run, last, &self.run_schema)?.as_fixed_size_binary();
        let hashes = column(run, 0, &self.run_schema)?.as_primitive::<UInt64Type>();
        let live = rows.iter().filter(|(row, _)| words.is_valid(*row as usize));
        let live: Vec<(u32, u32)> = live.copied().collect();
        let indices = UInt32Array::from_iter_values(live.iter().map(|(row, _)| *row));
        let first = self.keys.rows();
        let columns = take_arrays(&run.columns()[2..last], &indices, None)?;
        self.keys.append(&columns, live.len())?;
        for (key_row, (row, slot)) in (first..).zip(live) {
            self.slots = self.slots.max(slot + 1);
            self.words.grow(self.slots as usize);
            self.live.resize((self.slots as usize).div_ceil(64), 0);
            self.is_dirty.resize(self.live.len(), 0);
            self.live[slot as usize / 64] |= 1 << (slot % 64);
            let to = self.words.get_mut(slot);
            let (from, _) = words.value(row as usize).as_chunks::<8>();
            let from = from.iter().map(|w| u64::from_le_bytes(*w));
            let places = [0].into_iter().chain(HEAD..);
            places.zip(from).for_each(|(at, word)| to[at] = word);
            to[1] = key_row.into();
            self.index.insert(hashes.value(row as usize), slot);
        }
        Ok(())
    }
}

/// Column `i` of a run, if the run has the columns of `schema`.
fn column<'a>(run: &'a RecordBatch, i: usize, schema: &Schema) -> Result<&'a ArrayRef> {
    let types = |s: &Schema| s.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>();
    if types(&run.schema()) != types(schema) {
        let text = "a state run has other columns than its operator";
        return Err(Error::Internal(text.to_owned()));
    }
    Ok(run.column(i))
}
