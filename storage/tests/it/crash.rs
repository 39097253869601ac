//! A fault or a kill at every single call of claim, commit, checkpoint and retention.

use std::sync::Arc;

use futures::FutureExt;
use levada_storage::blob::Blob;
use levada_storage::error::{Error, Result};

use super::fault::{ERRORS, FaultBlob, KILLS};
use super::world::{World, memory};

/// What the tests run: enough to have every kind of slot, an input object, two checkpoints and a sweep.
#[derive(Clone, Copy, Debug)]
enum Act {
    Add(u64),
    Checkpoint,
    Sweep,
}

const ACTS: [Act; 10] = [
    Act::Add(1),
    Act::Add(2),
    Act::Checkpoint,
    Act::Add(3),
    Act::Checkpoint,
    Act::Sweep,
    Act::Add(4),
    Act::Checkpoint,
    Act::Sweep,
    Act::Add(5),
];

async fn act(world: &mut World, act: Act) -> Result<()> {
    match act {
        Act::Add(number) => world.add(number).await.map(|_| ()),
        Act::Checkpoint => world.checkpoint().await.map(|_| ()),
        Act::Sweep => world.sweep().await.map(|_| ()),
    }
}

/// Runs until the process is killed; returns the numbers that were acknowledged.
fn run_until_killed(blob: &Arc<dyn Blob>) -> Vec<u64> {
    let Some(opened) = World::open(blob, 1).now_or_never() else { return Vec::new() };
    let mut world = opened.unwrap();
    for step in ACTS {
        match act(&mut world, step).now_or_never() {
            Some(result) => result.unwrap(),
            None => break,
        }
    }
    world.numbers
}

#[tokio::test]
async fn a_kill_at_any_call_loses_no_acknowledged_epoch_and_doubles_none() {
    let mut kills = 0;
    for fault in KILLS {
        for at in 1.. {
            let store = memory();
            let faulty = FaultBlob::new(&store, fault, at);
            let blob: Arc<dyn Blob> = Arc::<FaultBlob>::clone(&faulty);
            let acknowledged = run_until_killed(&blob);
            if !faulty.happened() {
                assert_eq!(acknowledged, [1, 2, 3, 4, 5]);
                break;
            }
            kills += 1;
            let mut world = World::open(&store, 2).await.unwrap();
            let found = world.numbers.clone();
            let context = format!("{fault:?} at {at}: {found:?} after {acknowledged:?}");
            assert!(found.starts_with(&acknowledged), "{context}");
            assert!(found.len() <= acknowledged.len() + 1, "{context}");
            assert!([1, 2, 3, 4, 5].starts_with(&found), "{context}");
            // The survivor goes on, sweeps what the kill left, and is read back.
            world.add(90).await.unwrap();
            world.checkpoint().await.unwrap();
            world.checkpoint().await.unwrap();
            world.sweep().await.unwrap();
            let wanted = world.numbers.clone();
            assert_eq!(World::open(&store, 3).await.unwrap().numbers, wanted, "{context}");
        }
    }
    assert!(kills > 100, "only {kills} calls were killed");
}

#[tokio::test]
async fn a_failing_call_is_retried_or_reported_but_never_a_false_answer() {
    let mut faults = 0;
    for fault in ERRORS {
        for at in 1.. {
            let store = memory();
            let faulty = FaultBlob::new(&store, fault, at);
            let blob: Arc<dyn Blob> = Arc::<FaultBlob>::clone(&faulty);
            let context = format!("{fault:?} at {at}");
            let mut world = match World::open(&blob, 1).await {
                Ok(world) => world,
                Err(_) => World::open(&blob, 2).await.unwrap(),
            };
            for step in ACTS {
                if let Err(error) = act(&mut world, step).await {
                    let allowed = matches!(error, Error::Io { .. } | Error::Unsettled { .. });
                    assert!(allowed, "{context}, {step:?}: {error}");
                    let again = act(&mut world, step).await;
                    assert!(again.is_ok(), "{context}, {step:?} again: {:?}", again.err());
                }
            }
            assert_eq!(world.numbers, [1, 2, 3, 4, 5], "{context}");
            let reopened = World::open(&store, 3).await.unwrap();
            assert_eq!(reopened.numbers, [1, 2, 3, 4, 5], "{context}");
            if !faulty.happened() {
                break;
            }
            faults += 1;
        }
    }
    assert!(faults > 200, "only {faults} calls failed");
}

#[tokio::test]
async fn a_dropped_commit_makes_the_log_refuse_until_it_is_opened_again() {
    let store = memory();
    // The first call after opening is the put of the slot.
    let calls = (1..).find(|at| {
        let faulty = FaultBlob::new(&memory(), KILLS[0], *at);
        let blob: Arc<dyn Blob> = Arc::<FaultBlob>::clone(&faulty);
        World::open(&blob, 1).now_or_never().is_some()
    });
    let blob: Arc<dyn Blob> = FaultBlob::new(&store, KILLS[1], calls.unwrap());
    let mut world = World::open(&blob, 1).await.unwrap();
    assert!(world.add(1).now_or_never().is_none());
    let refused = world.add(2).await;
    assert!(matches!(refused, Err(Error::Unsettled { .. })), "{refused:?}");
    assert_eq!(World::open(&store, 2).await.unwrap().numbers, [1]);
}
