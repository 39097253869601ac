//! What readers see: all relations at one epoch.
//!
//! The tick loop publishes one [`SnapshotSet`] per epoch by swapping one pointer. A query takes the pointer
//! once and reads every relation from it, so it never sees two epochs mixed; what it reads stays valid for
//! as long as it holds the set.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use levada_catalog::Catalog;
use levada_storage::delta::ErrorRow;
use levada_storage::epoch::Epoch;
use levada_storage::table::DataFile;

use crate::arrangement::view::LogView;
use crate::graph::OperatorInfo;

/// All relations at one epoch.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotSet {
    /// The epoch.
    pub(crate) epoch: Epoch,
    /// What exists.
    pub(crate) catalog: Arc<Catalog>,
    /// The stored relations.
    pub(crate) relations: Relations,
    /// The time of the epoch, in microseconds since 1970 UTC.
    pub(crate) now_us: i64,
    /// The running operators; what they have done is counted on while the set is read.
    pub(crate) operators: Arc<Vec<OperatorInfo>>,
}

/// Relations by identifier: a map whose copies share pages, so that one epoch's differs from the last one's
/// in the pages of what changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Relations {
    pages: BTreeMap<u32, Arc<BTreeMap<u32, Arc<RelationSnapshot>>>>,
}

/// Low bits of an identifier within a page.
const PAGE_BITS: u32 = 6;

impl SnapshotSet {
    /// Bytes in files, by relation.
    pub(crate) fn sizes(&self) -> Vec<(u32, u64)> {
        let relations = self.relations.pages.values().flat_map(|page| page.iter());
        relations.map(|(id, r)| (*id, r.files.iter().map(|file| file.bytes).sum())).collect()
    }
}

impl Relations {
    /// The relation `id`.
    pub(crate) fn get(&self, id: u32) -> Option<&Arc<RelationSnapshot>> {
        self.pages.get(&(id >> PAGE_BITS))?.get(&id)
    }

    /// Sets the relation `id`.
    pub(crate) fn insert(&mut self, id: u32, relation: Arc<RelationSnapshot>) {
        let page = self.pages.entry(id >> PAGE_BITS).or_default();
        Arc::make_mut(page).insert(id, relation);
    }

    /// Removes the relation `id`, if it is there.
    pub(crate) fn remove(&mut self, id: u32) {
        if let Some(page) = self.pages.get_mut(&(id >> PAGE_BITS)) {
            Arc::make_mut(page).remove(&id);
        }
    }
}

/// The contents of one stored relation.
#[derive(Clone, Debug)]
pub(crate) struct RelationSnapshot {
    /// Schema of the rows.
    pub(crate) schema: SchemaRef,
    /// The epoch that changed it last.
    pub(crate) changed_at: Epoch,
    /// Rows in files; the rows of `rows` follow them.
    pub(crate) files: Arc<Vec<DataFile>>,
    /// Rows in memory.
    pub(crate) rows: LogView,
    /// Whether rows are never retracted: then they keep their order, files first.
    pub(crate) append: bool,
    /// The first failed row and how many there are; reading the relation raises it.
    pub(crate) error: Option<(ErrorRow, i64)>,
}

impl SnapshotSet {
    /// The relation `id`, if it is stored.
    #[must_use]
    pub(crate) fn relation(&self, id: u32) -> Option<&Arc<RelationSnapshot>> {
        self.relations.get(id)
    }
}

impl RelationSnapshot {
    /// Number of rows.
    #[must_use]
    pub(crate) fn row_count(&self) -> u64 {
        self.files.iter().map(DataFile::live_rows).sum::<u64>() + self.rows.rows() as u64
    }
}
