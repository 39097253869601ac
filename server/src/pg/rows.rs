//! A result on its way to the client.
//!
//! [`Cursor`] holds one record batch at a time. Rows are written to the wire's buffer, the buffer
//! is written to the socket at 64 KiB, and the next batch is asked for when the last row of this
//! one is out: a slow reader slows the query, and memory does not grow with the result.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::{BufMut, BytesMut};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use levada_engine::client::{Rows, RowsTag, Withdrawal};
use pgwire::messages::data::{FieldDescription, RowDescription};
use tokio::time::timeout;

use crate::pg::cancel::Running;
use crate::pg::encode::{self, Column, Format};
use crate::pg::wire::Wire;
use crate::pg::{tag, types};
use crate::sqlstate::Report;

/// Time between two messages about how far a long commit is.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// Why an answer stops.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The statement failed; the client is told.
    Statement(Report),
    /// The client is gone; there is nobody to tell.
    Gone,
}

impl<E: Into<Report>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Statement(error.into())
    }
}

impl Failure {
    /// A failed socket.
    #[expect(clippy::needless_pass_by_value, reason = "it serves `map_err`")]
    pub(crate) fn socket(error: std::io::Error) -> Self {
        tracing::debug!(%error, "lost a client");
        Self::Gone
    }
}

/// Whether a result has more rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// All rows are sent.
    Finished,
    /// The client's limit of rows is reached.
    Suspended,
}

/// A result being sent.
pub(crate) struct Cursor {
    stream: SendableRecordBatchStream,
    schema: SchemaRef,
    formats: Vec<Format>,
    page: Option<Page>,
    tag: RowsTag,
}

/// The batch whose rows are being sent.
struct Page {
    columns: Vec<Column>,
    rows: usize,
    next: usize,
}

impl Cursor {
    /// Starts sending a result with one format per column.
    pub(crate) fn new(rows: Rows, formats: Vec<Format>) -> Self {
        Self { stream: rows.stream, schema: rows.schema, formats, page: None, tag: rows.tag }
    }

    /// Sends rows until `rows_max` are out (0: no limit) or none is left. Returns how many were
    /// sent.
    ///
    /// # Errors
    /// When the query fails, is cancelled, or the client is gone.
    pub(crate) async fn send(
        &mut self,
        wire: &mut Wire,
        running: &mut Running,
        rows_max: usize,
    ) -> Result<(Progress, u64), Failure> {
        let mut sent = 0_u64;
        let mut left = if rows_max == 0 { usize::MAX } else { rows_max };
        loop {
            if let Some(page) = &mut self.page {
                while page.next < page.rows {
                    if left == 0 {
                        return Ok((Progress::Suspended, sent));
                    }
                    put_row(&page.columns, page.next, &mut wire.output)?;
                    page.next += 1;
                    sent += 1;
                    left -= 1;
                    if wire.output.len() >= crate::pg::wire::OUTPUT_BYTES {
                        relieve(running, wire).await?;
                    }
                }
                self.page = None;
            }
            match guarded(running, wire, self.stream.next()).await? {
                None => return Ok((Progress::Finished, sent)),
                Some(batch) => self.page = Some(self.page_of(&batch?)),
            }
        }
    }

    /// The words of `CommandComplete` after `rows` rows.
    pub(crate) fn tag(&self, rows: u64) -> String {
        tag::of_rows(&self.tag, rows)
    }

    fn page_of(&self, batch: &RecordBatch) -> Page {
        let columns = columns(batch, &self.schema, &self.formats);
        Page { columns, rows: batch.num_rows(), next: 0 }
    }
}

/// The columns of a batch, ready to be written in these formats (text where none is given).
pub(crate) fn columns(batch: &RecordBatch, schema: &Schema, formats: &[Format]) -> Vec<Column> {
    batch
        .columns()
        .iter()
        .enumerate()
        .map(|(at, array)| {
            let format = formats.get(at).copied().unwrap_or(Format::Text);
            // The declared schema carries the types' names; a plan may drop them on the way.
            let field = match schema.fields().get(at) {
                Some(field) => field.as_ref(),
                None => batch.schema_ref().field(at),
            };
            Column::new(array, field, format)
        })
        .collect()
}

/// Writes a `DataRow` message.
fn put_row(columns: &[Column], row: usize, out: &mut BytesMut) -> encode::Result<()> {
    let start = out.len();
    let count = columns.len();
    out.put_u8(b'D');
    out.put_i32(0);
    out.put_i16(i16::try_from(count).map_err(|_too_many| encode::Error::TooLong(count))?);
    let written =
        columns.iter().try_for_each(|column| column.put_with_length(row, out)).and_then(|()| {
            let length = out.len() - start - 1;
            i32::try_from(length).map_err(|_too_long| encode::Error::TooLong(length))
        });
    match written {
        Ok(length) => {
            out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

/// The `RowDescription` of a result.
pub(crate) fn describe(schema: &Schema, formats: &[Format]) -> RowDescription {
    let fields = schema.fields().iter().enumerate().map(|(at, field)| {
        let format = formats.get(at).copied().unwrap_or(Format::Text);
        let ty = encode::sent_type(field.data_type(), field, format);
        let modifier = types::modifier(field.data_type());
        let size = types::size(&ty);
        let (table, column) = (types::table_of(field), types::column_of(field));
        let name = field.name().clone();
        FieldDescription::new(name, table, column, ty.oid(), size, modifier, format.code())
    });
    RowDescription::new(fields.collect())
}

/// Waits for a piece of work unless the statement is cancelled or the client vanishes meanwhile.
///
/// # Errors
/// When one of the two comes first.
pub(crate) async fn guarded<T>(
    running: &mut Running,
    wire: &Wire,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    // The interruptions are looked at first: work that is always ready would hide them.
    tokio::select! {
        biased;
        report = running.interrupted() => Err(Failure::Statement(report)),
        () = wire.lost() => Err(Failure::Gone),
        done = work => Ok(done),
    }
}

/// As [`guarded`], for work that may commit: what can no longer be withdrawn is waited for. The client is told
/// now and then how far a long one is.
///
/// # Errors
/// When the statement is cancelled or the client vanishes, and nothing of the work happens.
pub(crate) async fn guarded_commit<T>(
    running: &mut Running,
    wire: &mut Wire,
    withdrawal: &Withdrawal,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    let mut work = pin!(work);
    let result = loop {
        let guarded = guarded(running, wire, &mut work);
        if let Ok(result) = timeout(PROGRESS_EVERY, guarded).await {
            break result;
        }
        if let Some(notice) = withdrawal.progress() {
            wire.put_notice(notice);
            // A client that is gone is noticed above.
            let _gone = wire.flush().await;
        }
    };
    match result {
        Err(failure) if !withdrawal.withdraw() => {
            let done = work.await;
            if matches!(failure, Failure::Gone) { Err(Failure::Gone) } else { Ok(done) }
        }
        result => result,
    }
}

/// Writes the output out unless the statement is cancelled meanwhile.
///
/// # Errors
/// When it is cancelled or the socket fails.
pub(crate) async fn relieve(running: &mut Running, wire: &mut Wire) -> Result<(), Failure> {
    tokio::select! {
        biased;
        report = running.interrupted() => Err(Failure::Statement(report)),
        done = wire.relieve() => done.map_err(Failure::socket),
    }
}
