//! `GENERATOR NEXMARK`: the auction events of the Nexmark benchmark, one of its three tables.
//!
//! Of every 50 events the first is a person, the next 3 are auctions and 46 are bids. Half of the bids go
//! to a hot auction, three quarters of bidders and sellers are hot ones, prices spread evenly over six
//! orders of magnitude, and `extra` pads rows to about 200, 500 and 100 bytes. Event time starts in 2024
//! and moves on by a second every 10,000 events.
//!
//! | event | n % 50 | row of the table |
//! |---|---|---|
//! | person | 0 | n / 50 |
//! | auction | 1, 2, 3 | 3 (n / 50) + n % 50 - 1 |
//! | bid | 4 to 49 | 46 (n / 50) + n % 50 - 4 |

mod auction;
mod bid;
mod person;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringViewArray, StringViewBuilder,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::error::{Error, Result};
use crate::generator::random::Stream;
use crate::generator::{Events, Generator};
use crate::option::{OptionKind, OptionSpec, Options};
use crate::source::Source;

/// Options of the generator.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "table",
        kind: OptionKind::Enum(&["bid", "auction", "person"]),
        default: Some("bid"),
        required: false,
        doc: "Which of the three tables.",
    },
    OptionSpec {
        name: "events",
        kind: OptionKind::Int,
        default: Some("0"),
        required: false,
        doc: "How many events of all three tables; 0 never ends and needs RATE.",
    },
    OptionSpec {
        name: "rate",
        kind: OptionKind::Int,
        default: Some("0"),
        required: false,
        doc: "Events of all three tables per second; 0 is as fast as they are taken.",
    },
    OptionSpec {
        name: "seed",
        kind: OptionKind::Int,
        default: Some("42"),
        required: false,
        doc: "Events of one seed are always the same.",
    },
];

/// 2024-01-01 in microseconds.
const START_US: i64 = 1_704_067_200_000_000;
/// Microseconds of event time between two events.
const STEP_US: u64 = 100;
/// The first person and auction id.
const FIRST_ID: u64 = 1_000;
const CYCLE: u64 = 50;

/// The source of checked options.
pub(crate) fn source(options: &Options, declared: Option<&SchemaRef>) -> Result<Arc<dyn Source>> {
    let seed = options.int("seed").unwrap_or(42);
    let events = match options.text("table") {
        Some("person") => Nexmark::new(seed, &person::TABLE),
        Some("auction") => Nexmark::new(seed, &auction::TABLE),
        _ => Nexmark::new(seed, &bid::TABLE),
    };
    Generator::source(events, options, declared)
}

/// One of the tables.
#[derive(Debug)]
struct Table {
    /// Its events of a cycle: how many come before, and how many there are.
    before: u64,
    per_cycle: u64,
    columns: &'static [(&'static str, Kind)],
    rows: fn(&Nexmark, &mut dyn Iterator<Item = u64>) -> Vec<ArrayRef>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Number,
    Text,
    Time,
}

#[derive(Debug)]
struct Nexmark {
    seed: u64,
    table: &'static Table,
    schema: SchemaRef,
    /// Channels and urls of bids.
    channels: Vec<(String, String)>,
}

impl Nexmark {
    fn new(seed: u64, table: &'static Table) -> Self {
        let fields = table.columns.iter().map(|(name, kind)| {
            let data_type = match kind {
                Kind::Number => DataType::Int64,
                Kind::Text => DataType::Utf8View,
                Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, None),
            };
            Field::new(*name, data_type, false)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Self { seed, table, schema, channels: bid::channels(seed) }
    }

    /// The random stream of an event.
    fn stream(&self, event: u64) -> Stream {
        Stream::of(self.seed, event)
    }

    /// Rows of the table that belong to the events before `event`.
    fn rows_before(&self, event: u64) -> u64 {
        let Table { before, per_cycle, .. } = self.table;
        event / CYCLE * per_cycle + (event % CYCLE).saturating_sub(*before).min(*per_cycle)
    }

    /// The event of row `row` of the table.
    fn event_of(&self, row: u64) -> u64 {
        let Table { before, per_cycle, .. } = self.table;
        (row / per_cycle).saturating_mul(CYCLE).saturating_add(before + row % per_cycle)
    }
}

impl Events for Nexmark {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn rows(&self, from: u64, to: u64) -> Result<RecordBatch> {
        let rows = self.rows_before(from)..self.rows_before(to);
        let columns = (self.table.rows)(self, &mut rows.map(|row| self.event_of(row)));
        RecordBatch::try_new(self.schema(), columns)
            .map_err(|e| Error::arrow("build a batch of events", e))
    }

    fn reach(&self, from: u64, rows: u64) -> u64 {
        let row = self.rows_before(from).saturating_add(rows.saturating_sub(1));
        self.event_of(row).saturating_add(1)
    }
}

/// The number, from 0, of the newest person at an event.
fn last_person(event: u64) -> u64 {
    event / CYCLE
}

/// Auctions made before or at an event.
fn auctions_until(event: u64) -> u64 {
    event / CYCLE * 3 + (event % CYCLE).min(3)
}

/// Microseconds of event time.
fn time_of(event: u64) -> i64 {
    START_US.saturating_add_unsigned(event.saturating_mul(STEP_US))
}

/// 10 to a power evenly of [0, 6), in cents.
fn price(stream: &mut Stream) -> i64 {
    let cents = (10_f64.powf(stream.unit() * 6.0) * 100.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "it is between 100 and 100,000,000")]
    let cents = cents as i64;
    cents
}

/// A person who sells or bids: three of four times one hundredth person (plus `shift`), else one of the
/// newest thousand or of the ten to come.
fn party(stream: &mut Stream, event: u64, shift: u64) -> i64 {
    let last = last_person(event);
    let active = (last + 1).min(1_000);
    let number = if stream.below(4) > 0 {
        last / 100 * 100 + shift
    } else {
        last + 1 - active + stream.below(active + 10)
    };
    id(number)
}

fn id(number: u64) -> i64 {
    i64::try_from(number + FIRST_ID).unwrap_or(i64::MAX)
}

/// The length that pads a row of about `have` bytes to `want`, give or take a fifth.
fn padding(stream: &mut Stream, want: u64, have: u64) -> usize {
    let spread = want / 5;
    let length = (want - have + stream.below(2 * spread)).saturating_sub(spread);
    usize::try_from(length).unwrap_or_default()
}

/// Builds a text column without copying each text twice.
struct Texts {
    builder: StringViewBuilder,
    scratch: Vec<u8>,
}

impl Texts {
    fn new() -> Self {
        Self { builder: StringViewBuilder::new(), scratch: Vec::new() }
    }

    fn push(&mut self, text: &str) {
        self.builder.append_value(text);
    }

    /// Appends the text that `write` makes of ASCII bytes.
    fn with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.scratch.clear();
        write(&mut self.scratch);
        self.builder.append_value(std::str::from_utf8(&self.scratch).expect("it is ASCII"));
    }

    fn letters(&mut self, stream: &mut Stream, length: usize) {
        self.with(|out| stream.letters(length, out));
    }

    fn finish(mut self) -> StringViewArray {
        self.builder.finish()
    }
}

fn numbers(values: Vec<i64>) -> ArrayRef {
    Arc::new(Int64Array::from(values))
}

fn times(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values))
}

fn texts(values: Texts) -> ArrayRef {
    Arc::new(values.finish())
}
