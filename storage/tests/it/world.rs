//! A small database whose state is a list of numbers, and what the tests need around it.
//!
//! Each epoch carries one number in its seed; a checkpoint carries the list so far. The list that a
//! recovery yields is compared with what was acknowledged.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use levada_storage::blob::{Blob, MemoryBlob};
use levada_storage::clock::{Clock, ManualClock};
use levada_storage::delta::DeltaBatch;
use levada_storage::epoch::Epoch;
use levada_storage::error::Result;
use levada_storage::layout;
use levada_storage::log::record::{Body, Input, InputData};
use levada_storage::log::{EpochLog, Recovered};
use levada_storage::manifest::{Manifest, RelationFiles};
use levada_storage::rng::Rng;
use levada_storage::table::{DataFile, Profile, write_parquet};

/// A clock in which waiting takes no time: sleeping moves it.
#[derive(Debug)]
pub(crate) struct Hurried(ManualClock);

impl Clock for Hurried {
    fn now_us(&self) -> i64 {
        self.0.now_us()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.advance(duration);
        Box::pin(std::future::ready(()))
    }

    fn every(&self, period: Duration) -> BoxStream<'static, ()> {
        self.0.every(period)
    }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(Hurried(ManualClock::new(1_700_000_000_000_000)))
}

pub(crate) fn memory() -> Arc<dyn Blob> {
    Arc::new(MemoryBlob::new())
}

/// A copy of all objects.
pub(crate) async fn copy(from: &Arc<dyn Blob>) -> Arc<dyn Blob> {
    let into = memory();
    for (name, _) in from.list("", None).await.unwrap() {
        let bytes = from.get(&name).await.unwrap().unwrap();
        into.put(&name, bytes).await.unwrap();
    }
    into
}

/// The database: its log and the list.
pub(crate) struct World {
    pub(crate) log: EpochLog,
    pub(crate) numbers: Vec<u64>,
    files: Vec<DataFile>,
}

impl World {
    pub(crate) async fn open(blob: &Arc<dyn Blob>, seed: u64) -> Result<Self> {
        let (log, recovered) = EpochLog::open(Arc::clone(blob), clock(), Rng::seeded(seed)).await?;
        let numbers = numbers(&recovered);
        let manifest = recovered.manifest.unwrap_or_default();
        let files = manifest.relations.into_iter().flat_map(|relation| relation.files).collect();
        Ok(Self { log, numbers, files })
    }

    /// Commits one number with a little or, every third time, a lot of input.
    pub(crate) async fn add(&mut self, number: u64) -> Result<Epoch> {
        let rows = if number % 3 == 2 { 70_000 } else { 3 };
        let epoch = self.log.commit(body(number, rows)).await?;
        self.numbers.push(number);
        Ok(epoch)
    }

    /// Writes one more file and a checkpoint.
    pub(crate) async fn checkpoint(&mut self) -> Result<Epoch> {
        let path = layout::data(7, &self.log.mint());
        let batch = rows(5, self.log.head().0);
        let blob = Arc::clone(self.log.blob());
        let schema = batch.schema();
        let profile = Profile::Ingest;
        let file = write_parquet(blob.as_ref(), &path, &schema, &[batch], profile).await?;
        let mut files = self.files.clone();
        files.push(file);
        let manifest = Manifest {
            at: self.log.head(),
            relations: vec![RelationFiles { relation: 7, rows: 5, files: files.clone() }],
            extra: vec![("numbers".into(), encode(&self.numbers))],
            ..Manifest::default()
        };
        let epoch = self.log.checkpoint(&manifest).await?;
        self.files = files;
        Ok(epoch)
    }

    pub(crate) async fn sweep(&mut self) -> Result<usize> {
        let floor = self.log.mint();
        let sweep = self.log.retention(&floor).await?;
        sweep.run().await?;
        Ok(sweep.paths().len())
    }
}

/// The list that a recovery yields; checks on the way that the rows are those of the numbers.
pub(crate) fn numbers(recovered: &Recovered) -> Vec<u64> {
    let manifest = recovered.manifest.as_ref();
    let stored = manifest.and_then(|m| m.extra.iter().find(|(name, _)| name == "numbers"));
    let mut numbers = stored.map(|(_, bytes)| decode(bytes)).unwrap_or_default();
    for commit in &recovered.commits {
        let InputData::Inline(batches) = &commit.body.inputs[0].data else {
            panic!("the world's input is inline")
        };
        let expected = rows(batches[0].len(), commit.body.seed);
        assert_eq!(batches[0].columns, expected, "rows of epoch {}", commit.epoch);
        numbers.push(commit.body.seed);
    }
    numbers
}

pub(crate) fn body(number: u64, count: usize) -> Body {
    let batch = DeltaBatch::inserts(rows(count, number));
    let inputs = vec![Input { relation: 7, data: InputData::Inline(vec![batch]) }];
    Body { now_us: 5, seed: number, inputs, ..Body::default() }
}

pub(crate) fn rows(count: usize, number: u64) -> RecordBatch {
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("name", DataType::Utf8, true),
    ]));
    let base = i64::try_from(number).unwrap();
    let ids: Int64Array = (0..count).map(|i| base * 1_000 + i64::try_from(i).unwrap()).collect();
    let names: StringArray =
        (0..count).map(|i| (i % 4 != 3).then(|| format!("row {number}/{i}"))).collect();
    RecordBatch::try_new(schema, vec![Arc::new(ids), Arc::new(names)]).unwrap()
}

fn encode(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn decode(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks(8).map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap())).collect()
}
