//! Walks along the chains of an index, past the rows that are not to be seen.

use std::collections::HashSet;

use arrow::datatypes::SchemaRef;

use crate::arrangement::Side;
use crate::arrangement::log::ColumnLog;
use crate::arrangement::tag_index::{Link, TagIndex};

/// A log and what happened to it in the running tick.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) log: ColumnLog,
    /// Ids below it existed when the tick began.
    bound: u32,
    /// Rows below `bound` that died in this tick.
    died: HashSet<u32>,
}

impl Rows {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self { log: ColumnLog::new(schema), bound: 0, died: HashSet::new() }
    }

    pub(super) fn begin_tick(&mut self) {
        self.bound = self.log.rows();
        self.died.clear();
    }

    pub(super) fn kill(&mut self, row: u32) {
        self.log.kill(row);
        if row < self.bound {
            self.died.insert(row);
        }
    }

    /// The rows of the tick's start that died since, in order.
    pub(super) fn died(&self) -> impl Iterator<Item = u32> + use<> {
        let mut died: Vec<u32> = self.died.iter().copied().collect();
        died.sort_unstable();
        died.into_iter()
    }

    #[inline]
    pub(super) fn sees(&self, row: u32, side: Side) -> bool {
        match side {
            Side::After => self.log.is_live(row),
            Side::Before => row < self.bound && (self.log.is_live(row) || self.died.contains(&row)),
        }
    }

    /// Whether no side sees the row any more.
    #[inline]
    fn is_gone(&self, row: u32) -> bool {
        !self.log.is_live(row) && !self.died.contains(&row)
    }
}

/// A position in the chain of a hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    hash: u64,
    /// The row before, or the end when this is the newest.
    before: Link,
    link: Link,
}

impl Walk {
    /// At the newest entry of the chain of `hash`.
    pub(super) fn start(index: &TagIndex, hash: u64) -> Self {
        Self::at(hash, index.head(hash))
    }

    /// At `head`, the newest entry of the chain of `hash`.
    pub(super) fn at(hash: u64, head: Link) -> Self {
        Self { hash, before: Link::END, link: head }
    }

    /// The first row from here on that `side` sees. Rows that no side sees leave the chain.
    #[inline]
    pub(super) fn skip(&mut self, index: &mut TagIndex, rows: &Rows, side: Side) -> Option<u32> {
        loop {
            let row = self.link.entry()?;
            if rows.sees(row, side) {
                return Some(row);
            }
            let next = index.next(self.link);
            if rows.is_gone(row) {
                index.unlink(self.hash, self.before, self.link);
            } else {
                self.before = self.link;
            }
            self.link = next;
        }
    }

    /// One entry on.
    #[inline]
    pub(super) fn step(&mut self, index: &TagIndex) {
        (self.before, self.link) = (self.link, index.next(self.link));
    }

    /// Whether the chain has ended.
    pub(super) fn is_done(&self) -> bool {
        self.link == Link::END
    }
}
