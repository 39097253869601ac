//! Options: `(key [=] value, ...)`.
//!
//! A key is one word, in lower case here; dots are allowed (`'s3.region'` and `s3.region` are the
//! same key). A key alone means true.

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
    /// The value as one string, as option tables take it.
    #[must_use]
    pub fn text(&self) -> String {
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
    /// `(value, ...)`.
    List(Vec<OptValue>),
}

impl OptValue {
    /// The value as one string; lists are joined by commas.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Absent => "true".to_owned(),
            Self::Text(text) | Self::Number(text) | Self::Word(text) => text.clone(),
            Self::Boolean(value) => value.to_string(),
            Self::List(values) => values.iter().map(Self::text).collect::<Vec<String>>().join(","),
        }
    }
}
