//! A text of statements run in order in this process, results to standard output, errors to
//! standard error with the line they stand in.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use bytes::{BufMut, BytesMut};
use datafusion::error::DataFusionError;
use futures::StreamExt;
use levada_engine::client::{
    CopyFormat, CopyOptions, CopyOut, Database, Outcome, Rows, Session, SessionOptions,
};

use crate::command::table::Table;
use crate::pg::encode::json;
use crate::pg::{copy, rows, tag, types};
use crate::sqlstate::Report;

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Aligned columns, like psql's.
    Table,
    /// A JSON object per row.
    Json,
    /// CSV with a header.
    Csv,
}

/// Runs the statements of a text; `name` is where it came from.
pub(super) async fn run(
    data: &str,
    name: &str,
    text: &str,
    style: Style,
) -> anyhow::Result<ExitCode> {
    let database = match Database::open(data).await {
        Ok(database) => database,
        Err(error) => {
            let report = Report::from(error);
            anyhow::bail!("could not open \"{data}\": {}", report.message);
        }
    };
    let mut session = database.connect(SessionOptions {
        pid: i32::try_from(std::process::id()).unwrap_or(0),
        ..SessionOptions::default()
    });
    let ran = Box::pin(statements(&mut session, text, style)).await;
    drop(session);
    let closed = database.close().await;
    if let Err(report) = ran {
        let mut stderr = io::stderr();
        stderr
            .write_all(explain(name, text, &report).as_bytes())
            .context("could not write to standard error")?;
        return Ok(ExitCode::FAILURE);
    }
    if let Err(error) = closed {
        anyhow::bail!("could not close \"{data}\": {}", Report::from(error).message);
    }
    Ok(ExitCode::SUCCESS)
}

async fn statements(session: &mut Session, text: &str, style: Style) -> Result<(), Report> {
    for statement in session.read(text).await? {
        let outcome = session.execute(&statement, Vec::new()).await;
        let mut out = io::stdout();
        for notice in session.take_notices() {
            let hint = notice.hint.map_or_else(String::new, |hint| format!("\nHINT:  {hint}"));
            write(&mut io::stderr(), &format!("{}:  {}{hint}\n", notice.severity, notice.message))?;
        }
        match outcome? {
            Outcome::Rows(result) => print(result, style, &mut out).await?,
            Outcome::Done(tag) if style == Style::Table => write(&mut out, &format!("{tag}\n"))?,
            Outcome::CopyOut(copy) => {
                copy::to_writer(copy, &mut out).await?;
            }
            Outcome::CopyIn(_) => {
                return Err(Report::error(
                    "0A000",
                    "COPY FROM STDIN needs a client that sends data",
                )
                .with_hint("Use psql, or COPY FROM a file."));
            }
            Outcome::Done(_) | Outcome::Empty => {}
        }
    }
    Ok(())
}

async fn print(mut result: Rows, style: Style, out: &mut dyn Write) -> Result<(), Report> {
    match style {
        Style::Csv => {
            let options = CopyOptions {
                format: CopyFormat::Csv,
                delimiter: ',',
                null: String::new(),
                header: true,
                quote: '"',
                escape: '"',
            };
            copy::to_writer(CopyOut { rows: result, options }, out).await?;
        }
        Style::Json => {
            while let Some(batch) = result.stream.next().await {
                let batch = batch?;
                let fields = result.schema.fields();
                let columns: Vec<_> =
                    fields.iter().zip(batch.columns()).map(|(f, c)| (f, json::put(c))).collect();
                for row in 0..batch.num_rows() {
                    let mut line = BytesMut::new();
                    for (at, (field, value)) in columns.iter().enumerate() {
                        line.put_u8(if at == 0 { b'{' } else { b',' });
                        json::quote(field.name().as_bytes(), &mut line);
                        line.put_u8(b':');
                        value(row, &mut line)?;
                    }
                    line.put_slice(if columns.is_empty() { b"{}\n" } else { b"}\n" });
                    out.write_all(&line).map_err(DataFusionError::from)?;
                }
            }
        }
        Style::Table => {
            let mut table = Table::new(
                result.schema.fields().iter().map(|field| (field.name(), types::of_field(field))),
            );
            while let Some(batch) = result.stream.next().await {
                let batch = batch?;
                let columns = rows::columns(&batch, &result.schema, &[]);
                for row in 0..batch.num_rows() {
                    let cells = columns.iter().map(|column| {
                        let mut cell = BytesMut::new();
                        if !column.is_null(row) {
                            column.put(row, &mut cell)?;
                        }
                        Ok(String::from_utf8_lossy(&cell).into_owned())
                    });
                    table.push(cells.collect::<Result<_, Report>>()?);
                }
            }
            let rows = u64::try_from(table.rows()).unwrap_or(u64::MAX);
            write(out, &table.to_string())?;
            let tag = tag::of_rows(&result.tag, rows);
            if !tag.starts_with("SELECT") && !tag.starts_with("SHOW") && !tag.starts_with("EXPLAIN")
            {
                write(out, &format!("{tag}\n"))?;
            }
        }
    }
    Ok(())
}

fn write(out: &mut dyn Write, text: &str) -> Result<(), Report> {
    out.write_all(text.as_bytes()).map_err(|error| DataFusionError::from(error).into())
}

/// An error with its place, the line it stands in, and a caret below.
fn explain(name: &str, text: &str, report: &Report) -> String {
    let place = report.position.map(|position| position.line_column_in(text));
    let mut shown = match place {
        Some((line, column)) => format!("{name}:{line}:{column}: "),
        None => format!("{name}: "),
    };
    shown.push_str(&format!("ERROR:  {} ({})\n", report.message, report.sqlstate));
    if let Some((line, column)) = place
        && let Some(source) = text.lines().nth(line - 1)
    {
        let prefix = format!("LINE {line}: ");
        let indent = " ".repeat(prefix.len() + column - 1);
        shown.push_str(&format!("{prefix}{source}\n{indent}^\n"));
    }
    for (word, more) in [("DETAIL", &report.detail), ("HINT", &report.hint)] {
        if let Some(more) = more {
            shown.push_str(&format!("{word}:  {more}\n"));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlstate::Position;

    #[test]
    fn errors_point_at_their_place() {
        let mut report = Report::error("42703", "column \"b\" does not exist");
        report.position = Some(Position::LineColumn(2, 8));
        assert_eq!(
            explain("f.sql", "select 1;\nselect b;\n", &report),
            "f.sql:2:8: ERROR:  column \"b\" does not exist (42703)\n\
             LINE 2: select b;\n               ^\n",
            "place, line and caret"
        );
    }
}
