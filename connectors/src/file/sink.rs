//! A relation as files of a folder, one set of parts per epoch.
//!
//! ```text
//! folder/part-<epoch, 20 digits>-<n>.parquet     rows
//! folder/_levada/<epoch, 20 digits>.json         manifest of an epoch: its parts
//! folder/_levada/sink.json                       whose folder it is: see `owner`
//! folder/.part-....tmp                           being written
//! ```
//! Parts are bounded; an epoch has as many as it takes. All are written under temporary names, then the
//! manifest, then the parts get their names; **replace** then removes the older ones. The manifest is the
//! commit: before it a crash leaves the former contents and temporary files, which [`Sink::resume`]
//! removes; after it `resume` finishes the renaming.
//!
//! **append** needs no manifest for an epoch of one part: that the part exists is that the epoch is
//! complete. The manifest of several goes when all have their names.
//!
//! So `*.parquet` shows one epoch at every time but for the moment of renaming, and always after `resume`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv::WriterBuilder;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use async_trait::async_trait;
use futures::{Stream, StreamExt};
use levada_storage::epoch::Epoch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::file::listing::path_of;
use crate::file::owner::{Owner, PRIVATE, epoch_of_part};
use crate::file::publish::Folder;
use crate::format::Format;
use crate::option::{OptionKind, OptionSpec, Options};
use crate::sink::{Delivery, Rows, Sink, Writer};

/// Rows of a part before the next one is begun.
const PART_ROWS_MAX: usize = 1 << 20;
/// Bytes of the rows of a part, as they are in memory, before the next one is begun.
const PART_BYTES_MAX: usize = 512 << 20;
/// Rows that a writer of Parquet gathers before it writes them.
const GROUP_ROWS_MAX: usize = 128 << 10;
/// The version of manifests that this release writes and reads.
const MANIFEST_VERSION: u32 = 1;

/// Options of `INTO FILES`.
pub(crate) const OPTIONS: &[OptionSpec] = &[OptionSpec {
    name: "overwrite",
    kind: OptionKind::Bool,
    default: Some("false"),
    required: false,
    doc: "Whether the files that another sink left in the folder are removed first.",
}];

/// A folder of part files.
#[derive(Debug)]
pub(crate) struct FileSink {
    folder: Folder,
    manifests: Folder,
    owner: Owner,
    overwrite: bool,
    format: Format,
    schema: SchemaRef,
}

/// What `_levada/<epoch>.json` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    version: u32,
    epoch: u64,
    /// Whether the parts of older epochs stay.
    #[serde(default)]
    appended: bool,
    rows: u64,
    files: Vec<String>,
}

impl FileSink {
    /// A sink into the folder `uri`. Does no I/O.
    pub(crate) fn new(
        uri: &str,
        options: &Options,
        format: Format,
        schema: SchemaRef,
        writer: Writer,
    ) -> Result<Self> {
        let folder = Folder::new(path_of(uri)?);
        let mut trial = Encoder::new(&format, &schema, std::io::sink());
        if let Ok(encoder) = trial.as_mut() {
            let empty = encoder.write(&RecordBatch::new_empty(Arc::clone(&schema)));
            trial = empty.and(trial);
        }
        if let Err(fault) = trial {
            let construct = format!("a {} file of these columns ({fault})", format.ending());
            return Err(Error::Unsupported { construct: construct.into() });
        }
        let owner = Owner::new(folder.clone(), writer);
        let overwrite = options.bool("overwrite").unwrap_or(false);
        Ok(Self { manifests: folder.child(PRIVATE), folder, owner, overwrite, format, schema })
    }

    fn part(&self, epoch: Epoch, n: usize) -> String {
        format!("part-{:020}-{n}.{}", epoch.0, self.format.ending())
    }

    /// Opens the temporary file of a part.
    fn start(&self, name: &str) -> Result<Encoder<File>> {
        let file = self.folder.start(name)?;
        Encoder::new(&self.format, &self.schema, file).map_err(|e| self.failed(name, e))
    }

    /// Makes a part durable under its temporary name.
    fn finish(&self, name: &str, encoder: Encoder<File>) -> Result<()> {
        let file = encoder.finish().map_err(|e| self.failed(name, e))?;
        self.folder.finish(name, &file)
    }

    fn failed(&self, name: &str, source: ParquetError) -> Error {
        Error::Parquet { path: self.folder.display(name), source: Box::new(source) }
    }

    /// Writes all rows of the stream to temporary files; returns their later names and the rows.
    async fn stage(
        &self,
        epoch: Epoch,
        mut rows: impl Stream<Item = Result<RecordBatch, ArrowError>> + Unpin,
    ) -> Result<(Vec<String>, u64)> {
        let mut files = vec![self.part(epoch, 0)];
        let mut encoder = self.start(&files[0])?;
        let (mut in_part, mut bytes, mut total) = (0, 0, 0);
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|e| Error::arrow("read the rows of a sink", e))?;
            if in_part >= PART_ROWS_MAX || bytes >= PART_BYTES_MAX {
                let name = self.part(epoch, files.len());
                let full = std::mem::replace(&mut encoder, self.start(&name)?);
                self.finish(files.last().expect("there is a first part"), full)?;
                files.push(name);
                (in_part, bytes) = (0, 0);
            }
            let name = files.last().expect("there is a first part");
            encoder.write(&batch).map_err(|e| self.failed(name, e))?;
            in_part += batch.num_rows();
            bytes += batch.get_array_memory_size();
            total += u64::try_from(batch.num_rows()).expect("sizes fit 64 bits");
        }
        self.finish(files.last().expect("there is a first part"), encoder)?;
        Ok((files, total))
    }

    /// Gives the parts of a manifest their names and removes what is older: of an appended epoch, only the
    /// manifest.
    fn settle(&self, manifest: &Manifest) -> Result<()> {
        for name in &manifest.files {
            self.folder.publish(name)?;
        }
        self.folder.sync()?;
        for name in self.folder.names()?.iter().filter(|_| !manifest.appended) {
            let old = epoch_of_part(name).is_some_and(|epoch| {
                epoch < manifest.epoch
                    || (epoch == manifest.epoch && !manifest.files.contains(name))
            });
            if old {
                self.folder.remove(name)?;
            }
        }
        for name in self.manifests.names()? {
            let first = if manifest.appended { manifest.epoch + 1 } else { manifest.epoch };
            if epoch_of_manifest(&name).is_some_and(|epoch| epoch < first) {
                self.manifests.remove(&name)?;
            }
        }
        self.folder.sync()?;
        self.manifests.sync()
    }

    /// Commits staged parts.
    fn settle_new(
        &self,
        epoch: Epoch,
        appended: bool,
        files: Vec<String>,
        rows: u64,
    ) -> Result<()> {
        self.folder.sync()?;
        self.owner.hold()?;
        let (version, epoch) = (MANIFEST_VERSION, epoch.0);
        let manifest = Manifest { version, epoch, appended, rows, files };
        let text =
            serde_json::to_vec_pretty(&manifest).expect("a manifest holds only numbers and names");
        self.manifests.put(&format!("{epoch:020}.json"), &text)?;
        self.settle(&manifest)
    }

    /// The newest manifest.
    fn manifest(&self) -> Result<Option<Manifest>> {
        let names = self.manifests.names()?;
        let Some(name) = names.iter().rfind(|name| epoch_of_manifest(name).is_some()) else {
            return Ok(None);
        };
        let corrupt = |message: String| Error::Corrupt {
            place: self.manifests.display(name),
            message: message.into(),
        };
        let manifest: Manifest = serde_json::from_slice(&self.manifests.read(name)?)
            .map_err(|e| corrupt(e.to_string()))?;
        if manifest.version != MANIFEST_VERSION {
            return Err(corrupt(format!("manifest version {} is unknown", manifest.version)));
        }
        Ok(Some(manifest))
    }
}

#[async_trait]
impl Sink for FileSink {
    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }

    async fn check(&self, gone: &[String]) -> Result<Option<String>> {
        self.owner.check(gone, self.overwrite)
    }

    async fn resume(&mut self) -> Result<Option<Epoch>> {
        self.owner.claim()?;
        let manifest = self.manifest()?;
        if let Some(manifest) = &manifest {
            self.settle(manifest)?;
        }
        for folder in [&self.folder, &self.manifests] {
            for name in folder.names()? {
                if name.starts_with('.') && name.ends_with(".tmp") {
                    folder.remove(&name)?;
                }
            }
        }
        let parts = self.folder.names()?;
        let newest = parts.iter().filter_map(|name| epoch_of_part(name)).max();
        Ok(newest.max(manifest.map(|m| m.epoch)).map(Epoch))
    }

    async fn append(&mut self, epoch: Epoch, rows: Rows<'_>) -> Result<()> {
        let some = |batch: &Result<RecordBatch, ArrowError>| {
            futures::future::ready(batch.as_ref().map_or(true, |batch| batch.num_rows() > 0))
        };
        let mut rows = Box::pin(rows.filter(some).peekable());
        if rows.as_mut().peek().await.is_none() {
            return Ok(());
        }
        self.owner.hold()?;
        if self.folder.has(&self.part(epoch, 0)) {
            return Ok(());
        }
        let (files, rows) = self.stage(epoch, rows).await?;
        if let [one] = files.as_slice() {
            self.owner.hold()?;
            self.folder.publish(one)?;
            return self.folder.sync();
        }
        self.settle_new(epoch, true, files, rows)
    }

    async fn replace(&mut self, epoch: Epoch, rows: Rows<'_>) -> Result<()> {
        self.owner.hold()?;
        let (files, rows) = self.stage(epoch, rows).await?;
        self.settle_new(epoch, false, files, rows)
    }
}

/// Writes batches in one format.
enum Encoder<W: Write + Send> {
    Parquet(Box<ArrowWriter<W>>),
    Csv(Box<arrow::csv::Writer<BufWriter<W>>>),
    Json(LineDelimitedWriter<BufWriter<W>>),
}

impl<W: Write + Send> Encoder<W> {
    fn new(format: &Format, schema: &SchemaRef, to: W) -> Result<Self, ParquetError> {
        Ok(match format {
            Format::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
                    .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
                    .build();
                let writer = ArrowWriter::try_new(to, Arc::clone(schema), Some(properties))?;
                Self::Parquet(Box::new(writer))
            }
            Format::Csv(dialect) => Self::Csv(Box::new(
                WriterBuilder::new()
                    .with_header(dialect.header)
                    .with_delimiter(dialect.marks.delimiter)
                    .with_quote(dialect.marks.quote)
                    .with_null(dialect.null.clone().unwrap_or_default())
                    .build(BufWriter::new(to)),
            )),
            Format::Json => Self::Json(LineDelimitedWriter::new(BufWriter::new(to))),
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        match self {
            Self::Parquet(writer) => writer.write(batch),
            Self::Csv(writer) => writer.write(batch).map_err(ParquetError::from),
            Self::Json(writer) => writer.write(batch).map_err(ParquetError::from),
        }
    }

    fn finish(self) -> Result<W, ParquetError> {
        let buffered = |buffer: BufWriter<W>| {
            buffer.into_inner().map_err(|e| ParquetError::from(e.into_error()))
        };
        match self {
            Self::Parquet(writer) => writer.into_inner(),
            Self::Csv(writer) => buffered(writer.into_inner()),
            Self::Json(mut writer) => {
                writer.finish().map_err(|e: ArrowError| ParquetError::from(e))?;
                buffered(writer.into_inner())
            }
        }
    }
}

/// The epoch in the name of a manifest.
fn epoch_of_manifest(name: &str) -> Option<u64> {
    let epoch = name.strip_suffix(".json")?;
    (epoch.len() == 20).then(|| epoch.parse().ok()).flatten()
}
