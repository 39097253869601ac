//! The events of Nexmark: deterministic, by number.
//!
//! Of every 50 events the first is a person, the next three are auctions, the rest are bids. Half of the bids
//! go to a hot auction, three quarters of the bidders and sellers are hot persons; prices are log-uniform.
//! A million events share one random stream, so a small set is the start of a large one.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use serde::{Deserialize, Serialize};

use crate::random::Stream;
use crate::table::Writer;

/// Events that share a random stream.
const CHUNK: i64 = 1_000_000;
/// Events that repeat the same kinds in the same order.
const CYCLE: i64 = 50;
/// 2024-01-01 in milliseconds since 1970, UTC.
const BEGIN_MS: i64 = 1_704_067_200_000;
/// Identifier of the first person and the first auction.
const FIRST: i64 = 1000;
/// Persons of whom one takes part in an event, at most.
const ACTIVE_PERSONS: i64 = 1000;
/// Auctions that may get a bid.
const OPEN_AUCTIONS: i64 = 100;
/// Channels beside the hot ones.
const CHANNELS: i64 = 10_000;
/// The stream of the channels' addresses.
const CHANNEL_STREAM: u32 = 0xC0_FFEE;

const HOT: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const FIRST_NAMES: [&str; 11] =
    ["Ann", "Bert", "Cleo", "Dan", "Edna", "Fred", "Gil", "Hana", "Ivo", "Jo", "Kai"];
const LAST_NAMES: [&str; 9] =
    ["Abel", "Berg", "Cole", "Dorn", "Eads", "Frey", "Goss", "Hale", "Imai"];
const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];

/// What a set of events is made of.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Events {
    pub(crate) events: i64,
    pub(crate) seed: u32,
    /// Events in a second of their own time.
    pub(crate) eps: i64,
}

/// Names of the tables of events.
pub(crate) const TABLES: [&str; 3] = ["person", "auction", "bid"];

/// Rows of [`TABLES`] among the first `events` events.
pub(crate) fn rows_among(events: i64) -> [i64; 3] {
    let (cycles, rest) = (events / CYCLE, events % CYCLE);
    let persons = cycles + rest.min(1);
    let auctions = cycles * 3 + (rest - 1).clamp(0, 3);
    [persons, auctions, events - persons - auctions]
}

impl Events {
    /// Those in `folder`.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("meta.json");
        let text = fs::read_to_string(&path)
            .with_context(|| format!("could not read \"{}\"", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Writes the files of all tables into `folder`; the description comes last.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        let channels = Channels::new(self.seed);
        let mut writers: Vec<Writer> = Vec::new();
        for (chunk, first) in (0_u32..).zip((0..self.events).step_by(1_000_000)) {
            let last = self.events.min(first + CHUNK);
            let mut stream = Stream::new(&[self.seed, chunk]);
            let batches = [
                self.persons(&mut stream, first, last)?,
                self.auctions(&mut stream, first, last)?,
                self.bids(&mut stream, first, last, &channels)?,
            ];
            for (i, batch) in batches.iter().enumerate() {
                if writers.len() <= i {
                    writers.push(Writer::create(folder, TABLES[i], batch.schema())?);
                }
                writers[i].write(batch)?;
            }
        }
        writers.into_iter().try_for_each(Writer::close)?;
        write_side_input(folder)?;
        let file = fs::File::create(folder.join("meta.json"))?;
        Ok(serde_json::to_writer(file, self)?)
    }

    /// The time of event `n`.
    fn at(&self, n: i64) -> i64 {
        BEGIN_MS + n * 1000 / self.eps
    }

    fn persons(&self, stream: &mut Stream, first: i64, last: i64) -> anyhow::Result<RecordBatch> {
        let numbers = numbers(first, last, 0, 0);
        let rows = numbers.len();
        let (given, family) = (stream.many(0, 11, rows), stream.many(0, 9, rows));
        let names = given.iter().zip(&family);
        let names =
            names.map(|(g, f)| format!("{} {}", pick(&FIRST_NAMES, *g), pick(&LAST_NAMES, *f)));
        let (user, host) = (words(stream, &vec![7; rows])?, words(stream, &vec![5; rows])?);
        let mail = user.iter().zip(&host).map(|(user, host)| format!("{user}@{host}.com"));
        let cards = stream.many(10_i64.pow(15), 10_i64.pow(16), rows);
        let cities = stream.many(0, 10, rows);
        let states = stream.many(0, 6, rows);
        let extra = padding(stream, rows, 200, 71)?;
        Ok(RecordBatch::try_from_iter([
            ("id", integers(numbers.iter().map(|n| n / CYCLE + FIRST))),
            ("name", texts(names)),
            ("email", texts(mail)),
            ("credit_card", texts(cards.iter().map(i64::to_string))),
            ("city", texts(cities.iter().map(|i| pick(&CITIES, *i)))),
            ("state", texts(states.iter().map(|i| pick(&STATES, *i)))),
            ("date_time", times(numbers.iter().map(|n| self.at(*n)))),
            ("extra", texts(extra)),
        ])?)
    }

    fn auctions(&self, stream: &mut Stream, first: i64, last: i64) -> anyhow::Result<RecordBatch> {
        let numbers = numbers(first, last, 1, 3);
        let rows = numbers.len();
        let sellers = participants(stream, &numbers, 0);
        let initial = prices(stream, rows);
        // An auction stays open for as long as it takes to put up 200 more, at most.
        let horizon = (100 * CYCLE * 1000 / (3 * self.eps)).max(1) * 2;
        let open = stream.units(rows);
        let expires = numbers.iter().zip(&open).map(|(n, u)| self.at(*n) + 1 + scaled(*u, horizon));
        let expires = times(expires.collect::<Vec<_>>());
        let lengths = stream.many(3, 20, rows);
        let items = words(stream, &lengths)?;
        let lengths = stream.many(3, 100, rows);
        let descriptions = words(stream, &lengths)?;
        let above = prices(stream, rows);
        let reserve = initial.iter().zip(&above).map(|(initial, above)| initial + above);
        let reserve = integers(reserve.collect::<Vec<_>>());
        let categories = stream.many(0, 5, rows);
        let extra = padding(stream, rows, 500, 115)?;
        Ok(RecordBatch::try_from_iter([
            ("id", integers(numbers.iter().map(|n| last_auction(*n) + FIRST))),
            ("item_name", texts(items)),
            ("description", texts(descriptions)),
            ("initial_bid", integers(initial)),
            ("reserve", reserve),
            ("date_time", times(numbers.iter().map(|n| self.at(*n)))),
            ("expires", expires),
            ("seller", integers(sellers)),
            ("category", integers(categories.iter().map(|c| c + 10))),
            ("extra", texts(extra)),
        ])?)
    }

    fn bids(
        &self,
        stream: &mut Stream,
        first: i64,
        last: i64,
        channels: &Channels,
    ) -> anyhow::Result<RecordBatch> {
        let numbers = numbers(first, last, 4, CYCLE - 1);
        let rows = numbers.len();
        let hot = stream.many(0, 2, rows);
        let cold = stream.units(rows);
        let auction = |((n, hot), unit): ((&i64, &i64), &f64)| {
            let last = last_auction(*n);
            let open = (last + 1).min(OPEN_AUCTIONS);
            let cold = last + 1 - open + scaled(*unit, open + 1);
            FIRST + if *hot > 0 { last / 100 * 100 } else { cold }
        };
        let auctions: Vec<i64> = numbers.iter().zip(&hot).zip(&cold).map(auction).collect();
        let bidders = participants(stream, &numbers, 1);
        let hot = stream.many(0, 2, rows);
        let (known, other) = (stream.many(0, 4, rows), stream.many(0, CHANNELS, rows));
        let channel = hot.iter().zip(known.iter().zip(&other));
        let channel: Vec<i64> = channel
            .map(|(hot, (known, other))| if *hot > 0 { *known } else { 4 + other })
            .collect();
        let prices = prices(stream, rows);
        let extra = padding(stream, rows, 100, 32)?;
        Ok(RecordBatch::try_from_iter([
            ("auction", integers(auctions)),
            ("bidder", integers(bidders)),
            ("price", integers(prices)),
            ("channel", texts(channel.iter().map(|c| &*channels.names[place(*c)]))),
            ("url", texts(channel.iter().map(|c| &*channels.urls[place(*c)]))),
            ("date_time", times(numbers.iter().map(|n| self.at(*n)))),
            ("extra", texts(extra)),
        ])?)
    }
}

/// Names and addresses that bids come through.
struct Channels {
    names: Vec<String>,
    urls: Vec<String>,
}

impl Channels {
    fn new(seed: u32) -> Self {
        let mut stream = Stream::new(&[seed, CHANNEL_STREAM]);
        let count = HOT.len() + place(CHANNELS);
        let mut folders = || letters(&mut stream, 5 * count);
        let folders = [folders(), folders(), folders()];
        let ids = stream.many(0, i64::from(i32::MAX), count);
        let url = |i: usize| {
            let [a, b, c] = [0, 1, 2].map(|f: usize| text(&folders[f][5 * i..5 * i + 5]));
            let url = format!("https://www.nexmark.com/{a}/{b}/{c}/item.htm?query=1");
            let named = i >= HOT.len() && !i.is_multiple_of(10);
            if named { format!("{url}&channel_id={}", ids[i]) } else { url }
        };
        let urls = (0..count).map(url).collect();
        let names = HOT.iter().map(|name| (*name).to_owned());
        let names = names.chain((0..CHANNELS).map(|i| format!("channel-{i}"))).collect();
        Self { names, urls }
    }
}

/// 10,000 keys with a text each.
fn write_side_input(folder: &Path) -> anyhow::Result<()> {
    let batch = RecordBatch::try_from_iter([
        ("key", integers(0..10_000)),
        ("value", texts((0..10_000).map(|key| format!("value-{key}")))),
    ])?;
    let mut writer = Writer::create(folder, "side_input", batch.schema())?;
    writer.write(&batch)?;
    writer.close()
}

/// The numbers of `[first, last)` at the places `low..=high` of their cycle.
fn numbers(first: i64, last: i64, low: i64, high: i64) -> Vec<i64> {
    (first..last).filter(|n| (low..=high).contains(&(n % CYCLE))).collect()
}

/// The number of the last auction up to event `n`.
fn last_auction(n: i64) -> i64 {
    n / CYCLE * 3 + (n % CYCLE).min(3) - 1
}

/// A person for each event: the hot one of the hundred (`place` behind the first), or one of the last.
fn participants(stream: &mut Stream, numbers: &[i64], place: i64) -> Vec<i64> {
    let hot = stream.many(0, 4, numbers.len());
    let cold = stream.units(numbers.len());
    let person = |((n, hot), unit): ((&i64, &i64), &f64)| {
        let last = n / CYCLE;
        let active = (last + 1).min(ACTIVE_PERSONS);
        let cold = last + 1 - active + scaled(*unit, active + 10);
        FIRST + if *hot > 0 { last / 100 * 100 + place } else { cold }
    };
    numbers.iter().zip(&hot).zip(&cold).map(person).collect()
}

/// Log-uniform prices from a hundred to a hundred million.
#[expect(clippy::cast_possible_truncation, reason = "at most 10^8")]
fn prices(stream: &mut Stream, rows: usize) -> Vec<i64> {
    let units = stream.units(rows);
    units.iter().map(|u| (10_f64.powf(u * 6.0) * 100.0).round_ties_even() as i64).collect()
}

/// `unit` of `[0, 1)` as an integer of `[0, bound)`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "bounds are small"
)]
fn scaled(unit: f64, bound: i64) -> i64 {
    (unit * bound as f64) as i64
}

/// Texts that bring rows of `have` bytes to about `want`.
fn padding(stream: &mut Stream, rows: usize, want: i64, have: i64) -> anyhow::Result<Vec<String>> {
    let spread = want / 5;
    let lengths = stream.many(-spread, spread, rows);
    let lengths: Vec<i64> = lengths.iter().map(|l| (want - have + l).max(0)).collect();
    words(stream, &lengths)
}

/// Random words of the given lengths.
fn words(stream: &mut Stream, lengths: &[i64]) -> anyhow::Result<Vec<String>> {
    let letters = letters(stream, lengths.iter().map(|l| place(*l)).sum());
    let mut rest = letters.as_slice();
    let mut words = Vec::with_capacity(lengths.len());
    for length in lengths {
        let (word, behind) = rest.split_at_checked(place(*length)).context("too few letters")?;
        words.push(text(word));
        rest = behind;
    }
    Ok(words)
}

fn letters(stream: &mut Stream, count: usize) -> Vec<u8> {
    let mut letters = stream.bytes(26, count);
    letters.iter_mut().for_each(|letter| *letter += b'a');
    letters
}

fn text(letters: &[u8]) -> String {
    String::from_utf8_lossy(letters).into_owned()
}

fn place(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

fn pick<'a>(words: &[&'a str], number: i64) -> &'a str {
    words[place(number)]
}

fn integers(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn times(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from_iter_values(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_add_up_to_events() {
        let mut before = [0; 3];
        for events in 0..200 {
            let rows = rows_among(events);
            assert_eq!(rows.iter().sum::<i64>(), events);
            assert!(rows.iter().zip(&before).all(|(now, before)| now >= before));
            before = rows;
        }
        assert_eq!(rows_among(1_000_000), [20_000, 60_000, 920_000]);
    }
}
