//! Blocks: short lists of words in one growing area, of a few sizes each.
//!
//! ```text
//! area   = chunks of 2^16 words     block = 2, 3, 4, 6, 8, 12, ... words of one chunk
//! block  = keys in order, then, unless every count is one, their counts
//! ```
//! A freed block is used again for one of its size. A block is named by a word, which its owner keeps.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::spill::{SpillSpace, Words};

/// Words of a chunk.
const CHUNK: usize = 1 << 16;
/// Words that the first chunk starts with.
const LEAST: usize = 1 << 8;
/// Sizes of blocks.
const SIZES: usize = 18;

/// The name of a block, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Its first word in the area.
    at: u32,
    size: u8,
    /// Whether it holds counts.
    counted: bool,
    /// Keys.
    len: u16,
}

impl Block {
    /// The block as a word that is not zero.
    pub(super) fn pack(self) -> u64 {
        u64::from(self.at) << 32
            | u64::from(self.size) << 24
            | u64::from(self.counted) << 16
            | u64::from(self.len)
    }

    /// The block of a word; none of zero.
    pub(super) fn unpack(word: u64) -> Option<Self> {
        let [len, counted, size, at] =
            [word & 0xffff, word >> 16 & 1, word >> 24 & 0xff, word >> 32];
        Some(Self {
            len: u16::try_from(len).ok().filter(|len| *len > 0)?,
            counted: counted == 1,
            size: u8::try_from(size).ok()?,
            at: u32::try_from(at).ok()?,
        })
    }

    /// Number of its keys.
    pub(super) fn len(self) -> usize {
        self.len.into()
    }
}

/// Keys in order with their counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct List<'a, const W: usize> {
    pub(super) keys: &'a [[u64; W]],
    /// None if every count is one.
    counts: Option<&'a [u64]>,
}

impl<const W: usize> List<'_, W> {
    /// No keys.
    pub(super) const EMPTY: Self = List { keys: &[], counts: None };

    /// The count of key `i`.
    #[inline]
    pub(super) fn count(&self, i: usize) -> i64 {
        self.counts.map_or(1, |counts| counts[i].cast_signed())
    }

    /// The sum of all counts.
    pub(super) fn rows(&self) -> u64 {
        self.counts.map_or(self.keys.len() as u64, |counts| counts.iter().sum())
    }

    /// The key of the row that has `rank` rows before it.
    pub(super) fn select(&self, rank: u64) -> Option<&[u64; W]> {
        let Some(counts) = self.counts else { return self.keys.get(usize::try_from(rank).ok()?) };
        let mut before = 0;
        let at = counts.iter().position(|count| {
            before += count;
            before > rank
        });
        self.keys.get(at?)
    }
}

/// The area.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    chunks: Vec<Words<u64>>,
    /// Where nothing has been yet.
    next: usize,
    /// Words of the blocks in use.
    in_use: usize,
    free: [Vec<u32>; SIZES],
    /// Where new chunks are, once old ones have moved.
    space: Option<Arc<SpillSpace>>,
}

/// Words of a block of a size.
fn words(size: u8) -> usize {
    if size.is_multiple_of(2) { 2 << (size / 2) } else { 3 << (size / 2) }
}

/// The size of a block for so many words.
fn size_for(needed: usize) -> Option<u8> {
    (0..).take(SIZES).find(|size| words(*size) >= needed)
}

impl Blocks {
    /// An empty area in the same place.
    pub(super) fn another(&self) -> Self {
        Self { space: self.space.clone(), ..Self::default() }
    }

    /// What a block holds.
    #[inline]
    pub(super) fn list<const W: usize>(&self, block: Block) -> List<'_, W> {
        let (chunk, at) = (block.at as usize / CHUNK, block.at as usize % CHUNK);
        let (keys, len) = (W * block.len(), block.len());
        let words = &self.chunks[chunk][at..];
        let counts = block.counted.then(|| &words[keys..keys + len]);
        List { keys: words[..keys].as_chunks::<W>().0, counts }
    }

    /// A block that holds a list, in the place of `old` if it fits there. The list is not empty.
    pub(super) fn store<const W: usize>(
        &mut self,
        old: Option<Block>,
        keys: &[[u64; W]],
        counts: &[i64],
    ) -> Result<Block> {
        let counted = counts.iter().any(|count| *count != 1);
        let needed = (W + usize::from(counted)) * keys.len();
        let size = size_for(needed);
        let (Some(size), Ok(len)) = (size, u16::try_from(keys.len())) else {
            return Err(Error::Internal("a block of too many values".to_owned()));
        };
        let at = match old {
            Some(old) if old.size == size => old.at,
            _ => {
                if let Some(old) = old {
                    self.free(old);
                }
                self.take(size)?
            }
        };
        let block = Block { at, size, counted, len };
        let (chunk, at) = (at as usize / CHUNK, at as usize % CHUNK);
        let words = &mut self.chunks[chunk][at..at + needed];
        let (to, to_counts) = words.split_at_mut(W * keys.len());
        to.copy_from_slice(keys.as_flattened());
        to_counts.iter_mut().zip(counts).for_each(|(to, count)| *to = count.cast_unsigned());
        Ok(block)
    }

    /// A copy of a block of another area.
    pub(super) fn copy<const W: usize>(&mut self, from: &Self, block: Block) -> Result<Block> {
        let list = from.list::<W>(block);
        let counts: Vec<i64> = (0..block.len()).map(|i| list.count(i)).collect();
        self.store(None, list.keys, &counts)
    }

    /// Gives a block back.
    pub(super) fn free(&mut self, block: Block) {
        self.in_use -= words(block.size);
        self.free[usize::from(block.size)].push(block.at);
    }

    /// A place for a block of a size.
    fn take(&mut self, size: u8) -> Result<u32> {
        let needed = words(size);
        self.in_use += needed;
        if let Some(at) = self.free[usize::from(size)].pop() {
            return Ok(at);
        }
        if self.next % CHUNK + needed > CHUNK {
            self.next = self.next.next_multiple_of(CHUNK);
        }
        let at = u32::try_from(self.next).map_err(|_large| {
            Error::Internal("more than 32 GiB of values in a shard".to_owned())
        })?;
        self.next += needed;
        self.grow();
        Ok(at)
    }

    /// Makes room for what is taken.
    fn grow(&mut self) {
        let chunk = (self.next - 1) / CHUNK;
        if chunk == 0 {
            let len = self.next.next_power_of_two().max(LEAST);
            let has = self.chunks.first().map_or(0, |first| first.len());
            if len > has {
                let mut first = Words::filled(0, len, self.space.as_ref());
                if let Some(old) = self.chunks.pop() {
                    first[..has].copy_from_slice(&old);
                }
                self.chunks.push(first);
            }
        } else if self.chunks.len() <= chunk {
            self.chunks.push(Words::filled(0, CHUNK, self.space.as_ref()));
        }
    }

    /// Whether less than half of it is in use.
    pub(super) fn is_worn(&self) -> bool {
        self.next > CHUNK && self.in_use < self.next / 2
    }

    /// Bytes it occupies.
    pub(super) fn bytes(&self) -> usize {
        let free: usize = self.free.iter().map(|list| list.capacity() * size_of::<u32>()).sum();
        self.chunks.iter().map(Words::bytes).sum::<usize>() + free
    }

    /// Bytes of it in spill space.
    pub(super) fn spilled(&self) -> usize {
        self.chunks.iter().filter(|chunk| !chunk.is_in_memory()).map(Words::bytes).sum()
    }

    /// Moves chunks, the oldest ones first, to spill space until that freed `want` bytes of memory.
    pub(super) fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize> {
        let mut freed = 0;
        for chunk in &mut self.chunks {
            if freed >= want {
                break;
            }
            freed += chunk.spill(space)?;
            self.space = Some(Arc::clone(space));
        }
        Ok(freed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Block, Blocks, SIZES, size_for, words};

    #[test]
    fn blocks_keep_what_they_hold_and_their_places_are_used_again() {
        let mut blocks = Blocks::default();
        let mut held: Vec<(Block, Vec<[u64; 2]>, Vec<i64>)> = Vec::new();
        for i in 0..3000u64 {
            let len = i % 100 + 1;
            let keys: Vec<[u64; 2]> = (0..len).map(|k| [i, k]).collect();
            let counts: Vec<i64> = keys.iter().map(|_| 1 + i64::from(i % 3 == 0)).collect();
            let block = blocks.store(None, &keys, &counts).expect("room");
            assert_eq!(Block::unpack(block.pack()), Some(block), "a word");
            held.push((block, keys, counts));
        }
        for (block, keys, counts) in &held {
            let list = blocks.list::<2>(*block);
            assert_eq!(list.keys, keys, "keys");
            assert!((0..keys.len()).all(|i| list.count(i) == counts[i]), "counts");
        }
        let before = blocks.next;
        held.iter().for_each(|(block, ..)| blocks.free(*block));
        assert!(blocks.is_worn(), "nothing is in use");
        for (_, keys, counts) in &held {
            blocks.store(None, keys, counts).expect("room");
        }
        assert_eq!(blocks.next, before, "all fit where others were");
    }

    #[test]
    fn sizes_ascend() {
        assert!((1..18).all(|size| words(size) > words(size - 1)), "sizes");
        assert_eq!(SIZES, 18, "as many as there are lists");
        assert_eq!(size_for(5 * 128), Some(17), "the widest keys fit");
        assert_eq!(size_for(1), Some(0), "the narrowest too");
    }
}
