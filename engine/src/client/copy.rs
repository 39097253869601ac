//! `COPY`: many rows in or out.
//!
//! Rows that come in are kept until the last one is there, because they become visible together. They
//! are decoded as they arrive and counted in the database's memory: what does not fit is refused (53200).

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::sql::sqlparser::ast;
use levada_catalog::Object;
use levada_planner::statement::{
    ColumnName, Copy, CopyFormat as Format, CopyHeader, CopyRows, CopyTarget, Name,
};

use super::{Outcome, Rows, RowsTag, Session};
use crate::error::{Error, Result};

/// Format and options of a `COPY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// `text`, `csv` or `binary`.
    pub format: CopyFormat,
    /// Column delimiter.
    pub delimiter: char,
    /// The string that stands for NULL.
    pub null: String,
    /// Whether the first line holds column names.
    pub header: bool,
    /// Quote character (csv).
    pub quote: char,
    /// Escape character (csv).
    pub escape: char,
}

/// The data format of a `COPY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// `PostgreSQL`'s text format.
    Text,
    /// Comma separated values.
    Csv,
    /// `PostgreSQL`'s binary format.
    Binary,
}

/// A `COPY ... TO STDOUT` in progress.
pub struct CopyOut {
    /// The rows to encode.
    pub rows: Rows,
    /// How to encode them.
    pub options: CopyOptions,
}

/// A `COPY ... FROM STDIN` in progress. Decoded rows are pushed in; nothing is visible until `finish`.
pub struct CopyIn {
    /// The columns to send, in order.
    pub schema: SchemaRef,
    /// How the data is encoded.
    pub options: CopyOptions,
    table: Arc<Object>,
    table_schema: SchemaRef,
    batches: Vec<RecordBatch>,
    memory: MemoryReservation,
}

impl CopyIn {
    /// The table's name, for messages.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table.name
    }

    /// Adds decoded rows of [`Self::schema`].
    ///
    /// # Errors
    /// When the rows do not fit the table.
    pub fn push(&mut self, rows: &RecordBatch) -> Result<()> {
        let columns: Vec<ArrayRef> = self
            .table_schema
            .fields()
            .iter()
            .map(|field| match rows.column_by_name(field.name()) {
                Some(column) => Arc::clone(column),
                None => new_null_array(field.data_type(), rows.num_rows()),
            })
            .collect();
        let fields: Vec<_> = self
            .table_schema
            .fields()
            .iter()
            .map(|f| f.as_ref().clone().with_nullable(true))
            .collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
        self.memory.try_grow(batch.get_array_memory_size()).map_err(|_full| {
            let kept = self.batches.iter().map(RecordBatch::num_rows).sum::<usize>();
            Error::statement("53200", "out of memory")
                .with_detail(format!(
                    "After {kept} rows of COPY into \"{}\" the memory of the database is used up.",
                    self.table.name
                ))
                .with_hint("Send the rows in several COPY statements, or as files to a source.")
        })?;
        self.batches.push(batch);
        Ok(())
    }

    /// Commits (or stages, in a transaction) what was pushed and returns the number of rows.
    ///
    /// # Errors
    /// When the commit is refused.
    pub async fn finish(self, session: &mut Session) -> Result<u64> {
        let stored = session.store(&self.table, &self.table_schema, &self.batches).await;
        match &stored {
            Ok(_) => session.hold(self.memory),
            Err(_) => session.fail(),
        }
        Ok(stored? as u64)
    }
}

impl Session {
    /// `COPY`.
    pub(super) async fn copy(&mut self, copy: &Copy) -> Result<Outcome> {
        let options = options(copy)?;
        match (&copy.rows, &copy.target) {
            (CopyRows::Relation { name, columns }, CopyTarget::FromClient) => {
                self.copy_in(name, columns, options)
            }
            (CopyRows::Relation { name, columns }, CopyTarget::ToClient) => {
                let list = match columns.as_slice() {
                    [] => "*".to_owned(),
                    some => some.iter().map(|c| quoted(&c.name)).collect::<Vec<_>>().join(", "),
                };
                let rows =
                    self.select_text(&format!("SELECT {list} FROM {}", quoted_name(name))).await?;
                Ok(copy_out(rows, options))
            }
            (CopyRows::Query(query), CopyTarget::ToClient) => {
                let statement = ast::Statement::Query(query.query.clone());
                match self.select(&statement, Vec::new()).await? {
                    Outcome::Rows(rows) => Ok(copy_out(rows, options)),
                    _ => Err(Error::Internal("a query gave no rows".to_owned())),
                }
            }
            _ => Err(Error::statement("0A000", "COPY to or from a file is not supported yet")
                .with_hint(
                    "Use COPY ... FROM STDIN or TO STDOUT, or CREATE SOURCE ... FROM FILES.",
                )),
        }
    }

    fn copy_in(
        &mut self,
        name: &Name,
        columns: &[ColumnName],
        options: CopyOptions,
    ) -> Result<Outcome> {
        let parts = name.schema.iter().chain([&name.name]);
        let object_name = ast::ObjectName(
            parts
                .map(|part| ast::ObjectNamePart::Identifier(ast::Ident::with_quote('"', part)))
                .collect(),
        );
        let (table, table_schema) = self.writable(&object_name)?;
        let schema = if columns.is_empty() {
            Arc::clone(&table_schema)
        } else {
            let mut fields = Vec::with_capacity(columns.len());
            for column in columns {
                let field = table_schema.field_with_name(&column.name).map_err(|_lost| {
                    Error::from(levada_planner::Error::UnknownColumn {
                        name: column.name.clone(),
                        position: column.position,
                        nearest: None,
                    })
                })?;
                fields.push(field.clone());
            }
            Arc::new(Schema::new(fields))
        };
        let memory =
            MemoryConsumer::new(format!("COPY {}", table.name)).register(&self.inner.shared.memory);
        let batches = Vec::new();
        Ok(Outcome::CopyIn(CopyIn { schema, options, table, table_schema, batches, memory }))
    }
}

fn copy_out(rows: Rows, options: CopyOptions) -> Outcome {
    let rows = Rows { tag: RowsTag::Counted("COPY"), ..rows };
    Outcome::CopyOut(CopyOut { rows, options })
}

fn options(copy: &Copy) -> Result<CopyOptions> {
    let given = &copy.options;
    let format = match given.format {
        Format::Text => CopyFormat::Text,
        Format::Csv => CopyFormat::Csv,
        Format::Binary => CopyFormat::Binary,
        _ => {
            return Err(Error::statement("0A000", "this COPY format is not supported yet")
                .with_hint("Use text, csv or binary."));
        }
    };
    let csv = format == CopyFormat::Csv;
    let quote = given.quote.unwrap_or('"');
    Ok(CopyOptions {
        format,
        delimiter: given.delimiter.unwrap_or(if csv { ',' } else { '\t' }),
        null: given.null.clone().unwrap_or_else(|| if csv { "" } else { "\\N" }.to_owned()),
        header: given.header != CopyHeader::Absent,
        quote,
        escape: given.escape.unwrap_or(quote),
    })
}

/// An identifier in double quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A possibly qualified name in double quotes.
pub(super) fn quoted_name(name: &Name) -> String {
    match &name.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&name.name)),
        None => quoted(&name.name),
    }
}
