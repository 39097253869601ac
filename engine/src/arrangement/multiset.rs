//! Ordered multisets: per group some values in order, with how often each is there.
//!
//! ```text
//! group's number -> block: up to BLOCK_KEYS values                      (most groups)
//!                -> counted tree of such blocks                         (large ones)
//! ```
//! A value is a key of `W` words that compare as the value does, the first word first. The changes of a tick
//! are sorted once and merged group by group, so each block is written once. The least, the greatest and the
//! value of any rank are found in one walk.
//!
//! State leaves as Z-set runs (group, key words, weight).

mod blocks;
mod tree;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array, UInt64Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, UInt32Type, UInt64Type};

use crate::arrangement::multiset::blocks::{Block, Blocks, List};
use crate::arrangement::multiset::tree::Tree;
use crate::arrangement::pages::Pages;
use crate::arrangement::run::{RUN_ROWS, SLACK};
use crate::error::{Error, Result};
use crate::operator::{RunSink, StateRun};
use crate::spill::SpillSpace;

/// Keys of a full block.
const BLOCK_KEYS: usize = 128;
/// The word of a group whose values are in a tree.
const TREE: u64 = u64::MAX;
/// Changes from which on it pays to bring them to their groups before they are sorted.
const SCATTERED: usize = 1024;

/// How often a value comes to a group, or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<const W: usize> {
    /// The group.
    pub slot: u32,
    /// The value.
    pub key: [u64; W],
    /// How often.
    pub weight: i64,
}

/// What is counted where a rank is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Values as often as they are there.
    Row,
    /// Each value once.
    Value,
}

impl Unit {
    fn select<const W: usize>(self, list: List<'_, W>, rank: u64) -> Option<[u64; W]> {
        match self {
            Self::Row => list.select(rank).copied(),
            Self::Value => list.keys.get(usize::try_from(rank).ok()?).copied(),
        }
    }
}

/// The multisets of all groups.
#[derive(Debug)]
pub struct Multisets<const W: usize> {
    /// Per group the name of its block, zero or [`TREE`].
    groups: Pages<u64>,
    /// Groups are below it.
    slots: u32,
    blocks: Blocks,
    trees: HashMap<u32, Tree<W>>,
    /// Different values in groups, and those of them in trees.
    entries: u64,
    in_trees: u64,
    touched: u64,
    merged: Merged<W>,
    /// What changed since the last run; nothing while the next one replaces all.
    changed: Vec<Change<W>>,
    replace: bool,
    run_rows: u64,
}

/// A list that comes from a merge.
#[derive(Debug, Default)]
struct Merged<const W: usize> {
    keys: Vec<[u64; W]>,
    counts: Vec<i64>,
}

impl<const W: usize> Merged<W> {
    fn len(&self) -> usize {
        self.keys.len()
    }

    fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Becomes the sum of a list and changes, which ascend and are different.
    fn merge(&mut self, old: List<'_, W>, changes: &[Change<W>]) -> Result<()> {
        self.keys.clear();
        self.counts.clear();
        let mut at = 0;
        for change in changes {
            let next = at + old.keys[at..].partition_point(|key| *key < change.key);
            self.copy(old, at..next);
            at = next;
            let mut count = change.weight;
            if old.keys.get(at) == Some(&change.key) {
                count += old.count(at);
                at += 1;
            }
            if count < 0 {
                let text = "a value was retracted from a group more often than added";
                return Err(Error::Internal(text.to_owned()));
            }
            if count > 0 {
                self.keys.push(change.key);
                self.counts.push(count);
            }
        }
        self.copy(old, at..old.keys.len());
        Ok(())
    }

    fn copy(&mut self, old: List<'_, W>, range: std::ops::Range<usize>) {
        self.keys.extend_from_slice(&old.keys[range.clone()]);
        self.counts.extend(range.map(|i| old.count(i)));
    }
}

/// Sorts changes by group and key and sums equal ones.
fn consolidate<const W: usize>(changes: &mut Vec<Change<W>>) {
    if let Some(scattered) = scattered(changes) {
        *changes = scattered;
        for group in changes.chunk_by_mut(|a, b| a.slot == b.slot) {
            group.sort_unstable_by_key(|change| change.key);
        }
    } else {
        changes.sort_unstable_by_key(|change| (change.slot, change.key));
    }
    changes.dedup_by(|next, kept| {
        let same = next.slot == kept.slot && next.key == kept.key;
        if same {
            kept.weight += next.weight;
        }
        same
    });
    changes.retain(|change| change.weight != 0);
}

/// The changes by group, if there are many and the groups few enough to count.
fn scattered<const W: usize>(changes: &[Change<W>]) -> Option<Vec<Change<W>>> {
    let groups = changes.iter().map(|change| change.slot as usize + 1).max()?;
    if changes.len() < SCATTERED || groups > 2 * changes.len() {
        return None;
    }
    let mut ends = vec![0usize; groups];
    changes.iter().for_each(|change| ends[change.slot as usize] += 1);
    let mut end = 0;
    for place in &mut ends {
        end += *place;
        *place = end;
    }
    let mut out = changes.to_vec();
    for change in changes {
        let place = &mut ends[change.slot as usize];
        *place -= 1;
        out[*place] = *change;
    }
    Some(out)
}

impl<const W: usize> Default for Multisets<W> {
    fn default() -> Self {
        Self {
            groups: Pages::new(1),
            slots: 0,
            blocks: Blocks::default(),
            trees: HashMap::new(),
            entries: 0,
            in_trees: 0,
            touched: 0,
            merged: Merged { keys: Vec::new(), counts: Vec::new() },
            changed: Vec::new(),
            replace: true,
            run_rows: 0,
        }
    }
}

impl<const W: usize> Multisets<W> {
    /// Number of different values, over all groups.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.entries
    }

    /// Whether no group has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Bytes it occupies.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        // A node has a place per block of SPLIT keys or so, of some words.
        let nodes = usize::try_from(self.in_trees).unwrap_or(0) / 2;
        let changed = self.changed.capacity() * size_of::<Change<W>>();
        (self.groups.bytes() + self.blocks.bytes() + nodes + changed) as u64
    }

    /// Bytes of it in spill space.
    #[must_use]
    pub fn spilled(&self) -> u64 {
        let groups = if self.groups.space().is_some() { self.groups.bytes() } else { 0 };
        (self.blocks.spilled() + groups) as u64
    }

    /// Moves what it holds to spill space until that freed `want` bytes of memory; how many it freed.
    ///
    /// # Errors
    /// When there is no room.
    pub fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        let freed = self.blocks.spill(space, want)?;
        if freed < want {
            return Ok(freed + self.groups.spill(space)?);
        }
        Ok(freed)
    }

    /// Values changed since it was made.
    #[must_use]
    pub fn touched(&self) -> u64 {
        self.touched
    }

    /// Takes in the changes of a tick, in any order.
    ///
    /// # Errors
    /// When a value is retracted that is not there.
    pub fn apply(&mut self, mut changes: Vec<Change<W>>) -> Result<()> {
        consolidate(&mut changes);
        self.touched += changes.len() as u64;
        self.merge(&changes)?;
        self.note(changes);
        if self.blocks.is_worn() { self.compact() } else { Ok(()) }
    }

    /// Remembers changes for the next run.
    fn note(&mut self, changes: Vec<Change<W>>) {
        if self.replace {
            return;
        }
        self.changed.extend(changes);
        let most = 2 * usize::try_from(self.entries).unwrap_or(usize::MAX) + 4096;
        if self.changed.len() > most {
            self.replace = true;
            self.changed = Vec::new();
        }
    }

    /// Merges changes in order.
    fn merge(&mut self, changes: &[Change<W>]) -> Result<()> {
        if let Some(last) = changes.last()
            && last.slot >= self.slots
        {
            self.slots = last.slot + 1;
            self.groups.grow(self.slots as usize);
        }
        for group in changes.chunk_by(|a, b| a.slot == b.slot) {
            let slot = group[0].slot;
            if self.groups.get(slot)[0] == TREE {
                self.merge_into_tree(slot, group)?;
            } else {
                self.merge_into_block(slot, group)?;
            }
        }
        Ok(())
    }

    fn merge_into_block(&mut self, slot: u32, changes: &[Change<W>]) -> Result<()> {
        let Self { groups, blocks, merged, .. } = self;
        let word = &mut groups.get_mut(slot)[0];
        let old = Block::unpack(*word);
        merged.merge(old.map_or(List::EMPTY, |old| blocks.list(old)), changes)?;
        let before = old.map_or(0, Block::len) as u64;
        self.entries = self.entries - before + merged.len() as u64;
        if (1..=BLOCK_KEYS).contains(&merged.len()) {
            *word = blocks.store(old, &merged.keys, &merged.counts)?.pack();
            return Ok(());
        }
        if let Some(old) = old {
            blocks.free(old);
        }
        *word = 0;
        if !merged.is_empty() {
            *word = TREE;
            self.trees.insert(slot, Tree::of(merged, blocks)?);
            self.in_trees += merged.len() as u64;
        }
        Ok(())
    }

    fn merge_into_tree(&mut self, slot: u32, changes: &[Change<W>]) -> Result<()> {
        let Self { blocks, merged, trees, .. } = self;
        let Some(tree) = trees.get_mut(&slot) else {
            return Err(Error::Internal("a large group has no tree".to_owned()));
        };
        let before = tree.counts().1;
        tree.apply(changes, blocks, merged)?;
        let after = tree.counts().1;
        self.entries = self.entries - before + after;
        self.in_trees = self.in_trees - before + after;
        if let Some(only) = tree.only() {
            self.groups.get_mut(slot)[0] = only.map_or(0, Block::pack);
            self.trees.remove(&slot);
            self.in_trees -= after;
        }
        Ok(())
    }

    /// Moves all blocks together.
    fn compact(&mut self) -> Result<()> {
        let mut fresh = self.blocks.another();
        for slot in 0..self.slots {
            let word = &mut self.groups.get_mut(slot)[0];
            if *word == TREE {
                continue;
            }
            if let Some(block) = Block::unpack(*word) {
                *word = fresh.copy::<W>(&self.blocks, block)?.pack();
            }
        }
        #[expect(clippy::iter_over_hash_type, reason = "trees are moved each by itself")]
        for tree in self.trees.values_mut() {
            tree.move_blocks(&mut |block| fresh.copy::<W>(&self.blocks, block))?;
        }
        self.blocks = fresh;
        Ok(())
    }

    /// What a group has.
    fn group(&self, slot: u32) -> Group<'_, W> {
        if slot >= self.slots {
            return Group::List(List::EMPTY);
        }
        let word = self.groups.get(slot)[0];
        if word == TREE
            && let Some(tree) = self.trees.get(&slot)
        {
            return Group::Tree(tree);
        }
        Group::List(Block::unpack(word).map_or(List::EMPTY, |block| self.blocks.list(block)))
    }

    /// The least value of a group.
    #[must_use]
    pub fn least(&self, slot: u32) -> Option<[u64; W]> {
        match self.group(slot) {
            Group::List(list) => list.keys.first().copied(),
            Group::Tree(tree) => tree.end(false, &self.blocks),
        }
    }

    /// The greatest value of a group.
    #[must_use]
    pub fn greatest(&self, slot: u32) -> Option<[u64; W]> {
        match self.group(slot) {
            Group::List(list) => list.keys.last().copied(),
            Group::Tree(tree) => tree.end(true, &self.blocks),
        }
    }

    /// How many units a group has.
    #[must_use]
    pub fn count(&self, slot: u32, unit: Unit) -> u64 {
        let (rows, entries) = match self.group(slot) {
            Group::List(list) => (list.rows(), list.keys.len() as u64),
            Group::Tree(tree) => tree.counts(),
        };
        match unit {
            Unit::Row => rows,
            Unit::Value => entries,
        }
    }

    /// The value of the unit of a group that has `rank` others before it.
    #[must_use]
    pub fn select(&self, slot: u32, unit: Unit, rank: u64) -> Option<[u64; W]> {
        match self.group(slot) {
            Group::List(list) => unit.select(list, rank),
            Group::Tree(tree) => tree.select(unit, rank, &self.blocks),
        }
    }

    /// All values, by group and in order.
    fn each(&self, each: &mut dyn FnMut(Change<W>) -> Result<()>) -> Result<()> {
        for slot in 0..self.slots {
            let mut list = |list: List<'_, W>| {
                let entries = list.keys.iter().enumerate();
                let mut entries =
                    entries.map(|(i, key)| Change { slot, key: *key, weight: list.count(i) });
                entries.try_for_each(&mut *each)
            };
            match self.group(slot) {
                Group::List(values) => list(values)?,
                Group::Tree(tree) => tree.each_block(&mut |block| list(self.blocks.list(block)))?,
            }
        }
        Ok(())
    }

    /// Hands out what changed since the last call as runs of `part`, or with `full` everything.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn freeze(&mut self, part: u32, full: bool, out: &mut RunSink<'_>) -> Result<()> {
        if self.changed.is_empty() && !self.replace && !full {
            return Ok(());
        }
        let mut changed = std::mem::take(&mut self.changed);
        consolidate(&mut changed);
        let limit = 2 * self.entries + SLACK;
        let replaces = full || self.replace || self.run_rows + changed.len() as u64 > limit;
        if replaces {
            let (mut block, mut first) = (Vec::new(), true);
            self.each(&mut |change| {
                block.push(change);
                if block.len() == RUN_ROWS {
                    out(StateRun { part, replaces: first, rows: run_of(&block)? })?;
                    block.clear();
                    first = false;
                }
                Ok(())
            })?;
            if first || !block.is_empty() {
                out(StateRun { part, replaces: first, rows: run_of(&block)? })?;
            }
            self.run_rows = self.entries;
        } else {
            for block in changed.chunks(RUN_ROWS) {
                out(StateRun { part, replaces: false, rows: run_of(block)? })?;
            }
            self.run_rows += changed.len() as u64;
        }
        self.replace = false;
        Ok(())
    }

    /// Takes back the runs of one part, oldest first.
    ///
    /// # Errors
    /// When the runs do not fit.
    pub fn restore<'a>(&mut self, runs: impl IntoIterator<Item = &'a StateRun>) -> Result<()> {
        for run in runs {
            if run.replaces {
                *self = Self { touched: self.touched, ..Self::default() };
            }
            let mut changes = changes_of(&run.rows)?;
            consolidate(&mut changes);
            self.merge(&changes)?;
            self.run_rows += run.rows.num_rows() as u64;
            self.replace = false;
        }
        Ok(())
    }
}

/// What a group has.
enum Group<'a, const W: usize> {
    List(List<'a, W>),
    Tree(&'a Tree<W>),
}

fn run_of<const W: usize>(changes: &[Change<W>]) -> Result<RecordBatch> {
    let slots = changes.iter().map(|change| change.slot);
    let mut fields = vec![Field::new("__slot", DataType::UInt32, false)];
    let mut columns: Vec<ArrayRef> = vec![Arc::new(UInt32Array::from_iter_values(slots))];
    for word in 0..W {
        let words = changes.iter().map(|change| change.key[word]);
        fields.push(Field::new(format!("key{word}"), DataType::UInt64, false));
        columns.push(Arc::new(UInt64Array::from_iter_values(words)));
    }
    let weights = changes.iter().map(|change| change.weight);
    fields.push(Field::new("__weight", DataType::Int64, false));
    columns.push(Arc::new(Int64Array::from_iter_values(weights)));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn changes_of<const W: usize>(run: &RecordBatch) -> Result<Vec<Change<W>>> {
    let malformed = || Error::Internal("a state run of ordered values is malformed".to_owned());
    let [slots, keys @ .., weights] = run.columns() else { return Err(malformed()) };
    let slots = slots.as_primitive_opt::<UInt32Type>().ok_or_else(malformed)?;
    let weights = weights.as_primitive_opt::<Int64Type>().ok_or_else(malformed)?;
    let keys: Option<Vec<&UInt64Array>> =
        keys.iter().map(|key| key.as_primitive_opt::<UInt64Type>()).collect();
    let keys: [&UInt64Array; W] =
        keys.and_then(|keys| keys.try_into().ok()).ok_or_else(malformed)?;
    let change = |row: usize| Change {
        slot: slots.value(row),
        key: keys.map(|key| key.value(row)),
        weight: weights.value(row),
    };
    Ok((0..run.num_rows()).map(change).collect())
}

#[cfg(test)]
mod tests;
