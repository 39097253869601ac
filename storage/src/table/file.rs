//! Writing a Parquet file.
//!
//! Row groups have [`ROW_GROUP_ROWS`] rows, so that a reader with few columns or a start position touches
//! a small part of the file. Two profiles exist: files of a checkpoint are read for long and are packed
//! with zstd; files of freshly ingested rows are written once, read once or twice and then merged, so they
//! are packed for speed.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};

use super::{DataFile, stored};
use crate::blob::Blob;
use crate::error::Result;

/// Rows of one row group.
pub const ROW_GROUP_ROWS: usize = 128 << 10;

/// What a file is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Profile {
    /// Small and prunable: zstd, dictionaries, statistics of pages.
    #[default]
    Checkpoint,
    /// Fast: LZ4, statistics of row groups.
    Ingest,
}

/// Writes `batches` of `schema` as the object `path`; durable when it returns.
///
/// # Errors
/// [`Error::Parquet`](crate::Error::Parquet) for a type that cannot be stored, else those of the blob.
pub async fn write_parquet(
    blob: &dyn Blob,
    path: &str,
    schema: &SchemaRef,
    batches: &[RecordBatch],
    profile: Profile,
) -> Result<DataFile> {
    let mut writer = FileWriter::new(schema, profile)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish(blob, path).await
}

/// A Parquet file that grows in memory until it is finished.
#[derive(Debug)]
pub struct FileWriter {
    writer: ArrowWriter<Vec<u8>>,
    stored: SchemaRef,
    rows: u64,
}

impl FileWriter {
    /// An empty file for rows of `schema`.
    ///
    /// # Errors
    /// [`Error::Parquet`](crate::Error::Parquet) for a type that cannot be stored.
    pub fn new(schema: &SchemaRef, profile: Profile) -> Result<Self> {
        let stored = stored::stored_schema(schema)?;
        let properties = properties(profile)?;
        let writer = ArrowWriter::try_new(Vec::new(), SchemaRef::clone(&stored), Some(properties))?;
        Ok(Self { writer, stored, rows: 0 })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// [`Error::Parquet`](crate::Error::Parquet) when the batch has another schema.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(&stored::to_stored(batch, &self.stored)?)?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The size that the file would about have if it were finished.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    /// Closes the file and makes it durable as the object `path`.
    ///
    /// # Errors
    /// Those of the blob.
    pub async fn finish(self, blob: &dyn Blob, path: &str) -> Result<DataFile> {
        let bytes = self.writer.into_inner()?;
        let file = DataFile {
            path: path.to_owned(),
            rows: self.rows,
            bytes: bytes.len() as u64,
            crc32c: crc32c::crc32c(&bytes),
            deleted: None,
        };
        blob.put(path, bytes.into()).await?;
        Ok(file)
    }
}

fn properties(profile: Profile) -> Result<WriterProperties> {
    let properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by("Levada".to_owned())
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    let properties = match profile {
        Profile::Checkpoint => properties
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_statistics_enabled(EnabledStatistics::Page),
        Profile::Ingest => properties
            .set_compression(Compression::LZ4_RAW)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true),
    };
    Ok(properties.build())
}
