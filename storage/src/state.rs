//! Runs: immutable sorted parts of operator state, as a checkpoint stores them.
//!
//! An object `state/<u>.runs` holds one run after the other; a [`RunRef`] in the manifest says where one
//! lies and what its bytes sum to. A run is one record batch, as Arrow IPC, in the common envelope, whose
//! meaning (columns, order, weights) belongs to the operator. Runs are read one at a time and only those
//! that are needed; each read checks the run's own checksum.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;

use crate::blob::Blob;
use crate::envelope::{self, Class};
use crate::error::{Error, Result};

/// A run that is to be written.
#[derive(Clone, Debug)]
pub struct Run {
    /// The shard, or whatever else the operator splits its state by.
    pub part: u32,
    /// Whether earlier runs of the part are void.
    pub replaces: bool,
    /// The version of the hash that orders the rows.
    pub hash_version: u32,
    /// The rows.
    pub batch: RecordBatch,
}

/// Where a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunRef {
    /// The object.
    pub path: String,
    /// Its first byte in the object.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The crc32c of these bytes.
    pub crc32c: u32,
    /// The shard, or whatever else the operator splits its state by.
    pub part: u32,
    /// Whether earlier runs of the part are void.
    pub replaces: bool,
    /// Number of rows.
    pub rows: u64,
    /// The version of the hash that orders the rows.
    pub hash_version: u32,
}

/// Writes one run as the object `path`; durable when it returns.
///
/// # Errors
/// Those of the blob; [`Error::Arrow`] for a batch that Arrow IPC cannot hold.
pub async fn write_run(blob: &Arc<dyn Blob>, path: &str, run: &Run) -> Result<RunRef> {
    let mut runs = write_runs(blob, path, std::slice::from_ref(run)).await?;
    Ok(runs.remove(0))
}

/// Writes many runs as one object `path`; durable when it returns. The references are in order.
///
/// # Errors
/// Those of the blob; [`Error::Arrow`] for a batch that Arrow IPC cannot hold.
pub async fn write_runs(blob: &Arc<dyn Blob>, path: &str, runs: &[Run]) -> Result<Vec<RunRef>> {
    let mut file = RunFile::new(path.to_owned());
    let refs = runs.iter().map(|run| file.add(run)).collect::<Result<_>>()?;
    file.write(blob).await?;
    Ok(refs)
}

/// An object of runs that is being put together.
#[derive(Debug)]
pub struct RunFile {
    path: String,
    bytes: Vec<u8>,
}

impl RunFile {
    /// The object `path`, empty.
    #[must_use]
    pub fn new(path: String) -> Self {
        Self { path, bytes: Vec::new() }
    }

    /// Its length so far in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds a run; the reference holds once the object is written.
    ///
    /// # Errors
    /// [`Error::Arrow`] for a batch that Arrow IPC cannot hold.
    pub fn add(&mut self, run: &Run) -> Result<RunRef> {
        let mut rows = Vec::new();
        let mut writer = StreamWriter::try_new(&mut rows, run.batch.schema_ref())?;
        writer.write(&run.batch)?;
        writer.finish()?;
        drop(writer);
        let sealed = envelope::seal(Class::Run, &[&rows]);
        let reference = RunRef {
            path: self.path.clone(),
            offset: self.bytes.len() as u64,
            bytes: sealed.len() as u64,
            crc32c: crc32c::crc32c(&sealed),
            part: run.part,
            replaces: run.replaces,
            rows: run.batch.num_rows() as u64,
            hash_version: run.hash_version,
        };
        self.bytes.extend_from_slice(&sealed);
        Ok(reference)
    }

    /// Writes the object; durable when it returns.
    ///
    /// # Errors
    /// Those of the blob.
    pub async fn write(self, blob: &Arc<dyn Blob>) -> Result<()> {
        blob.put(&self.path, self.bytes.into()).await
    }
}

/// Reads one run.
///
/// # Errors
/// [`Error::Corrupt`] when its bytes are not the ones that were written, else those of the blob.
pub async fn read_run(blob: &Arc<dyn Blob>, run: &RunRef) -> Result<RecordBatch> {
    let end = run.offset.checked_add(run.bytes);
    let end = end.ok_or_else(|| Error::corrupt(run.path.as_str(), "a run ends behind 2^64"))?;
    let bytes = blob.get_range(&run.path, run.offset..end).await?;
    if crc32c::crc32c(&bytes) != run.crc32c {
        let detail = format!("bytes {} to {end} are not the run that was written", run.offset);
        return Err(Error::corrupt(run.path.as_str(), detail));
    }
    decode(run, &bytes)
}

fn decode(run: &RunRef, bytes: &Bytes) -> Result<RecordBatch> {
    let name = run.path.as_str();
    let unreadable = |error| Error::corrupt(name, format!("a run cannot be read: {error}"));
    let mut buffer = Buffer::from(envelope::unseal(name, Class::Run, bytes)?);
    let mut decoder = StreamDecoder::new();
    let mut batch = None;
    while !buffer.is_empty() {
        if let Some(decoded) = decoder.decode(&mut buffer).map_err(unreadable)? {
            batch = Some(decoded);
        }
    }
    decoder.finish().map_err(unreadable)?;
    let batch = batch.ok_or_else(|| Error::corrupt(name, "a run holds no rows"))?;
    if batch.num_rows() as u64 != run.rows {
        let detail = format!("a run has {} rows instead of {}", batch.num_rows(), run.rows);
        return Err(Error::corrupt(name, detail));
    }
    Ok(batch)
}
