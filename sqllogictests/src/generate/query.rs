//! Random typed queries.
//!
//! Every query has columns `c0`, `c1`, ... of known types and is written as nested `SELECT`s. Orders are
//! total wherever they decide which rows come out, so that a query has one answer.
//!
//! | module | makes |
//! |---|---|
//! | [`join`] | equal and null-safe keys, bands, cross products, self joins, inner and outer |
//! | [`ordered`] | `ORDER BY ... LIMIT ... OFFSET`, `WITH TIES`, `DISTINCT ON`, numbers up to a bound |
//! | [`subquery`] | `IN`, `EXISTS` and their negations, alone and below `OR`; scalar subqueries |
//! | [`window`] | window functions and their frames |

pub mod join;
pub mod ordered;
pub mod subquery;
pub mod window;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::expression::Expression;
use super::schema::Table;
use super::value::Type;
use join::Join;
use ordered::{First, Ranked, Top};
use subquery::{Place, Scalar, Semi};
use window::Window;

/// What stands between two queries of the same types.
const SET_OPERATORS: [&str; 7] =
    ["UNION ALL", "UNION ALL", "UNION", "EXCEPT", "EXCEPT ALL", "INTERSECT", "INTERSECT ALL"];
/// Rows above which a query is not made larger.
const ROWS_MAX: usize = 2_000;

/// A query.
#[derive(Clone, Debug)]
pub enum Query {
    /// A table by position.
    Table(usize, Vec<Type>),
    /// Rows that fulfil a condition.
    Filter(Box<Query>, Expression),
    /// Computed columns.
    Project(Box<Query>, Vec<Expression>),
    /// A join.
    Join(Box<Join>),
    /// Groups.
    Aggregate(Box<Aggregate>),
    /// `DISTINCT`.
    Distinct(Box<Query>),
    /// One of [`SET_OPERATORS`].
    Set(&'static str, Box<Query>, Box<Query>),
    /// Rows kept by what another query holds.
    Semi(Box<Semi>),
    /// A value computed from another query, as a column or in a condition.
    Scalar(Box<Scalar>),
    /// Rows with window functions.
    Window(Box<Window>),
    /// The first rows of an order.
    Top(Box<Top>),
    /// The first row of each group.
    First(Box<First>),
    /// The rows of each group up to a number.
    Ranked(Box<Ranked>),
    /// A row per value of an array of columns.
    Unnest(Box<Query>, Vec<usize>),
}

/// A grouping.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// What is grouped.
    pub input: Query,
    /// Columns to group by; none is one group.
    pub keys: Vec<usize>,
    /// How the keys are grouped by: plainly, `ROLLUP`, `CUBE`, `GROUPING SETS`.
    pub sets: &'static str,
    /// What is computed.
    pub calls: Vec<Call>,
    /// Groups need more than one row.
    pub having: bool,
}

/// An aggregate call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub function: &'static str,
    /// Over different values only.
    pub distinct: bool,
    /// Its argument; [`None`] is `*`.
    pub argument: Option<Expression>,
    /// What its rows are ordered by, where that matters, and whether downwards.
    pub order: Option<(Expression, bool)>,
    /// Which part of the values lies below the one that is asked for, where that is asked.
    pub part: &'static str,
    /// `FILTER`.
    pub filter: Option<Expression>,
}

impl Query {
    /// A random query, nested at most `depth` deep.
    pub fn random(tables: &[Table], depth: usize, rng: &mut StdRng) -> Self {
        if depth == 0 || rng.random_bool(0.05) {
            let i = rng.random_range(0..tables.len());
            return Self::Table(i, tables[i].columns.clone());
        }
        let input = Self::random(tables, depth - 1, rng);
        let columns = input.columns();
        let other = |rng: &mut StdRng| Self::random(tables, depth.saturating_sub(2), rng);
        let made = match rng.random_range(0..29) {
            0..3 => {
                let of_clock = Expression::of_clock(&columns, rng).filter(|_| rng.random());
                let condition =
                    of_clock.unwrap_or_else(|| Expression::random(Type::Bool, &columns, 3, rng));
                Self::Filter(Box::new(input.clone()), condition)
            }
            3..5 => {
                let items = (0..rng.random_range(1..4))
                    .map(|_| Expression::random(Type::random(rng), &columns, 2, rng))
                    .collect();
                Self::Project(Box::new(input.clone()), items)
            }
            5..10 => {
                let right = if rng.random_bool(0.15) { input.clone() } else { other(rng) };
                Join::random(input.clone(), right, rng)
            }
            10..14 => Self::aggregate(input.clone(), rng),
            14 => Self::Distinct(Box::new(input.clone())),
            15 => {
                let right = other(rng).of_types(&columns, rng);
                let operator = SET_OPERATORS.choose(rng).expect("there are operators");
                Self::Set(operator, Box::new(input.clone()), Box::new(right))
            }
            16..18 => Semi::random(input.clone(), other(rng), rng),
            18..20 => Scalar::random(input.clone(), other(rng), rng),
            20..23 => Window::random(input.clone(), rng),
            23 => First::random(input.clone(), rng),
            24..26 => Top::random(input.clone(), rng),
            26..28 => Ranked::random(input.clone(), rng),
            _ => {
                let of = *columns.choose(rng).expect("a query has columns");
                let same = (0..columns.len()).filter(|i| columns[*i] == of).collect();
                Self::Unnest(Box::new(input.clone()), same)
            }
        };
        if made.rows() > ROWS_MAX { Self::Distinct(Box::new(input)) } else { made }
    }

    fn aggregate(input: Self, rng: &mut StdRng) -> Self {
        let columns = input.columns();
        let count = rng.random_range(0..3).min(columns.len());
        let mut keys: Vec<usize> =
            (0..columns.len()).collect::<Vec<_>>().choose_multiple(rng, count).copied().collect();
        keys.sort_unstable();
        let calls = (0..rng.random_range(1..4)).map(|_| Call::random(&columns, rng)).collect();
        let sets = match rng.random_range(0..12) {
            0 => "ROLLUP",
            1 => "CUBE",
            2 => "GROUPING SETS",
            _ => "",
        };
        let sets = if keys.is_empty() { "" } else { sets };
        let having = rng.random_bool(0.15);
        Self::Aggregate(Box::new(Aggregate { input, keys, sets, calls, having }))
    }

    /// A projection onto the given types.
    fn of_types(self, types: &[Type], rng: &mut StdRng) -> Self {
        let columns = self.columns();
        let items = types.iter().map(|t| Expression::leaf(*t, &columns, rng)).collect();
        Self::Project(Box::new(self), items)
    }

    /// Types of its columns.
    #[must_use]
    pub fn columns(&self) -> Vec<Type> {
        match self {
            Self::Table(_, columns) => columns.clone(),
            Self::Filter(input, _) | Self::Distinct(input) => input.columns(),
            Self::Top(top) => top.input.columns(),
            Self::First(first) => first.input.columns(),
            Self::Ranked(ranked) => {
                let number = ranked.numbered.then_some(Type::Big);
                ranked.input.columns().into_iter().chain(number).collect()
            }
            Self::Set(_, left, _) => left.columns(),
            Self::Project(_, items) => items.iter().map(|e| e.of).collect(),
            Self::Join(join) => {
                join.left.columns().into_iter().chain(join.right.columns()).collect()
            }
            Self::Semi(semi) => semi.columns(),
            Self::Scalar(scalar) => scalar.columns(),
            Self::Aggregate(a) => {
                let columns = a.input.columns();
                let keys = a.keys.iter().map(|k| columns[*k]);
                keys.chain(a.calls.iter().map(Call::of)).collect()
            }
            Self::Window(window) => window.columns(),
            Self::Unnest(input, columns) => {
                let mut types = input.columns();
                types.push(types[columns[0]]);
                types
            }
        }
    }

    /// About how many rows it has.
    fn rows(&self) -> usize {
        match self {
            Self::Table(..) => 20,
            Self::Join(join) => join.rows(),
            Self::Set(_, left, right) => left.rows() + right.rows(),
            Self::Aggregate(a) => {
                let groups = a.keys.iter().take(4).fold(1, |groups, _| 5 * groups);
                a.input.rows().min(groups)
            }
            Self::Top(top) if !top.ties => top.limit,
            Self::First(first) => first.input.rows().min(6),
            Self::Unnest(input, columns) => input.rows() * columns.len(),
            other => other.inputs().first().map_or(0, |input| input.rows()),
        }
    }

    /// Whether a part of it has one row whatever its input holds.
    #[must_use]
    pub fn has_global_aggregate(&self) -> bool {
        let here = match self {
            // The empty grouping set is a group over nothing, too.
            Self::Aggregate(a) => a.keys.is_empty() || !a.sets.is_empty(),
            Self::Scalar(s) => s.key.is_none(),
            // Whether the list is empty, and whether it holds a NULL, is counted.
            Self::Semi(s) => s.kind == "NOT IN",
            _ => false,
        };
        here || self.inputs().iter().any(|q| q.has_global_aggregate())
    }

    /// Whether its answer depends on the time.
    #[must_use]
    pub fn calls_clock(&self) -> bool {
        let sql = self.sql();
        sql.contains("now()") || sql.contains("current_date")
    }

    /// Whether it holds a subquery that no rewrite into a join is known for.
    #[must_use]
    pub fn has_open_subquery(&self) -> bool {
        let here = match self {
            Self::Semi(s) => matches!(s.place, Place::Column) || s.residual.is_some(),
            Self::Scalar(s) => s.residual.is_some(),
            _ => false,
        };
        here || self.inputs().iter().any(|q| q.has_open_subquery())
    }

    /// Its SQL.
    #[must_use]
    pub fn sql(&self) -> String {
        match self {
            Self::Table(i, columns) => {
                let items: Vec<String> =
                    (0..columns.len()).map(|c| format!("x{c} AS c{c}")).collect();
                format!("SELECT {} FROM t{i}", items.join(", "))
            }
            Self::Filter(input, condition) => format!(
                "SELECT * FROM ({}) AS f WHERE {}",
                input.sql(),
                condition.sql(&|i| format!("f.c{i}"))
            ),
            Self::Project(input, items) => {
                let items: Vec<String> = items
                    .iter()
                    .enumerate()
                    .map(|(i, e)| format!("{} AS c{i}", e.sql(&|i| format!("p.c{i}"))))
                    .collect();
                format!("SELECT {} FROM ({}) AS p", items.join(", "), input.sql())
            }
            Self::Join(join) => join.sql(),
            Self::Aggregate(aggregate) => aggregate.sql(),
            Self::Distinct(input) => format!("SELECT DISTINCT * FROM ({}) AS d", input.sql()),
            Self::Set(operator, left, right) => format!(
                "SELECT * FROM ({}) AS l {operator} SELECT * FROM ({}) AS r",
                left.sql(),
                right.sql()
            ),
            Self::Semi(semi) => semi.sql(),
            Self::Scalar(scalar) => scalar.sql(),
            Self::Window(window) => window.sql(),
            Self::Top(top) => top.sql(),
            Self::First(first) => first.sql(),
            Self::Ranked(ranked) => ranked.sql(),
            Self::Unnest(input, columns) => {
                let values: Vec<String> = columns.iter().map(|c| format!("u.c{c}")).collect();
                format!(
                    "SELECT u.*, unnest(make_array({})) AS c{} FROM ({}) AS u",
                    values.join(", "),
                    input.columns().len(),
                    input.sql()
                )
            }
        }
    }

    /// Simpler queries with the same column types.
    #[must_use]
    pub fn simpler(&self) -> Vec<Self> {
        let types = self.columns();
        let mut out: Vec<Self> =
            self.parts().into_iter().filter(|part| part.columns() == types).collect();
        out.extend(self.simpler_here());
        for (i, input) in self.inputs().into_iter().enumerate() {
            for simpler in input.simpler() {
                let mut query = self.clone();
                *query.inputs_mut()[i] = simpler;
                out.push(query);
            }
        }
        out
    }

    /// The same inputs below a simpler operator.
    fn simpler_here(&self) -> Vec<Self> {
        let mut out = Vec::new();
        match self {
            Self::Filter(input, condition) => {
                out.extend(condition.simpler().into_iter().map(|c| Self::Filter(input.clone(), c)));
            }
            Self::Project(input, items) => {
                for (i, item) in items.iter().enumerate() {
                    for simpler in item.simpler() {
                        let mut items = items.clone();
                        items[i] = simpler;
                        out.push(Self::Project(input.clone(), items));
                    }
                }
            }
            Self::Join(join) => out.extend(join.simpler()),
            Self::Aggregate(aggregate) => out.extend(aggregate.simpler()),
            Self::Semi(semi) => out.extend(semi.simpler()),
            Self::Scalar(scalar) => out.extend(scalar.simpler()),
            Self::Window(window) => out.extend(window.simpler()),
            Self::Top(top) => out.extend(top.simpler()),
            Self::First(first) => out.extend(first.simpler()),
            Self::Ranked(ranked) => out.extend(ranked.simpler()),
            Self::Table(..) | Self::Distinct(_) | Self::Set(..) | Self::Unnest(..) => {}
        }
        out
    }

    /// The queries it reads.
    fn inputs(&self) -> Vec<&Self> {
        match self {
            Self::Table(..) => Vec::new(),
            Self::Filter(q, _) | Self::Project(q, _) | Self::Distinct(q) | Self::Unnest(q, _) => {
                vec![q]
            }
            Self::Top(top) => vec![&top.input],
            Self::First(first) => vec![&first.input],
            Self::Ranked(ranked) => vec![&ranked.input],
            Self::Window(window) => vec![&window.input],
            Self::Aggregate(a) => vec![&a.input],
            Self::Set(_, l, r) => vec![l, r],
            Self::Join(j) => vec![&j.left, &j.right],
            Self::Semi(s) => vec![&s.left, &s.right],
            Self::Scalar(s) => vec![&s.left, &s.right],
        }
    }

    fn inputs_mut(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Table(..) => Vec::new(),
            Self::Filter(q, _) | Self::Project(q, _) | Self::Distinct(q) | Self::Unnest(q, _) => {
                vec![q]
            }
            Self::Top(top) => vec![&mut top.input],
            Self::First(first) => vec![&mut first.input],
            Self::Ranked(ranked) => vec![&mut ranked.input],
            Self::Window(window) => vec![&mut window.input],
            Self::Aggregate(a) => vec![&mut a.input],
            Self::Set(_, l, r) => vec![l, r],
            Self::Join(j) => vec![&mut j.left, &mut j.right],
            Self::Semi(s) => vec![&mut s.left, &mut s.right],
            Self::Scalar(s) => vec![&mut s.left, &mut s.right],
        }
    }

    /// Queries it is made of.
    #[must_use]
    pub fn parts(&self) -> Vec<Self> {
        self.inputs().into_iter().cloned().collect()
    }

    /// The same operator with fewer columns: only good where nothing stands above.
    #[must_use]
    pub fn narrower(&self) -> Vec<Self> {
        match self {
            Self::Aggregate(a) if a.calls.len() > 1 => (0..a.calls.len())
                .map(|i| {
                    let mut fewer = (**a).clone();
                    fewer.calls.remove(i);
                    Self::Aggregate(Box::new(fewer))
                })
                .collect(),
            Self::Window(w) if w.calls.len() > 1 => (0..w.calls.len())
                .map(|i| {
                    let mut fewer = (**w).clone();
                    fewer.calls.remove(i);
                    Self::Window(Box::new(fewer))
                })
                .collect(),
            Self::Project(input, items) if items.len() > 1 => (0..items.len())
                .map(|i| {
                    let mut fewer = items.clone();
                    fewer.remove(i);
                    Self::Project(input.clone(), fewer)
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}

fn equal_columns(left: &[Type], right: &[Type]) -> Vec<(usize, usize)> {
    let all = (0..left.len()).flat_map(|l| (0..right.len()).map(move |r| (l, r)));
    all.filter(|(l, r)| left[*l] == right[*r]).collect()
}

/// Names the columns of two queries side by side, the first of `left` columns.
fn side_by_side(left: usize, a: &str, b: &str) -> impl Fn(usize) -> String {
    move |i| if i < left { format!("{a}.c{i}") } else { format!("{b}.c{}", i - left) }
}

impl Aggregate {
    fn sql(&self) -> String {
        let mut items: Vec<String> =
            self.keys.iter().enumerate().map(|(i, k)| format!("g.c{k} AS c{i}")).collect();
        for (i, call) in self.calls.iter().enumerate() {
            items.push(format!("{} AS c{}", call.sql(), self.keys.len() + i));
        }
        let keys: Vec<String> = self.keys.iter().map(|k| format!("g.c{k}")).collect();
        let list = keys.join(", ");
        let group = match self.sets {
            _ if keys.is_empty() => String::new(),
            "" => format!(" GROUP BY {list}"),
            // A set that comes twice is equal rows, which DataFusion's DISTINCT takes for different ones.
            "GROUPING SETS" if keys.len() == 1 => format!(" GROUP BY GROUPING SETS (({list}), ())"),
            "GROUPING SETS" => format!(" GROUP BY GROUPING SETS (({list}), (), ({}))", keys[0]),
            sets => format!(" GROUP BY {sets} ({list})"),
        };
        let having = if self.having { " HAVING count(*) > 1" } else { "" };
        format!("SELECT {} FROM ({}) AS g{group}{having}", items.join(", "), self.input.sql())
    }

    fn simpler(&self) -> Vec<Query> {
        let mut out = Vec::new();
        let mut push = |aggregate: Self| out.push(Query::Aggregate(Box::new(aggregate)));
        if self.having {
            push(Self { having: false, ..self.clone() });
        }
        if !self.sets.is_empty() {
            push(Self { sets: "", ..self.clone() });
        }
        for (i, call) in self.calls.iter().enumerate() {
            if call.filter.is_some() {
                let mut simpler = self.clone();
                simpler.calls[i].filter = None;
                push(simpler);
            }
            if call.order.is_some() {
                let mut simpler = self.clone();
                simpler.calls[i].order = None;
                push(simpler);
            }
            for argument in call.argument.iter().flat_map(Expression::simpler) {
                let mut simpler = self.clone();
                simpler.calls[i].argument = Some(argument);
                push(simpler);
            }
        }
        out
    }
}

/// Functions that any type has.
const COMMON: [&str; 5] = ["count", "first_value", "last_value", "nth_value", "array_agg"];
/// Functions of a type beside those.
fn functions_of(of: Type) -> &'static [&'static str] {
    match of {
        Type::Bool => &["bool_and", "bool_or"],
        Type::Text => &["min", "max", "string_agg", "approx_distinct"],
        Type::Date | Type::Moment => &["min", "max"],
        Type::Decimal => &["sum", "avg", "min", "max", "sum", "median", "percentile_cont"],
        Type::Int | Type::Big => &[
            "sum",
            "avg",
            "min",
            "max",
            "sum",
            "bit_and",
            "bit_or",
            "bit_xor",
            "median",
            "var_pop",
            "percentile_cont",
        ],
        Type::Float => &[
            "sum",
            "avg",
            "min",
            "max",
            "sum",
            "stddev",
            "median",
            "percentile_cont",
            "approx_percentile_cont",
        ],
    }
}

/// Functions whose result depends on the order of their rows.
const ORDERED: [&str; 5] = ["first_value", "last_value", "nth_value", "array_agg", "string_agg"];

impl Call {
    fn random(columns: &[Type], rng: &mut StdRng) -> Self {
        let of = *columns.choose(rng).expect("a query has columns");
        let functions = if rng.random_bool(0.4) { &COMMON[..] } else { functions_of(of) };
        let function = *functions.choose(rng).expect("not empty");
        let star = function == "count" && rng.random_bool(0.4);
        let argument = (!star).then(|| Expression::random(of, columns, 1, rng));
        let filter = rng.random_bool(0.15).then(|| Expression::random(Type::Bool, columns, 2, rng));
        let no_distinct = ["avg", "var_pop", "stddev", "nth_value", "approx_percentile_cont"];
        let distinct = !star && !no_distinct.contains(&function) && rng.random_bool(0.2);
        // With DISTINCT, only the argument itself can be ordered by.
        let ordered = ORDERED.contains(&function) && !distinct && rng.random_bool(0.6);
        let order = ordered.then(|| {
            let by = Expression::random(Type::random(rng), columns, 1, rng);
            (by, rng.random())
        });
        let part = *["0.0", "0.25", "0.5", "0.9", "1.0"].choose(rng).expect("there are parts");
        Self { function, distinct, argument, order, part, filter }
    }

    fn of(&self) -> Type {
        let argument = self.argument.as_ref().map_or(Type::Big, |e| e.of);
        match (self.function, argument) {
            ("count" | "approx_distinct", _) | ("sum", Type::Int) => Type::Big,
            ("avg", Type::Int | Type::Big) => Type::Float,
            ("median" | "var_pop" | "stddev" | "percentile_cont" | "approx_percentile_cont", _) => {
                Type::Float
            }
            ("array_agg" | "string_agg", _) => Type::Text,
            (_, of) => of,
        }
    }

    fn sql(&self) -> String {
        let distinct = if self.distinct { "DISTINCT " } else { "" };
        let name = |i: usize| format!("g.c{i}");
        let argument = self.argument.as_ref().map_or_else(|| "*".to_owned(), |e| e.sql(&name));
        let filter = self
            .filter
            .as_ref()
            .map_or_else(String::new, |e| format!(" FILTER (WHERE {})", e.sql(&name)));
        let order = self.order.as_ref().map_or_else(String::new, |(by, down)| {
            format!(" ORDER BY {}{}", by.sql(&name), if *down { " DESC" } else { "" })
        });
        let (function, part) = (self.function, self.part);
        let call = match function {
            "percentile_cont" if self.distinct => {
                format!("{function}(DISTINCT {argument}, {part}){filter}")
            }
            "percentile_cont" => {
                let order = if filter.is_empty() { "" } else { " DESC" };
                format!("{function}({part}) WITHIN GROUP (ORDER BY {argument}{order}){filter}")
            }
            "string_agg" => format!("string_agg({distinct}{argument}, ','{order}){filter}"),
            "nth_value" => format!("nth_value({argument}, 2{order}){filter}"),
            "approx_percentile_cont" => {
                format!("{function}(0.3) WITHIN GROUP (ORDER BY {argument}){filter}")
            }
            _ => format!("{function}({distinct}{argument}{order}){filter}"),
        };
        match function {
            "string_agg" => format!("CAST({call} AS text)"),
            "array_agg" => format!("CAST(array_to_string({call}, ',', '-') AS text)"),
            "median" | "percentile_cont" => format!("CAST({call} AS double precision)"),
            "approx_distinct" => format!("CAST({call} AS bigint)"),
            _ => call,
        }
    }
}
