//! What outside readers find: one JSON object per published epoch.
//!
//! ```json
//! {"format": 1, "epoch": 42, "relations": {"delays.by_day": {"rows": 365, "files": [
//!   {"path": "data/7/01J….parquet", "rows": 365, "bytes": 9001, "deleted": 0}]}}}
//! ```
//! Paths are relative to the root. All relations of one publication are of one epoch. The files named by
//! the two newest publications stay; older publications are removed. A file with dead rows says how many;
//! a reader that cannot leave them out asks the server or waits for the file to be rewritten.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::blob::Blob;
use crate::epoch::Epoch;
use crate::error::{Error, Result};
use crate::layout;
use crate::table::DataFile;

/// Publications that stay.
const KEPT: usize = 2;

/// The files of one relation, under the name that readers know.
#[derive(Clone, Copy, Debug)]
pub struct Published<'a> {
    /// For example `delays.by_day`.
    pub name: &'a str,
    /// Its files.
    pub files: &'a [DataFile],
}

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    format: u16,
    epoch: u64,
    relations: BTreeMap<String, Relation>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Relation {
    rows: u64,
    files: Vec<File>,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    path: String,
    rows: u64,
    bytes: u64,
    deleted: u64,
}

/// Writes the publication of `epoch` and removes all but the two newest; all but this one if it is the
/// `last`: readers of a closed database find only files that hold what it holds.
///
/// # Errors
/// Those of the blob.
pub async fn publish(
    blob: &dyn Blob,
    epoch: Epoch,
    relations: &[Published<'_>],
    last: bool,
) -> Result<()> {
    let relations = relations.iter().map(|relation| {
        let rows = relation.files.iter().map(DataFile::live_rows).sum();
        let files = relation.files.iter().map(File::of).collect();
        (relation.name.to_owned(), Relation { rows, files })
    });
    let document = Document { format: 1, epoch: epoch.0, relations: relations.collect() };
    let json = serde_json::to_vec_pretty(&document).expect("names and numbers are valid JSON");
    blob.put(&layout::publish(epoch), json.into()).await?;
    let names = published(blob).await?;
    for name in names.iter().rev().skip(if last { 1 } else { KEPT }) {
        blob.delete(name).await?;
    }
    Ok(())
}

/// Names of the objects that the publications of `blob` refer to.
pub(crate) async fn objects(blob: &dyn Blob) -> Result<BTreeSet<String>> {
    let mut objects = BTreeSet::new();
    for name in published(blob).await? {
        let Some(json) = blob.get(&name).await? else { continue };
        let document: Document = serde_json::from_slice(&json)
            .map_err(|error| Error::corrupt(name, format!("it cannot be read: {error}")))?;
        let files = document.relations.into_values().flat_map(|relation| relation.files);
        objects.extend(files.map(|file| file.path));
    }
    Ok(objects)
}

/// Names of all publications, oldest first.
async fn published(blob: &dyn Blob) -> Result<Vec<String>> {
    let listed = blob.list(layout::PUBLISH, None).await?;
    let names = listed.into_iter().map(|(name, _)| name);
    Ok(names.filter(|name| layout::publish_epoch(name).is_some()).collect())
}

impl File {
    fn of(file: &DataFile) -> Self {
        let deleted = file.rows - file.live_rows();
        Self { path: file.path.clone(), rows: file.rows, bytes: file.bytes, deleted }
    }
}
