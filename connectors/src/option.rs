//! Options of connectors and formats: one table of [`OptionSpec`]s yields parsing, errors and docs.
//!
//! A statement gives options as pairs of text. [`parse`] checks every pair against the table, so that
//! a misspelt name or a value of the wrong kind fails when the statement runs, with the nearest valid
//! name or with what was expected. Afterwards the getters of [`Options`] cannot fail: asking for an
//! option that the table does not hold, or as another kind, is a broken invariant of the connector.

use std::time::Duration;

use crate::error::{Error, Result};

/// What values an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionKind {
    /// Any text.
    Text,
    /// A whole number, not negative.
    Int,
    /// True or false.
    Bool,
    /// One ASCII character; `\t` and `tab` stand for the tabulator.
    Char,
    /// An amount of memory such as `64MB`; units are powers of 1024.
    Bytes,
    /// A length of time such as `100ms` or `1min`.
    Duration,
    /// One of these words, in any case.
    Enum(&'static [&'static str]),
}

/// One option of a connector or format.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// Lower-case name.
    pub name: &'static str,
    /// What values it takes.
    pub kind: OptionKind,
    /// The value when it is not given; must itself be valid.
    pub default: Option<&'static str>,
    /// Whether it must be given.
    pub required: bool,
    /// One sentence for the reference page.
    pub doc: &'static str,
}

/// A checked value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Text(String),
    Int(u64),
    Bool(bool),
    Char(u8),
    Duration(Duration),
}

/// Checked options; those not given have their default.
#[derive(Clone, Debug)]
pub struct Options {
    values: Vec<(&'static str, Option<Value>)>,
}

/// Checks `given` against `specs`; `owner` names the connector or format in errors.
///
/// Names are compared without regard to case.
///
/// # Errors
/// Kind `User`: unknown, repeated, missing or ill-valued options.
pub fn parse(
    owner: &'static str,
    specs: &'static [OptionSpec],
    given: &[(String, String)],
) -> Result<Options> {
    let mut values: Vec<(&'static str, Option<Value>)> =
        specs.iter().map(|s| (s.name, None)).collect();
    for (name, text) in given {
        let Some(i) = specs.iter().position(|s| s.name.eq_ignore_ascii_case(name)) else {
            let nearest = nearest(name, specs.iter().map(|s| s.name));
            return Err(Error::UnknownOption { name: name.clone(), nearest, owner });
        };
        if values[i].1.is_some() {
            return Err(Error::RepeatedOption { name: specs[i].name });
        }
        values[i].1 = Some(value(&specs[i], text)?);
    }
    for (spec, (_, slot)) in specs.iter().zip(&mut values) {
        if slot.is_none() {
            if spec.required {
                return Err(Error::MissingOption { name: spec.name, owner });
            }
            *slot = spec.default.map(|text| value(spec, text)).transpose()?;
        }
    }
    Ok(Options { values })
}

impl Options {
    /// The text or enum word of option `name`, if given or defaulted; enum words are lower-case.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The number (of bytes, for the kind `Bytes`) of option `name`.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<u64> {
        match self.value(name) {
            Some(Value::Int(n)) => Some(*n),
            _ => None,
        }
    }

    /// The truth value of option `name`.
    #[must_use]
    pub fn bool(&self, name: &str) -> Option<bool> {
        match self.value(name) {
            Some(Value::Bool(b)) => Some(*b),
            _ => None,
        }
    }

    /// The character of option `name`.
    #[must_use]
    pub fn char(&self, name: &str) -> Option<u8> {
        match self.value(name) {
            Some(Value::Char(c)) => Some(*c),
            _ => None,
        }
    }

    /// The duration of option `name`.
    #[must_use]
    pub fn duration(&self, name: &str) -> Option<Duration> {
        match self.value(name) {
            Some(Value::Duration(d)) => Some(*d),
            _ => None,
        }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        let found = self.values.iter().find(|(n, _)| *n == name);
        found.expect("a connector asks only for options of its own table").1.as_ref()
    }
}

fn value(spec: &OptionSpec, text: &str) -> Result<Value> {
    let parsed = match spec.kind {
        OptionKind::Text => Some(Value::Text(text.to_owned())),
        OptionKind::Int => text.trim().parse().ok().map(Value::Int),
        OptionKind::Bool => truth(text).map(Value::Bool),
        OptionKind::Char => character(text).map(Value::Char),
        OptionKind::Bytes => scaled(text, &BYTE_UNITS).map(Value::Int),
        OptionKind::Duration => {
            scaled(text, &TIME_UNITS).map(|us| Value::Duration(Duration::from_micros(us)))
        }
        OptionKind::Enum(words) => words
            .iter()
            .find(|w| w.eq_ignore_ascii_case(text.trim()))
            .map(|w| Value::Text((*w).to_owned())),
    };
    parsed.ok_or_else(|| Error::OptionValue {
        name: spec.name,
        value: text.to_owned(),
        expected: expected(spec.kind).into(),
    })
}

fn expected(kind: OptionKind) -> String {
    match kind {
        OptionKind::Text => "text".to_owned(),
        OptionKind::Int => "an integer that is not negative".to_owned(),
        OptionKind::Bool => "true or false".to_owned(),
        OptionKind::Char => "one ASCII character".to_owned(),
        OptionKind::Bytes => "an amount such as 64MB".to_owned(),
        OptionKind::Duration => "a duration such as 100ms or 1min".to_owned(),
        OptionKind::Enum(words) => format!("one of {}", words.join(", ")),
    }
}

/// The words Postgres accepts for a boolean; no word at all (`HEADER`) means true.
fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "" | "true" | "t" | "on" | "yes" | "1" => Some(true),
        "false" | "f" | "off" | "no" | "0" => Some(false),
        _ => None,
    }
}

fn character(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [c] if c.is_ascii() => Some(*c),
        b"\\t" | b"tab" | b"TAB" => Some(b'\t'),
        _ => None,
    }
}

const BYTE_UNITS: [(&str, u64); 5] =
    [("", 1), ("b", 1), ("kb", 1 << 10), ("mb", 1 << 20), ("gb", 1 << 30)];
/// In microseconds; a bare number is of seconds.
const TIME_UNITS: [(&str, u64); 7] = [
    ("", 1_000_000),
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("min", 60_000_000),
    ("h", 3_600_000_000),
    ("d", 86_400_000_000),
];

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let scale = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?.1;
    number.parse::<u64>().ok()?.checked_mul(scale)
}

/// The candidate most like `name`: at most a third of its letters (and at least one) may differ.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let limit = (name.chars().count() / 3).max(1) + 1;
    let scored = candidates.into_iter().map(|c| (distance(&name, &c.to_ascii_lowercase()), c));
    scored.filter(|(d, _)| *d <= limit).min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

/// Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{OptionKind, OptionSpec, nearest, parse};
    use std::time::Duration;

    const fn spec(
        name: &'static str,
        kind: OptionKind,
        default: Option<&'static str>,
    ) -> OptionSpec {
        OptionSpec { name, kind, default, required: false, doc: "" }
    }

    static SPECS: [OptionSpec; 6] = [
        spec("header", OptionKind::Bool, Some("true")),
        spec("delimiter", OptionKind::Char, Some(",")),
        spec("null", OptionKind::Text, None),
        spec("limit", OptionKind::Bytes, Some("1MB")),
        spec("every", OptionKind::Duration, None),
        spec("mode", OptionKind::Enum(&["append", "upsert"]), None),
    ];

    fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn values_and_defaults_are_typed() {
        let pairs =
            [("HEADER", "off"), ("delimiter", "\\t"), ("every", "5 min"), ("mode", "UPSERT")];
        let o = parse("csv", &SPECS, &given(&pairs)).unwrap();
        assert_eq!(o.bool("header"), Some(false));
        assert_eq!(o.char("delimiter"), Some(b'\t'));
        assert_eq!(o.text("null"), None);
        assert_eq!(o.int("limit"), Some(1 << 20));
        assert_eq!(o.duration("every"), Some(Duration::from_secs(300)));
        assert_eq!(o.text("mode"), Some("upsert"));
    }

    #[test]
    fn errors_name_the_option_and_what_was_expected() {
        let fails = |pairs: &[(&str, &str)]| {
            let e = parse("csv", &SPECS, &given(pairs)).unwrap_err();
            format!("{e}; {}", e.hint().unwrap_or_default())
        };
        assert_eq!(
            fails(&[("headr", "true")]),
            "option \"headr\" does not exist for csv; Perhaps you meant \"header\"."
        );
        assert_eq!(
            fails(&[("mode", "x")]),
            "invalid value for option \"mode\": \"x\"; The option takes one of append, upsert."
        );
        assert_eq!(
            fails(&[("header", "true"), ("Header", "true")]),
            "option \"header\" is given more than once; "
        );
    }

    #[test]
    fn a_far_name_has_no_nearest() {
        assert_eq!(nearest("tabel", ["table", "seed"]), Some("table"));
        assert_eq!(nearest("completely", ["table", "seed"]), None);
    }
}
