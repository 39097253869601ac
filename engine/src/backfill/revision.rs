//! A view that gets another query: what its readers are told.
//!
//! ```text
//! difference = (new rows - old rows) at some epoch + what each changed by since
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt;
use levada_storage::blob::Blob;
use levada_storage::delta::{Delta, DeltaBatch, ErrorRow};

use super::{Pinned, Wanted};
use crate::batch;
use crate::error::Result;
use crate::pass::consolidate;

/// The difference between what a view holds and what it will hold.
pub(crate) struct Revision {
    /// What it held when the backfill began, until that was compared.
    old: Option<Pinned>,
    difference: Delta,
}

impl Revision {
    /// Of a view that holds `old`.
    pub(crate) fn new(old: Pinned) -> Self {
        Self { old: Some(old), difference: Delta::default() }
    }

    /// What it held, if that was not compared yet.
    pub(crate) fn old(&self) -> Option<&Pinned> {
        self.old.as_ref()
    }

    /// The old query's rows changed.
    pub(crate) fn retract(&mut self, delta: &Delta) {
        self.difference.ok.extend(delta.ok.iter().map(DeltaBatch::negated));
        self.difference.err.extend(delta.err.iter().map(|(row, weight)| (row.clone(), -weight)));
    }

    /// The new query's rows changed. Before they are compared, that is part of the comparison.
    pub(crate) fn insert(&mut self, delta: &Delta) {
        if self.old.is_none() {
            self.difference.extend(delta);
        }
    }

    /// Compares the new query's rows with the old one's.
    ///
    /// # Errors
    /// When rows cannot be read, or nobody wants it any more.
    pub(crate) async fn compare(
        &mut self,
        blob: &Arc<dyn Blob>,
        new: Pinned,
        wanted: Option<&Wanted>,
    ) -> Result<()> {
        let go_on = || wanted.map_or(Ok(()), Wanted::go_on);
        let Some(old) = self.old.take() else { return Ok(()) };
        let schema = Arc::clone(&new.rows.schema);
        let mut parts = std::mem::take(&mut self.difference.ok);
        let mut rows = batch::rows(Arc::clone(blob), new.rows, None);
        while let Some(batch) = rows.try_next().await? {
            go_on()?;
            parts.push(DeltaBatch::inserts(batch.with_schema(Arc::clone(&schema))?));
        }
        let mut rows = batch::rows(Arc::clone(blob), old.rows, None);
        while let Some(batch) = rows.try_next().await? {
            go_on()?;
            parts.push(DeltaBatch::retractions(batch.with_schema(Arc::clone(&schema))?));
        }
        self.difference.ok = consolidate(&parts)?;
        self.difference.err.extend(new.errors);
        self.difference.err.extend(old.errors.into_iter().map(|(row, weight)| (row, -weight)));
        Ok(())
    }

    /// The difference.
    pub(crate) fn difference(self) -> Delta {
        let mut errors: BTreeMap<ErrorRow, i64> = BTreeMap::new();
        for (row, weight) in self.difference.err {
            *errors.entry(row).or_default() += weight;
        }
        errors.retain(|_, weight| *weight != 0);
        Delta { ok: self.difference.ok, err: errors.into_iter().collect() }
    }
}
