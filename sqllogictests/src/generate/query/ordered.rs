//! Orders, and what keeps their first rows.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::Query;

/// Columns with directions.
#[derive(Clone, Debug)]
pub struct Order(Vec<Item>);

#[derive(Clone, Copy, Debug)]
struct Item {
    column: usize,
    direction: &'static str,
}

impl Order {
    /// Over all columns: rows that tie are the same row.
    pub fn total(columns: usize, rng: &mut StdRng) -> Self {
        let mut positions: Vec<usize> = (0..columns).collect();
        positions.shuffle(rng);
        Self(positions.into_iter().map(|column| Item::random(column, rng)).collect())
    }

    /// Over one or two columns.
    pub fn partial(columns: usize, rng: &mut StdRng) -> Self {
        let positions: Vec<usize> = (0..columns).collect();
        let count = rng.random_range(1..3);
        let chosen: Vec<usize> = positions.choose_multiple(rng, count).copied().collect();
        Self(chosen.into_iter().map(|column| Item::random(column, rng)).collect())
    }

    /// Over one column.
    pub fn one(column: usize, rng: &mut StdRng) -> Self {
        Self(vec![Item::random(column, rng)])
    }

    /// The columns `first`, then the others of this order.
    fn led_by(mut self, first: &[usize]) -> Self {
        let rank = |item: &Item| first.iter().position(|c| *c == item.column);
        self.0.sort_by_key(|item| rank(item).unwrap_or(first.len()));
        self
    }

    /// The list behind `ORDER BY`.
    #[must_use]
    pub fn sql(&self, alias: &str) -> String {
        let items: Vec<String> = self
            .0
            .iter()
            .map(|item| format!("{alias}.c{}{}", item.column, item.direction))
            .collect();
        items.join(", ")
    }

    /// The same columns, all ascending; [`None`] when they are.
    pub(super) fn ascending(&self) -> Option<Self> {
        let plain = self.0.iter().map(|item| Item { direction: "", ..*item }).collect();
        self.0.iter().any(|item| !item.direction.is_empty()).then_some(Self(plain))
    }
}

impl Item {
    fn random(column: usize, rng: &mut StdRng) -> Self {
        let directions = ["", "", " DESC", " NULLS FIRST", " DESC NULLS LAST"];
        Self { column, direction: directions.choose(rng).expect("there are directions") }
    }
}

/// `ORDER BY ... LIMIT ... OFFSET`, or `ORDER BY ... FETCH FIRST ... ROWS WITH TIES`.
#[derive(Clone, Debug)]
pub struct Top {
    /// What is ordered.
    pub input: Query,
    /// A total order; any order where ties are kept.
    pub order: Order,
    /// Rows kept.
    pub limit: usize,
    /// Rows passed over before them.
    pub offset: usize,
    /// Whether rows that tie with the last one are kept too.
    pub ties: bool,
}

impl Top {
    /// A random cut.
    pub fn random(input: Query, rng: &mut StdRng) -> Query {
        let ties = rng.random_bool(0.3);
        let columns = input.columns().len();
        let order = if ties { Order::partial(columns, rng) } else { Order::total(columns, rng) };
        let limit = *[1, 2, 3, 5, 10].choose(rng).expect("there are limits");
        // Which of the rows that tie are passed over is open.
        let offset =
            if ties { 0 } else { *[0, 0, 0, 1, 4].choose(rng).expect("there are offsets") };
        Query::Top(Box::new(Self { input, order, limit, offset, ties }))
    }

    pub(super) fn sql(&self) -> String {
        let cut = match (self.ties, self.offset) {
            (true, _) => format!("FETCH FIRST {} ROWS WITH TIES", self.limit),
            (false, 0) => format!("LIMIT {}", self.limit),
            (false, offset) => format!("LIMIT {} OFFSET {offset}", self.limit),
        };
        let (input, order) = (self.input.sql(), self.order.sql("o"));
        format!("SELECT * FROM ({input}) AS o ORDER BY {order} {cut}")
    }

    pub(super) fn simpler(&self) -> Vec<Query> {
        let mut out = Vec::new();
        let mut push = |top: Self| out.push(Query::Top(Box::new(top)));
        if self.offset > 0 {
            push(Self { offset: 0, ..self.clone() });
        }
        if let Some(order) = self.order.ascending() {
            push(Self { order, ..self.clone() });
        }
        out
    }
}

/// `DISTINCT ON`.
#[derive(Clone, Debug)]
pub struct First {
    /// What is grouped.
    pub input: Query,
    /// Columns of the group.
    pub keys: Vec<usize>,
    /// A total order that the keys lead.
    pub order: Order,
}

impl First {
    /// A random choice of the first row per group.
    pub fn random(input: Query, rng: &mut StdRng) -> Query {
        let columns = input.columns().len();
        let all: Vec<usize> = (0..columns).collect();
        let count = rng.random_range(1..3);
        let keys: Vec<usize> = all.choose_multiple(rng, count).copied().collect();
        let order = Order::total(columns, rng).led_by(&keys);
        Query::First(Box::new(Self { input, keys, order }))
    }

    pub(super) fn sql(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(|k| format!("d.c{k}")).collect();
        format!(
            "SELECT DISTINCT ON ({}) * FROM ({}) AS d ORDER BY {}",
            keys.join(", "),
            self.input.sql(),
            self.order.sql("d")
        )
    }

    pub(super) fn simpler(&self) -> Vec<Query> {
        let ascending = self.order.ascending();
        let simpler = ascending.map(|order| Self { order, ..self.clone() });
        simpler.into_iter().map(|first| Query::First(Box::new(first))).collect()
    }
}

/// The rows of each group up to a number.
#[derive(Clone, Debug)]
pub struct Ranked {
    /// What is grouped.
    pub input: Query,
    /// Columns of the group; none is one group.
    keys: Vec<usize>,
    /// An order, total where rows that tie have different numbers.
    order: Order,
    function: &'static str,
    bound: &'static str,
    /// Whether the number is a column.
    pub numbered: bool,
}

impl Ranked {
    /// A random choice of the first rows per group.
    pub fn random(input: Query, rng: &mut StdRng) -> Query {
        let columns = input.columns().len();
        let all: Vec<usize> = (0..columns).collect();
        let count = rng.random_range(0..3);
        let keys = all.choose_multiple(rng, count).copied().collect();
        let functions = ["rank()", "rank()", "dense_rank()", "row_number()"];
        let function = *functions.choose(rng).expect("there are functions");
        let total = function == "row_number()";
        let order = if total { Order::total } else { Order::partial }(columns, rng);
        let bound = *["<= 1", "<= 2", "< 4", "= 1", "= 2", "= 3"].choose(rng).expect("bounds");
        let numbered = rng.random_bool(0.4);
        Query::Ranked(Box::new(Self { input, keys, order, function, bound, numbered }))
    }

    pub(super) fn sql(&self) -> String {
        let width = self.input.columns().len();
        let mut columns: Vec<String> = (0..width).map(|c| format!("r.c{c}")).collect();
        if self.numbered {
            columns.push(format!("r.n AS c{width}"));
        }
        let keys: Vec<String> = self.keys.iter().map(|k| format!("k.c{k}")).collect();
        let partition = if keys.is_empty() { "" } else { "PARTITION BY " };
        format!(
            "SELECT {} FROM (SELECT k.*, {} OVER ({partition}{} ORDER BY {}) AS n FROM ({}) AS k) AS r WHERE r.n {}",
            columns.join(", "),
            self.function,
            keys.join(", "),
            self.order.sql("k"),
            self.input.sql(),
            self.bound
        )
    }

    pub(super) fn simpler(&self) -> Vec<Query> {
        let mut out = Vec::new();
        let mut push = |ranked: Self| out.push(Query::Ranked(Box::new(ranked)));
        if !self.keys.is_empty() {
            push(Self { keys: Vec::new(), ..self.clone() });
        }
        if let Some(order) = self.order.ascending() {
            push(Self { order, ..self.clone() });
        }
        out
    }
}
