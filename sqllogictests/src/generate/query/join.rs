//! Joins: by equal columns, by null-safe ones, by a band, or of everything with everything.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::{Query, equal_columns, side_by_side};
use crate::clock::START_US;
use crate::generate::expression::{Expression, Form};
use crate::generate::value::Type;

/// A join.
#[derive(Clone, Debug)]
pub struct Join {
    /// `JOIN`, `LEFT JOIN`, `RIGHT JOIN`, `FULL JOIN`.
    pub kind: &'static str,
    /// Left side.
    pub left: Query,
    /// Right side.
    pub right: Query,
    /// Columns compared.
    pub keys: Vec<Key>,
    /// A further condition over both sides' columns.
    pub residual: Option<Expression>,
}

/// A column of each side, compared.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Position on the left.
    pub left: usize,
    /// Position on the right.
    pub right: usize,
    /// Whether NULL meets NULL.
    pub null_safe: bool,
}

impl Join {
    /// A random join of the two.
    pub fn random(left: Query, right: Query, rng: &mut StdRng) -> Query {
        let kinds = ["JOIN", "JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"];
        let kind = kinds.choose(rng).expect("there are kinds");
        let pairs = equal_columns(&left.columns(), &right.columns());
        let both: Vec<Type> = left.columns().into_iter().chain(right.columns()).collect();
        let (keys, residual) = match rng.random_range(0..10) {
            0 => (Vec::new(), Some(band(left.columns().len(), &both, rng))),
            1 => (Vec::new(), None),
            _ => {
                let count = rng.random_range(1..3).min(pairs.len());
                let null_safe = rng.random_bool(0.15);
                let keys: Vec<Key> = pairs
                    .choose_multiple(rng, count)
                    .map(|(left, right)| Key { left: *left, right: *right, null_safe })
                    .collect();
                let residual = match rng.random_range(0..8) {
                    0 => Some(band(left.columns().len(), &both, rng)),
                    1 => Some(Expression::random(Type::Bool, &both, 2, rng)),
                    _ => None,
                };
                (keys, residual)
            }
        };
        Query::Join(Box::new(Self { kind, left, right, keys, residual }))
    }

    pub(super) fn rows(&self) -> usize {
        let (left, right) = (self.left.rows(), self.right.rows());
        let matches = match (self.keys.is_empty(), self.residual.is_some()) {
            (true, false) => left * right,
            (true, true) => left * right / 3,
            (false, _) => left * right / 5,
        };
        matches.max(left).max(right)
    }

    pub(super) fn sql(&self) -> String {
        let left = self.left.columns().len();
        let name = side_by_side(left, "a", "b");
        let count = left + self.right.columns().len();
        let items: Vec<String> = (0..count).map(|i| format!("{} AS c{i}", name(i))).collect();
        let mut conditions: Vec<String> = self
            .keys
            .iter()
            .map(|key| {
                let operator = if key.null_safe { "IS NOT DISTINCT FROM" } else { "=" };
                format!("a.c{} {operator} b.c{}", key.left, key.right)
            })
            .collect();
        conditions.extend(self.residual.as_ref().map(|e| e.sql(&name)));
        let (kind, on) = if conditions.is_empty() {
            ("CROSS JOIN", String::new())
        } else {
            (self.kind, format!(" ON {}", conditions.join(" AND ")))
        };
        format!(
            "SELECT {} FROM ({}) AS a {kind} ({}) AS b{on}",
            items.join(", "),
            self.left.sql(),
            self.right.sql(),
        )
    }

    pub(super) fn simpler(&self) -> Vec<Query> {
        let mut out = Vec::new();
        let mut push = |join: Self| out.push(Query::Join(Box::new(join)));
        if let Some(residual) = &self.residual {
            push(Self { residual: None, ..self.clone() });
            for simpler in residual.simpler() {
                push(Self { residual: Some(simpler), ..self.clone() });
            }
        }
        if self.keys.len() > 1 {
            push(Self { keys: self.keys[..1].to_vec(), ..self.clone() });
            push(Self { keys: self.keys[1..].to_vec(), ..self.clone() });
        }
        if self.keys.iter().any(|key| key.null_safe) {
            let keys = self.keys.iter().map(|key| Key { null_safe: false, ..*key }).collect();
            push(Self { keys, ..self.clone() });
        }
        if self.kind != "JOIN" {
            push(Self { kind: "JOIN", ..self.clone() });
        }
        out
    }
}

/// A condition that puts a column of one side between two of the other, or before one.
pub(super) fn band(left: usize, columns: &[Type], rng: &mut StdRng) -> Expression {
    let mine = rng.random_range(0..left);
    let of = columns[mine];
    let theirs: Vec<usize> = (left..columns.len()).filter(|i| columns[*i] == of).collect();
    let column = |i: usize| Expression::column(i, columns);
    let mut their = || theirs.choose(rng).map_or_else(|| literal(of), |i| column(*i));
    let arguments = vec![column(mine), their(), their()];
    let templates = ["({0} BETWEEN {1} AND {2})", "({0} < {1})", "({1} <= {0})"];
    let template = templates.choose(rng).expect("there are templates");
    Expression { of: Type::Bool, form: Form::Call(template, arguments) }
}

/// A value in the middle of the type's domain.
fn literal(of: Type) -> Expression {
    use crate::generate::value::Value;
    let value = match of {
        Type::Int | Type::Big => Value::Int(2),
        Type::Float => Value::Float(0.5),
        Type::Text => Value::Text("a".to_owned()),
        Type::Decimal => Value::Cents(1),
        Type::Bool => Value::Bool(true),
        Type::Date => Value::Day(0),
        Type::Moment => Value::Micros(START_US),
    };
    Expression { of, form: Form::Literal(value) }
}
