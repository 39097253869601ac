//! Subqueries in conditions and columns, correlated and not.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::join::band;
use super::{Query, equal_columns, side_by_side};
use crate::generate::expression::Expression;
use crate::generate::value::Type;

/// Rows kept by what another query holds.
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
    /// A further condition over both sides' columns, within the subquery.
    pub residual: Option<Expression>,
    /// Where the subquery stands.
    pub place: Place,
}

/// Where a subquery of truth stands.
#[derive(Clone, Debug)]
pub enum Place {
    /// It is the condition.
    Condition,
    /// It, or another condition: no row is dropped by the subquery alone.
    Or(Expression),
    /// It is a column.
    Column,
}

impl Semi {
    /// A random filter of `left` by `right`.
    pub fn random(left: Query, right: Query, rng: &mut StdRng) -> Query {
        let columns = left.columns();
        let pairs = equal_columns(&columns, &right.columns());
        let Some(key) = pairs.choose(rng).copied() else { return Query::Distinct(Box::new(left)) };
        let kinds = ["IN", "NOT IN", "EXISTS", "NOT EXISTS"];
        let kind = kinds.choose(rng).expect("there are kinds");
        let both: Vec<Type> = columns.iter().copied().chain(right.columns()).collect();
        let residual = rng.random_bool(0.25).then(|| band(columns.len(), &both, rng));
        let place = match rng.random_range(0..10) {
            0..2 => Place::Or(Expression::random(Type::Bool, &columns, 1, rng)),
            2 => Place::Column,
            _ => Place::Condition,
        };
        Query::Semi(Box::new(Self { kind, left, right, key, residual, place }))
    }

    pub(super) fn columns(&self) -> Vec<Type> {
        let mut columns = self.left.columns();
        if matches!(self.place, Place::Column) {
            columns.push(Type::Bool);
        }
        columns
    }

    pub(super) fn sql(&self) -> String {
        let (left, right) = (self.left.sql(), self.right.sql());
        let (l, r) = self.key;
        let width = self.left.columns().len();
        let mut conditions = Vec::new();
        conditions.extend(self.residual.as_ref().map(|e| e.sql(&side_by_side(width, "s", "i"))));
        let test = if self.kind.ends_with("IN") {
            let inner = filtered(&format!("SELECT i.c{r} FROM ({right}) AS i"), &conditions);
            format!("s.c{l} {} ({inner})", self.kind)
        } else {
            conditions.insert(0, format!("i.c{r} = s.c{l}"));
            let inner = filtered(&format!("SELECT 1 FROM ({right}) AS i"), &conditions);
            format!("{} ({inner})", self.kind)
        };
        match &self.place {
            Place::Condition => format!("SELECT * FROM ({left}) AS s WHERE {test}"),
            Place::Or(other) => format!(
                "SELECT * FROM ({left}) AS s WHERE {test} OR {}",
                other.sql(&|i| format!("s.c{i}"))
            ),
            Place::Column => format!("SELECT s.*, {test} AS c{width} FROM ({left}) AS s"),
        }
    }

    pub(super) fn simpler(&self) -> Vec<Query> {
        let mut out = Vec::new();
        let mut push = |semi: Self| out.push(Query::Semi(Box::new(semi)));
        if let Some(residual) = &self.residual {
            push(Self { residual: None, ..self.clone() });
            for simpler in residual.simpler() {
                push(Self { residual: Some(simpler), ..self.clone() });
            }
        }
        if let Place::Or(other) = &self.place {
            push(Self { place: Place::Condition, ..self.clone() });
            for simpler in other.simpler() {
                push(Self { place: Place::Or(simpler), ..self.clone() });
            }
        }
        out
    }
}

/// A value computed from another query for each row.
#[derive(Clone, Debug)]
pub struct Scalar {
    /// The rows.
    pub left: Query,
    /// What the value is computed from.
    pub right: Query,
    /// `count`, `min`, `max` or `sum`, of a column of `right`.
    pub call: (&'static str, usize),
    /// Columns compared; [`None`]: the value is the same for every row.
    pub key: Option<(usize, usize)>,
    /// A further condition over both sides' columns, within the subquery.
    pub residual: Option<Expression>,
    /// The column that is compared with the value, and how; [`None`]: the value is a column.
    pub compared: Option<(usize, &'static str)>,
}

impl Scalar {
    /// A random value from `right` for the rows of `left`.
    pub fn random(left: Query, right: Query, rng: &mut StdRng) -> Query {
        let (columns, others) = (left.columns(), right.columns());
        let argument = rng.random_range(0..others.len());
        let functions: &[&str] = match others[argument] {
            Type::Bool => &["count"],
            Type::Int => &["count", "min", "max", "sum"],
            _ => &["count", "min", "max"],
        };
        let function = *functions.choose(rng).expect("there are functions");
        let pairs = equal_columns(&columns, &others);
        let key = if rng.random_bool(0.6) { pairs.choose(rng).copied() } else { None };
        let both: Vec<Type> = columns.iter().chain(&others).copied().collect();
        let correlated = key.is_some() && rng.random_bool(0.1);
        let residual = correlated.then(|| band(columns.len(), &both, rng));
        let of = result(function, others[argument]);
        let comparable: Vec<usize> = (0..columns.len()).filter(|i| columns[*i] == of).collect();
        let compared = if rng.random_bool(0.6) { comparable.choose(rng) } else { None };
        let compared = compared.map(|column| {
            (*column, *["<", "<=", ">", ">=", "="].choose(rng).expect("there are operators"))
        });
        let call = (function, argument);
        Query::Scalar(Box::new(Self { left, right, call, key, residual, compared }))
    }

    pub(super) fn columns(&self) -> Vec<Type> {
        let mut columns = self.left.columns();
        if self.compared.is_none() {
            columns.push(result(self.call.0, self.right.columns()[self.call.1]));
        }
        columns
    }

    pub(super) fn sql(&self) -> String {
        let width = self.left.columns().len();
        let (function, argument) = self.call;
        let mut conditions = Vec::new();
        conditions.extend(self.key.map(|(l, r)| format!("i.c{r} = s.c{l}")));
        conditions.extend(self.residual.as_ref().map(|e| e.sql(&side_by_side(width, "s", "i"))));
        let inner = format!("SELECT {function}(i.c{argument}) FROM ({}) AS i", self.right.sql());
        let value = filtered(&inner, &conditions);
        match self.compared {
            None => {
                format!("SELECT s.*, ({value}) AS c{width} FROM ({}) AS s", self.left.sql())
            }
            Some((column, how)) => {
                let left = self.left.sql();
                format!("SELECT * FROM ({left}) AS s WHERE s.c{column} {how} ({value})")
            }
        }
    }

    pub(super) fn simpler(&self) -> Vec<Query> {
        let simpler = self.residual.is_some().then(|| Self { residual: None, ..self.clone() });
        simpler.into_iter().map(|scalar| Query::Scalar(Box::new(scalar))).collect()
    }
}

fn result(function: &str, argument: Type) -> Type {
    if matches!(function, "count" | "sum") { Type::Big } else { argument }
}

fn filtered(select: &str, conditions: &[String]) -> String {
    if conditions.is_empty() {
        select.to_owned()
    } else {
        format!("{select} WHERE {}", conditions.join(" AND "))
    }
}
