//! The rows of a COPY as they gather into batches.

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;

use crate::pg::decode::{self, Builder};
use crate::pg::types;
use crate::sqlstate::Report;

/// Columns under construction.
pub(super) struct Columns {
    table: String,
    schema: SchemaRef,
    builders: Vec<Box<dyn Builder>>,
    rows: usize,
    rows_max: usize,
    full: Vec<RecordBatch>,
}

impl Columns {
    /// Columns of a table, cut into batches of `rows_max` rows.
    ///
    /// # Errors
    /// When a column is of a type that cannot be sent.
    pub(super) fn new(table: &str, schema: &SchemaRef, rows_max: usize) -> Result<Self, Report> {
        let builders = schema.fields().iter().map(|field| {
            decode::builder(field.data_type(), types::of_field(field).oid())
                .map_err(|report| report.with_detail(format!("Column \"{}\".", field.name())))
        });
        let builders = builders.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            table: table.to_owned(),
            schema: SchemaRef::clone(schema),
            builders,
            rows: 0,
            rows_max,
            full: Vec::new(),
        })
    }

    /// The number of columns.
    pub(super) fn width(&self) -> usize {
        self.builders.len()
    }

    /// The place of a row in the data.
    pub(super) fn at_line(&self, line: u64) -> String {
        format!("COPY {}, line {line}", self.table)
    }

    /// Adds a cell in text form to a column; `None` is null.
    ///
    /// # Errors
    /// When the text is not of the column's type; the context names line and column.
    pub(super) fn text(
        &mut self,
        column: usize,
        line: u64,
        value: Option<&[u8]>,
    ) -> Result<(), Report> {
        let Some(value) = value else {
            self.builders[column].null();
            return Ok(());
        };
        let text = std::str::from_utf8(value).map_err(|_not_text| {
            Report::error("22021", "invalid byte sequence for encoding \"UTF8\"")
                .with_context(self.at_line(line))
        })?;
        self.builders[column].text(text).map_err(|report| {
            let name = self.schema.field(column).name();
            let mut shown: String = text.chars().take(100).collect();
            if shown.len() < text.len() {
                shown.push_str("...");
            }
            report.with_context(format!("{}, column {name}: \"{shown}\"", self.at_line(line)))
        })
    }

    /// Adds a cell in binary form to a column; `None` is null.
    ///
    /// # Errors
    /// When the bytes are not of the column's type; the context names row and column.
    pub(super) fn binary(
        &mut self,
        column: usize,
        line: u64,
        value: Option<&[u8]>,
    ) -> Result<(), Report> {
        let Some(value) = value else {
            self.builders[column].null();
            return Ok(());
        };
        self.builders[column].binary(value).map_err(|report| {
            let name = self.schema.field(column).name();
            report.with_context(format!("{}, column {name}", self.at_line(line)))
        })
    }

    /// A row is complete.
    ///
    /// # Errors
    /// When the batch it fills does not fit together.
    pub(super) fn end_row(&mut self) -> Result<(), Report> {
        self.rows += 1;
        if self.rows == self.rows_max {
            self.cut()?;
        }
        Ok(())
    }

    /// The batches that are full.
    pub(super) fn take_full(&mut self) -> Vec<RecordBatch> {
        std::mem::take(&mut self.full)
    }

    /// All that is left.
    ///
    /// # Errors
    /// When the last batch does not fit together.
    pub(super) fn take_all(&mut self) -> Result<Vec<RecordBatch>, Report> {
        if self.rows > 0 {
            self.cut()?;
        }
        Ok(self.take_full())
    }

    fn cut(&mut self) -> Result<(), Report> {
        let arrays: Vec<ArrayRef> =
            self.builders.iter_mut().map(|builder| builder.finish()).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        // Whether nulls are allowed is for the table to say, so the batch does not insist.
        let fields: Vec<_> = self
            .schema
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(true))
            .collect();
        let schema = SchemaRef::new(arrow::datatypes::Schema::new_with_metadata(
            fields,
            self.schema.metadata().clone(),
        ));
        self.full.push(RecordBatch::try_new_with_options(schema, arrays, &options)?);
        self.rows = 0;
        Ok(())
    }
}
