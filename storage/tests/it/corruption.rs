//! Damaged, cut, swapped and foreign objects: noticed, or made up for, never wrong rows.

use std::sync::Arc;

use bytes::Bytes;
use levada_storage::blob::Blob;
use levada_storage::epoch::Epoch;
use levada_storage::error::{Error, ErrorKind};
use levada_storage::layout;
use levada_storage::rng::Rng;

use super::world::{World, copy, memory};

/// A database with two checkpoints, an input object and epochs after them.
async fn sample() -> Arc<dyn Blob> {
    let store = memory();
    let mut world = World::open(&store, 1).await.unwrap();
    for number in [1, 2, 3, 4] {
        world.add(number).await.unwrap();
        if number == 1 || number == 3 {
            world.checkpoint().await.unwrap();
        }
    }
    world.add(5).await.unwrap();
    store
}

/// Opens a damaged copy: the right numbers or an error that says so.
async fn check(store: &Arc<dyn Blob>, what: &str) -> bool {
    match World::open(store, 9).await {
        Ok(world) => {
            assert_eq!(world.numbers, [1, 2, 3, 4, 5], "{what}");
            false
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
            true
        }
    }
}

#[tokio::test]
async fn flipped_bits_and_cuts_of_any_object_are_noticed() {
    let sample = sample().await;
    let chance = Rng::seeded(4);
    let mut noticed = 0;
    for (name, length) in sample.list("", None).await.unwrap() {
        let whole = sample.get(&name).await.unwrap().unwrap();
        for round in 0..40 {
            let mut bytes = whole.to_vec();
            // The first rounds go through the header, the others anywhere.
            let at = if round < 16 { round } else { chance.next_u64() % length };
            let at = usize::try_from(at).unwrap();
            let what = if round % 4 == 3 {
                bytes.truncate(at);
                format!("{name} cut at {at}")
            } else {
                bytes[at] ^= 1 << (chance.next_u64() % 8);
                format!("{name} flipped at {at}")
            };
            let damaged = copy(&sample).await;
            damaged.put(&name, bytes.into()).await.unwrap();
            noticed += usize::from(check(&damaged, &what).await);
        }
    }
    assert!(noticed >= 150, "only {noticed} damages were noticed");
}

#[tokio::test]
async fn a_missing_slot_or_input_is_noticed_and_a_missing_checkpoint_is_made_up_for() {
    let sample = sample().await;
    let head = World::open(&copy(&sample).await, 8).await.unwrap().log.head().0 - 1;
    for (name, _) in sample.list("", None).await.unwrap() {
        let damaged = copy(&sample).await;
        damaged.delete(&name).await.unwrap();
        if name == layout::slot(Epoch(head)) {
            continue; // Without its last slot the log is an older one.
        }
        if name == layout::FORMAT {
            let opened = World::open(&damaged, 9).await.err();
            assert!(matches!(opened, Some(Error::NotADatabase { .. })), "{opened:?}");
            continue;
        }
        check(&damaged, &format!("{name} is missing")).await;
    }
    let damaged = copy(&sample).await;
    damaged.delete(&layout::slot(Epoch(head - 1))).await.unwrap();
    assert!(check(&damaged, "the last slot but one is missing").await);
}

#[tokio::test]
async fn a_lost_log_is_no_empty_database() {
    let damaged = copy(&sample().await).await;
    for (name, _) in damaged.list(layout::LOG, None).await.unwrap() {
        damaged.delete(&name).await.unwrap();
    }
    assert!(check(&damaged, "the log is missing").await);
    assert!(!damaged.list("manifest/", None).await.unwrap().is_empty(), "nothing was removed");
}

#[tokio::test]
async fn swapped_slots_and_slots_of_another_database_are_noticed() {
    let sample = sample().await;
    let (last, former) = (layout::slot(Epoch(8)), layout::slot(Epoch(7)));
    let bytes = |name: &str| {
        let (sample, name) = (Arc::clone(&sample), name.to_owned());
        async move { sample.get(&name).await.unwrap().unwrap() }
    };
    let swapped = copy(&sample).await;
    swapped.put(&last, bytes(&former).await).await.unwrap();
    swapped.put(&former, bytes(&last).await).await.unwrap();
    assert!(check(&swapped, "swapped slots").await);

    let other = memory();
    let mut world = World::open(&other, 77).await.unwrap();
    for number in 1..9 {
        world.add(number).await.unwrap();
    }
    let foreign = copy(&sample).await;
    foreign.put(&last, other.get(&last).await.unwrap().unwrap()).await.unwrap();
    assert!(check(&foreign, "a foreign slot").await);

    let manifests = sample.list("manifest/", None).await.unwrap();
    let swapped = copy(&sample).await;
    swapped.put(&manifests[1].0, bytes(&manifests[0].0).await).await.unwrap();
    assert!(!check(&swapped, "an older manifest under the newer name").await);
}

#[tokio::test]
async fn a_newer_format_is_refused_with_both_versions() {
    let store = copy(&sample().await).await;
    let mut bytes = store.get(layout::FORMAT).await.unwrap().unwrap().to_vec();
    bytes[8..10].copy_from_slice(&7u16.to_le_bytes());
    let body = bytes.len() - 4;
    let crc = crc32c::crc32c(&bytes[..body]);
    bytes[body..].copy_from_slice(&crc.to_le_bytes());
    store.put(layout::FORMAT, bytes.into()).await.unwrap();
    let error = World::open(&store, 9).await.err().unwrap();
    assert!(matches!(error, Error::NewerFormat { found: 7, supported: 1, .. }), "{error}");
    let text = "format version 7 of \"format\" is newer than the newest supported version 1";
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn somebody_elses_objects_are_refused() {
    let store = memory();
    store.put("photos/cat.jpg", Bytes::from_static(b"meow")).await.unwrap();
    let error = World::open(&store, 1).await.err().unwrap();
    assert!(matches!(error, Error::NotADatabase { .. }), "{error}");
    assert_eq!(store.list("", None).await.unwrap().len(), 1, "nothing was written");
}
