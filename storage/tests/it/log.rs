//! What goes into the log comes out of it.

use std::sync::Arc;

use arrow::array::{Array, DictionaryArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use levada_storage::delta::{DeltaBatch, Weights};
use levada_storage::epoch::{Epoch, Generation};
use levada_storage::log::record::{Body, Commit, Input, InputData, Kind, SplitOffset};
use levada_storage::log::{EpochLog, INLINE_BYTES_MAX};
use levada_storage::manifest::{Manifest, OperatorRuns, RelationFiles, SinkPosition};
use levada_storage::rng::Rng;
use levada_storage::state::{Run, read_run, write_run, write_runs};
use levada_storage::table::DataFile;
use roaring::RoaringBitmap;

use super::world::{World, body, clock, memory, rows};

async fn round_trip(body: Body) -> Commit {
    let store = memory();
    let opened = EpochLog::open(Arc::clone(&store), clock(), Rng::seeded(1)).await;
    let (mut log, recovered) = opened.unwrap();
    assert!(recovered.created && recovered.manifest.is_none() && recovered.commits.is_empty());
    assert_eq!((recovered.head, recovered.generation), (Epoch(1), Generation(1)));
    assert_eq!(log.commit(body).await.unwrap(), Epoch(2));
    let opened = EpochLog::open(store, clock(), Rng::seeded(2)).await;
    let (log, mut recovered) = opened.unwrap();
    assert!(!recovered.created);
    assert_eq!((log.head(), log.generation()), (Epoch(3), Generation(2)));
    assert_eq!(recovered.commits.len(), 1, "claims are left out");
    recovered.commits.remove(0)
}

fn inline(batches: Vec<DeltaBatch>) -> Body {
    let inputs = vec![Input { relation: 7, data: InputData::Inline(batches) }];
    Body { inputs, ..Body::default() }
}

fn batches(commit: &Commit) -> &[DeltaBatch] {
    match &commit.body.inputs[0].data {
        InputData::Inline(batches) => batches,
        InputData::Files(_) => panic!("the input is inline"),
    }
}

#[tokio::test]
async fn all_parts_of_a_body() {
    let file = DataFile {
        path: "data/8/x.parquet".into(),
        rows: 9,
        bytes: 800,
        crc32c: 0xdead_beef,
        deleted: Some(RoaringBitmap::from_iter([1, 8])),
    };
    let offset = SplitOffset { source: 3, split: "a/b.csv".into(), offset: vec![0, 255], rows: 4 };
    let body = Body {
        now_us: -5,
        seed: u64::MAX,
        catalog: vec![1, 2, 3],
        next_object_id: 42,
        inputs: vec![Input { relation: 8, data: InputData::Files(vec![file.clone()]) }],
        offsets: vec![offset.clone()],
        digest: Some((Epoch(6), 77)),
    };
    let commit = round_trip(body).await;
    assert_eq!(
        (commit.kind, commit.epoch, commit.generation),
        (Kind::Epoch, Epoch(2), Generation(1))
    );
    let Body { now_us, seed, catalog, next_object_id, inputs, offsets, digest } = commit.body;
    assert_eq!((now_us, seed, next_object_id), (-5, u64::MAX, 42));
    assert_eq!((catalog, offsets, digest), (vec![1, 2, 3], vec![offset], Some((Epoch(6), 77))));
    assert!(matches!(&inputs[0].data, InputData::Files(files) if *files == [file]));
}

#[tokio::test]
async fn weights_of_every_form_and_batches_of_several_schemas() {
    let words: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
    let field = Field::new("__w", words.data_type().clone(), true);
    let metadata = [("k".to_owned(), "v".to_owned())].into();
    let schema = Arc::new(Schema::new(vec![field]).with_metadata(metadata));
    let other = RecordBatch::try_new(schema, vec![Arc::new(words)]).unwrap();
    let options = RecordBatchOptions::new().with_row_count(Some(5));
    let no_columns =
        RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
    let given = vec![
        DeltaBatch::inserts(rows(4, 1)),
        DeltaBatch::inserts(rows(6, 2).slice(2, 3)),
        DeltaBatch::retractions(rows(2, 3)),
        DeltaBatch::weighted(rows(3, 4), vec![1, -1, 7]),
        DeltaBatch::weighted(other.clone(), vec![2, 2, i64::MIN]),
        DeltaBatch::retractions(other),
        DeltaBatch::inserts(no_columns),
    ];
    let commit = round_trip(inline(given.clone())).await;
    let found = batches(&commit);
    assert_eq!(found.len(), given.len());
    for (found, given) in found.iter().zip(&given) {
        assert_eq!(found.columns, given.columns);
        assert_eq!(found.schema(), given.schema());
        let weights =
            |batch: &DeltaBatch| (0..batch.len()).map(|i| batch.weights.get(i)).collect::<Vec<_>>();
        assert_eq!(weights(found), weights(given));
    }
    assert!(matches!(found[0].weights, Weights::One));
    assert!(matches!(found[2].weights, Weights::MinusOne));
}

#[tokio::test]
async fn large_input_leaves_the_commit_and_comes_back() {
    let numbers = Int64Array::from_iter_values(0..300_000);
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let batch = RecordBatch::try_new(schema, vec![Arc::new(numbers)]).unwrap();
    let store = memory();
    let (mut log, _) = EpochLog::open(Arc::clone(&store), clock(), Rng::seeded(1)).await.unwrap();
    let inputs = [1, 2].map(|relation| Input {
        relation,
        data: InputData::Inline(vec![DeltaBatch::inserts(batch.clone())]),
    });
    log.commit(Body { inputs: inputs.into(), ..Body::default() }).await.unwrap();
    let stored = store.list("input/", None).await.unwrap();
    assert!(stored.len() == 1 && stored[0].1 > INLINE_BYTES_MAX as u64, "{stored:?}");
    let slots = store.list("log/", None).await.unwrap();
    assert!(slots.iter().all(|(_, length)| *length < 10_000), "{slots:?}");
    let (_, recovered) = EpochLog::open(store, clock(), Rng::seeded(2)).await.unwrap();
    for input in &recovered.commits[0].body.inputs {
        let InputData::Inline(found) = &input.data else { panic!("the input is inline") };
        assert_eq!(found[0].columns, batch);
    }
}

#[tokio::test]
async fn a_manifest_comes_back_and_covers_its_epochs() {
    let store = memory();
    let (mut log, _) = EpochLog::open(Arc::clone(&store), clock(), Rng::seeded(1)).await.unwrap();
    log.commit(body(1, 2)).await.unwrap();
    let at = log.commit(body(2, 2)).await.unwrap();
    // The checkpoint is written while ticks go on.
    let later = log.commit(body(3, 2)).await.unwrap();
    let run = Run { part: 3, replaces: true, hash_version: 2, batch: rows(10, 5) };
    let spooled = write_run(&store, "state/a.runs", &run).await.unwrap();
    let manifest = Manifest {
        at,
        catalog: vec![9; 100],
        next_object_id: 12,
        relations: vec![RelationFiles {
            relation: 4,
            rows: 6,
            files: vec![DataFile {
                path: "data/4/x.parquet".into(),
                rows: 8,
                bytes: 100,
                crc32c: 1,
                deleted: Some(RoaringBitmap::from_iter([0, 7])),
            }],
        }],
        operators: vec![OperatorRuns { fingerprint: "f".into(), runs: vec![spooled.clone()] }],
        offsets: vec![SplitOffset { source: 1, split: "s".into(), offset: vec![1], rows: 2 }],
        sinks: vec![SinkPosition { sink: 5, epoch: at, spool: vec![spooled] }],
        extra: vec![("ledger".into(), vec![1, 2])],
    };
    log.checkpoint(&manifest).await.unwrap();
    let last = log.commit(body(4, 2)).await.unwrap();
    let (_, recovered) = EpochLog::open(store, clock(), Rng::seeded(2)).await.unwrap();
    assert_eq!(recovered.manifest.as_ref(), Some(&manifest));
    let epochs: Vec<_> = recovered.commits.iter().map(|commit| commit.epoch).collect();
    assert_eq!(epochs, [later, last]);
}

#[tokio::test]
async fn a_checkpoint_without_its_hint_is_found() {
    let store = memory();
    let mut world = World::open(&store, 1).await.unwrap();
    for number in 1..4 {
        world.add(number).await.unwrap();
        let slot = world.checkpoint().await.unwrap();
        if number == 3 {
            store.delete(&levada_storage::layout::hint(slot)).await.unwrap();
        }
    }
    let (_, recovered) = EpochLog::open(store, clock(), Rng::seeded(2)).await.unwrap();
    assert!(recovered.commits.is_empty(), "the newest checkpoint covers everything");
}

#[tokio::test]
async fn runs_of_one_object_are_read_alone_and_damage_is_noticed() {
    let store = memory();
    let runs: Vec<_> = (0..4)
        .map(|part| Run {
            part,
            replaces: part == 2,
            hash_version: 1,
            batch: rows(usize::try_from(part).unwrap() * 50, u64::from(part)),
        })
        .collect();
    let refs = write_runs(&store, "state/x.runs", &runs).await.unwrap();
    for (run, reference) in runs.iter().zip(&refs) {
        assert_eq!(read_run(&store, reference).await.unwrap(), run.batch);
        assert_eq!((reference.part, reference.replaces), (run.part, run.replaces));
    }
    let object = store.get("state/x.runs").await.unwrap().unwrap();
    let chance = Rng::seeded(3);
    for _ in 0..500 {
        let at = usize::try_from(chance.next_u64() % object.len() as u64).unwrap();
        let mut bytes = object.to_vec();
        bytes[at] ^= 1 << (chance.next_u64() % 8);
        store.put("state/x.runs", bytes.into()).await.unwrap();
        let mut failed = 0;
        for (run, reference) in runs.iter().zip(&refs) {
            match read_run(&store, reference).await {
                Ok(batch) => assert_eq!(batch, run.batch),
                Err(_) => failed += 1,
            }
        }
        assert_eq!(failed, 1, "exactly the run with byte {at} is wrong");
        store.put("state/x.runs", object.slice(..at)).await.unwrap();
        assert!(read_run(&store, &refs[3]).await.is_err());
    }
}
