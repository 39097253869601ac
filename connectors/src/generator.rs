//! Sources that make their rows up: for demos, tests and benchmarks.
//!
//! A row is a function of the seed and its number, so that reading on from any offset yields what
//! reading from the start would. There is one split, `0`; the offset is the number of the next event.
//! RATE is a wish that the engine grants by its budgets: a generator keeps no clock.

pub(crate) mod counter;
pub(crate) mod nexmark;
mod random;

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::option::Options;
use crate::source::{Budget, Chunk, Listing, Offset, Reader, Source, Split, TableShape};

/// The only split.
const SPLIT: &str = "0";
const VERSION: u8 = 1;

/// A function from event numbers to rows.
pub(crate) trait Events: Debug + Send + Sync + 'static {
    /// The columns.
    fn schema(&self) -> SchemaRef;

    /// Rows of the events `[from, to)`.
    fn rows(&self, from: u64, to: u64) -> Result<RecordBatch>;

    /// The event behind the one that yields the `rows`-th row from event `from` on.
    fn reach(&self, from: u64, rows: u64) -> u64;
}

/// Events as a source.
#[derive(Debug)]
pub(crate) struct Generator<E> {
    events: Arc<E>,
    /// Number of events; `None` never ends.
    count: Option<u64>,
    rate: Option<f64>,
}

impl<E: Events> Generator<E> {
    /// A source of `events` with the options EVENTS and RATE.
    pub(crate) fn source(
        events: E,
        options: &Options,
        declared: Option<&SchemaRef>,
    ) -> Result<Arc<dyn Source>> {
        let count = options.int("events").filter(|n| *n > 0);
        let rate = options.int("rate").filter(|n| *n > 0);
        if count.is_none() && rate.is_none() {
            return Err(Error::OptionValue {
                name: "events",
                value: "0".to_owned(),
                expected: "a number of events unless RATE is given".into(),
            });
        }
        let schema = events.schema();
        let same = |d: &SchemaRef| {
            d.fields().len() == schema.fields().len()
                && d.fields()
                    .iter()
                    .zip(schema.fields())
                    .all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type())
        };
        if declared.is_some_and(|d| !same(d)) {
            return Err(Error::SchemaMismatch {
                place: "generator".to_owned(),
                message: "a generator has columns of its own".into(),
            });
        }
        let rows_per_event = share(&events);
        #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
        let rate = rate.map(|r| r as f64 * rows_per_event);
        Ok(Arc::new(Self { events: Arc::new(events), count, rate }))
    }

    fn at(offset: &Offset) -> Result<u64> {
        let bad = |message| Error::Offset { split: SPLIT.to_owned(), message };
        let Some((&VERSION, number)) = offset.0.split_first() else {
            return Err(bad("it has an unknown version"));
        };
        let Ok(number) = number.try_into() else {
            return Err(bad("it does not have the length of an event number"));
        };
        Ok(u64::from_be_bytes(number))
    }
}

/// Rows per event, from a sample of whole cycles.
fn share<E: Events>(events: &E) -> f64 {
    const ROWS: u32 = 1_000;
    #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
    let reached = events.reach(0, u64::from(ROWS)) as f64;
    f64::from(ROWS) / reached
}

#[async_trait]
impl<E: Events> Source for Generator<E> {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn discover(&self) -> Result<TableShape> {
        Ok(TableShape { schema: self.events.schema() })
    }

    async fn splits(&self, known: &[(String, Offset)], _: i64) -> Result<Listing> {
        let at = known.iter().find(|(split, _)| split == SPLIT).map(|(_, at)| Self::at(at));
        let at = at.transpose()?.unwrap_or_default();
        let more = self.count.is_none_or(|count| at < count);
        let split = Split { name: SPLIT.to_owned(), complete: self.count.is_some() };
        Ok(Listing { ready: more.then_some(split).into_iter().collect(), problems: Vec::new() })
    }

    async fn open(&self, _: &Split, at: Option<Offset>) -> Result<Box<dyn Reader>> {
        let at = at.as_ref().map(Self::at).transpose()?.unwrap_or_default();
        let end = self.count.unwrap_or(u64::MAX);
        Ok(Box::new(EventReader { events: Arc::clone(&self.events), at, end }))
    }

    fn rate(&self) -> Option<f64> {
        self.rate
    }
}

/// Reads events from a number on.
struct EventReader<E> {
    events: Arc<E>,
    at: u64,
    end: u64,
}

#[async_trait]
impl<E: Events> Reader for EventReader<E> {
    async fn next(&mut self, budget: Budget) -> Result<Chunk> {
        let rows = u64::try_from(budget.rows.max(1)).expect("sizes fit 64 bits");
        let to = self.events.reach(self.at, rows).min(self.end);
        let rows = self.events.rows(self.at, to)?;
        self.at = to;
        let mut after = vec![VERSION];
        after.extend(to.to_be_bytes());
        Ok(Chunk {
            rows: (rows.num_rows() > 0).then_some(rows),
            after: Offset(after),
            rejects: Vec::new(),
            end: to >= self.end,
        })
    }
}
