//! Random typed queries.
//!
//! Every query has columns `c0`, `c1`, ... of known types and is written as nested `SELECT`s. Orders are
//! total wherever they decide which rows come out, so that a query has one answer.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::expression::Expression;
use super::schema::Table;
use super::value::Type;

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
    /// `UNION ALL`, `UNION`, `EXCEPT`, `INTERSECT`.
    Set(&'static str, Box<Query>, Box<Query>),
    /// Rows whose column is, or is not, among the other query's.
    Semi(Box<Semi>),
    /// Rows with their rank.
    Rank(Box<Query>, usize),
    /// The first rows in the order of all columns.
    Top(Box<Query>, usize),
}

/// A join on equal columns.
#[derive(Clone, Debug)]
pub struct Join {
    /// `JOIN`, `LEFT JOIN`, `RIGHT JOIN`, `FULL JOIN`.
    pub kind: &'static str,
    /// Left side.
    pub left: Query,
    /// Right side.
    pub right: Query,
    /// Positions of equal columns, at least one.
    pub keys: Vec<(usize, usize)>,
    /// A further condition over both sides' columns.
    pub residual: Option<Expression>,
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
    /// `FILTER`.
    pub filter: Option<Expression>,
}

/// A semijoin or its negation.
#[derive(Clone, Debug)]
pub struct Semi {
    /// `IN`, `NOT IN`, `EXISTS`, `NOT EXISTS`.
    pub kind: &'static str,
    /// What is kept or dropped.
    pub left: Query,
    /// What is looked into.
    pub right: Query,
    /// The columns compared.
    pub key: (usize, usize),
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
        match rng.random_range(0..18) {
            0..3 => {
                let condition = Expression::random(Type::Bool, &columns, 3, rng);
                Self::Filter(Box::new(input), condition)
            }
            3..5 => {
                let items = (0..rng.random_range(1..4))
                    .map(|_| Expression::random(Type::random(rng), &columns, 2, rng))
                    .collect();
                Self::Project(Box::new(input), items)
            }
            5..9 => {
                let right = Self::random(tables, depth.saturating_sub(2), rng);
                let kinds = ["JOIN", "JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"];
                Self::join(kinds.choose(rng).expect("there are kinds"), input, right, rng)
            }
            9..13 => Self::aggregate(input, rng),
            13 => Self::Distinct(Box::new(input)),
            14 => {
                let operators = ["UNION ALL", "UNION ALL", "UNION", "EXCEPT", "INTERSECT"];
                let right = Self::random(tables, depth.saturating_sub(2), rng);
                let right = right.of_types(&columns, rng);
                let operator = operators.choose(rng).expect("there are operators");
                Self::Set(operator, Box::new(input), Box::new(right))
            }
            15 => {
                let right = Self::random(tables, depth.saturating_sub(2), rng);
                let kinds = ["IN", "NOT IN", "EXISTS", "NOT EXISTS"];
                let kind = kinds.choose(rng).expect("there are kinds");
                match equal_columns(&columns, &right.columns()).choose(rng) {
                    Some(key) => Self::Semi(Box::new(Semi { kind, left: input, right, key: *key })),
                    None => Self::Distinct(Box::new(input)),
                }
            }
            16 => {
                let partition = rng.random_range(0..columns.len());
                Self::Rank(Box::new(input), partition)
            }
            _ => Self::Top(Box::new(input), rng.random_range(1..5)),
        }
    }

    fn join(kind: &'static str, left: Self, right: Self, rng: &mut StdRng) -> Self {
        let pairs = equal_columns(&left.columns(), &right.columns());
        let count = rng.random_range(1..3).min(pairs.len());
        let keys: Vec<(usize, usize)> = pairs.choose_multiple(rng, count).copied().collect();
        if keys.is_empty() {
            return Self::Distinct(Box::new(left));
        }
        let both: Vec<Type> = left.columns().into_iter().chain(right.columns()).collect();
        let residual = rng.random_bool(0.25).then(|| Expression::random(Type::Bool, &both, 2, rng));
        Self::Join(Box::new(Join { kind, left, right, keys, residual }))
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
            Self::Filter(input, _) | Self::Distinct(input) | Self::Top(input, _) => input.columns(),
            Self::Set(_, left, _) => left.columns(),
            Self::Project(_, items) => items.iter().map(|e| e.of).collect(),
            Self::Join(join) => {
                join.left.columns().into_iter().chain(join.right.columns()).collect()
            }
            Self::Semi(semi) => semi.left.columns(),
            Self::Aggregate(a) => {
                let columns = a.input.columns();
                let keys = a.keys.iter().map(|k| columns[*k]);
                keys.chain(a.calls.iter().map(Call::of)).collect()
            }
            Self::Rank(input, _) => {
                let mut columns = input.columns();
                columns.push(Type::Big);
                columns
            }
        }
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
            Self::Rank(input, partition) => {
                let names = names(input.columns().len(), "w");
                format!(
                    "SELECT *, CAST(row_number() OVER (PARTITION BY w.c{partition} ORDER BY {}) \
                     AS bigint) AS c{} FROM ({}) AS w",
                    names.join(", "),
                    names.len(),
                    input.sql()
                )
            }
            Self::Top(input, limit) => {
                let names = names(input.columns().len(), "o");
                format!(
                    "SELECT * FROM ({}) AS o ORDER BY {} LIMIT {limit}",
                    input.sql(),
                    names.join(", ")
                )
            }
        }
    }

    /// Simpler queries with the same column types.
    #[must_use]
    pub fn simpler(&self) -> Vec<Self> {
        let mut out = Vec::new();
        let boxed = |q: &Self| Box::new(q.clone());
        match self {
            Self::Table(..) => {}
            Self::Filter(input, condition) => {
                out.push((**input).clone());
                out.extend(condition.simpler().into_iter().map(|c| Self::Filter(boxed(input), c)));
                out.extend(
                    input
                        .simpler()
                        .into_iter()
                        .map(|q| Self::Filter(Box::new(q), condition.clone())),
                );
            }
            Self::Project(input, items) => {
                for (i, item) in items.iter().enumerate() {
                    for simpler in item.simpler() {
                        let mut items = items.clone();
                        items[i] = simpler;
                        out.push(Self::Project(boxed(input), items));
                    }
                }
                out.extend(
                    input.simpler().into_iter().map(|q| Self::Project(Box::new(q), items.clone())),
                );
            }
            Self::Join(join) => out.extend(join.simpler()),
            Self::Aggregate(aggregate) => out.extend(aggregate.simpler()),
            Self::Distinct(input) => {
                out.push((**input).clone());
                out.extend(input.simpler().into_iter().map(|q| Self::Distinct(Box::new(q))));
            }
            Self::Set(operator, left, right) => {
                out.extend([(**left).clone(), (**right).clone()]);
                let by_left = left.simpler().into_iter();
                out.extend(by_left.map(|q| Self::Set(operator, Box::new(q), right.clone())));
                let by_right = right.simpler().into_iter();
                out.extend(by_right.map(|q| Self::Set(operator, left.clone(), Box::new(q))));
            }
            Self::Semi(semi) => {
                out.push(semi.left.clone());
                for left in semi.left.simpler() {
                    out.push(Self::Semi(Box::new(Semi { left, ..(**semi).clone() })));
                }
                for right in semi.right.simpler() {
                    out.push(Self::Semi(Box::new(Semi { right, ..(**semi).clone() })));
                }
            }
            Self::Rank(input, partition) => {
                out.extend(
                    input.simpler().into_iter().map(|q| Self::Rank(Box::new(q), *partition)),
                );
            }
            Self::Top(input, limit) => {
                out.push((**input).clone());
                out.extend(input.simpler().into_iter().map(|q| Self::Top(Box::new(q), *limit)));
            }
        }
        out
    }

    /// Queries it is made of.
    #[must_use]
    pub fn parts(&self) -> Vec<Self> {
        match self {
            Self::Table(..) => Vec::new(),
            Self::Filter(q, _)
            | Self::Project(q, _)
            | Self::Distinct(q)
            | Self::Rank(q, _)
            | Self::Top(q, _) => vec![(**q).clone()],
            Self::Set(_, l, r) => vec![(**l).clone(), (**r).clone()],
            Self::Join(j) => vec![j.left.clone(), j.right.clone()],
            Self::Semi(s) => vec![s.left.clone(), s.right.clone()],
            Self::Aggregate(a) => vec![a.input.clone()],
        }
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

fn names(count: usize, alias: &str) -> Vec<String> {
    (0..count).map(|i| format!("{alias}.c{i}")).collect()
}

fn equal_columns(left: &[Type], right: &[Type]) -> Vec<(usize, usize)> {
    let all = (0..left.len()).flat_map(|l| (0..right.len()).map(move |r| (l, r)));
    all.filter(|(l, r)| left[*l] == right[*r]).collect()
}

impl Join {
    fn sql(&self) -> String {
        let left = self.left.columns().len();
        let name = |i: usize| if i < left { format!("a.c{i}") } else { format!("b.c{}", i - left) };
        let count = left + self.right.columns().len();
        let items: Vec<String> = (0..count).map(|i| format!("{} AS c{i}", name(i))).collect();
        let mut conditions: Vec<String> =
            self.keys.iter().map(|(l, r)| format!("a.c{l} = b.c{r}")).collect();
        conditions.extend(self.residual.as_ref().map(|e| e.sql(&name)));
        format!(
            "SELECT {} FROM ({}) AS a {} ({}) AS b ON {}",
            items.join(", "),
            self.left.sql(),
            self.kind,
            self.right.sql(),
            conditions.join(" AND ")
        )
    }

    fn simpler(&self) -> Vec<Query> {
        let mut out = Vec::new();
        let mut push = |join: Self| out.push(Query::Join(Box::new(join)));
        if self.residual.is_some() {
            push(Self { residual: None, ..self.clone() });
        }
        if self.keys.len() > 1 {
            push(Self { keys: self.keys[..1].to_vec(), ..self.clone() });
            push(Self { keys: self.keys[1..].to_vec(), ..self.clone() });
        }
        if self.kind != "JOIN" {
            push(Self { kind: "JOIN", ..self.clone() });
        }
        for left in self.left.simpler() {
            push(Self { left, ..self.clone() });
        }
        for right in self.right.simpler() {
            push(Self { right, ..self.clone() });
        }
        out
    }
}

impl Semi {
    fn sql(&self) -> String {
        let (left, right) = (self.left.sql(), self.right.sql());
        let (l, r) = self.key;
        if self.kind.ends_with("IN") {
            format!(
                "SELECT * FROM ({left}) AS s WHERE s.c{l} {} (SELECT i.c{r} FROM ({right}) AS i)",
                self.kind
            )
        } else {
            format!(
                "SELECT * FROM ({left}) AS s WHERE {} (SELECT 1 FROM ({right}) AS i \
                 WHERE i.c{r} = s.c{l})",
                self.kind
            )
        }
    }
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
        for input in self.input.simpler() {
            push(Self { input, ..self.clone() });
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
        Type::Date => &["min", "max"],
        Type::Decimal => &["sum", "avg", "min", "max", "sum"],
        Type::Int | Type::Big => &[
            "sum", "avg", "min", "max", "sum", "bit_and", "bit_or", "bit_xor", "median", "var_pop",
        ],
        Type::Float => {
            &["sum", "avg", "min", "max", "sum", "stddev", "median", "approx_percentile_cont"]
        }
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
        Self { function, distinct, argument, order, filter }
    }

    fn of(&self) -> Type {
        let argument = self.argument.as_ref().map_or(Type::Big, |e| e.of);
        match (self.function, argument) {
            ("count" | "approx_distinct", _) | ("sum", Type::Int) => Type::Big,
            ("avg", Type::Int | Type::Big) => Type::Float,
            ("median" | "var_pop" | "stddev" | "approx_percentile_cont", _) => Type::Float,
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
        let function = self.function;
        let call = match function {
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
            "median" => format!("CAST({call} AS double precision)"),
            "approx_distinct" => format!("CAST({call} AS bigint)"),
            _ => call,
        }
    }
}
