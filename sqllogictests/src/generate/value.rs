//! Types and values of random tables.

use std::fmt;

use arrow::temporal_conversions::timestamp_us_to_datetime;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::clock::START_US;

/// A column type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `int`
    Int,
    /// `bigint`
    Big,
    /// `double precision`
    Float,
    /// `text`
    Text,
    /// `numeric(10,2)`
    Decimal,
    /// `boolean`
    Bool,
    /// `date`
    Date,
    /// `timestamptz`
    Moment,
}

impl Type {
    /// A random type; integers and texts come up more often.
    pub fn random(rng: &mut StdRng) -> Self {
        const WEIGHTED: [Type; 11] = [
            Type::Int,
            Type::Int,
            Type::Int,
            Type::Text,
            Type::Text,
            Type::Big,
            Type::Float,
            Type::Decimal,
            Type::Bool,
            Type::Date,
            Type::Moment,
        ];
        *WEIGHTED.choose(rng).expect("there are types")
    }

    /// Its SQL name.
    #[must_use]
    pub fn sql(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Big => "bigint",
            Self::Float => "double precision",
            Self::Text => "text",
            Self::Decimal => "numeric(10,2)",
            Self::Bool => "boolean",
            Self::Date => "date",
            Self::Moment => "timestamptz",
        }
    }

    /// A random value of its tiny domain; about every fourth is NULL.
    pub fn value(self, rng: &mut StdRng) -> Value {
        if rng.random_bool(0.25) {
            return Value::Null;
        }
        self.non_null(rng)
    }

    /// A random value that is not NULL.
    pub fn non_null(self, rng: &mut StdRng) -> Value {
        const FLOATS: [f64; 7] = [0.0, -0.0, f64::NAN, 0.5, 1.25, -2.0, 1e15];
        const TEXTS: [&str; 5] = ["", "a", "b", "aa", "long enough not to be inlined"];
        match self {
            Self::Int | Self::Big => Value::Int(rng.random_range(0..4)),
            Self::Float => Value::Float(*FLOATS.choose(rng).expect("there are floats")),
            Self::Text => Value::Text((*TEXTS.choose(rng).expect("there are texts")).to_owned()),
            Self::Decimal => {
                Value::Cents(*[0, 150, -225, 9_999, 1].choose(rng).expect("there are decimals"))
            }
            Self::Bool => Value::Bool(rng.random()),
            Self::Date => Value::Day(*[0, -1, 19_782].choose(rng).expect("there are days")),
            // Around the time that the clock stands at, and what it is moved to.
            Self::Moment => Value::Micros(START_US + 15_000_000 * rng.random_range(-4..8)),
        }
    }
}

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    /// NULL.
    Null,
    /// An integer of either width.
    Int(i64),
    /// A float.
    Float(f64),
    /// A text.
    Text(String),
    /// Hundredths of a decimal.
    Cents(i64),
    /// A boolean.
    Bool(bool),
    /// Days since 1970.
    Day(i32),
    /// Microseconds since 1970 UTC.
    Micros(i64),
}

impl PartialEq for Value {
    /// Equal bits: NaN equals itself, minus zero is not zero.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Int(a), Self::Int(b))
            | (Self::Cents(a), Self::Cents(b))
            | (Self::Micros(a), Self::Micros(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Day(a), Self::Day(b)) => a == b,
            _ => false,
        }
    }
}

impl fmt::Display for Value {
    /// As a SQL literal whose type its place decides.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => write!(f, "NULL"),
            Self::Int(v) => write!(f, "{v}"),
            Self::Float(v) => write!(f, "'{v}'"),
            Self::Text(v) => write!(f, "'{v}'"),
            Self::Cents(v) => {
                let sign = if *v < 0 { "-" } else { "" };
                write!(f, "{sign}{}.{:02}", v.abs() / 100, v.abs() % 100)
            }
            Self::Bool(v) => write!(f, "{v}"),
            Self::Day(0) => write!(f, "'1970-01-01'"),
            Self::Day(-1) => write!(f, "'1969-12-31'"),
            Self::Day(_) => write!(f, "'2024-02-29'"),
            Self::Micros(v) => {
                let time = timestamp_us_to_datetime(*v).ok_or(fmt::Error)?;
                write!(f, "'{}+00'", time.format("%Y-%m-%d %H:%M:%S"))
            }
        }
    }
}

/// A row of a table.
pub type Row = Vec<Value>;
