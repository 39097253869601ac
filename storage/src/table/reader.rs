//! Reading a Parquet file: checked bytes, chosen columns, live rows.
//!
//! ```text
//! positions   0 1 2 3 4 5 6 7        deleted {2, 5}, start 1
//! read          1   3 4   6 7
//! ```
//! A **position** is the number of a row in its file, counted from 0, dead rows included; with
//! [`Scan::positions`] each row comes with its own, so that its retraction can be written down.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use roaring::RoaringBitmap;

use super::verify::Verified;
use super::{DataFile, stored};
use crate::blob::Blob;
use crate::error::{Error, Result};

/// The name of the column that [`Scan::positions`] adds.
pub const POSITION: &str = "_position";

/// What to read of a file.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Columns in the order in which they are wanted; `None` for all.
    pub projection: Option<Vec<usize>>,
    /// Rows of a batch, at most.
    pub batch_rows: usize,
    /// The first position to read.
    pub start: u64,
    /// Whether each row's position follows as the last column, [`POSITION`] of type `UInt32`.
    pub positions: bool,
}

impl Default for Scan {
    fn default() -> Self {
        Self { projection: None, batch_rows: 8192, start: 0, positions: false }
    }
}

/// An open Parquet file; clones share it. A file up to 64 MiB is in memory while it is open.
#[derive(Clone, Debug)]
pub struct FileReader {
    source: Verified,
    metadata: ArrowReaderMetadata,
    schema: SchemaRef,
    deleted: Option<Arc<RoaringBitmap>>,
    rows: u64,
}

/// Reads the live rows of `file`; opening it checks its bytes.
///
/// # Errors
/// Those of [`FileReader::open`] and [`FileReader::scan`].
pub async fn read_parquet(
    blob: Arc<dyn Blob>,
    file: &DataFile,
    scan: &Scan,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    FileReader::open(blob, file).await?.scan(scan)
}

impl FileReader {
    /// Opens `file` and compares all its bytes with its checksum.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when they differ, else those of the blob.
    pub async fn open(blob: Arc<dyn Blob>, file: &DataFile) -> Result<Self> {
        let source = Verified::open(blob, file).await?;
        let mut fetch = Source(source.clone());
        let metadata = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .load_and_finish(&mut fetch, source.bytes())
            .await
            .map_err(|error| unreadable(source.path(), error))?;
        let metadata = ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())
            .map_err(|error| unreadable(source.path(), error))?;
        let rows = metadata.metadata().file_metadata().num_rows();
        if u64::try_from(rows) != Ok(file.rows) {
            let detail = format!("it has {rows} rows instead of {}", file.rows);
            return Err(Error::corrupt(file.path.as_str(), detail));
        }
        let schema = stored::row_schema(metadata.schema());
        let deleted = file.deleted.clone().map(Arc::new);
        Ok(Self { source, metadata, schema, deleted, rows: file.rows })
    }

    /// The schema of the rows.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Row groups, columns and statistics.
    #[must_use]
    pub fn metadata(&self) -> &Arc<ParquetMetaData> {
        self.metadata.metadata()
    }

    /// Reads live rows in the order of their positions.
    ///
    /// # Errors
    /// [`Error::Parquet`] for a column that does not exist; the stream yields [`Error::Corrupt`] when
    /// bytes changed after they were checked.
    pub fn scan(&self, scan: &Scan) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let columns: Vec<_> = match &scan.projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let projected = Arc::new(self.schema.project(&columns)?);
        let mut read = columns.clone();
        read.sort_unstable();
        read.dedup();
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), read.iter().copied());
        let rows = Arc::new(self.schema.project(&read)?);
        let order: Vec<_> = columns.iter().filter_map(|c| read.binary_search(c).ok()).collect();
        let live = live_ranges(self.rows, scan.start, self.deleted.as_deref());
        let mut builder = ParquetRecordBatchStreamBuilder::new_with_metadata(
            Source(self.source.clone()),
            self.metadata.clone(),
        )
        .with_batch_size(scan.batch_rows.max(1))
        .with_projection(mask);
        if scan.start > 0 || self.deleted.is_some() {
            let ranges = live.iter().map(|range| index(range.start)..index(range.end));
            let total = index(self.rows);
            builder =
                builder.with_row_selection(RowSelection::from_consecutive_ranges(ranges, total));
        }
        let path: Arc<str> = self.source.path().into();
        let stream = builder.build().map_err(|error| unreadable(&path, error))?;
        let schema = if scan.positions { with_position(&projected) } else { projected };
        let mut positions = scan.positions.then(|| live.into_iter().flatten());
        Ok(stream
            .map(move |batch| {
                let batch = batch.map_err(|error| unreadable(&path, error))?;
                let batch = stored::to_rows(batch, &rows)?;
                let count = batch.num_rows();
                let columns = order.iter().map(|i| Arc::clone(batch.column(*i)));
                let positions = positions.iter_mut().map(|positions| {
                    let next = positions.by_ref().take(count);
                    Arc::new(next.filter_map(|p| u32::try_from(p).ok()).collect::<UInt32Array>())
                        as ArrayRef
                });
                let options = RecordBatchOptions::new().with_row_count(Some(count));
                let columns = columns.chain(positions).collect();
                Ok(RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options)?)
            })
            .boxed())
    }
}

/// The verified bytes of a file as Parquet's reader wants them.
#[derive(Debug)]
struct Source(Verified);

impl AsyncFileReader for Source {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        Box::pin(async move {
            self.0.read(range).await.map_err(|error| ParquetError::External(Box::new(error)))
        })
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        Box::pin(async move {
            let length = self.0.bytes();
            let metadata = ParquetMetaDataReader::new().load_and_finish(&mut *self, length).await?;
            Ok(Arc::new(metadata))
        })
    }
}

/// Our own error comes out as it went in; any other means that the bytes make no sense.
fn unreadable(path: &str, error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<Error>() {
            Ok(error) => *error,
            Err(other) => Error::corrupt(path, format!("it cannot be read: {other}")),
        },
        other => Error::corrupt(path, format!("it cannot be read: {other}")),
    }
}

/// Positions from `start` to `rows` without the deleted ones, as ascending ranges.
fn live_ranges(rows: u64, start: u64, deleted: Option<&RoaringBitmap>) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    let mut from = start;
    for dead in deleted.into_iter().flatten().map(u64::from) {
        if dead >= rows {
            break;
        }
        if dead > from {
            ranges.push(from..dead);
        }
        from = from.max(dead + 1);
    }
    if from < rows {
        ranges.push(from..rows);
    }
    ranges
}

fn with_position(schema: &SchemaRef) -> SchemaRef {
    let position = Arc::new(Field::new(POSITION, DataType::UInt32, false));
    let fields = schema.fields().iter().cloned().chain([position]).collect::<Fields>();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn index(position: u64) -> usize {
    usize::try_from(position).expect("a file has fewer rows than memory has addresses")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_ranges_leave_out_the_dead_and_what_lies_before_the_start() {
        let dead = RoaringBitmap::from_iter([0, 2, 3, 5, 7]);
        assert_eq!(live_ranges(8, 0, Some(&dead)), vec![1..2, 4..5, 6..7]);
        assert_eq!(live_ranges(8, 3, Some(&dead)), vec![4..5, 6..7]);
        assert_eq!(live_ranges(8, 2, None), vec![2..8]);
        assert_eq!(live_ranges(2, 5, None), Vec::<Range<u64>>::new());
    }
}
