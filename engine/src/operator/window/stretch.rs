//! Stretches: the rows of a partition whose values a change can alter, and the rows that those look at.
//!
//! ```text
//! rows in order      . . . m m [ s s s C s s ] m m . . .
//!                                      |
//!       C changed;  s sees C, so its value may change;  m is seen by an s
//! ```
//! A row sees so many rows before and after it, so it may change when one of as many rows after and before
//! it does. Stretches are bounded by keys and found before the change is taken in: a key that comes or goes
//! is a change itself, so no row outside them comes closer to a change by it.

use levada_planner::delta_plan::{Reach, Window as WindowNode};

use crate::arrangement::ordered::{Changes, OrderedRows, Prefixes};
use crate::arrangement::spine::{Entries, Position, Spine};
use crate::error::Result;

/// Rows between two stretches that are rather read than leave them apart.
const GAP: u64 = 32;

/// What the calls of a window look at.
#[derive(Debug)]
pub(super) enum Sight {
    /// So many rows before and after a row.
    Rows(Near),
    /// Those, and all rows before it with its peers.
    Before(Near, Option<Prefixes>),
    /// The partition.
    Partition,
}

/// So many rows before and after a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Near {
    before: u64,
    after: u64,
}

/// Keys of one partition.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    /// The partition, by its position among those that change.
    pub(super) partition: usize,
    /// The first key, or what it begins with.
    pub(super) first: Box<[u8]>,
    /// The last key; without it they go on to the end of the partition.
    last: Option<Box<[u8]>>,
}

/// Positions of the rows of a stretch and of those around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) from: Position,
    pub(super) first: Position,
    pub(super) end: Position,
    pub(super) to: Position,
}

impl Sight {
    /// What the calls of `node` look at, whose rows are kept in `rows`.
    pub(super) fn new(
        node: &WindowNode,
        rows: &OrderedRows,
        input: &arrow::datatypes::Schema,
    ) -> Result<Self> {
        let (mut near, mut runs, mut peers) = (Near::default(), false, false);
        for call in &node.calls {
            match call.reach {
                Reach::Rows { before, after } => {
                    near.before = near.before.max(before);
                    near.after = near.after.max(after);
                }
                Reach::Before { peers: p, .. } => {
                    runs = true;
                    peers |= p;
                }
                Reach::Partition => return Ok(Self::Partition),
            }
        }
        if !runs {
            return Ok(Self::Rows(near));
        }
        let prefixes = peers.then(|| rows.prefixes(input, &node.order, node.asked)).transpose()?;
        Ok(Self::Before(near, prefixes))
    }

    fn near(&self) -> Near {
        match self {
            Self::Rows(near) | Self::Before(near, _) => *near,
            Self::Partition => Near::default(),
        }
    }

    /// The stretches that `changes` alter, before they are taken in.
    pub(super) fn stretches(&self, rows: &OrderedRows, changes: &Changes) -> Result<Vec<Stretch>> {
        let mut found = Vec::new();
        for (partition, (range, prefix)) in changes.partitions().enumerate() {
            let whole = |first: &[u8]| Stretch { partition, first: first.into(), last: None };
            match self {
                Self::Rows(near) => {
                    let near = Neighbours { near: *near, spine: rows.spine(), prefix };
                    near.stretches(partition, (&changes.entries, range), &mut found);
                }
                Self::Before(near, peers) => {
                    let key = changes.entries.key(range.start);
                    let near = Neighbours { near: *near, spine: rows.spine(), prefix };
                    let first = near.first(key, near.spine.seek(key)).1;
                    let peer = peers.as_ref().map(|peers| peers.of(rows, key)).transpose()?;
                    let first = peer.as_deref().map_or(first, |peer| first.min(peer));
                    found.push(whole(first));
                }
                Self::Partition => found.push(whole(prefix)),
            }
        }
        Ok(found)
    }

    /// What is read for a stretch of a partition, at least from the key `begin` on.
    pub(super) fn bounds(
        &self,
        spine: &Spine,
        stretch: &Stretch,
        (prefix, begin): (&[u8], Option<&[u8]>),
    ) -> Bounds {
        let near = self.near();
        let first = spine.seek(&stretch.first);
        let mut from = spine.back(first, near.before, prefix);
        if let Some(begin) = begin {
            from = from.min(spine.seek(begin));
        }
        match &stretch.last {
            None => {
                let end = spine.seek_behind(prefix);
                Bounds { from, first, end, to: end }
            }
            Some(last) => {
                let end = spine.seek_behind(last);
                Bounds { from, first, end, to: spine.forward(end, near.after, prefix) }
            }
        }
    }
}

/// The rows of a partition and how far one sees.
struct Neighbours<'a> {
    near: Near,
    spine: &'a Spine,
    prefix: &'a [u8],
}

impl<'a> Neighbours<'a> {
    /// The first key that sees the change of `key`, which is or would be at `at`.
    fn first(&self, key: &'a [u8], at: Position) -> (Position, &'a [u8]) {
        let from = self.spine.back(at, self.near.after, self.prefix);
        let first = if from < at { self.spine.get(from).map(|(key, _)| key) } else { None };
        (from, first.unwrap_or(key))
    }

    /// The last key that sees the change of `key`, and the position behind it.
    fn last(&self, key: &'a [u8], at: Position) -> (Position, &'a [u8]) {
        let is_there = self.spine.get(at).is_some_and(|(k, _)| k == key);
        let next = if is_there { self.spine.behind(at) } else { at };
        let end = self.spine.forward(next, self.near.before, self.prefix);
        let last = if end > next { self.spine.last_before(end).map(|(key, _)| key) } else { None };
        (end, last.unwrap_or(key))
    }

    fn stretches(
        &self,
        partition: usize,
        (changes, range): (&'a Entries, std::ops::Range<usize>),
        found: &mut Vec<Stretch>,
    ) {
        let apart = self.near.before.saturating_add(self.near.after).saturating_add(GAP);
        let mut open: Option<(&[u8], &[u8], Position)> = None;
        let mut close = |(first, last, _): (&[u8], &[u8], Position)| {
            let (first, last) = (first.into(), Some(last.into()));
            found.push(Stretch { partition, first, last });
        };
        for i in range {
            let key = changes.key(i);
            let at = self.spine.seek(key);
            let (end, last) = self.last(key, at);
            if let Some((_, open_last, open_end)) = &mut open {
                let is_near = || {
                    let (from, _) = self.first(key, at);
                    self.spine.back(from, apart, self.prefix) <= *open_end
                };
                if key <= *open_last || is_near() {
                    *open_last = last.max(open_last);
                    *open_end = end.max(*open_end);
                    continue;
                }
            }
            let (_, first) = self.first(key, at);
            if let Some(before) = open.replace((first, last, end)) {
                close(before);
            }
        }
        open.into_iter().for_each(close);
    }
}
