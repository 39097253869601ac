//! Input tables: Parquet files, and their rows in memory.
//!
//! Rows are read before a clock starts, with the types that the database gives such columns: text as views,
//! times in microseconds. Only the columns that a query needs are read.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use levada_catalog::object::FIRST_USER_OID;
use levada_storage::delta::{Delta, DeltaBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// Rows of a batch that is read.
const BATCH_ROWS: usize = 65_536;
/// Rows of a row group that is written.
const GROUP_ROWS: usize = 250_000;

/// Identifier of the first table of a set; the next ones follow.
pub(crate) const FIRST_ID: u32 = FIRST_USER_OID;

/// A table with its rows.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Its identifier in plans.
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) schema: SchemaRef,
    /// Names of its primary key's columns.
    pub(crate) key: Vec<String>,
    pub(crate) batches: Vec<RecordBatch>,
}

impl Table {
    /// The table in `folder`, without its rows.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub(crate) fn open(folder: &Path, id: u32, name: &str) -> anyhow::Result<Self> {
        let schema = stored(reader(folder, name)?.schema());
        Ok(Self { id, name: name.to_owned(), schema, key: Vec::new(), batches: Vec::new() })
    }

    /// A table of rows that are there.
    ///
    /// # Errors
    /// When there is not even an empty batch.
    pub(crate) fn of(id: u32, name: &str, batches: &[RecordBatch]) -> anyhow::Result<Self> {
        let schema = stored(&batches.first().context("a table needs a batch")?.schema());
        let batches = batches.iter().map(|b| converted(b, &schema)).collect::<Result<_, _>>()?;
        Ok(Self { id, name: name.to_owned(), schema, key: Vec::new(), batches })
    }

    /// The table with the columns at `positions` only, and its rows.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub(crate) fn load(&self, folder: &Path, positions: &[usize]) -> anyhow::Result<Self> {
        let builder = reader(folder, &self.name)?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), positions.iter().copied());
        let schema = Arc::new(self.schema.project(positions)?);
        let read = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build()?;
        let batches = read
            .map(|batch| Ok(converted(&batch?, &schema)?))
            .collect::<anyhow::Result<Vec<RecordBatch>>>()?;
        Ok(Self { schema, batches, ..self.clone() })
    }

    /// Number of its rows.
    pub(crate) fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// Rows `[from, to)` of the concatenation of `batches`, zero copy.
pub(crate) fn slice(batches: &[RecordBatch], from: usize, to: usize) -> Vec<RecordBatch> {
    let (mut begins, mut parts) = (0, Vec::new());
    for batch in batches {
        let ends = begins + batch.num_rows();
        let (low, high) = (from.max(begins), to.min(ends));
        if low < high {
            parts.push(batch.slice(low - begins, high - low));
        }
        begins = ends;
    }
    parts
}

/// All rows of `tables` as one tick.
pub(crate) fn whole(tables: &[Table]) -> BTreeMap<u32, Delta> {
    let delta = |table: &Table| {
        let batches = table.batches.iter().cloned().map(DeltaBatch::inserts);
        (table.id, Delta::of(batches))
    };
    tables.iter().map(delta).collect()
}

/// A Parquet file that is written batch by batch.
pub(crate) struct Writer(ArrowWriter<File>);

impl Writer {
    /// An empty file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn create(folder: &Path, name: &str, schema: SchemaRef) -> anyhow::Result<Self> {
        let path = folder.join(format!("{name}.parquet"));
        let file = File::create(&path)
            .with_context(|| format!("could not create \"{}\"", path.display()))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        Ok(Self(ArrowWriter::try_new(file, schema, Some(properties))?))
    }

    /// Appends rows.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<()> {
        Ok(self.0.write(batch)?)
    }

    /// Writes the footer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        self.0.close()?;
        Ok(())
    }
}

fn reader(folder: &Path, name: &str) -> anyhow::Result<ParquetRecordBatchReaderBuilder<File>> {
    let path = folder.join(format!("{name}.parquet"));
    let file =
        File::open(&path).with_context(|| format!("could not open \"{}\"", path.display()))?;
    Ok(ParquetRecordBatchReaderBuilder::try_new(file)?)
}

/// The schema that the database keeps such columns with.
fn stored(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| {
        let data_type = match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
            DataType::Timestamp(_, zone) => {
                DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
            }
            other => other.clone(),
        };
        Field::new(field.name(), data_type, true)
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn converted(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()));
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}
