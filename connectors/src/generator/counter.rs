//! `GENERATOR COUNTER`: the numbers 0, 1, 2, ... in a column `n`.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::generator::{Events, Generator};
use crate::option::{OptionKind, OptionSpec, Options};
use crate::source::Source;

/// Options of the generator.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "events",
        kind: OptionKind::Int,
        default: Some("0"),
        required: false,
        doc: "How many numbers; 0 never ends and needs RATE.",
    },
    OptionSpec {
        name: "rate",
        kind: OptionKind::Int,
        default: Some("0"),
        required: false,
        doc: "Numbers per second; 0 is as fast as they are taken.",
    },
];

/// The source of checked options.
pub(crate) fn source(options: &Options, declared: Option<&SchemaRef>) -> Result<Arc<dyn Source>> {
    let field = Field::new("n", DataType::Int64, false);
    Generator::source(Counter { schema: Arc::new(Schema::new(vec![field])) }, options, declared)
}

#[derive(Debug)]
struct Counter {
    schema: SchemaRef,
}

impl Events for Counter {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn rows(&self, from: u64, to: u64) -> Result<RecordBatch> {
        let numbers = (from..to).map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        let column = Arc::new(Int64Array::from_iter_values(numbers));
        RecordBatch::try_new(self.schema(), vec![column])
            .map_err(|e| Error::arrow("build a batch of numbers", e))
    }

    fn reach(&self, from: u64, rows: u64) -> u64 {
        from.saturating_add(rows)
    }
}
