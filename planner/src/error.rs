//! What can go wrong between SQL text and a plan.
//!
//! Every error answers with its SQLSTATE, and where it can with a position (1-based character in the
//! whole string that was sent), a detail and a hint. Texts follow `PostgreSQL`: the primary one in
//! lower case without a full stop, detail and hint as sentences.

use datafusion::common::{DataFusionError, SchemaError};

/// Result of parsing, binding or planning.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the planner.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not a statement (42601).
    #[error("{message}")]
    Syntax {
        /// Primary text.
        message: String,
        /// Where, 0 if unknown.
        position: usize,
        /// What may have been meant.
        hint: Option<String>,
    },
    /// The construct is known but not carried out (0A000).
    #[error("{construct} is not supported yet")]
    Unsupported {
        /// The construct, in its own words.
        construct: String,
        /// Where, 0 if unknown.
        position: usize,
        /// What to write instead.
        hint: Option<String>,
    },
    /// The text is longer than the limit (54000).
    #[error("statement text of {bytes} bytes exceeds the limit of {limit} bytes")]
    TooLong {
        /// Length of the text.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The text holds more statements than the limit (54000).
    #[error("more than {limit} statements in one text")]
    TooManyStatements {
        /// The limit.
        limit: usize,
        /// Where the first one too many begins.
        position: usize,
    },
    /// Expressions or queries are nested too deeply (54001).
    #[error("statement is nested too deeply")]
    TooDeep {
        /// Where the limit was reached, 0 if unknown.
        position: usize,
    },
    /// An option has a value it cannot have (22023).
    #[error("{message}")]
    InvalidOption {
        /// Primary text.
        message: String,
        /// Where, 0 if unknown.
        position: usize,
        /// Valid values.
        hint: Option<String>,
    },
    /// No such column (42703).
    #[error("column \"{name}\" does not exist")]
    UnknownColumn {
        /// The name as written.
        name: String,
        /// Where, 0 if unknown.
        position: usize,
        /// The nearest existing name, as to be written.
        nearest: Option<String>,
    },
    /// A column is named twice (42701).
    #[error("column \"{name}\" specified more than once")]
    DuplicateColumn {
        /// The name.
        name: String,
        /// Where the second one stands, 0 if unknown.
        position: usize,
    },
    /// The definition of an object contradicts itself (42P17).
    #[error("{message}")]
    InvalidDefinition {
        /// Primary text.
        message: String,
        /// Where, 0 if unknown.
        position: usize,
        /// What to write instead.
        hint: Option<String>,
    },
    /// A type does not fit (42804).
    #[error("{message}")]
    TypeMismatch {
        /// Primary text.
        message: String,
        /// Where, 0 if unknown.
        position: usize,
    },
    /// Another error, at a known place.
    #[error("{source}")]
    At {
        /// Where.
        position: usize,
        /// The error.
        source: Box<Error>,
    },
    /// Names and dependencies.
    #[error(transparent)]
    Catalog(#[from] levada_catalog::Error),
    /// Connectors, their options and formats.
    #[error(transparent)]
    Connector(Box<levada_connectors::Error>),
    /// Name resolution, types or planning within DataFusion.
    #[error("{}", datafusion_message(.0))]
    DataFusion(Box<DataFusionError>),
}

impl From<levada_connectors::Error> for Error {
    fn from(error: levada_connectors::Error) -> Self {
        Self::Connector(Box::new(error))
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        Self::DataFusion(Box::new(error))
    }
}

impl Error {
    /// A syntax error without a hint.
    #[must_use]
    pub fn syntax(message: impl Into<String>, position: usize) -> Self {
        Self::Syntax { message: message.into(), position, hint: None }
    }

    /// A construct that is not carried out.
    #[must_use]
    pub fn unsupported(construct: impl Into<String>, position: usize) -> Self {
        Self::Unsupported { construct: construct.into(), position, hint: None }
    }

    /// This error at `position`, unless it knows a place already.
    #[must_use]
    pub fn at(self, position: usize) -> Self {
        if position == 0 || self.position().is_some() {
            return self;
        }
        Self::At { position, source: Box::new(self) }
    }

    /// The SQLSTATE.
    #[must_use]
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "42601",
            Self::Unsupported { .. } => "0A000",
            Self::TooLong { .. } | Self::TooManyStatements { .. } => "54000",
            Self::TooDeep { .. } => "54001",
            Self::InvalidOption { .. } => "22023",
            Self::UnknownColumn { .. } => "42703",
            Self::DuplicateColumn { .. } => "42701",
            Self::InvalidDefinition { .. } => "42P17",
            Self::TypeMismatch { .. } => "42804",
            Self::At { source, .. } => source.sqlstate(),
            Self::Catalog(error) => catalog_sqlstate(error),
            Self::Connector(error) => connector_sqlstate(error),
            Self::DataFusion(error) => datafusion_sqlstate(error),
        }
    }

    /// Where: 1-based character in the whole string.
    #[must_use]
    pub fn position(&self) -> Option<usize> {
        let position = match self {
            Self::Syntax { position, .. }
            | Self::Unsupported { position, .. }
            | Self::TooManyStatements { position, .. }
            | Self::TooDeep { position }
            | Self::InvalidOption { position, .. }
            | Self::UnknownColumn { position, .. }
            | Self::DuplicateColumn { position, .. }
            | Self::InvalidDefinition { position, .. }
            | Self::TypeMismatch { position, .. }
            | Self::At { position, .. } => *position,
            Self::TooLong { .. } | Self::Catalog(_) | Self::Connector(_) | Self::DataFusion(_) => 0,
        };
        (position > 0).then_some(position)
    }

    /// What may have been meant, as a sentence.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Syntax { hint, .. }
            | Self::Unsupported { hint, .. }
            | Self::InvalidOption { hint, .. }
            | Self::InvalidDefinition { hint, .. } => hint.clone(),
            Self::UnknownColumn { nearest, .. } => perhaps(nearest.as_deref()),
            Self::Catalog(levada_catalog::Error::NotFound { nearest, .. }) => {
                perhaps(nearest.as_deref())
            }
            Self::Catalog(levada_catalog::Error::Dependents { .. }) => {
                Some("Use DROP ... CASCADE to drop the dependent objects too.".to_owned())
            }
            Self::At { source, .. } => source.hint(),
            Self::TooDeep { .. } => {
                Some("Name inner parts in WITH, or split the statement.".to_owned())
            }
            Self::Connector(error) => error.hint(),
            Self::DataFusion(error) => datafusion_hint(error),
            Self::TooManyStatements { .. } => Some("Send them in several texts.".to_owned()),
            Self::TooLong { .. }
            | Self::DuplicateColumn { .. }
            | Self::TypeMismatch { .. }
            | Self::Catalog(_) => None,
        }
    }

    /// What is behind it, as sentences.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Catalog(levada_catalog::Error::Dependents { dependents, .. }) => {
                Some(dependents.join("\n"))
            }
            Self::At { source, .. } => source.detail(),
            _ => None,
        }
    }
}

fn perhaps(nearest: Option<&str>) -> Option<String> {
    nearest.map(|nearest| format!("Perhaps you meant \"{nearest}\"."))
}

fn catalog_sqlstate(error: &levada_catalog::Error) -> &'static str {
    use levada_catalog::{Error as Catalog, ObjectKind};
    match error {
        Catalog::NotFound { kind: Some(ObjectKind::Pipeline), .. } => "42704",
        Catalog::NotFound { .. } => "42P01",
        Catalog::SchemaNotFound(_) => "3F000",
        Catalog::Exists { kind: ObjectKind::Schema, .. } => "42P06",
        Catalog::Exists { kind: ObjectKind::Pipeline, .. } => "42710",
        Catalog::Exists { .. } => "42P07",
        Catalog::WrongKind { .. } => "42809",
        Catalog::Dependents { .. } => "2BP01",
        Catalog::System(_) => "42501",
        Catalog::Corrupt(_) => "XX001",
        _ => "XX000",
    }
}

fn connector_sqlstate(error: &levada_connectors::Error) -> &'static str {
    use levada_connectors::error::{Error as Connector, Kind};
    match error {
        Connector::UnknownConnector { .. } | Connector::UnknownFormat { .. } => "42704",
        Connector::UnknownOption { .. } | Connector::RepeatedOption { .. } => "42601",
        _ => match error.kind() {
            Kind::User => "22023",
            Kind::InUse => "55006",
            Kind::NotFound => "58P01",
            Kind::Denied => "42501",
            Kind::Unsupported => "0A000",
            Kind::External => "58030",
            Kind::Corrupt => "22000",
        },
    }
}

fn datafusion_sqlstate(error: &DataFusionError) -> &'static str {
    match error.find_root() {
        DataFusionError::SchemaError(error, _) => match **error {
            SchemaError::FieldNotFound { .. } => "42703",
            SchemaError::AmbiguousReference { .. } => "42702",
            SchemaError::DuplicateQualifiedField { .. }
            | SchemaError::DuplicateUnqualifiedField { .. } => "42701",
        },
        DataFusionError::SQL(_, _) => "42601",
        DataFusionError::NotImplemented(_) => "0A000",
        DataFusionError::Plan(message) => plan_sqlstate(message),
        DataFusionError::ResourcesExhausted(_) => "53200",
        DataFusionError::Execution(_) | DataFusionError::ArrowError(_, _) => "22000",
        DataFusionError::Configuration(_) => "22023",
        _ => "XX000",
    }
}

/// DataFusion tells these apart by text alone.
fn plan_sqlstate(message: &str) -> &'static str {
    if message.starts_with("Invalid function") || message.contains("No function matches") {
        "42883"
    } else if message.starts_with("table '") && message.contains("not found") {
        "42P01"
    } else if message.contains("aggregate") || message.contains("GROUP BY") {
        "42803"
    } else if message.contains("type") || message.contains("coerce") || message.contains("cast") {
        "42804"
    } else {
        "42601"
    }
}

fn datafusion_message(error: &DataFusionError) -> String {
    let root = error.find_root();
    match root {
        DataFusionError::SchemaError(schema, _) => match &**schema {
            SchemaError::FieldNotFound { field, .. } => {
                format!("column \"{}\" does not exist", field.flat_name().replace('"', ""))
            }
            SchemaError::AmbiguousReference { field } => {
                format!("column reference \"{}\" is ambiguous", field.name)
            }
            SchemaError::DuplicateQualifiedField { name, .. }
            | SchemaError::DuplicateUnqualifiedField { name } => {
                format!("column \"{name}\" specified more than once")
            }
        },
        _ => lower_first(root.message().trim_end_matches('.')),
    }
}

fn datafusion_hint(error: &DataFusionError) -> Option<String> {
    let DataFusionError::SchemaError(schema, _) = error.find_root() else { return None };
    let SchemaError::FieldNotFound { field, valid_fields } = &**schema else { return None };
    let nearest = crate::parse::nearest(&field.name, valid_fields.iter().map(|f| f.name.as_str()))?;
    perhaps(Some(nearest))
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    let second_is_upper = text.chars().nth(1).is_some_and(char::is_uppercase);
    match chars.next() {
        Some(first) if !second_is_upper => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn errors_stay_small() {
        assert!(size_of::<Error>() <= 72, "{} bytes", size_of::<Error>());
    }

    #[test]
    fn a_place_is_kept_and_not_overruled() {
        let catalog = levada_catalog::Error::SchemaNotFound("app".to_owned());
        let error = Error::from(catalog).at(7).at(9);
        assert_eq!(error.position(), Some(7));
        assert_eq!(error.sqlstate(), "3F000");
        assert_eq!(error.to_string(), "schema \"app\" does not exist");
    }

    #[test]
    fn connectors_errors_keep_their_hint() {
        let error = levada_connectors::Error::UnknownOption {
            name: "hedaer".to_owned(),
            nearest: Some("header"),
            owner: "csv",
        };
        let error = Error::from(error);
        assert_eq!(error.sqlstate(), "42601");
        assert_eq!(error.hint().as_deref(), Some("Perhaps you meant \"header\"."));
    }
}
