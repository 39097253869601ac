//! Options: `(key [=] value, ...)`.
//!
//! A key is one word, in lower case here; dots are allowed (`'s3.region'` and `s3.region` are the
//! same key). A key alone means true.

use crate::statement::Name;

/// One option.
#[derive(Clone, Debug)]
pub struct Opt {
    /// Key, in lower case.
    pub key: String,
    /// Value.
    pub value: OptValue,
    /// Where the key stands: 1-based character in the whole string.
    pub position: usize,
}

impl Opt {
    /// The value as one string, as option tables take it; [`None`] for a secret or nested options.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        self.value.text()
    }
}

impl PartialEq for Opt {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.value == other.value
    }
}

/// The value of an option.
#[derive(Clone, Debug, PartialEq)]
pub enum OptValue {
    /// None was written: true.
    Absent,
    /// `'text'`.
    Text(String),
    /// A number, as written.
    Number(String),
    /// `true` or `false`.
    Boolean(bool),
    /// A bare word, folded to lower case.
    Word(String),
    /// `SECRET name`.
    Secret(Name),
    /// `(value, ...)`.
    List(Vec<OptValue>),
    /// `(key value, ...)`.
    Options(Vec<Opt>),
}

impl OptValue {
    /// The value as one string: lists are joined by commas; [`None`] for a secret or nested options.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Absent => Some("true".to_owned()),
            Self::Text(text) | Self::Number(text) | Self::Word(text) => Some(text.clone()),
            Self::Boolean(value) => Some(value.to_string()),
            Self::List(values) => {
                let texts: Option<Vec<String>> = values.iter().map(Self::text).collect();
                texts.map(|texts| texts.join(","))
            }
            Self::Secret(_) | Self::Options(_) => None,
        }
    }
}
