//! Checkpoints: everything a restart needs, so that the log before it need not be replayed.
//!
//! ```text
//! young rows, new rows of tables and views -> Parquet     operators' changes -> runs
//! all of it, the catalog and the positions -> manifest    manifest -> Checkpoint commit
//! ```
//! Only what changed since the last checkpoint is written; files and runs written before are named again.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use levada_catalog::ObjectKind;
use levada_storage::blob::Blob;
use levada_storage::epoch::Epoch;
use levada_storage::layout;
use levada_storage::manifest::{Manifest, OperatorRuns, RelationFiles};
use levada_storage::publish::{Published, publish};
use levada_storage::state::{Run, RunFile, RunRef};
use levada_storage::table::DataFile;
use levada_storage::table::file::{FileWriter, Profile};
use levada_storage::table::reader::{Scan, read_parquet};
use tokio::runtime::Handle;

use crate::arrangement::run::RUN_ROWS;
use crate::dataflow::Dataflow;
use crate::error::{Error, Result};
use crate::graph::Work;
use crate::image;
use crate::operator::{RUN_VERSION, StateRun};
use crate::relation::{Relation, Store};
use crate::system;
use crate::tick::{Backlog, Core};

/// Runs of one part of an operator, beyond what its rows need, before a full image replaces them.
const RUNS_MAX: usize = 8;
/// Bytes of an object of runs, about.
const OBJECT_BYTES: usize = 32 << 20;
/// A young file smaller than this is merged with the rows behind it.
const SMALL_FILE_ROWS: u64 = 128 << 10;

/// Key of the failed rows per relation in a manifest.
pub(crate) const ERRORS: &str = "errors";
/// Key of the row history per relation in a manifest.
pub(crate) const HISTORY: &str = "history";

/// Key of the time that the state of operators is at, in a manifest: later than the last epoch's, where no view changed
/// in between.
pub(crate) const CLOCK: &str = "clock";

impl Core {
    /// Writes a checkpoint if anything happened since the last one; `clean` leaves no dead rows in files.
    pub(crate) fn checkpoint(&mut self, clean: bool) -> Result<Epoch> {
        if self.unlogged.is_some() {
            self.keep_time()?;
        }
        if self.since_checkpoint.epochs == 0 && !clean {
            return Ok(self.flow.epoch);
        }
        let relations = self.write_relations(clean)?;
        let operators = self.write_operators()?;
        let shared = Arc::clone(&self.shared);
        let manifest = Manifest {
            at: self.flow.epoch,
            catalog: self.flow.catalog.snapshot().encode(),
            next_object_id: self.flow.catalog.next_id(),
            relations,
            operators,
            offsets: shared.offsets().values().cloned().collect(),
            sinks: Vec::new(),
            extra: vec![
                (ERRORS.to_owned(), self.encode_errors()),
                (HISTORY.to_owned(), shared.encode_history()),
                (CLOCK.to_owned(), self.flow.now_us.to_le_bytes().to_vec()),
            ],
        };
        let runtime = self.runtime.clone();
        let mut epoch = runtime.block_on(self.log.checkpoint(&manifest))?;
        if clean {
            // The files of the two newest checkpoints stay. Twice the same one leaves no others, so the
            // folders of a closed database hold its rows and nothing else.
            epoch = runtime.block_on(self.log.checkpoint(&manifest))?;
        }
        self.since_checkpoint = Backlog::default();
        self.publish_files(&manifest, clean)?;
        self.publish();
        // What nothing refers to may also go at the next checkpoint.
        if let Err(error) = runtime.block_on(self.sweep()) {
            tracing::warn!(%error, "could not remove unused objects");
        }
        Ok(epoch)
    }

    /// Removes objects that nothing refers to. What is being written is younger than `mint`.
    async fn sweep(&mut self) -> Result<()> {
        let floor = self.shared.pending_floor();
        let mut sweep = self.log.retention(&floor).await?;
        sweep.spare(|path| self.backfills.reads_file(path));
        Ok(sweep.run().await?)
    }

    fn write_relations(&mut self, clean: bool) -> Result<Vec<RelationFiles>> {
        let ids: Vec<u32> = self.flow.relations.ids();
        let mut written = Vec::with_capacity(ids.len());
        for id in ids {
            let mut relation = self.flow.relations.remove(id).expect("its number was just read");
            let files = self.write_relation(&mut relation, clean);
            self.flow.relations.insert(relation);
            let files = files?;
            let rows = files.iter().map(DataFile::live_rows).sum();
            written.push(RelationFiles { relation: id, rows, files });
        }
        Ok(written)
    }

    fn write_relation(&mut self, relation: &mut Relation, clean: bool) -> Result<Vec<DataFile>> {
        let (folder, schema) = (folder(relation), Arc::clone(&relation.schema));
        match &mut relation.store {
            Store::Append { files, young } => {
                if young.rows() > 0 {
                    let small = files.last().is_some_and(|f| {
                        f.rows < SMALL_FILE_ROWS && f.rows <= u64::from(young.rows()) * 4
                    });
                    let merged = if small { files.last().cloned() } else { None };
                    let old = match &merged {
                        Some(file) => read_file(&self.runtime, &self.shared.blob, file)?,
                        None => Vec::new(),
                    };
                    let young_rows = young.view();
                    let batches = old.into_iter().map(Ok).chain(young_rows.batches());
                    let file = self.write_file(&folder, &schema, batches)?;
                    let files = Arc::make_mut(files);
                    if merged.is_some() {
                        files.pop();
                    }
                    files.push(file);
                    *young = crate::arrangement::log::ColumnLog::new(schema);
                    let files = files.clone();
                    relation.restate();
                    return Ok(files);
                }
                Ok(files.as_ref().clone())
            }
            Store::Resident { rows, image } => {
                let refresh = image.refresh(rows, clean);
                let mut written = Vec::with_capacity(refresh.files.len());
                for ids in refresh.files {
                    let batches = image::batches(rows, &ids);
                    written.push((self.write_file(&folder, &schema, batches)?, ids));
                }
                image.refreshed(rows, refresh.replaces, written);
                Ok(image.files())
            }
        }
    }

    fn write_file(
        &self,
        folder: &str,
        schema: &arrow::datatypes::SchemaRef,
        batches: impl Iterator<Item = Result<RecordBatch>>,
    ) -> Result<DataFile> {
        let mut writer = FileWriter::new(schema, Profile::Checkpoint)?;
        for batch in batches {
            writer.write(&batch?)?;
            // What moved to spill space has come back to be written.
            self.flow.limit.settle()?;
        }
        let path = format!("{folder}/{}.parquet", self.log.mint());
        Ok(self.runtime.block_on(writer.finish(self.shared.blob.as_ref(), &path))?)
    }

    fn write_operators(&mut self) -> Result<Vec<OperatorRuns>> {
        // What is handed out and then not written is in no run: after an error everything is written anew.
        let old = std::mem::take(&mut self.runs);
        let mut writer = StateWriter::new(&self.shared.blob, &self.runtime);
        let mut kept: BTreeMap<String, Vec<RunRef>> = BTreeMap::new();
        let Self { flow: Dataflow { graph, limit, .. }, log, .. } = self;
        for (_, node) in graph.nodes_mut() {
            let fingerprint = node.fingerprint.to_string();
            if matches!(node.work, Work::Relation { .. }) || kept.contains_key(&fingerprint) {
                continue;
            }
            let mut held = old.get(&fingerprint).cloned().unwrap_or_default();
            let full = !old.contains_key(&fingerprint) || are_many(&held);
            if full {
                held.clear();
            }
            let mut take = |run: StateRun| {
                if run.replaces {
                    held.retain(|old| old.part != run.part);
                }
                held.push(writer.write(&run_of(run), &|| log.mint())?);
                limit.settle()
            };
            match &mut node.work {
                Work::Relation { .. } => {}
                Work::Operator(operator) => operator.freeze(full, &mut take)?,
                Work::Recompute(state) => state.last.freeze(0, full, &mut take)?,
            }
            kept.insert(fingerprint, held);
        }
        writer.finish()?;
        self.runs = kept;
        let operators = self.runs.iter().map(|(fingerprint, runs)| OperatorRuns {
            fingerprint: fingerprint.clone(),
            runs: runs.clone(),
        });
        Ok(operators.collect())
    }

    fn encode_errors(&self) -> Vec<u8> {
        let errors: BTreeMap<u32, Vec<(String, String, u64, i64)>> = self
            .flow
            .relations
            .iter()
            .filter(|r| !r.errors().is_empty())
            .map(|r| {
                let rows = r.errors().iter().map(|(row, weight)| {
                    (row.sqlstate.clone(), row.message.clone(), row.row_hash, *weight)
                });
                (r.id, rows.collect())
            })
            .collect();
        serde_json::to_vec(&errors).expect("plain data serialises")
    }

    /// Tells outside readers which files are what.
    fn publish_files(&self, manifest: &Manifest, last: bool) -> Result<()> {
        let mut named: Vec<(String, &[DataFile])> = Vec::new();
        for relation in &manifest.relations {
            let name = match self.flow.catalog.get(relation.relation) {
                Some(object) if object.kind() == ObjectKind::Schema => continue,
                Some(object) => self.flow.catalog.qualified_name(object),
                None => match system::stored_name(relation.relation) {
                    Some(name) => name.to_owned(),
                    None => continue,
                },
            };
            named.push((name, &relation.files));
        }
        let published: Vec<Published<'_>> =
            named.iter().map(|(name, files)| Published { name, files }).collect();
        let blob = self.shared.blob.as_ref();
        self.runtime.block_on(publish(blob, manifest.at, &published, last))?;
        let files = manifest.relations.iter().map(|r| (r.relation, r.files.clone())).collect();
        self.shared.set_files(files);
        Ok(())
    }
}

/// The rows of a file.
pub(crate) fn read_file(
    runtime: &Handle,
    blob: &Arc<dyn Blob>,
    file: &DataFile,
) -> Result<Vec<RecordBatch>> {
    runtime.block_on(async {
        let rows = read_parquet(Arc::clone(blob), file, &Scan::default()).await?;
        Ok(rows.try_collect().await?)
    })
}

/// The folder of a relation's files: readable, and unique by its identifier.
pub(crate) fn folder(relation: &Relation) -> String {
    folder_of(&relation.name, relation.id)
}

/// As [`folder`], from its parts.
pub(crate) fn folder_of(name: &str, id: u32) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '.' { c } else { '-' })
        .take(80)
        .collect();
    let schema = if plain.contains('.') { "" } else { "public." };
    format!("data/{schema}{plain}-{id}")
}

/// Whether a part of an operator has more runs than its rows explain.
fn are_many(runs: &[RunRef]) -> bool {
    let mut parts: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for run in runs {
        let (count, rows) = parts.entry(run.part).or_default();
        *count += 1;
        *rows += run.rows;
    }
    let explained = |rows: u64| RUNS_MAX as u64 + 2 * rows / RUN_ROWS as u64;
    parts.into_values().any(|(count, rows)| count >= explained(rows))
}

fn run_of(run: StateRun) -> Run {
    Run { part: run.part, replaces: run.replaces, hash_version: RUN_VERSION, batch: run.rows }
}

/// Writes runs into objects of moderate size.
struct StateWriter<'a> {
    blob: &'a Arc<dyn Blob>,
    runtime: &'a Handle,
    open: Option<RunFile>,
}

impl<'a> StateWriter<'a> {
    fn new(blob: &'a Arc<dyn Blob>, runtime: &'a Handle) -> Self {
        Self { blob, runtime, open: None }
    }

    /// Adds a run; it is durable after [`StateWriter::finish`].
    fn write(&mut self, run: &Run, mint: &dyn Fn() -> String) -> Result<RunRef> {
        let file = self.open.get_or_insert_with(|| RunFile::new(layout::state(&mint())));
        let reference = file.add(run)?;
        if file.len() >= OBJECT_BYTES {
            self.finish()?;
        }
        Ok(reference)
    }

    fn finish(&mut self) -> Result<()> {
        match self.open.take() {
            Some(file) => Ok(self.runtime.block_on(file.write(self.blob))?),
            None => Ok(()),
        }
    }
}

impl Error {
    /// A saved part of the database that does not fit the rest.
    pub(crate) fn unfit(what: &str) -> Self {
        Self::Internal(format!("saved {what} does not fit the catalog"))
    }
}
