//! What a sweep deletes, and what it leaves.

use bytes::Bytes;
use levada_storage::layout;
use levada_storage::publish::{Published, publish};
use levada_storage::table::DataFile;

use super::world::{World, copy, memory};

#[tokio::test]
async fn a_sweep_leaves_two_checkpoints_and_the_slots_after_the_older_one() {
    let store = memory();
    let mut world = World::open(&store, 1).await.unwrap();
    for number in 1..8 {
        world.add(number).await.unwrap();
        world.checkpoint().await.unwrap();
    }
    assert!(world.sweep().await.unwrap() > 0);
    let count = |folder| {
        let store = std::sync::Arc::clone(&store);
        async move { store.list(folder, None).await.unwrap().len() }
    };
    assert_eq!(count("manifest/").await, 2);
    assert_eq!(count("ckpt/").await, 2);
    assert_eq!(count("data/").await, 7, "files are named again by each manifest");
    assert_eq!(count("input/").await, 0, "the large input was before both checkpoints");
    let slots = store.list(layout::LOG, None).await.unwrap();
    let slots = slots.iter().filter(|(name, _)| layout::slot_epoch(name).is_some()).count();
    assert_eq!(slots, 3, "checkpoint, epoch, checkpoint");
    assert_eq!(world.sweep().await.unwrap(), 0, "nothing is left to sweep");

    // The newest manifest is lost: the one before and the slots since are enough.
    let newest = store.list("manifest/", None).await.unwrap().pop().unwrap().0;
    store.delete(&newest).await.unwrap();
    let mut world = World::open(&store, 2).await.unwrap();
    assert_eq!(world.numbers, [1, 2, 3, 4, 5, 6, 7]);
    world.add(8).await.unwrap();
    assert_eq!(World::open(&store, 3).await.unwrap().numbers.len(), 8);
}

#[tokio::test]
async fn orphans_below_the_floor_go_and_young_ones_stay() {
    let store = memory();
    let mut world = World::open(&store, 1).await.unwrap();
    let old = layout::data(7, &world.log.mint());
    let foreign = "data/7/not-a-ulid.parquet".to_owned();
    for path in [&old, &foreign] {
        store.put(path, Bytes::from_static(b"x")).await.unwrap();
    }
    world.add(1).await.unwrap();
    world.checkpoint().await.unwrap();
    world.add(2).await.unwrap();
    world.checkpoint().await.unwrap();
    let floor = world.log.mint();
    let young = layout::state(&world.log.mint());
    store.put(&young, Bytes::from_static(b"x")).await.unwrap();
    let sweep = world.log.retention(&floor).await.unwrap();
    assert!(sweep.paths().contains(&old));
    sweep.run().await.unwrap();
    assert_eq!(store.head(&old).await.unwrap(), None);
    assert!(store.head(&young).await.unwrap().is_some(), "minted above the floor");
    assert!(store.head(&foreign).await.unwrap().is_some(), "names that are not ours stay");
    let start = world.log.start().to_owned();
    world.checkpoint().await.unwrap();
    let sweep = world.log.retention(&start).await.unwrap();
    assert!(!sweep.paths().iter().any(|path| path.starts_with("data/")), "{:?}", sweep.paths());
}

#[tokio::test]
async fn published_files_stay_until_two_newer_publications() {
    let store = memory();
    let mut world = World::open(&store, 1).await.unwrap();
    let path = layout::data(9, &world.log.mint());
    store.put(&path, Bytes::from_static(b"rows")).await.unwrap();
    let file = DataFile { path: path.clone(), rows: 3, bytes: 4, ..DataFile::default() };
    let files = [file];
    for number in 1..=3 {
        let epoch = world.add(number).await.unwrap();
        let named: &[DataFile] = if number == 1 { &files } else { &[] };
        let relations = [Published { name: "public.t", files: named }];
        publish(store.as_ref(), epoch, &relations, false).await.unwrap();
        world.checkpoint().await.unwrap();
        world.sweep().await.unwrap();
        let there = store.head(&path).await.unwrap().is_some();
        assert_eq!(there, number < 3, "after publication {number}");
    }
    let published = store.list("publish/", None).await.unwrap();
    assert_eq!(published.len(), 2);
    let json = store.get(&published[1].0).await.unwrap().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["relations"]["public.t"]["rows"], 0);
}

#[tokio::test]
async fn last_publication_and_two_equal_checkpoints_leave_no_other_files() {
    let store = memory();
    let mut world = World::open(&store, 1).await.unwrap();
    let path = layout::data(9, &world.log.mint());
    store.put(&path, Bytes::from_static(b"rows")).await.unwrap();
    let files = [DataFile { path: path.clone(), rows: 3, bytes: 4, ..DataFile::default() }];
    let epoch = world.add(1).await.unwrap();
    let relations = [Published { name: "t", files: &files }];
    publish(store.as_ref(), epoch, &relations, false).await.unwrap();
    world.checkpoint().await.unwrap();
    let epoch = world.add(2).await.unwrap();
    world.checkpoint().await.unwrap();
    world.checkpoint().await.unwrap();
    let relations = [Published { name: "t", files: &[] }];
    publish(store.as_ref(), epoch, &relations, true).await.unwrap();
    world.sweep().await.unwrap();
    assert_eq!(store.head(&path).await.unwrap(), None);
    assert_eq!(store.list("publish/", None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_live_slots_refer_to_stays() {
    let store = memory();
    let mut world = World::open(&store, 1).await.unwrap();
    for number in [1, 2, 5] {
        world.add(number).await.unwrap();
        if number < 5 {
            world.checkpoint().await.unwrap();
        }
    }
    assert_eq!(store.list("input/", None).await.unwrap().len(), 2);
    world.sweep().await.unwrap();
    assert_eq!(store.list("input/", None).await.unwrap().len(), 2, "one per live slot");
    assert_eq!(World::open(&copy(&store).await, 2).await.unwrap().numbers, [1, 2, 5]);
    let newest = store.list("manifest/", None).await.unwrap().pop().unwrap().0;
    store.delete(&newest).await.unwrap();
    assert_eq!(World::open(&store, 3).await.unwrap().numbers, [1, 2, 5]);
}
