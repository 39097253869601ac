//! Bids: somebody offers a price for an auction.

use arrow::array::ArrayRef;

use super::{
    Kind, Nexmark, Table, Texts, auctions_until, id, numbers, padding, party, price, texts,
    time_of, times,
};
use crate::generator::random::Stream;

pub(super) static TABLE: Table = Table {
    before: 4,
    per_cycle: 46,
    columns: &[
        ("auction", Kind::Number),
        ("bidder", Kind::Number),
        ("price", Kind::Number),
        ("channel", Kind::Text),
        ("url", Kind::Text),
        ("date_time", Kind::Time),
        ("extra", Kind::Text),
    ],
    rows,
};

const HOT: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const OTHERS: u64 = 10_000;

/// Four hot channels and ten thousand others, each with a url; nine of ten others carry a channel id.
pub(super) fn channels(seed: u64) -> Vec<(String, String)> {
    let hot = HOT.iter().map(|name| (*name).to_owned());
    let others = (0..OTHERS).map(|i| format!("channel-{i}"));
    let stream = |i| Stream::of(!seed, i);
    hot.chain(others)
        .zip(0..)
        .map(|(name, i)| {
            let mut random = stream(i);
            let mut url = b"https://www.nexmark.com".to_vec();
            for _ in 0..3 {
                url.push(b'/');
                random.letters(5, &mut url);
            }
            url.extend(b"/item.htm?query=1");
            if i >= 4 && i % 10 != 0 {
                url.extend(format!("&channel_id={}", random.below((1 << 31) - 1)).bytes());
            }
            (name, String::from_utf8(url).expect("it is ASCII"))
        })
        .collect()
}

fn rows(nexmark: &Nexmark, events: &mut dyn Iterator<Item = u64>) -> Vec<ArrayRef> {
    let (mut auctions, mut bidders, mut prices, mut at) = (vec![], vec![], vec![], vec![]);
    let (mut channel, mut url, mut extra) = (Texts::new(), Texts::new(), Texts::new());
    for event in events {
        let random = &mut nexmark.stream(event);
        let last = auctions_until(event) - 1;
        let open = (last + 1).min(100);
        auctions.push(id(if random.below(2) > 0 {
            last / 100 * 100
        } else {
            last + 1 - open + random.below(open + 1)
        }));
        bidders.push(party(random, event, 1));
        let hot = random.below(2) > 0;
        let place = if hot { random.below(4) } else { 4 + random.below(OTHERS) };
        let (name, link) = &nexmark.channels[usize::try_from(place).expect("it is small")];
        channel.push(name);
        url.push(link);
        prices.push(price(random));
        at.push(time_of(event));
        let length = padding(random, 100, 32);
        extra.letters(random, length);
    }
    vec![
        numbers(auctions),
        numbers(bidders),
        numbers(prices),
        texts(channel),
        texts(url),
        times(at),
        texts(extra),
    ]
}
