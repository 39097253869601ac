//! COPY through the connection, in both directions.
//!
//! ```text
//! from client   CopyInResponse, then CopyData* and CopyDone or CopyFail from the client
//! to client     CopyOutResponse, one CopyData per row, CopyDone
//! ```
//! Data is decoded into batches of [`BATCH_ROWS`] rows as it arrives; a `CopyData` message may end
//! anywhere, in the middle of a row too. Formats: `text`, `csv` and `binary` below, written by
//! `output`.

use std::io;

use bytes::{BufMut, BytesMut};
use datafusion::error::DataFusionError;
use futures::StreamExt;
use levada_engine::client::{CopyFormat, CopyIn, CopyOptions, CopyOut};
use pgwire::messages::copy::{CopyDone, CopyInResponse, CopyOutResponse};

use crate::pg::cancel::Running;
use crate::pg::client::{Client, broken};
use crate::pg::encode;
use crate::pg::frontend::Request;
use crate::pg::rows::{self, Failure};
use crate::pg::tag;
use crate::sqlstate::{Report, Severity};

mod binary;
mod columns;
mod csv;
mod output;
mod text;

use columns::Columns;
use output::Writer;

/// Rows of the batches that are handed to the engine.
const BATCH_ROWS: usize = 8192;

/// Bytes of one row of input at most.
const ROW_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Turns input into rows.
trait Decoder: Send {
    /// Takes more input and adds the rows that are complete.
    ///
    /// # Errors
    /// When the input is not in the format, with the line in the context.
    fn feed(&mut self, input: &[u8], columns: &mut Columns) -> Result<(), Report>;

    /// The input is over: adds the last row.
    ///
    /// # Errors
    /// When the input ends in the middle of something.
    fn finish(&mut self, columns: &mut Columns) -> Result<(), Report>;
}

/// Runs `COPY ... FROM STDIN` and returns its command tag.
///
/// # Errors
/// When the data is wrong, the client gives up, or the rows are refused.
pub(crate) async fn from_client(
    client: &mut Client,
    mut copy: CopyIn,
    running: &mut Running,
) -> Result<String, Failure> {
    let count = copy.schema.fields().len();
    let (format, formats) = response(copy.options.format, count)?;
    let columns_count = i16::try_from(count).map_err(|_too_many| too_many_columns(count))?;
    // Whatever can be refused is refused before the client is asked for data.
    let mut columns = Columns::new(copy.table(), &copy.schema, BATCH_ROWS)?;
    client.wire.put(&CopyInResponse::new(format, columns_count, formats));
    client.wire.flush().await.map_err(Failure::socket)?;

    let mut decoder: Box<dyn Decoder> = match copy.options.format {
        CopyFormat::Text => Box::new(text::Decoder::new(&copy.options)),
        CopyFormat::Csv => Box::new(csv::Decoder::new(&copy.options)),
        CopyFormat::Binary => Box::new(binary::Decoder::new()),
    };
    loop {
        let request = tokio::select! {
            biased;
            report = running.interrupted() => return Err(Failure::Statement(report)),
            request = client.wire.request() => request,
        };
        match request {
            Ok(Some(Request::CopyData(data))) => {
                decoder.feed(&data, &mut columns)?;
                for batch in columns.take_full() {
                    copy.push(&batch)?;
                }
            }
            Ok(Some(Request::CopyDone)) => break,
            Ok(Some(Request::CopyFail(message))) => {
                let message = format!("COPY from stdin failed: {message}");
                return Err(Report::error("57014", message).into());
            }
            // Sent ahead by clients that pipeline; they mean the messages before the COPY.
            Ok(Some(Request::Flush | Request::Sync)) => {}
            Ok(Some(_)) => {
                let message = "unexpected message type during COPY from stdin";
                return Err(Report::error("08P01", message).into());
            }
            Ok(None) => return Err(Failure::Gone),
            Err(error) => {
                let report = Report { severity: Severity::Fatal, ..broken(error) };
                client.wire.put_error(&report, "");
                client.wire.flush().await.map_err(Failure::socket)?;
                return Err(Failure::Gone);
            }
        }
    }
    decoder.finish(&mut columns)?;
    for batch in columns.take_all()? {
        copy.push(&batch)?;
    }
    let withdrawal = client.session.withdrawal();
    let finishing = Box::pin(copy.finish(&mut client.session));
    let rows = rows::guarded_commit(running, &mut client.wire, &withdrawal, finishing).await??;
    Ok(tag::of_copy(rows))
}

/// Runs `COPY ... TO STDOUT` and returns its command tag.
///
/// # Errors
/// When the query fails, is cancelled, or the client is gone.
pub(crate) async fn to_client(
    client: &mut Client,
    copy: CopyOut,
    running: &mut Running,
) -> Result<String, Failure> {
    let CopyOut { rows: mut result, options } = copy;
    let count = result.schema.fields().len();
    let (format, formats) = response(options.format, count)?;
    let columns_count = i16::try_from(count).map_err(|_too_many| too_many_columns(count))?;
    client.wire.put(&CopyOutResponse::new(format, columns_count, formats));

    let writer = Writer::new(&options);
    // A line of names is a message; the binary header opens the message of the first row, where drivers
    // look for it.
    let mut head = BytesMut::new();
    writer.head(&result.schema, &mut head);
    if options.format != CopyFormat::Binary {
        let line = head.split();
        message(&mut client.wire.output, |out| {
            out.put_slice(&line);
            Ok(())
        })?;
    }
    let mut sent = 0_u64;
    while let Some(batch) = rows::guarded(running, &client.wire, result.stream.next()).await? {
        let batch = batch?;
        let columns = rows::columns(&batch, &result.schema, &writer.formats(count));
        for row in 0..batch.num_rows() {
            message(&mut client.wire.output, |out| {
                out.put_slice(&head.split());
                writer.row(&columns, row, out)
            })?;
            sent += 1;
            if client.wire.output.len() >= crate::pg::wire::OUTPUT_BYTES {
                rows::relieve(running, &mut client.wire).await?;
            }
        }
    }
    message(&mut client.wire.output, |out| {
        out.put_slice(&head);
        writer.tail(out);
        Ok(())
    })?;
    client.wire.put(&CopyDone::new());
    Ok(tag::of_copy(sent))
}

/// Runs `COPY ... TO STDOUT` into a file or the terminal and returns the number of rows.
///
/// # Errors
/// When the query fails or the output cannot be written.
pub(crate) async fn to_writer(copy: CopyOut, to: &mut dyn io::Write) -> Result<u64, Report> {
    let CopyOut { rows: mut result, options } = copy;
    let writer = Writer::new(&options);
    let formats = writer.formats(result.schema.fields().len());
    let mut out = BytesMut::new();
    writer.head(&result.schema, &mut out);
    let mut written = 0_u64;
    while let Some(batch) = result.stream.next().await {
        let batch = batch?;
        let columns = rows::columns(&batch, &result.schema, &formats);
        for row in 0..batch.num_rows() {
            writer.row(&columns, row, &mut out)?;
            written += 1;
        }
        to.write_all(&out).map_err(DataFusionError::from)?;
        out.clear();
    }
    writer.tail(&mut out);
    to.write_all(&out).map_err(DataFusionError::from)?;
    Ok(written)
}

/// Format codes of the response: of the whole and of each column.
fn response(format: CopyFormat, columns: usize) -> Result<(i8, Vec<i16>), Report> {
    if columns > 1664 {
        return Err(too_many_columns(columns));
    }
    let binary = format == CopyFormat::Binary;
    Ok((i8::from(binary), vec![i16::from(binary); columns]))
}

fn too_many_columns(columns: usize) -> Report {
    Report::error("54011", format!("{columns} columns are too many, at most 1664"))
}

/// The byte of a one-byte option.
fn option_byte(character: char) -> u8 {
    u8::try_from(character).unwrap_or(b'?')
}

/// Delimiter, quote and escape as bytes.
struct Marks {
    delimiter: u8,
    quote: u8,
    escape: u8,
}

impl Marks {
    fn of(options: &CopyOptions) -> Self {
        Self {
            delimiter: option_byte(options.delimiter),
            quote: option_byte(options.quote),
            escape: option_byte(options.escape),
        }
    }
}

/// Writes a `CopyData` message, if its body writes anything; on an error nothing of it stays.
fn message(
    out: &mut BytesMut,
    body: impl FnOnce(&mut BytesMut) -> encode::Result<()>,
) -> encode::Result<()> {
    let start = out.len();
    out.put_u8(b'd');
    out.put_i32(0);
    let written = body(out).and_then(|()| {
        let length = out.len() - start - 1;
        i32::try_from(length).map_err(|_too_long| encode::Error::TooLong(length))
    });
    match written {
        Ok(4) => {
            out.truncate(start);
            Ok(())
        }
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
