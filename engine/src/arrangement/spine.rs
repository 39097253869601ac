//! Spines: bags of byte keys in order.
//!
//! ```text
//! Spine = pages in ascending order
//! Page  = up to PAGE_ENTRIES entries:  bytes ++ bytes ++ ...   ends   weights
//! ```
//! A key is a row in Arrow's row format, whose bytes compare as the row's columns do. Changes come in
//! ascending order and are merged into the pages they fall into, each of which is written once per tick;
//! pages that overflow are split, all in one pass over the list of pages.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::spill::{SpillSpace, Words};

/// Entries of a full page.
const PAGE_ENTRIES: usize = 256;
/// Neighbouring pages that move to spill space together.
const SPILL_PAGES: usize = 64;
/// Entries of a page that comes from a split.
const SPLIT_ENTRIES: usize = 160;

/// A list of byte keys in one buffer, with a weight each.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    bytes: Words<u8>,
    ends: Words<u32>,
    weights: Words<i64>,
}

impl Entries {
    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The key of entry `i`.
    #[inline]
    #[must_use]
    pub fn key(&self, i: usize) -> &[u8] {
        let from = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.bytes[from..self.ends[i] as usize]
    }

    /// The weight of entry `i`.
    #[inline]
    #[must_use]
    pub fn weight(&self, i: usize) -> i64 {
        self.weights[i]
    }

    /// Adds an entry at the end.
    ///
    /// # Errors
    /// When the keys outgrow 4 GiB.
    pub fn push(&mut self, key: &[u8], weight: i64) -> Result<()> {
        let bytes = self.bytes.to_mut();
        bytes.extend_from_slice(key);
        let end = u32::try_from(bytes.len())
            .map_err(|_large| Error::Internal("more than 4 GiB of keys in one tick".to_owned()))?;
        self.ends.to_mut().push(end);
        self.weights.to_mut().push(weight);
        Ok(())
    }

    /// Keys and weights in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], i64)> {
        (0..self.len()).map(|i| (self.key(i), self.weights[i]))
    }

    /// Adds a stretch of another list at the end.
    fn copy(&mut self, from: &Self, range: Range<usize>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let start = if range.start == 0 { 0 } else { from.ends[range.start - 1] };
        let bytes = self.bytes.to_mut();
        let at = u32::try_from(bytes.len()).ok();
        bytes.extend_from_slice(&from.bytes[start as usize..from.ends[range.end - 1] as usize]);
        let Some(at) = at.filter(|_| u32::try_from(bytes.len()).is_ok()) else {
            return Err(Error::Internal("more than 4 GiB of keys in one tick".to_owned()));
        };
        self.ends.to_mut().extend(from.ends[range.clone()].iter().map(|end| end - start + at));
        self.weights.to_mut().extend_from_slice(&from.weights[range]);
        Ok(())
    }

    /// The entries in order, equal ones summed and those of no weight left out.
    ///
    /// # Errors
    /// When the keys outgrow 4 GiB.
    pub fn sorted(&self) -> Result<Self> {
        let mut sorted: Vec<usize> = (0..self.len()).collect();
        sorted.sort_unstable_by(|a, b| self.key(*a).cmp(self.key(*b)));
        let mut out = Self::default();
        for equal in sorted.chunk_by(|a, b| self.key(*a) == self.key(*b)) {
            let weight = equal.iter().map(|i| self.weights[*i]).sum();
            if weight != 0 {
                out.push(self.key(equal[0]), weight)?;
            }
        }
        Ok(out)
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.bytes.to_mut().clear();
        self.ends.to_mut().clear();
        self.weights.to_mut().clear();
    }

    fn memory(&self) -> usize {
        self.bytes.bytes() + self.ends.bytes() + self.weights.bytes()
    }

    fn last(&self) -> &[u8] {
        self.key(self.len() - 1)
    }

    fn shrink(&mut self) {
        self.bytes.to_mut().shrink_to_fit();
        self.ends.to_mut().shrink_to_fit();
        self.weights.to_mut().shrink_to_fit();
    }

    fn is_in_memory(&self) -> bool {
        self.bytes.is_in_memory()
    }

    /// The first entry that is not below `key`.
    fn lower_bound(&self, key: &[u8]) -> usize {
        self.partition_point(|k| k < key)
    }

    /// The first entry whose key is not as those before it.
    fn partition_point(&self, is_before: impl Fn(&[u8]) -> bool) -> usize {
        self.partition_point_from(0, is_before)
    }

    fn partition_point_from(&self, from: usize, is_before: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (from, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if is_before(self.key(middle)) { low = middle + 1 } else { high = middle }
        }
        low
    }
}

/// Walks two ascending stretches of entries together: each key with its place in either, equal ones in pairs.
pub fn side_by_side<'a>(
    (a, a_range): (&'a Entries, Range<usize>),
    (b, b_range): (&'a Entries, Range<usize>),
) -> impl Iterator<Item = (Option<usize>, Option<usize>)> + 'a {
    let (mut i, mut j) = (a_range.start, b_range.start);
    std::iter::from_fn(move || {
        let order = match (i < a_range.end, j < b_range.end) {
            (false, false) => return None,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (true, true) => a.key(i).cmp(b.key(j)),
        };
        let of_a = order.is_le().then_some(i);
        let of_b = order.is_ge().then_some(j);
        i += usize::from(of_a.is_some());
        j += usize::from(of_b.is_some());
        Some((of_a, of_b))
    })
}

/// An ordered bag of byte keys.
#[derive(Debug, Default)]
pub struct Spine {
    /// None is empty.
    pages: Vec<Entries>,
    entries: u64,
    bytes: usize,
    /// Bytes of the pages in spill space.
    spilled: usize,
    touched: u64,
}

/// A place in a spine, until it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    page: usize,
    entry: usize,
}

impl Spine {
    /// Number of different keys.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.entries
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Bytes it occupies.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.bytes + self.pages.capacity() * size_of::<Entries>()) as u64
    }

    /// Bytes of it in spill space.
    #[must_use]
    pub fn spilled(&self) -> u64 {
        self.spilled as u64
    }

    /// Moves pages to spill space until that freed `want` bytes of memory; how many it freed.
    ///
    /// # Errors
    /// When there is no room.
    pub fn spill(&mut self, space: &SpillSpace, want: usize) -> Result<usize> {
        let mut freed = 0;
        let pages = self.pages.iter_mut().filter(|page| page.is_in_memory());
        let mut pages: Vec<&mut Entries> = pages.collect();
        for group in pages.chunks_mut(SPILL_PAGES) {
            if freed >= want {
                break;
            }
            let before: usize = group.iter().map(|page| page.memory()).sum();
            let needed =
                |page: &&mut Entries| page.bytes.needs() + page.ends.needs() + page.weights.needs();
            let region = Arc::new(space.region(group.iter().map(needed).sum())?);
            let mut at = 0;
            for page in group.iter_mut() {
                at += page.bytes.spill_to(&region, at);
                at += page.ends.spill_to(&region, at);
                at += page.weights.spill_to(&region, at);
            }
            let after: usize = group.iter().map(|page| page.memory()).sum();
            self.bytes = self.bytes + after - before;
            self.spilled += after;
            freed += before;
        }
        Ok(freed)
    }

    /// Entries changed since it was made.
    #[must_use]
    pub fn touched(&self) -> u64 {
        self.touched
    }

    /// The first entry that is not below `key`.
    #[must_use]
    pub fn seek(&self, key: &[u8]) -> Position {
        let page = self.page_of(key);
        let entry = self.pages.get(page).map_or(0, |p| p.lower_bound(key));
        Position { page, entry }
    }

    /// The entry at a position; none behind the last.
    #[inline]
    #[must_use]
    pub fn get(&self, at: Position) -> Option<(&[u8], i64)> {
        let page = self.pages.get(at.page)?;
        Some((page.key(at.entry), page.weight(at.entry)))
    }

    /// The position of the entry before one.
    fn before(&self, at: Position) -> Option<Position> {
        if at.entry > 0 {
            return Some(Position { entry: at.entry - 1, ..at });
        }
        let page = at.page.checked_sub(1)?;
        Some(Position { page, entry: self.pages.get(page)?.len() - 1 })
    }

    /// The position of the entry behind one.
    #[must_use]
    pub fn behind(&self, at: Position) -> Position {
        match self.pages.get(at.page) {
            Some(page) if at.entry + 1 < page.len() => Position { entry: at.entry + 1, ..at },
            _ => Position { page: at.page + 1, entry: 0 },
        }
    }

    /// The first of the entries before `at` that hold the last `rows` rows of those that begin with
    /// `prefix`.
    #[must_use]
    pub fn back(&self, mut at: Position, rows: u64, prefix: &[u8]) -> Position {
        let mut left = rows;
        while left > 0
            && let Some(before) = self.before(at)
            && let Some((key, weight)) = self.get(before)
            && key.starts_with(prefix)
        {
            at = before;
            left = left.saturating_sub(weight.unsigned_abs());
        }
        at
    }

    /// The position behind the entries from `at` on that hold the first `rows` rows of those that begin
    /// with `prefix`.
    #[must_use]
    pub fn forward(&self, mut at: Position, rows: u64, prefix: &[u8]) -> Position {
        let mut left = rows;
        while left > 0
            && let Some((key, weight)) = self.get(at)
            && key.starts_with(prefix)
        {
            at = self.behind(at);
            left = left.saturating_sub(weight.unsigned_abs());
        }
        at
    }

    /// The position behind the entries that are not above `key` or begin with it.
    #[must_use]
    pub fn seek_behind(&self, key: &[u8]) -> Position {
        let is_below = |k: &[u8]| k <= key || k.starts_with(key);
        let page = self.pages.partition_point(|p| is_below(p.last()));
        let entry = self.pages.get(page).map_or(0, |p| p.partition_point(is_below));
        Position { page, entry }
    }

    /// The last entry before a position.
    #[must_use]
    pub fn last_before(&self, at: Position) -> Option<(&[u8], i64)> {
        self.get(self.before(at)?)
    }

    /// The entries from a position on.
    pub fn from(&self, at: Position) -> impl Iterator<Item = (&[u8], i64)> {
        let first = self.pages.get(at.page).into_iter();
        let first = first.flat_map(move |p| (at.entry..p.len()).map(|i| (p.key(i), p.weight(i))));
        first.chain(self.pages.iter().skip(at.page + 1).flat_map(Entries::iter))
    }

    /// The entries whose keys begin with `prefix`.
    pub fn starting_with<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a [u8], i64)> {
        self.from(self.seek(prefix)).take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// The first page whose last key is not below `key`.
    fn page_of(&self, key: &[u8]) -> usize {
        self.pages.partition_point(|p| p.last() < key)
    }

    /// Adds the weights of `changes`, which ascend and are different.
    ///
    /// # Errors
    /// When a weight would be below zero.
    pub fn apply(&mut self, changes: &Entries) -> Result<()> {
        self.touched += changes.len() as u64;
        let mut replaced: Vec<(usize, Vec<Entries>)> = Vec::new();
        let mut next = 0;
        while next < changes.len() {
            // What lies behind the last page goes into it.
            let page = self.page_of(changes.key(next)).min(self.pages.len().saturating_sub(1));
            let is_last = page + 1 >= self.pages.len();
            let mut end = next + 1;
            if is_last {
                end = changes.len();
            } else {
                let last = self.pages[page].last();
                while end < changes.len() && changes.key(end) <= last {
                    end += 1;
                }
            }
            let none = Entries::default();
            let old = self.pages.get(page).unwrap_or(&none);
            let merged = merge(old, changes, next..end)?;
            self.bytes -= old.memory();
            self.spilled -= if old.is_in_memory() { 0 } else { old.memory() };
            self.entries -= old.len() as u64;
            self.bytes += merged.iter().map(Entries::memory).sum::<usize>();
            self.entries += merged.iter().map(|p| p.len() as u64).sum::<u64>();
            match <[Entries; 1]>::try_from(merged) {
                Ok([one]) if page < self.pages.len() => self.pages[page] = one,
                Ok(one) => replaced.push((page, one.into())),
                Err(many) => replaced.push((page, many)),
            }
            next = end;
        }
        self.replace(replaced);
        Ok(())
    }

    /// Puts lists of pages into the places of pages, in one pass.
    fn replace(&mut self, replaced: Vec<(usize, Vec<Entries>)>) {
        if replaced.is_empty() {
            return;
        }
        let old = std::mem::take(&mut self.pages);
        let mut pages = Vec::with_capacity(old.len() + replaced.len());
        let mut replaced = replaced.into_iter().peekable();
        for (i, page) in old.into_iter().enumerate() {
            match replaced.next_if(|(at, _)| *at == i) {
                Some((_, fresh)) => pages.extend(fresh),
                None => pages.push(page),
            }
        }
        replaced.for_each(|(_, fresh)| pages.extend(fresh));
        self.pages = pages;
    }
}

/// The sum of a page and some changes as pages. What lies between the changes is copied in one piece.
fn merge(page: &Entries, changes: &Entries, range: Range<usize>) -> Result<Vec<Entries>> {
    let most = page.len() + range.len();
    let mut sum = Entries::default();
    let mut at = 0;
    for change in range {
        let key = changes.key(change);
        let next = page.partition_point_from(at, |k| k < key);
        sum.copy(page, at..next)?;
        at = next;
        let mut weight = changes.weight(change);
        if at < page.len() && page.key(at) == key {
            weight += page.weight(at);
            at += 1;
        }
        match weight {
            ..0 => {
                let text = "a row of an ordered state was retracted more often than added";
                return Err(Error::Internal(text.to_owned()));
            }
            0 => {}
            1.. => sum.push(key, weight)?,
        }
    }
    sum.copy(page, at..page.len())?;
    // Of what fits one page the half may go away again; else the pages come out half full at least.
    let limit = if most <= PAGE_ENTRIES { PAGE_ENTRIES } else { SPLIT_ENTRIES };
    if sum.is_empty() {
        return Ok(Vec::new());
    }
    if sum.len() <= limit {
        sum.shrink();
        return Ok(vec![sum]);
    }
    let mut out = Vec::with_capacity(sum.len().div_ceil(limit));
    for start in (0..sum.len()).step_by(limit) {
        let mut page = Entries::default();
        page.copy(&sum, start..(start + limit).min(sum.len()))?;
        page.shrink();
        out.push(page);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Entries, Spine};

    fn entries(list: &BTreeMap<u32, i64>) -> Entries {
        let mut out = Entries::default();
        for (key, weight) in list {
            out.push(&key.to_be_bytes(), *weight).expect("small");
        }
        out
    }

    fn contents(spine: &Spine) -> BTreeMap<u32, i64> {
        let key = |k: &[u8]| u32::from_be_bytes(k.try_into().expect("four bytes"));
        spine.starting_with(&[]).map(|(k, w)| (key(k), w)).collect()
    }

    #[test]
    fn it_is_a_sorted_bag() {
        let mut spine = Spine::default();
        let mut model: BTreeMap<u32, i64> = BTreeMap::new();
        let mut x = 1u32;
        for round in 0..200u32 {
            let mut changes = BTreeMap::new();
            for _ in 0..(round % 7) * 60 {
                x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let key = x >> 18;
                let have = model.get(&key).copied().unwrap_or(0);
                let change = if have > 0 && x & 1 == 0 { -have } else { 1 };
                changes.insert(key, change);
            }
            for (key, change) in &changes {
                *model.entry(*key).or_default() += change;
            }
            model.retain(|_, w| *w != 0);
            spine.apply(&entries(&changes)).expect("weights stay positive");
            assert_eq!(contents(&spine), model, "round {round}");
            assert_eq!(spine.len(), model.len() as u64);
        }
        let at = spine.seek(&5000u32.to_be_bytes());
        let first = spine.get(at).map(|(k, _)| k.to_vec());
        let expected = model.range(5000..).next().map(|(k, _)| k.to_be_bytes().to_vec());
        assert_eq!(first, expected, "seek finds the first not below");
        let rows: Vec<u32> = (model.iter())
            .flat_map(|(k, w)| std::iter::repeat_n(*k, usize::try_from(*w).expect("positive")))
            .collect();
        for step in [0, 1, 5, 700, rows.len()] {
            let from = rows.partition_point(|k| *k < 5000);
            let back = spine.back(at, step as u64, &[]);
            let key = spine.get(back).map(|(k, _)| k.to_vec());
            let expected = rows.get(from.saturating_sub(step)).map(|k| k.to_be_bytes().to_vec());
            assert_eq!(key, expected, "{step} rows back");
            let forward = spine.forward(at, step as u64, &[]);
            let key = spine.last_before(forward).map(|(k, _)| k.to_vec());
            let last = if step == 0 { from } else { (from + step).min(rows.len()) };
            assert_eq!(key, Some(rows[last - 1].to_be_bytes().to_vec()), "{step} rows forward");
        }
        let behind = spine.seek_behind(&5000u32.to_be_bytes());
        let key = spine.get(behind).map(|(k, _)| k.to_vec());
        let expected = model.range(5001..).next().map(|(k, _)| k.to_be_bytes().to_vec());
        assert_eq!(key, expected, "behind a key");
        let rest: BTreeMap<u32, i64> = model.iter().map(|(k, w)| (*k, -w)).collect();
        spine.apply(&entries(&rest)).expect("all goes");
        assert!(spine.is_empty() && spine.pages.is_empty(), "nothing is left");
        assert!(spine.apply(&entries(&BTreeMap::from([(1, -1)]))).is_err(), "below zero");
    }
}
