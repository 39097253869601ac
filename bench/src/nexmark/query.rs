//! The queries of Nexmark over the finite tables `person`, `auction`, `bid` and `side_input`.

use crate::answer::Counted;

/// A query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query {
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
    /// The columns that count for the check value; others differ where rows tie or means are rounded.
    pub(crate) counted: Counted,
}

const fn query(name: &'static str, sql: &'static str, counted: Counted) -> Query {
    Query { name, sql, counted }
}

/// All of them, in order.
pub(crate) const QUERIES: [Query; 23] = [
    query("q0", include_str!("../../nexmark/q0.sql"), None),
    query("q1", include_str!("../../nexmark/q1.sql"), None),
    query("q2", include_str!("../../nexmark/q2.sql"), None),
    query("q3", include_str!("../../nexmark/q3.sql"), None),
    query("q4", include_str!("../../nexmark/q4.sql"), Some(&["category", "price"])),
    query("q5", include_str!("../../nexmark/q5.sql"), None),
    query("q6", include_str!("../../nexmark/q6.sql"), Some(&["seller"])),
    query("q7", include_str!("../../nexmark/q7.sql"), None),
    query("q8", include_str!("../../nexmark/q8.sql"), Some(&["id", "name"])),
    query("q9", include_str!("../../nexmark/q9.sql"), Some(&["id", "price"])),
    query(
        "q10",
        include_str!("../../nexmark/q10.sql"),
        Some(&["auction", "bidder", "price", "extra"]),
    ),
    query("q11", include_str!("../../nexmark/q11.sql"), Some(&["bidder", "bid_count"])),
    query("q12", include_str!("../../nexmark/q12.sql"), Some(&["bidder", "bid_count"])),
    query("q13", include_str!("../../nexmark/q13.sql"), None),
    query("q14", include_str!("../../nexmark/q14.sql"), None),
    query("q15", include_str!("../../nexmark/q15.sql"), None),
    query("q16", include_str!("../../nexmark/q16.sql"), None),
    query("q17", include_str!("../../nexmark/q17.sql"), Some(PRICES)),
    query("q18", include_str!("../../nexmark/q18.sql"), Some(&["auction", "bidder"])),
    query("q19", include_str!("../../nexmark/q19.sql"), Some(&["auction", "price", "rn"])),
    query("q20", include_str!("../../nexmark/q20.sql"), None),
    query("q21", include_str!("../../nexmark/q21.sql"), None),
    query("q22", include_str!("../../nexmark/q22.sql"), None),
];

/// All columns of q17 but the mean.
const PRICES: &[&str] = &[
    "auction",
    "total_bids",
    "rank1_bids",
    "rank2_bids",
    "rank3_bids",
    "min_price",
    "max_price",
    "sum_price",
];
