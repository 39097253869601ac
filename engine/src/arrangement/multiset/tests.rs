//! Multisets beside sorted maps.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Change, Multisets, Unit};
use crate::operator::StateRun;
use crate::spill::SpillSpace;

type Model = BTreeMap<(u32, u64), i64>;

/// Rounds of changes over a few groups of very different sizes.
fn changes(x: &mut u64, model: &mut Model, many: usize) -> Vec<Change<1>> {
    let mut changes = Vec::new();
    for _ in 0..many {
        *x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = *x >> 33;
        let slot =
            if random.is_multiple_of(4) { 3 } else { u32::try_from(random % 97).expect("small") };
        let key = (*x >> 17) % if slot == 3 { 100_000 } else { 40 };
        let have = model.get(&(slot, key)).copied().unwrap_or(0);
        let weight = if have > 0 && !random.is_multiple_of(3) { -1 } else { 1 };
        *model.entry((slot, key)).or_default() += weight;
        changes.push(Change { slot, key: [key], weight });
    }
    model.retain(|_, count| *count != 0);
    changes
}

fn check(sets: &Multisets<1>, model: &Model) {
    assert_eq!(sets.len(), model.len() as u64, "values");
    for slot in 0..100 {
        let group: Vec<(u64, i64)> =
            model.range((slot, 0)..(slot + 1, 0)).map(|((_, key), count)| (*key, *count)).collect();
        let rows: Vec<u64> = (group.iter())
            .flat_map(|(k, n)| std::iter::repeat_n(*k, usize::try_from(*n).expect("positive")))
            .collect();
        let key = |key: Option<[u64; 1]>| key.map(|[key]| key);
        assert_eq!(key(sets.least(slot)), rows.first().copied(), "least of {slot}");
        assert_eq!(key(sets.greatest(slot)), rows.last().copied(), "greatest of {slot}");
        assert_eq!(sets.count(slot, Unit::Row), rows.len() as u64, "rows of {slot}");
        assert_eq!(sets.count(slot, Unit::Value), group.len() as u64, "values of {slot}");
        for rank in (0..=rows.len()).step_by(rows.len() / 17 + 1) {
            let found = key(sets.select(slot, Unit::Row, rank as u64));
            assert_eq!(found, rows.get(rank).copied(), "row {rank} of {slot}");
            let found = key(sets.select(slot, Unit::Value, rank as u64));
            assert_eq!(found, group.get(rank).map(|(k, _)| *k), "value {rank} of {slot}");
        }
    }
}

#[test]
fn they_are_sorted_bags() {
    let folder = tempfile::tempdir().expect("a folder");
    let space = Arc::new(SpillSpace::new(folder.path().to_owned()));
    let (mut sets, mut model, mut x) = (Multisets::default(), Model::new(), 7);
    let mut runs: Vec<StateRun> = Vec::new();
    for round in 0..60 {
        let changes = changes(&mut x, &mut model, if round % 5 == 0 { 9000 } else { 300 });
        sets.apply(changes).expect("counts stay positive");
        check(&sets, &model);
        if round % 7 == 0 {
            sets.freeze(1, false, &mut |run| {
                runs.push(run);
                Ok(())
            })
            .expect("runs");
        }
        if round == 30 {
            let freed = sets.spill(&space, usize::MAX).expect("room");
            assert!(freed > 0 && sets.spilled() > 0, "it moved");
        }
        if round == 56 {
            let mut restored = Multisets::default();
            restored.restore(&runs).expect("the runs fit");
            check(&restored, &model);
        }
    }
    let rest = model.iter().map(|((slot, key), n)| Change { slot: *slot, key: [*key], weight: -n });
    sets.apply(rest.collect()).expect("all goes");
    assert!(sets.is_empty() && sets.trees.is_empty() && sets.in_trees == 0, "nothing is left");
    assert!(sets.apply(vec![Change { slot: 1, key: [1], weight: -1 }]).is_err(), "below zero");
}

#[test]
fn a_group_grows_to_any_depth() {
    let mut sets: Multisets<2> = Multisets::default();
    let key = |i: u64| [i >> 3, i & 7];
    for block in 0..40u64 {
        // From both ends towards the middle.
        let of = |i: u64| if i.is_multiple_of(2) { i } else { 1_000_000 - i };
        let changes = (block * 5000..(block + 1) * 5000).map(|i| (0, of(i), 1));
        let changes = changes.map(|(slot, i, weight)| Change { slot, key: key(i), weight });
        sets.apply(changes.collect()).expect("inserts");
    }
    assert_eq!(sets.count(0, Unit::Row), 200_000, "rows");
    assert_eq!(sets.select(0, Unit::Row, 99_999), Some(key(199_998)), "below the middle");
    assert_eq!(sets.select(0, Unit::Row, 100_000), Some(key(800_001)), "above it");
    let changes = (0..100_000).map(|i| Change { slot: 0, key: key(2 * i), weight: -1 });
    sets.apply(changes.collect()).expect("half of it goes");
    assert_eq!(sets.least(0), Some(key(800_001)), "the rest");
    assert_eq!(sets.count(0, Unit::Value), 100_000, "values");
}
