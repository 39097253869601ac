//! Window functions.
//!
//! Where the result of a function depends on the order of rows that tie, its order is over all columns,
//! so that rows which tie are the same row; two such functions share a window:
//!
//! | function | order | frame |
//! |---|---|---|
//! | `row_number`, `ntile`, `lag`, `lead` | total | none |
//! | `rank`, `dense_rank`, `percent_rank`, `cume_dist` | partial | none |
//! | `first_value`, `last_value`, `nth_value` | total | `ROWS` or none |
//! | `sum`, `count`, `min`, `max`, `avg` | total with `ROWS`, partial with `GROUPS` or none, one number with `RANGE`, or no order | |

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::Query;
use super::ordered::Order;
use crate::generate::expression::Expression;
use crate::generate::value::Type;

/// Rows with window functions.
#[derive(Clone, Debug)]
pub struct Window {
    /// The rows.
    pub input: Query,
    /// Functions, each over a window of its own.
    pub calls: Vec<Call>,
}

/// A window function over a window.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its text, with `{0}` for the argument.
    function: &'static str,
    of: Type,
    /// The type that its result is cast to; empty for none.
    cast: &'static str,
    argument: Option<Expression>,
    partition: Vec<usize>,
    order: Option<Order>,
    frame: &'static str,
}

const ROWS: [&str; 7] = [
    "",
    " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
    " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
    " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING",
    " ROWS BETWEEN 1 FOLLOWING AND 3 FOLLOWING",
    " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
];
const GROUPS: [&str; 3] = [
    " GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW",
    " GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
    " GROUPS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
];
const RANGE: [&str; 4] = [
    " RANGE BETWEEN 1 PRECEDING AND CURRENT ROW",
    " RANGE BETWEEN 1 PRECEDING AND 2 FOLLOWING",
    " RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    " RANGE BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING",
];

impl Window {
    /// Random functions over random windows.
    pub fn random(input: Query, rng: &mut StdRng) -> Query {
        let columns = input.columns();
        let mut calls: Vec<Call> =
            (0..rng.random_range(1..3)).map(|_| Call::random(&columns, rng)).collect();
        // Copies of a row have no order among them: two calls pair them up in one way only if both go by
        // one order.
        if let [first, second] = &mut calls[..]
            && first.tells_copies_apart()
            && second.tells_copies_apart()
        {
            second.partition.clone_from(&first.partition);
            second.order.clone_from(&first.order);
        }
        Query::Window(Box::new(Self { input, calls }))
    }

    pub(super) fn columns(&self) -> Vec<Type> {
        self.input.columns().into_iter().chain(self.calls.iter().map(|c| c.of)).collect()
    }

    pub(super) fn sql(&self) -> String {
        let width = self.input.columns().len();
        let calls: Vec<String> = self
            .calls
            .iter()
            .enumerate()
            .map(|(i, call)| format!("{} AS c{}", call.sql(), width + i))
            .collect();
        format!("SELECT w.*, {} FROM ({}) AS w", calls.join(", "), self.input.sql())
    }

    pub(super) fn simpler(&self) -> Vec<Query> {
        let mut out = Vec::new();
        for (i, call) in self.calls.iter().enumerate() {
            for simpler in call.simpler() {
                let mut window = self.clone();
                window.calls[i] = simpler;
                out.push(Query::Window(Box::new(window)));
            }
        }
        out
    }
}

impl Call {
    fn random(columns: &[Type], rng: &mut StdRng) -> Self {
        let all: Vec<usize> = (0..columns.len()).collect();
        let count = rng.random_range(0..3);
        let partition = all.choose_multiple(rng, count).copied().collect();
        let call = match rng.random_range(0..10) {
            0..3 => Self::rank(columns, rng),
            3..6 => Self::value(columns, rng),
            _ => Self::aggregate(columns, rng),
        };
        Self { partition, ..call }
    }

    /// Whether equal rows get different results.
    fn tells_copies_apart(&self) -> bool {
        const BY_POSITION: [&str; 5] = ["row_number", "ntile", "lag", "lead", "nth_value"];
        self.frame.starts_with(" ROWS") || BY_POSITION.iter().any(|f| self.function.starts_with(f))
    }

    fn rank(columns: &[Type], rng: &mut StdRng) -> Self {
        let functions = [
            ("row_number()", Type::Big, true),
            ("row_number()", Type::Big, true),
            ("ntile(3)", Type::Big, true),
            ("rank()", Type::Big, false),
            ("dense_rank()", Type::Big, false),
            ("percent_rank()", Type::Float, false),
            ("cume_dist()", Type::Float, false),
        ];
        let (function, of, total) = *functions.choose(rng).expect("there are functions");
        let order = if total { Order::total } else { Order::partial }(columns.len(), rng);
        let cast = if of == Type::Big { "bigint" } else { "" };
        let (argument, partition) = (None, Vec::new());
        Self { function, of, cast, argument, partition, order: Some(order), frame: "" }
    }

    fn value(columns: &[Type], rng: &mut StdRng) -> Self {
        let of = *columns.choose(rng).expect("a query has columns");
        let functions = [
            ("lag({0})", false),
            ("lag({0}, 2)", false),
            ("lag({0}) IGNORE NULLS", false),
            ("lead({0})", false),
            ("lead({0}, 2)", false),
            ("first_value({0})", true),
            ("first_value({0}) IGNORE NULLS", true),
            ("last_value({0})", true),
            ("last_value({0}) IGNORE NULLS", true),
            ("nth_value({0}, 2)", true),
        ];
        let (function, framed) = *functions.choose(rng).expect("there are functions");
        Self {
            function,
            of,
            cast: "",
            argument: Some(Expression::leaf(of, columns, rng)),
            partition: Vec::new(),
            order: Some(Order::total(columns.len(), rng)),
            frame: if framed { ROWS.choose(rng).expect("there are frames") } else { "" },
        }
    }

    fn aggregate(columns: &[Type], rng: &mut StdRng) -> Self {
        let input = *columns.choose(rng).expect("a query has columns");
        let functions: &[&str] = match input {
            Type::Bool => &["count({0})"],
            Type::Int => &["count({0})", "sum({0})", "avg({0})", "min({0})", "max({0})"],
            Type::Decimal => &["count({0})", "sum({0})", "min({0})", "max({0})"],
            _ => &["count({0})", "min({0})", "max({0})"],
        };
        let function = *functions.choose(rng).expect("there are functions");
        let (of, cast) = match (function, input) {
            ("count({0})", _) | ("sum({0})", Type::Int) => (Type::Big, "bigint"),
            ("avg({0})", _) => (Type::Float, "double precision"),
            ("sum({0})", _) => (Type::Decimal, "numeric(10,2)"),
            _ => (input, ""),
        };
        let numbers: Vec<usize> =
            (0..columns.len()).filter(|i| matches!(columns[*i], Type::Int | Type::Big)).collect();
        let (order, frame) = match (rng.random_range(0..8), numbers.choose(rng)) {
            (0, _) => (None, ""),
            (1..3, _) => (Some(Order::partial(columns.len(), rng)), ""),
            (3, _) => {
                (Some(Order::partial(columns.len(), rng)), *GROUPS.choose(rng).expect("frames"))
            }
            (4..6, Some(number)) => {
                (Some(Order::one(*number, rng)), *RANGE.choose(rng).expect("frames"))
            }
            _ => (Some(Order::total(columns.len(), rng)), *ROWS.choose(rng).expect("frames")),
        };
        let argument = Some(Expression::leaf(input, columns, rng));
        Self { function, of, cast, argument, partition: Vec::new(), order, frame }
    }

    fn sql(&self) -> String {
        let name = |i: usize| format!("w.c{i}");
        let argument = self.argument.as_ref().map_or_else(String::new, |e| e.sql(&name));
        let mut window = Vec::new();
        if !self.partition.is_empty() {
            let keys: Vec<String> = self.partition.iter().map(|k| name(*k)).collect();
            window.push(format!("PARTITION BY {}", keys.join(", ")));
        }
        window.extend(self.order.as_ref().map(|order| format!("ORDER BY {}", order.sql("w"))));
        let window = format!("{}{}", window.join(" "), self.frame);
        let call = format!("{} OVER ({window})", self.function.replace("{0}", &argument));
        if self.cast.is_empty() { call } else { format!("CAST({call} AS {})", self.cast) }
    }

    fn simpler(&self) -> Vec<Self> {
        let mut out = Vec::new();
        if !self.partition.is_empty() {
            out.push(Self { partition: Vec::new(), ..self.clone() });
        }
        if let Some(order) = self.order.as_ref().and_then(Order::ascending) {
            out.push(Self { order: Some(order), ..self.clone() });
        }
        if !self.frame.is_empty() {
            out.push(Self { frame: "", ..self.clone() });
        }
        out
    }
}
