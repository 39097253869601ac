//! Hash index of 8-byte slots over numbered entries.
//!
//! ```text
//! slot = tag (32 hash bits) | chained (1) | entry (31)
//! table of a hash = its top 6 bits; tag = the 32 bits below; position = top bits of the tag
//! ```
//! Entries of equal tag form a chain, newest first, through `next`; the index compares no keys, so the
//! reader verifies what it finds. As the position is a prefix of the tag, a table grows in one pass over
//! its slots that reads no entry, and the 64 tables grow at different fills, so that no insertion pays
//! for all of them.

use std::sync::Arc;

use crate::arrangement::pages::Pages;
use crate::error::Result;
use crate::spill::{SpillSpace, Words};

/// Tables by the top hash bits.
const TABLE_BITS: u32 = 6;
const TABLES: usize = 1 << TABLE_BITS;
/// Entry bits of a link.
const ENTRY: u32 = (1 << 31) - 1;
const CHAINED: u32 = 1 << 31;
/// Lookups that are in flight together.
const GROUP: usize = 64;

/// The end of a chain, or a chain to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link(u32);

impl Link {
    /// The end.
    pub const END: Self = Self(ENTRY);

    /// The entry, unless it is the end.
    #[inline]
    #[must_use]
    pub fn entry(self) -> Option<u32> {
        let entry = self.0 & ENTRY;
        (entry != ENTRY).then_some(entry)
    }
}

/// The index.
#[derive(Debug)]
pub struct TagIndex {
    tables: Vec<Table>,
    next: Pages<u32>,
    slots: usize,
    /// Where it is once it has moved.
    space: Option<Arc<SpillSpace>>,
}

#[derive(Debug, Default)]
struct Table {
    slots: Words<u64>,
    bits: u32,
    /// Slots that are not empty, vacated ones included.
    used: usize,
}

impl Default for TagIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl TagIndex {
    /// The empty index.
    #[must_use]
    pub fn new() -> Self {
        Self::within(None)
    }

    /// The empty index, in spill space if there is one.
    #[must_use]
    pub fn within(space: Option<Arc<SpillSpace>>) -> Self {
        let tables = std::iter::repeat_with(Table::default).take(TABLES).collect();
        Self { tables, next: Pages::within(1, space.clone()), slots: 0, space }
    }

    /// Where it is once it has moved.
    #[must_use]
    pub fn space(&self) -> Option<&Arc<SpillSpace>> {
        self.space.as_ref()
    }

    /// Moves all of it, and what will come, to spill space; how many bytes of memory that freed.
    ///
    /// # Errors
    /// When there is no room.
    pub fn spill(&mut self, space: &Arc<SpillSpace>) -> Result<usize> {
        let tables = self.tables.iter_mut().map(|table| table.slots.spill(space));
        let moved = tables.sum::<Result<usize>>()? + self.next.spill(space)?;
        self.space = Some(Arc::clone(space));
        Ok(moved)
    }

    /// The newest entry of the chain of each hash, in groups whose cache misses overlap.
    pub fn heads(&self, hashes: &[u64], out: &mut Vec<Link>) {
        out.clear();
        out.reserve(hashes.len());
        for group in hashes.chunks(GROUP) {
            if group.len() > 1 {
                group.iter().for_each(|h| self.tables[table_of(*h)].prefetch(tag_of(*h)));
            }
            out.extend(group.iter().map(|h| self.head(*h)));
        }
    }

    /// The newest entry of the chain of `hash`.
    #[inline]
    #[must_use]
    pub fn head(&self, hash: u64) -> Link {
        let table = &self.tables[table_of(hash)];
        table.find(tag_of(hash)).map_or(Link::END, |p| Link(low(table.slots[p])))
    }

    /// The entry after `link`'s.
    #[inline]
    #[must_use]
    pub fn next(&self, link: Link) -> Link {
        if link.0 & CHAINED == 0 { Link::END } else { Link(self.next.get(link.0 & ENTRY)[0]) }
    }

    /// Puts `entry` in front of the chain of `hash`. Entries below 2^31 - 1, each at most once.
    pub fn insert(&mut self, hash: u64, entry: u32) {
        assert!(entry < ENTRY, "an index holds at most 2^31 - 1 entries");
        let i = table_of(hash);
        let tag = tag_of(hash);
        let before = self.tables[i].slots.len();
        if self.tables[i].is_full(i) {
            self.tables[i].grow(self.space.as_ref());
        }
        let table = &mut self.tables[i];
        self.slots = self.slots + table.slots.len() - before;
        let (position, found) = table.position(tag);
        let old = Link(if found { low(table.slots[position]) } else { ENTRY });
        let chained = if old.entry().is_some() { CHAINED } else { 0 };
        table.slots[position] = slot(tag, entry | chained);
        table.used += usize::from(!found);
        if chained != 0 {
            self.next.grow(entry as usize + 1);
            self.next.get_mut(entry)[0] = old.0;
        }
    }

    /// Takes `entry`, which follows `before` (or is the newest), out of the chain of `hash`.
    ///
    /// Nothing happens when it does not stand there any more.
    pub fn unlink(&mut self, hash: u64, before: Link, entry: Link) {
        let after = self.next(entry);
        if let Some(previous) = before.entry() {
            if before.0 & CHAINED != 0 && self.next.get(previous)[0] & ENTRY == entry.0 & ENTRY {
                self.next.get_mut(previous)[0] = after.0;
            }
            return;
        }
        let table = &mut self.tables[table_of(hash)];
        let tag = tag_of(hash);
        if let Some(position) = table.find(tag)
            && low(table.slots[position]) & ENTRY == entry.0 & ENTRY
        {
            table.slots[position] = slot(tag, after.0);
        }
    }

    /// Finds `entry` in the chain of `hash` and takes it out; whether it was there.
    pub fn remove(&mut self, hash: u64, entry: u32) -> bool {
        let (mut before, mut link) = (Link::END, self.head(hash));
        while let Some(found) = link.entry() {
            if found == entry {
                self.unlink(hash, before, link);
                return true;
            }
            (before, link) = (link, self.next(link));
        }
        false
    }

    /// Bytes it occupies.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.slots * 8 + self.next.bytes()
    }

    /// Bytes of it in spill space.
    #[must_use]
    pub fn spilled(&self) -> usize {
        if self.space.is_some() { self.bytes() } else { 0 }
    }
}

#[inline]
fn table_of(hash: u64) -> usize {
    usize::from(hash.to_be_bytes()[0] >> (8 - TABLE_BITS))
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the tag is these 32 bits")]
fn tag_of(hash: u64) -> u32 {
    (hash >> (32 - TABLE_BITS)) as u32
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the link is the low half of a slot")]
fn low(slot: u64) -> u32 {
    slot as u32
}

#[inline]
fn high(slot: u64) -> u32 {
    (slot >> 32) as u32
}

/// A slot that is not empty; with the end of a chain as link it is vacated.
#[inline]
fn slot(tag: u32, link: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(link)
}

/// A slot that ends a search: a chained end, which no chain has.
const EMPTY: u64 = u32::MAX as u64;

impl Table {
    #[inline]
    fn home(&self, tag: u32) -> usize {
        (tag >> (32 - self.bits)) as usize
    }

    fn find(&self, tag: u32) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let (position, found) = self.position(tag);
        found.then_some(position)
    }

    /// Where the tag is, or the empty slot where it belongs. There is always an empty slot.
    #[inline]
    fn position(&self, tag: u32) -> (usize, bool) {
        let slots: &[u64] = &self.slots;
        let mask = slots.len() - 1;
        let mut position = self.home(tag);
        loop {
            let slot = slots[position & mask];
            if slot == EMPTY {
                return (position & mask, false);
            }
            if high(slot) == tag {
                return (position & mask, true);
            }
            position += 1;
        }
    }

    /// Tables fill to between a half and three quarters, each to another mark.
    fn is_full(&self, number: usize) -> bool {
        self.used * 1024 >= (512 + number * 37 % 256) * self.slots.len()
    }

    /// Doubles, or only drops the vacated slots when they are many.
    fn grow(&mut self, space: Option<&Arc<SpillSpace>>) {
        let live = self.slots.iter().filter(|s| **s != EMPTY && low(**s) != ENTRY).count();
        self.bits = (live * 2 + 1).next_power_of_two().trailing_zeros().max(3);
        if live * 1024 >= 512 << self.bits {
            self.bits += 1;
        }
        let fresh = Words::filled(EMPTY, 1 << self.bits, space);
        let old = std::mem::replace(&mut self.slots, fresh);
        self.used = live;
        for slot in old.iter().filter(|s| **s != EMPTY && low(**s) != ENTRY) {
            let (position, _) = self.position(high(*slot));
            self.slots[position] = *slot;
        }
    }

    /// Begins to load the slot where a search for `tag` starts.
    #[inline]
    fn prefetch(&self, tag: u32) {
        if !self.slots.is_empty() {
            prefetch(&self.slots[self.home(tag)]);
        }
    }
}

#[inline]
fn prefetch(slot: &u64) {
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "the only way to ask for a cache line")]
    // SAFETY: a prefetch reads nothing and faults at no address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(slot).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = slot;
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{Link, TagIndex};
    use crate::arrangement::hash::mix;

    fn chain(index: &TagIndex, hash: u64) -> Vec<u32> {
        let mut link = index.head(hash);
        let mut out = Vec::new();
        while let Some(entry) = link.entry() {
            out.push(entry);
            link = index.next(link);
        }
        out
    }

    #[test]
    fn chains_are_newest_first_and_lose_only_what_is_taken_out() {
        let mut index = TagIndex::new();
        (0..5).for_each(|e| index.insert(7 << 40, e));
        assert_eq!(chain(&index, 7 << 40), [4, 3, 2, 1, 0], "newest first");
        assert!(index.remove(7 << 40, 2), "in the middle");
        assert!(index.remove(7 << 40, 4), "the newest");
        assert!(index.remove(7 << 40, 0), "the oldest");
        assert!(!index.remove(7 << 40, 0), "gone");
        assert_eq!(chain(&index, 7 << 40), [3, 1], "the others");
        assert!(index.remove(7 << 40, 1) && index.remove(7 << 40, 3), "the rest");
        assert_eq!(index.head(7 << 40), Link::END, "vacated");
        index.insert(7 << 40, 9);
        assert_eq!(chain(&index, 7 << 40), [9], "filled again");
    }

    #[test]
    fn agrees_with_a_map_of_lists_under_random_operations() {
        for (bits, keys) in [(64, 3000u64), (4, 40), (0, 8), (64, 17)] {
            let mut index = TagIndex::new();
            let mut model: HashMap<u64, Vec<u32>> = HashMap::new();
            let mut free: Vec<u32> = (0..20_000).rev().collect();
            for step in 0..30_000u64 {
                let random = mix(step);
                let hash = mix(random % keys) & u64::MAX.checked_shl(64 - bits).unwrap_or(0);
                // The index sees 38 bits of a hash; the model must not see more.
                let hash = hash & !((1 << 26) - 1);
                let list = model.entry(hash).or_default();
                if random >> 60 < 10 {
                    let Some(entry) = free.pop() else { continue };
                    index.insert(hash, entry);
                    list.insert(0, entry);
                } else if !list.is_empty() {
                    let entry =
                        list.remove(usize::try_from(random >> 32).expect("32 bits") % list.len());
                    assert!(index.remove(hash, entry), "the entry is there");
                    free.push(entry);
                }
            }
            let hashes: Vec<u64> = model.keys().copied().collect();
            let mut heads = Vec::new();
            index.heads(&hashes, &mut heads);
            for (hash, head) in hashes.iter().zip(heads) {
                assert_eq!(index.head(*hash), head, "group lookup");
                assert_eq!(chain(&index, *hash), model[hash], "chain");
            }
        }
    }
}
