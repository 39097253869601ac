//! Random typed expressions.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::value::{Type, Value};

/// An expression over the columns of a query.
#[derive(Clone, Debug)]
pub struct Expression {
    /// Its type.
    pub of: Type,
    /// What it computes.
    pub form: Form,
}

/// Forms of an expression.
#[derive(Clone, Debug)]
pub enum Form {
    /// A column by position.
    Column(usize),
    /// A literal.
    Literal(Value),
    /// A template with `{0}`, `{1}`, ... for its arguments.
    Call(&'static str, Vec<Expression>),
}

impl Expression {
    /// A random expression of type `of` over `columns`, nested at most `depth` deep.
    pub fn random(of: Type, columns: &[Type], depth: usize, rng: &mut StdRng) -> Self {
        if depth == 0 || rng.random_bool(0.35) {
            return Self::leaf(of, columns, rng);
        }
        let (template, arguments) = template(of, rng);
        let arguments =
            arguments.into_iter().map(|t| Self::random(t, columns, depth - 1, rng)).collect();
        Self { of, form: Form::Call(template, arguments) }
    }

    /// A column of the type if there is one, now and then a literal.
    pub fn leaf(of: Type, columns: &[Type], rng: &mut StdRng) -> Self {
        let fitting: Vec<usize> = (0..columns.len()).filter(|i| columns[*i] == of).collect();
        let form = match fitting.choose(rng) {
            Some(i) if rng.random_bool(0.8) => Form::Column(*i),
            _ => Form::Literal(of.value(rng)),
        };
        Self { of, form }
    }

    /// A condition that the clock decides, if there is a column for one.
    pub fn of_clock(columns: &[Type], rng: &mut StdRng) -> Option<Self> {
        let (template, of) = *OF_CLOCK.choose(rng)?;
        let fitting: Vec<usize> = (0..columns.len()).filter(|i| columns[*i] == of).collect();
        let column = Self::column(*fitting.choose(rng)?, columns);
        Some(Self { of: Type::Bool, form: Form::Call(template, vec![column]) })
    }

    /// The column at `i`.
    #[must_use]
    pub fn column(i: usize, columns: &[Type]) -> Self {
        Self { of: columns[i], form: Form::Column(i) }
    }

    /// Its SQL, with columns named by `name`.
    pub fn sql(&self, name: &dyn Fn(usize) -> String) -> String {
        match &self.form {
            Form::Column(i) => name(*i),
            Form::Literal(value) => format!("CAST({value} AS {})", self.of.sql()),
            Form::Call(template, arguments) => {
                let mut text = (*template).to_owned();
                for (i, argument) in arguments.iter().enumerate() {
                    text = text.replace(&format!("{{{i}}}"), &argument.sql(name));
                }
                text
            }
        }
    }

    /// Simpler expressions of the same type.
    #[must_use]
    pub fn simpler(&self) -> Vec<Self> {
        let Form::Call(template, arguments) = &self.form else { return Vec::new() };
        let mut out: Vec<Self> = arguments.iter().filter(|a| a.of == self.of).cloned().collect();
        out.push(Self { of: self.of, form: Form::Literal(Value::Null) });
        for (i, argument) in arguments.iter().enumerate() {
            for simpler in argument.simpler() {
                let mut arguments = arguments.clone();
                arguments[i] = simpler;
                out.push(Self { of: self.of, form: Form::Call(template, arguments) });
            }
        }
        out
    }
}

/// Conditions on one column that the clock decides.
const OF_CLOCK: [(&str, Type); 9] = [
    ("({0} > now() - interval '30 seconds')", Type::Moment),
    ("({0} <= now())", Type::Moment),
    ("(now() < {0})", Type::Moment),
    ("({0} BETWEEN now() - interval '15 seconds' AND now() + interval '15 seconds')", Type::Moment),
    ("({0} + interval '1 minute' >= now() AND {0} IS NOT NULL)", Type::Moment),
    ("({0} >= date_trunc('minute', now()))", Type::Moment),
    ("({0} > now() - interval '1 month' OR {0} <= now())", Type::Moment),
    ("({0} = current_date)", Type::Date),
    ("({0} < current_date)", Type::Date),
];

/// A template of a result type with the types of its arguments.
fn template(of: Type, rng: &mut StdRng) -> (&'static str, Vec<Type>) {
    let any = Type::random(rng);
    let general: [(&'static str, Vec<Type>); 3] = [
        ("CASE WHEN {0} THEN {1} ELSE {2} END", vec![Type::Bool, of, of]),
        ("coalesce({0}, {1})", vec![of, of]),
        ("nullif({0}, {1})", vec![of, of]),
    ];
    let own: Vec<(&'static str, Vec<Type>)> = match of {
        Type::Int => vec![
            ("({0} + {1})", vec![of, of]),
            ("({0} - {1})", vec![of, of]),
            ("abs({0})", vec![of]),
            ("CAST(length({0}) AS int)", vec![Type::Text]),
            ("CAST({0} AS int)", vec![Type::Bool]),
        ],
        Type::Big => vec![
            ("({0} + {1})", vec![of, Type::Int]),
            ("({0} * 2)", vec![of]),
            ("CAST({0} AS bigint)", vec![Type::Int]),
        ],
        Type::Float => vec![
            ("({0} + {1})", vec![of, of]),
            ("({0} * {1})", vec![of, of]),
            ("(-{0})", vec![of]),
            ("CAST({0} AS double precision)", vec![Type::Int]),
        ],
        Type::Text => vec![
            ("({0} || {1})", vec![of, of]),
            ("upper({0})", vec![of]),
            ("substr({0}, 1, 2)", vec![of]),
            ("CAST({0} AS text)", vec![Type::Int]),
        ],
        Type::Decimal => vec![("({0} + {1})", vec![of, of]), ("({0} - {1})", vec![of, of])],
        Type::Bool => vec![
            ("({0} AND {1})", vec![of, of]),
            ("({0} OR {1})", vec![of, of]),
            ("(NOT {0})", vec![of]),
            ("({0} = {1})", vec![any, any]),
            ("({0} <> {1})", vec![any, any]),
            ("({0} < {1})", vec![any, any]),
            ("({0} >= {1})", vec![any, any]),
            ("({0} IS NULL)", vec![any]),
            ("({0} IS DISTINCT FROM {1})", vec![any, any]),
            ("({0} IN (1, 3))", vec![Type::Int]),
            ("({0} LIKE 'a%')", vec![Type::Text]),
        ],
        Type::Date => vec![
            ("greatest({0}, {1})", vec![of, of]),
            ("least({0}, {1})", vec![of, of]),
            ("current_date", vec![]),
        ],
        Type::Moment => vec![
            ("greatest({0}, {1})", vec![of, of]),
            ("({0} + interval '45 seconds')", vec![of]),
            ("date_trunc('minute', {0})", vec![of]),
            ("date_trunc('day', {0})", vec![of]),
            ("now()", vec![]),
        ],
    };
    let all: Vec<_> = general.into_iter().chain(own.iter().cloned()).chain(own.clone()).collect();
    all.choose(rng).expect("every type has templates").clone()
}
