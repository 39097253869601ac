//! A frozen picture of a log for readers.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;

use crate::arrangement::log::{Bits, Chunk};
use crate::error::Result;

/// The live rows of a [`ColumnLog`](crate::arrangement::log::ColumnLog) at one moment.
///
/// Shares chunks and tombstones with the log; taking one costs a pointer per chunk. What the writer does
/// later is not seen: chunks are immutable and tombstones are copied before they change.
#[derive(Clone, Debug)]
pub struct LogView {
    pub(crate) schema: SchemaRef,
    pub(crate) chunks: Vec<Arc<Chunk>>,
    pub(crate) dead: Vec<Option<Arc<Bits>>>,
    pub(crate) rows: u32,
}

impl LogView {
    /// A view of nothing.
    #[must_use]
    pub fn empty(schema: SchemaRef) -> Self {
        Self { schema, chunks: Vec::new(), dead: Vec::new(), rows: 0 }
    }

    /// Schema of the rows.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Number of live rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows as usize
    }

    /// Number of chunks, for readers that divide the work.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// The live rows, chunk by chunk; batches are not empty.
    pub fn batches(&self) -> impl Iterator<Item = Result<RecordBatch>> + '_ {
        (0..self.chunks.len()).flat_map(|c| self.chunk_batches(c))
    }

    /// The live rows of one chunk.
    pub fn chunk_batches(&self, chunk: usize) -> impl Iterator<Item = Result<RecordBatch>> + '_ {
        let dead = self.dead[chunk].as_ref();
        self.chunks[chunk].pieces.iter().filter_map(move |piece| {
            let options = RecordBatchOptions::new().with_row_count(Some(piece.rows as usize));
            let columns = piece.columns.clone();
            let batch =
                RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options);
            let batch = match (batch, dead) {
                (Ok(batch), Some(bits)) => filter_record_batch(&batch, &piece.live_mask(bits)),
                (batch, _) => batch,
            };
            match batch {
                Ok(batch) if batch.num_rows() == 0 => None,
                other => Some(other.map_err(Into::into)),
            }
        })
    }
}
