//! Two and more processes on one root: at most one commits, the others stop.

use levada_storage::error::Error;
use levada_storage::rng::Rng;

use super::world::{World, memory};

#[tokio::test]
async fn the_older_writer_is_fenced_at_its_next_commit() {
    let store = memory();
    let mut old = World::open(&store, 1).await.unwrap();
    old.add(1).await.unwrap();
    let mut new = World::open(&store, 2).await.unwrap();
    assert_eq!(new.numbers, [1]);
    let lost = old.add(2).await;
    let by = new.log.generation();
    assert!(matches!(lost, Err(Error::Fenced { by: found }) if found == by), "{lost:?}");
    new.add(3).await.unwrap();
    for refused in [old.add(4).await, old.checkpoint().await] {
        assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    }
    assert_eq!(World::open(&store, 3).await.unwrap().numbers, [1, 3]);
}

#[tokio::test]
async fn a_writer_that_stalled_until_its_slot_was_deleted_does_not_acknowledge() {
    let store = memory();
    let mut stalled = World::open(&store, 1).await.unwrap();
    stalled.add(1).await.unwrap();
    let mut new = World::open(&store, 2).await.unwrap();
    for number in 2..5 {
        new.add(number).await.unwrap();
        new.checkpoint().await.unwrap();
        new.sweep().await.unwrap();
    }
    let slot = levada_storage::layout::slot(stalled.log.head().next());
    assert_eq!(store.head(&slot).await.unwrap(), None, "the stalled writer's slot is free again");
    let lost = stalled.add(9).await;
    assert!(matches!(lost, Err(Error::Fenced { .. })), "{lost:?}");
    assert!(store.head(&slot).await.unwrap().is_some(), "it did create the slot");
    new.add(5).await.unwrap();
    assert_eq!(World::open(&store, 3).await.unwrap().numbers, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_fenced_process_sweeps_nothing() {
    let store = memory();
    let mut old = World::open(&store, 1).await.unwrap();
    old.add(1).await.unwrap();
    old.checkpoint().await.unwrap();
    old.checkpoint().await.unwrap();
    let mut new = World::open(&store, 2).await.unwrap();
    new.add(2).await.unwrap();
    let before = store.list("", None).await.unwrap().len();
    let swept = old.sweep().await;
    assert!(matches!(swept, Err(Error::Fenced { .. })), "{swept:?}");
    let after = store.list("", None).await.unwrap().len();
    assert_eq!(after, before + 1, "only the boundary was added");
    new.add(5).await.unwrap();
    assert_eq!(World::open(&store, 3).await.unwrap().numbers, [1, 2, 5]);
}

#[tokio::test]
async fn every_acknowledged_number_of_many_writers_is_there_once() {
    for seed in 0..40 {
        let store = memory();
        let chance = Rng::seeded(seed);
        let mut acknowledged = Vec::new();
        let mut takeovers = 0;
        let mut writers: Vec<World> = Vec::new();
        for step in 0..60u64 {
            let writer = usize::try_from(chance.next_u64() % 4).unwrap();
            if writer >= writers.len() {
                writers.push(World::open(&store, seed * 1_000 + step).await.unwrap());
                takeovers += 1;
                continue;
            }
            let result = match chance.next_u64() % 8 {
                0 => writers[writer].checkpoint().await.map(|_| false),
                1 => writers[writer].sweep().await.map(|_| false),
                _ => writers[writer].add(step * 3).await.map(|_| true),
            };
            match result {
                Ok(true) => acknowledged.push(step * 3),
                Ok(false) => {}
                Err(Error::Fenced { .. }) => {
                    writers[writer] = World::open(&store, seed * 1_000 + step).await.unwrap();
                    takeovers += 1;
                }
                Err(error) => panic!("seed {seed}, step {step}: {error}"),
            }
        }
        assert!(takeovers > 5, "seed {seed} had {takeovers} takeovers");
        let last = World::open(&store, seed).await.unwrap();
        assert_eq!(last.numbers, acknowledged, "seed {seed}");
    }
}
