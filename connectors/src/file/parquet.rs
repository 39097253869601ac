//! Reads one Parquet file, by rows.
//!
//! The position is the number of rows consumed: opening skips whole row groups by the footer and the rest
//! by the decoder. Columns are found by name; only those asked for are read. Parquet files do not grow: a
//! file without its closing magic bytes is still being written, one whose pages cannot be decoded ends
//! with one reject that says so. Decoding runs behind `catch_unwind`, since the bytes come from outside.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;

use crate::error::{Error, Result};
use crate::file::position::{Position, State, read_range};
use crate::format::conform::{Conformed, conform};
use crate::format::shape::{column_named, normal_schema};
use crate::source::{Budget, Chunk, Reader, Reject};

/// The largest batch decoded at once.
const BATCH_ROWS_MAX: usize = 64 << 10;
/// Footer length and magic at the end of a file.
const TRAILER_BYTES: u64 = 8;

/// A reader of rows.
pub(crate) struct ParquetReader {
    file: File,
    path: String,
    metadata: ArrowReaderMetadata,
    schema: SchemaRef,
    /// For each column of `schema`, its column among those decoded.
    columns: Vec<usize>,
    mask: ProjectionMask,
    position: Position,
    decoder: Option<ParquetRecordBatchReader>,
    /// Decoded rows that are not yielded yet.
    pending: Option<RecordBatch>,
}

/// Reads the footer; text is decoded as views whatever the writer's Arrow schema said.
pub(crate) fn metadata(file: &File, path: &str) -> Result<ArrowReaderMetadata> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let loaded = guarded(|| ArrowReaderMetadata::load(file, options.clone()))
        .and_then(|found| {
            let viewed: Vec<FieldRef> = found.schema().fields().iter().map(as_view).collect();
            let options = options.clone().with_schema(Arc::new(Schema::new(viewed)));
            guarded(|| ArrowReaderMetadata::try_new(Arc::clone(found.metadata()), options))
        })
        .map_err(|message| Error::Corrupt { place: path.to_owned(), message: message.into() })?;
    Ok(loaded)
}

/// The columns of a file in Levada's types.
pub(crate) fn columns(metadata: &ArrowReaderMetadata) -> Schema {
    normal_schema(metadata.schema())
}

/// CRC-32C of the last 8 bytes and the footer before them; `None` when the file is not complete.
pub(crate) fn footer_checksum(file: &File, path: &str, size: u64) -> Result<Option<u32>> {
    if size < TRAILER_BYTES + 4 {
        return Ok(None);
    }
    let trailer = read_range(file, path, size - TRAILER_BYTES, size)?;
    let Some((length, b"PAR1")) = trailer.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let footer = u64::from(u32::from_le_bytes(*length)) + TRAILER_BYTES;
    if footer > size {
        return Ok(None);
    }
    Ok(Some(crc32c::crc32c(&read_range(file, path, size - footer, size)?)))
}

impl ParquetReader {
    /// A reader from `position` on.
    pub(crate) fn open(
        file: File,
        path: &str,
        schema: &SchemaRef,
        position: Position,
    ) -> Result<Self> {
        let metadata = metadata(&file, path)?;
        let (roots, columns) = project(schema, metadata.schema(), path)?;
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
        Ok(Self {
            file,
            path: path.to_owned(),
            metadata,
            schema: Arc::clone(schema),
            columns,
            mask,
            position: Position { state: State::Reading, ..position },
            decoder: None,
            pending: None,
        })
    }

    /// A decoder of the rows behind the position, in batches of `rows`.
    fn decoder(&self, rows: usize) -> Result<ParquetRecordBatchReader, String> {
        let file = self.file.try_clone().map_err(|e| e.to_string())?;
        let mut skip = self.position.at;
        let mut groups = Vec::new();
        for (i, group) in self.metadata.metadata().row_groups().iter().enumerate() {
            let length = u64::try_from(group.num_rows()).unwrap_or_default();
            if groups.is_empty() && skip >= length {
                skip -= length;
            } else {
                groups.push(i);
            }
        }
        guarded(|| {
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                .with_projection(self.mask.clone())
                .with_row_groups(groups)
                .with_offset(usize::try_from(skip).unwrap_or(usize::MAX))
                .with_batch_size(rows)
                .build()
        })
    }

    /// The next rows as they stand in the file; `None` at its end.
    fn decode(&mut self, budget: Budget) -> Result<Option<RecordBatch>, String> {
        if self.pending.is_none() {
            if self.decoder.is_none() {
                self.decoder = Some(self.decoder(self.batch_rows(budget))?);
            }
            let decoder = self.decoder.as_mut().expect("it has just been built");
            self.pending = guarded(|| decoder.next().transpose())?;
        }
        let Some(batch) = self.pending.take() else { return Ok(None) };
        let rows = budget.rows.max(1);
        if batch.num_rows() > rows {
            self.pending = Some(batch.slice(rows, batch.num_rows() - rows));
            return Ok(Some(batch.slice(0, rows)));
        }
        Ok(Some(batch))
    }

    /// Rows that make about the budgeted bytes.
    fn batch_rows(&self, budget: Budget) -> usize {
        let groups = self.metadata.metadata().row_groups();
        let total = |f: fn(&RowGroupMetaData) -> i64| {
            usize::try_from(groups.iter().map(f).sum::<i64>()).unwrap_or_default().max(1)
        };
        let row_bytes =
            total(RowGroupMetaData::total_byte_size).div_ceil(total(RowGroupMetaData::num_rows));
        budget.rows.min(budget.bytes / row_bytes).clamp(1, BATCH_ROWS_MAX)
    }

    fn read(&mut self, budget: Budget) -> Result<Chunk> {
        let row = self.position.at + 1;
        let batch = match self.decode(budget) {
            Ok(Some(batch)) => batch,
            Ok(None) => {
                self.position.state = State::AtEnd;
                return Ok(self.chunk(None, Vec::new()));
            }
            Err(error) => {
                self.position.state = State::Failed;
                let reject = Reject {
                    raw: Vec::new(),
                    position: format!("{}:{row}", self.path),
                    line: row,
                    error: format!("could not decode the file from row {row} on: {error}"),
                    sqlstate: "XX001",
                };
                return Ok(self.chunk(None, vec![reject]));
            }
        };
        let chosen = batch
            .project(&self.columns)
            .map_err(|e| Error::arrow("choose the columns of a Parquet file", e))?;
        let Conformed { rows, rejects } = conform(&chosen, &self.schema, &self.path, row)?;
        self.position.at += u64::try_from(batch.num_rows()).expect("sizes fit 64 bits");
        self.position.rows += u64::try_from(rows.num_rows()).expect("sizes fit 64 bits");
        Ok(self.chunk((rows.num_rows() > 0).then_some(rows), rejects))
    }

    fn chunk(&self, rows: Option<RecordBatch>, rejects: Vec<Reject>) -> Chunk {
        let end = self.position.state != State::Reading;
        Chunk { rows, after: self.position.offset(), rejects, end }
    }
}

#[async_trait]
impl Reader for ParquetReader {
    async fn next(&mut self, budget: Budget) -> Result<Chunk> {
        self.read(budget)
    }
}

/// The roots to read, and for each wanted column its place among them.
pub(crate) fn project(
    wanted: &Schema,
    file: &Schema,
    path: &str,
) -> Result<(Vec<usize>, Vec<usize>)> {
    let mut roots = Vec::with_capacity(wanted.fields().len());
    for field in wanted.fields() {
        let names = file.fields().iter().map(|f| f.name().as_str());
        roots.push(column_named(field.name(), names).ok_or_else(|| Error::SchemaMismatch {
            place: path.to_owned(),
            message: format!("column \"{}\" is not in it", field.name()).into(),
        })?);
    }
    let mut sorted = roots.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let place = |root: &usize| sorted.iter().position(|r| r == root);
    let columns = roots.iter().map(|r| place(r).expect("every root is in the list")).collect();
    Ok((sorted, columns))
}

fn as_view(field: &FieldRef) -> FieldRef {
    match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => {
            Arc::new(Field::new(field.name(), DataType::Utf8View, field.is_nullable()))
        }
        _ => Arc::clone(field),
    }
}

/// Runs a decoder over bytes from outside: what it panics about is an error of the file.
fn guarded<T, E: Into<ParquetError>>(run: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(done) => done.map_err(|e| e.into().to_string()),
        Err(_) => Err("the decoder gave up on damaged bytes".to_owned()),
    }
}
