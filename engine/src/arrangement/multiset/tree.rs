//! Counted trees: the values of a large group in blocks, under nodes that know how many are below them.
//!
//! ```text
//! node = up to FANOUT children:  last key, rows, entries -> node or block of up to BLOCK_KEYS keys
//! ```
//! So the row of a rank is found in one walk from the root. Changes come in order and are merged into the
//! blocks they fall into, each of which is written once.

use crate::arrangement::multiset::blocks::{Block, Blocks, List};
use crate::arrangement::multiset::{BLOCK_KEYS, Change, Merged, Unit};
use crate::error::Result;

/// Children of a full node.
const FANOUT: usize = 64;
/// Children of a node, and keys of a block, that come from a split.
const SPLIT: usize = 40;
const SPLIT_KEYS: usize = 80;

/// A tree, or a part of it.
#[derive(Debug)]
pub(super) struct Tree<const W: usize> {
    /// None is empty.
    children: Vec<Child<W>>,
}

#[derive(Debug)]
struct Child<const W: usize> {
    last: [u64; W],
    rows: u64,
    entries: u64,
    below: Below<W>,
}

#[derive(Debug)]
enum Below<const W: usize> {
    Leaf(Block),
    Inner(Tree<W>),
}

impl<const W: usize> Tree<W> {
    /// The tree of a merged list.
    pub(super) fn of(merged: &Merged<W>, blocks: &mut Blocks) -> Result<Self> {
        let mut tree = Self { children: leaves(merged, blocks)? };
        tree.raise();
        Ok(tree)
    }

    /// The block that holds everything, if there is only one, or none if there is nothing.
    pub(super) fn only(&self) -> Option<Option<Block>> {
        match &self.children[..] {
            [] => Some(None),
            [Child { below: Below::Leaf(block), .. }] => Some(Some(*block)),
            _ => None,
        }
    }

    /// Adds changes, which ascend and are different.
    pub(super) fn apply(
        &mut self,
        changes: &[Change<W>],
        blocks: &mut Blocks,
        merged: &mut Merged<W>,
    ) -> Result<()> {
        self.apply_below(changes, blocks, merged)?;
        self.raise();
        while let [Child { below: Below::Inner(_), .. }] = &self.children[..] {
            if let Some(Child { below: Below::Inner(tree), .. }) = self.children.pop() {
                *self = tree;
            }
        }
        Ok(())
    }

    fn apply_below(
        &mut self,
        mut changes: &[Change<W>],
        blocks: &mut Blocks,
        merged: &mut Merged<W>,
    ) -> Result<()> {
        let mut replaced: Vec<(usize, Vec<Child<W>>)> = Vec::new();
        let mut from = 0;
        while let Some(first) = changes.first() {
            // What lies behind the last child goes into it.
            let last = self.children.len() - 1;
            let found = self.children[from..].partition_point(|c| c.last < first.key);
            let at = (from + found).min(last);
            let child = &mut self.children[at];
            let own = match at == last {
                true => changes.len(),
                false => changes.partition_point(|change| change.key <= child.last),
            };
            let (own, others) = changes.split_at(own);
            if let Some(fresh) = child.apply(own, blocks, merged)? {
                replaced.push((at, fresh));
            }
            (changes, from) = (others, at + 1);
        }
        if !replaced.is_empty() {
            self.replace(replaced);
        }
        Ok(())
    }

    /// Puts lists of children into the places of children, in one pass.
    fn replace(&mut self, replaced: Vec<(usize, Vec<Child<W>>)>) {
        let old = std::mem::take(&mut self.children);
        let mut replaced = replaced.into_iter().peekable();
        for (i, child) in old.into_iter().enumerate() {
            match replaced.next_if(|(at, _)| *at == i) {
                Some((_, fresh)) => self.children.extend(fresh),
                None => self.children.push(child),
            }
        }
    }

    /// Puts nodes over its children until they are few.
    fn raise(&mut self) {
        while self.children.len() > FANOUT {
            self.children = nodes(std::mem::take(&mut self.children));
        }
    }

    /// Rows and entries.
    pub(super) fn counts(&self) -> (u64, u64) {
        let add = |(rows, entries), child: &Child<W>| (rows + child.rows, entries + child.entries);
        self.children.iter().fold((0, 0), add)
    }

    /// The least or the greatest key.
    pub(super) fn end(&self, greatest: bool, blocks: &Blocks) -> Option<[u64; W]> {
        let child = if greatest { self.children.last()? } else { self.children.first()? };
        match &child.below {
            _ if greatest => Some(child.last),
            Below::Leaf(block) => blocks.list(*block).keys.first().copied(),
            Below::Inner(tree) => tree.end(greatest, blocks),
        }
    }

    /// The key of the unit that has `rank` others before it.
    pub(super) fn select(&self, unit: Unit, mut rank: u64, blocks: &Blocks) -> Option<[u64; W]> {
        let child = self.children.iter().find(|child| {
            let units = match unit {
                Unit::Row => child.rows,
                Unit::Value => child.entries,
            };
            let here = rank < units;
            rank -= if here { 0 } else { units };
            here
        })?;
        match &child.below {
            Below::Leaf(block) => unit.select(blocks.list(*block), rank),
            Below::Inner(tree) => tree.select(unit, rank, blocks),
        }
    }

    /// The blocks in order.
    pub(super) fn each_block(&self, each: &mut dyn FnMut(Block) -> Result<()>) -> Result<()> {
        self.children.iter().try_for_each(|child| match &child.below {
            Below::Leaf(block) => each(*block),
            Below::Inner(tree) => tree.each_block(each),
        })
    }

    /// Gives each block a new place.
    pub(super) fn move_blocks(&mut self, to: &mut dyn FnMut(Block) -> Result<Block>) -> Result<()> {
        self.children.iter_mut().try_for_each(|child| match &mut child.below {
            Below::Leaf(block) => {
                *block = to(*block)?;
                Ok(())
            }
            Below::Inner(tree) => tree.move_blocks(to),
        })
    }
}

impl<const W: usize> Child<W> {
    fn leaf(block: Block, list: List<'_, W>) -> Option<Self> {
        let (rows, entries) = (list.rows(), list.keys.len() as u64);
        Some(Self { last: *list.keys.last()?, rows, entries, below: Below::Leaf(block) })
    }

    fn inner(tree: Tree<W>) -> Option<Self> {
        let (rows, entries) = tree.counts();
        Some(Self { last: tree.children.last()?.last, rows, entries, below: Below::Inner(tree) })
    }

    /// Adds changes; what stands in its place then, unless it is itself.
    fn apply(
        &mut self,
        changes: &[Change<W>],
        blocks: &mut Blocks,
        merged: &mut Merged<W>,
    ) -> Result<Option<Vec<Self>>> {
        match &mut self.below {
            Below::Leaf(block) => {
                let block = *block;
                merged.merge(blocks.list(block), changes)?;
                if merged.is_empty() || merged.len() > BLOCK_KEYS {
                    blocks.free(block);
                    return Ok(Some(leaves(merged, blocks)?));
                }
                let block = blocks.store(Some(block), &merged.keys, &merged.counts)?;
                let fresh = Self::leaf(block, blocks.list(block));
                Ok(self.become_or_go(fresh))
            }
            Below::Inner(tree) => {
                tree.apply_below(changes, blocks, merged)?;
                let tree = Tree { children: std::mem::take(&mut tree.children) };
                if tree.children.len() > FANOUT {
                    return Ok(Some(nodes(tree.children)));
                }
                Ok(self.become_or_go(Self::inner(tree)))
            }
        }
    }

    fn become_or_go(&mut self, fresh: Option<Self>) -> Option<Vec<Self>> {
        match fresh {
            Some(fresh) => {
                *self = fresh;
                None
            }
            None => Some(Vec::new()),
        }
    }
}

/// The blocks of a list.
fn leaves<const W: usize>(merged: &Merged<W>, blocks: &mut Blocks) -> Result<Vec<Child<W>>> {
    let lists = merged.keys.chunks(SPLIT_KEYS).zip(merged.counts.chunks(SPLIT_KEYS));
    let mut children = Vec::with_capacity(lists.len());
    for (keys, counts) in lists {
        let block = blocks.store(None, keys, counts)?;
        children.extend(Child::leaf(block, blocks.list(block)));
    }
    Ok(children)
}

/// Nodes over children.
fn nodes<const W: usize>(children: Vec<Child<W>>) -> Vec<Child<W>> {
    let mut nodes = Vec::with_capacity(children.len().div_ceil(SPLIT));
    let mut children = children.into_iter();
    loop {
        let children: Vec<Child<W>> = children.by_ref().take(SPLIT).collect();
        match Child::inner(Tree { children }) {
            Some(node) => nodes.push(node),
            None => return nodes,
        }
    }
}
