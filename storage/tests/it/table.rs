//! Parquet files: rows, columns, positions and damage.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array,
    Int64Array, IntervalMonthDayNanoArray, ListArray, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{
    DataType, Field, Int32Type, IntervalMonthDayNano, Schema, SchemaRef, UInt32Type,
};
use futures::TryStreamExt;
use levada_storage::blob::Blob;
use levada_storage::error::{ErrorKind, Result};
use levada_storage::rng::Rng;
use levada_storage::table::{DataFile, FileReader, Profile, Scan, read_parquet, write_parquet};
use roaring::RoaringBitmap;

use super::world::{memory, rows};

const PATH: &str = "data/7/a.parquet";

async fn write(blob: &Arc<dyn Blob>, batches: &[RecordBatch], profile: Profile) -> DataFile {
    let schema = batches[0].schema();
    write_parquet(blob.as_ref(), PATH, &schema, batches, profile).await.unwrap()
}

async fn read(blob: &Arc<dyn Blob>, file: &DataFile, scan: &Scan) -> Result<RecordBatch> {
    let reader = FileReader::open(Arc::clone(blob), file).await?;
    let batches: Vec<_> = reader.scan(scan)?.try_collect().await?;
    assert!(batches.iter().all(|batch| batch.num_rows() <= scan.batch_rows));
    let schema =
        batches.first().map_or_else(|| SchemaRef::clone(reader.schema()), RecordBatch::schema);
    Ok(concat_batches(&schema, &batches)?)
}

fn all_types() -> RecordBatch {
    let interval = |months, days, nanos| Some(IntervalMonthDayNano::new(months, days, nanos));
    let lists = vec![Some(vec![Some(1), None]), None, Some(vec![])];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("b", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("i", Arc::new(Int32Array::from(vec![Some(i32::MIN), None, Some(7)]))),
        ("f", Arc::new(Float64Array::from(vec![f64::NAN, -0.0, f64::INFINITY]))),
        ("s", Arc::new(StringArray::from(vec![Some(""), None, Some("é")]))),
        (
            "v",
            Arc::new(StringViewArray::from(vec![Some("a long string, not inlined"), None, None])),
        ),
        ("d", Arc::new(Date32Array::from(vec![Some(0), Some(-1), None]))),
        ("t", Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3]).with_timezone("UTC"))),
        (
            "n",
            Arc::new(
                Decimal128Array::from(vec![1, -2, 3]).with_precision_and_scale(38, 9).unwrap(),
            ),
        ),
        ("l", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists))),
        (
            "y",
            Arc::new(IntervalMonthDayNanoArray::from(vec![
                interval(-1, 2, 3),
                None,
                interval(0, 0, i64::MAX),
            ])),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[tokio::test]
async fn every_type_comes_back_as_it_went_in() {
    for profile in [Profile::Checkpoint, Profile::Ingest] {
        let (blob, batch) = (memory(), all_types());
        let file = write(&blob, std::slice::from_ref(&batch), profile).await;
        let found = read(&blob, &file, &Scan::default()).await.unwrap();
        assert_eq!(found.schema(), batch.schema());
        assert_eq!(found, batch);
        let floats = |batch: &RecordBatch| {
            let floats = batch.column(2).as_primitive::<arrow::datatypes::Float64Type>();
            floats.values().iter().map(|f| f.to_bits()).collect::<Vec<_>>()
        };
        assert_eq!(floats(&found), floats(&batch), "bit for bit");
        let scan = Scan { projection: Some(vec![9, 1]), positions: true, ..Scan::default() };
        let some = read(&blob, &file, &scan).await.unwrap();
        assert_eq!((some.column(0), some.column(1)), (batch.column(9), batch.column(1)));
    }
}

#[tokio::test]
async fn what_parquet_cannot_hold_is_an_error() {
    let fields =
        arrow::datatypes::UnionFields::from_fields(vec![Field::new("a", DataType::Int8, true)]);
    let union = DataType::Union(fields, arrow::datatypes::UnionMode::Sparse);
    let schema = Arc::new(Schema::new(vec![Field::new("u", union, true)]));
    let written = write_parquet(memory().as_ref(), PATH, &schema, &[], Profile::Ingest).await;
    assert!(written.is_err());
}

#[tokio::test]
async fn an_empty_file_and_a_count_without_columns() {
    let blob = memory();
    let file = write(&blob, &[rows(0, 1)], Profile::Checkpoint).await;
    assert_eq!((file.rows, file.live_rows()), (0, 0));
    assert_eq!(read(&blob, &file, &Scan::default()).await.unwrap().num_rows(), 0);
    let mut file = write(&blob, &[rows(1_000, 1)], Profile::Checkpoint).await;
    let scan = Scan { projection: Some(vec![]), batch_rows: 300, ..Scan::default() };
    let count = |file: DataFile| {
        let (blob, scan) = (Arc::clone(&blob), scan.clone());
        async move {
            let batches: Vec<_> =
                read_parquet(blob, &file, &scan).await.unwrap().try_collect().await.unwrap();
            batches.iter().map(RecordBatch::num_rows).sum::<usize>()
        }
    };
    assert_eq!(count(file.clone()).await, 1_000);
    file.deleted = Some(RoaringBitmap::from_iter(100..200));
    assert_eq!((count(file.clone()).await, file.live_rows()), (900, 900));
}

#[tokio::test]
async fn random_deletions_projections_and_starts_agree_with_a_filter() {
    let blob = memory();
    let total = 300_000;
    let whole = rows(total, 1);
    let file = write(&blob, &[whole.slice(0, 7), whole.slice(7, total - 7)], Profile::Ingest).await;
    let chance = Rng::seeded(11);
    for round in 0..12u64 {
        let mut file = file.clone();
        let dead: RoaringBitmap = (0..chance.next_u64() % 5_000)
            .map(|_| u32::try_from(chance.next_u64() % total as u64).unwrap())
            .collect();
        let range = if round % 3 == 0 { 1_000..140_000 } else { 5..6 };
        let dead = dead | RoaringBitmap::from_iter(range);
        let start = if round % 2 == 0 { 0 } else { chance.next_u64() % total as u64 };
        file.deleted = Some(dead.clone());
        let scan =
            Scan { projection: Some(vec![1, 0]), batch_rows: 10_000, start, positions: true };
        let found = read(&blob, &file, &scan).await.unwrap();
        let live: UInt32Array = (0..u32::try_from(total).unwrap())
            .filter(|p| u64::from(*p) >= start && !dead.contains(*p))
            .collect();
        assert_eq!(found.column(2).as_primitive::<UInt32Type>(), &live, "round {round}");
        for (column, original) in [(0, 1), (1, 0)] {
            let wanted = arrow::compute::take(whole.column(original), &live, None).unwrap();
            assert_eq!(found.column(column), &wanted, "round {round}");
        }
    }
}

#[tokio::test]
async fn every_cut_and_flip_of_a_file_is_corrupt() {
    let blob = memory();
    let file = write(&blob, &[rows(2_000, 3)], Profile::Checkpoint).await;
    let whole = blob.get(PATH).await.unwrap().unwrap();
    assert_eq!(file.bytes, whole.len() as u64);
    let chance = Rng::seeded(5);
    for round in 0..2_000 {
        let at = usize::try_from(chance.next_u64() % whole.len() as u64).unwrap();
        let mut bytes = whole.to_vec();
        if round % 2 == 0 {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << (chance.next_u64() % 8);
        }
        blob.put(PATH, bytes.into()).await.unwrap();
        let error = read(&blob, &file, &Scan::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "at {at}: {error}");
    }
    blob.delete(PATH).await.unwrap();
    let error = read(&blob, &file, &Scan::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[tokio::test]
async fn a_file_above_the_memory_limit_is_read_by_ranges() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let blob = levada_storage::blob::open_blob(path.to_str().unwrap()).await.unwrap();
    let chance = Rng::seeded(6);
    let noise =
        Int64Array::from_iter_values((0..9_500_000).map(|_| chance.next_u64().cast_signed()));
    let batch = RecordBatch::try_from_iter([("n", Arc::new(noise) as ArrayRef)]).unwrap();
    let file = write(&blob, std::slice::from_ref(&batch), Profile::Ingest).await;
    assert!(file.bytes > 64 << 20, "{} bytes", file.bytes);
    let scan = Scan { batch_rows: 1 << 20, ..Scan::default() };
    assert_eq!(read(&blob, &file, &scan).await.unwrap().column(0), batch.column(0));
    let scan = Scan { start: 9_499_999, ..Scan::default() };
    assert_eq!(read(&blob, &file, &scan).await.unwrap().num_rows(), 1);
}
