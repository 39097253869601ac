//! The files of a resident relation: its rows as of the last checkpoint.
//!
//! ```text
//! file 1: rows 0 1 2 4 of the log    file 2: rows 5 7 9    young: rows from 10 on
//! ```
//! Every file remembers which row of the arrangement each of its positions is, so a row that died since
//! becomes one bit of the file's deletion vector. When ids change (compaction), when dead rows are many, or
//! when the database closes, the image is written anew and holds live rows only.

use std::sync::Arc;

use arrow::array::RecordBatch;
use levada_storage::table::DataFile;
use roaring::RoaringBitmap;

use crate::arrangement::Arrangement;
use crate::error::Result;

/// Rows of one file, at most.
const FILE_ROWS_MAX: usize = 1 << 18;
/// Rows that are gathered together.
const BATCH_ROWS: usize = 1 << 14;
/// Files of one relation, beyond what its rows need, before they are merged.
const FILES_MAX: usize = 16;

/// The rows of `ids`, in batches.
pub(crate) fn batches<'a>(
    rows: &'a Arrangement,
    ids: &'a [u32],
) -> impl Iterator<Item = Result<RecordBatch>> + 'a {
    let all: Vec<usize> = (0..rows.schema().fields().len()).collect();
    ids.chunks(BATCH_ROWS).map(move |ids| {
        let columns = rows.gather(ids, &all)?;
        Ok(RecordBatch::try_new(Arc::clone(rows.schema()), columns)?)
    })
}

/// The files and which rows they hold.
#[derive(Debug, Default)]
pub(crate) struct Image {
    files: Vec<(DataFile, Vec<u32>)>,
    bound: u32,
    compactions: u64,
}

/// What has to be written to bring an image up to date.
pub(crate) struct Refresh {
    /// Whether the files so far are void.
    pub(crate) replaces: bool,
    /// Ids of the rows of each new file.
    pub(crate) files: Vec<Vec<u32>>,
}

impl Image {
    /// An image whose files were just loaded, in order, into an empty arrangement.
    pub(crate) fn loaded(files: Vec<DataFile>, rows: &Arrangement) -> Self {
        let mut next = 0;
        let mut held = Vec::with_capacity(files.len());
        for mut file in files {
            let dead = file.deleted.clone().unwrap_or_default();
            let total = u32::try_from(file.rows).unwrap_or(u32::MAX);
            let ids: Vec<u32> = (0..total)
                .map(|position| {
                    if dead.contains(position) {
                        return u32::MAX;
                    }
                    next += 1;
                    next - 1
                })
                .collect();
            file.deleted = Some(dead).filter(|d| !d.is_empty());
            held.push((file, ids));
        }
        Self { files: held, bound: rows.row_bound(), compactions: rows.compactions() }
    }

    /// The files as they are, with up-to-date deletion vectors.
    pub(crate) fn files(&self) -> Vec<DataFile> {
        self.files.iter().map(|(file, _)| file.clone()).collect()
    }

    /// Updates the deletion vectors and says which rows must be written; `clean` asks for no dead rows.
    pub(crate) fn refresh(&mut self, rows: &Arrangement, clean: bool) -> Refresh {
        let moved = rows.compactions() != self.compactions;
        let mut dead_rows = 0;
        if !moved {
            dead_rows = self.mark_dead(rows);
        }
        let held: u64 = self.files.iter().map(|(f, _)| f.rows).sum();
        let worn = dead_rows * 2 > held || (clean && dead_rows > 0);
        let replaces = moved || worn || self.are_many(held);
        let from = if replaces { 0 } else { self.bound };
        let ids: Vec<u32> = rows.log().live_from(from).collect();
        Refresh { replaces, files: ids.chunks(FILE_ROWS_MAX).map(<[u32]>::to_vec).collect() }
    }

    /// Whether there are more files than `rows` rows explain.
    fn are_many(&self, rows: u64) -> bool {
        self.files.len() as u64 >= FILES_MAX as u64 + 2 * rows / FILE_ROWS_MAX as u64
    }

    /// Takes the written files in.
    pub(crate) fn refreshed(
        &mut self,
        rows: &Arrangement,
        replaces: bool,
        written: Vec<(DataFile, Vec<u32>)>,
    ) {
        if replaces {
            self.files.clear();
        }
        self.files.extend(written);
        self.bound = rows.row_bound();
        self.compactions = rows.compactions();
    }

    fn mark_dead(&mut self, rows: &Arrangement) -> u64 {
        let mut total = 0;
        for (file, ids) in &mut self.files {
            let dead: RoaringBitmap = (0_u32..)
                .zip(ids.iter())
                .filter(|(_, id)| **id == u32::MAX || !rows.log().is_live(**id))
                .map(|(position, _)| position)
                .collect();
            total += dead.len();
            file.deleted = Some(dead).filter(|d| !d.is_empty());
        }
        total
    }
}
