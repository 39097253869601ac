//! Auctions: somebody offers an item for some time.

use arrow::array::ArrayRef;

use super::{
    FIRST_ID, Kind, Nexmark, Table, Texts, auctions_until, id, numbers, padding, party, price,
    texts, time_of, times,
};

pub(super) static TABLE: Table = Table {
    before: 1,
    per_cycle: 3,
    columns: &[
        ("id", Kind::Number),
        ("item_name", Kind::Text),
        ("description", Kind::Text),
        ("initial_bid", Kind::Number),
        ("reserve", Kind::Number),
        ("date_time", Kind::Time),
        ("expires", Kind::Time),
        ("seller", Kind::Number),
        ("category", Kind::Number),
        ("extra", Kind::Text),
    ],
    rows,
};

/// An auction stays open for at most twice the time that 100 more auctions take, in milliseconds.
const OPEN_MS_MAX: u64 = 332;

fn rows(nexmark: &Nexmark, events: &mut dyn Iterator<Item = u64>) -> Vec<ArrayRef> {
    let (mut ids, mut initial, mut reserve) = (vec![], vec![], vec![]);
    let (mut at, mut expires, mut sellers, mut categories) = (vec![], vec![], vec![], vec![]);
    let (mut name, mut description, mut extra) = (Texts::new(), Texts::new(), Texts::new());
    let small = |n: u64| usize::try_from(n).unwrap_or_default();
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    for event in events {
        let random = &mut nexmark.stream(event);
        ids.push(id(auctions_until(event) - 1));
        sellers.push(party(random, event, 0));
        let first = price(random);
        initial.push(first);
        reserve.push(first + price(random));
        let start = time_of(event);
        at.push(start);
        expires.push(start + 1_000 * signed(1 + random.below(OPEN_MS_MAX)));
        categories.push(signed(10 + random.below(5)));
        let length = small(3 + random.below(17));
        name.letters(random, length);
        let length = small(3 + random.below(97));
        description.letters(random, length);
        let length = padding(random, 500, 115);
        extra.letters(random, length);
    }
    debug_assert!(ids.iter().all(|id| signed(FIRST_ID) <= *id), "ids start at the first one");
    vec![
        numbers(ids),
        texts(name),
        texts(description),
        numbers(initial),
        numbers(reserve),
        times(at),
        times(expires),
        numbers(sellers),
        numbers(categories),
        texts(extra),
    ]
}
