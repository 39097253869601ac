//! The objects of a database, one typed payload per kind.
//!
//! | kind | `pg_class.relkind` | rows come from |
//! |---|---|---|
//! | schema | - | - |
//! | table | `r` | INSERT, UPDATE, DELETE, COPY |
//! | source | `f` | a connector |
//! | view | `v` | its query, at read |
//! | materialized view | `m` | its query, maintained by deltas |
//! | sink | `f` | nothing: it is a follower |
//! | pipeline | - | its steps, objects of the schema of the same name |
//!
//! Identifiers are `PostgreSQL` OIDs: allocated once from [`FIRST_USER_OID`], never reused.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A `PostgreSQL` OID.
pub type ObjectId = u32;

/// The first OID given to an object of a user; those below are the system's.
pub const FIRST_USER_OID: ObjectId = 16_384;
/// OID of schema `pg_catalog`.
pub const PG_CATALOG_OID: ObjectId = 11;
/// OID of schema `public`.
pub const PUBLIC_OID: ObjectId = 2_200;
/// OID of schema `information_schema`.
pub const INFORMATION_SCHEMA_OID: ObjectId = 13_000;
/// OID of schema `sys`.
pub const SYS_OID: ObjectId = 14_000;

/// What kind of thing an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ObjectKind {
    /// A namespace.
    Schema,
    /// A relation written by DML.
    Table,
    /// A relation fed by a connector.
    Source,
    /// A named query.
    View,
    /// A maintained query.
    MaterializedView,
    /// A graph of steps, deployed as one.
    Pipeline,
    /// A follower that writes a relation's changes to the outside.
    Sink,
}

/// A column of a relation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Name, as resolved (folded unless it was quoted).
    pub name: String,
    /// Arrow type, in the text form of `arrow::datatypes::DataType` (`Display` / `FromStr`).
    #[serde(with = "data_type_text")]
    pub data_type: DataType,
    /// Whether NULL is allowed.
    pub nullable: bool,
    /// `DEFAULT` expression as SQL text.
    #[serde(default)]
    pub default: Option<String>,
}

/// One object of the catalog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// Identifier, never reused.
    pub id: ObjectId,
    /// Name within its schema.
    pub name: String,
    /// The schema it lives in; 0 for schemas themselves.
    pub schema: ObjectId,
    /// Role that owns it.
    pub owner: String,
    /// `COMMENT ON` text.
    #[serde(default)]
    pub comment: Option<String>,
    /// The canonical statement that makes it.
    pub definition: String,
    /// Objects it needs: DROP of those is refused or cascades here.
    #[serde(default)]
    pub depends_on: Vec<ObjectId>,
    /// What is particular to its kind.
    pub detail: Detail,
}

/// What is particular to a kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Detail {
    /// A namespace; `pipeline` is set when the steps of that pipeline live in it.
    Schema {
        /// The owning pipeline.
        pipeline: Option<ObjectId>,
    },
    /// A table.
    Table {
        /// Columns in order.
        columns: Vec<Column>,
        /// Names of the primary key's columns; empty when there is none.
        primary_key: Vec<String>,
    },
    /// A source.
    Source {
        /// Columns in order.
        columns: Vec<Column>,
        /// Names of the primary key's columns; empty when there is none.
        primary_key: Vec<String>,
        /// Connector name, for example `files` or `generator`.
        connector: String,
        /// Positional arguments (`FILES ('uri', ...)`, `GENERATOR NEXMARK`).
        arguments: Vec<String>,
        /// Options of the connector, as given.
        options: Vec<(String, String)>,
        /// Format name (`csv`, `json`, `parquet`), empty when the connector has its own.
        format: String,
        /// Options of the format, as given.
        format_options: Vec<(String, String)>,
    },
    /// A view, or an ephemeral step of a pipeline.
    View {
        /// Output columns.
        columns: Vec<Column>,
        /// The query, as SQL text.
        query: String,
        /// Schemas searched when `query` was bound, in order.
        search_path: Vec<String>,
    },
    /// A materialized view, or a materialized step of a pipeline.
    MaterializedView {
        /// Output columns.
        columns: Vec<Column>,
        /// Declared `KEY` columns; empty when there is none.
        key: Vec<String>,
        /// The query, as SQL text.
        query: String,
        /// Schemas searched when `query` was bound, in order.
        search_path: Vec<String>,
        /// How often it was given another query; its rows may have been retracted since.
        #[serde(default)]
        revision: u32,
    },
    /// A pipeline: its steps are the objects of the schema of the same name.
    Pipeline {
        /// The schema that holds the steps.
        steps_schema: ObjectId,
        /// Hash of the canonical text.
        version: String,
    },
    /// A sink.
    Sink {
        /// The relation it follows.
        from: ObjectId,
        /// Connector name, for example `files`.
        connector: String,
        /// Positional arguments (`FILES 'uri'`).
        arguments: Vec<String>,
        /// Options of the connector, as given.
        options: Vec<(String, String)>,
        /// Format name.
        format: String,
        /// Options of the format, as given.
        format_options: Vec<(String, String)>,
        /// What no other sink of any database has ever had: its target knows it by this.
        identity: String,
        /// The identity of the sink whose files it removed when it began; empty for files of nobody.
        #[serde(default)]
        displaces: Option<String>,
    },
}

impl Object {
    /// The kind of this object.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        match &self.detail {
            Detail::Schema { .. } => ObjectKind::Schema,
            Detail::Table { .. } => ObjectKind::Table,
            Detail::Source { .. } => ObjectKind::Source,
            Detail::View { .. } => ObjectKind::View,
            Detail::MaterializedView { .. } => ObjectKind::MaterializedView,
            Detail::Pipeline { .. } => ObjectKind::Pipeline,
            Detail::Sink { .. } => ObjectKind::Sink,
        }
    }

    /// The columns, for relations (tables, sources, views, materialized views).
    #[must_use]
    pub fn columns(&self) -> Option<&[Column]> {
        match &self.detail {
            Detail::Table { columns, .. }
            | Detail::Source { columns, .. }
            | Detail::View { columns, .. }
            | Detail::MaterializedView { columns, .. } => Some(columns),
            Detail::Schema { .. } | Detail::Pipeline { .. } | Detail::Sink { .. } => None,
        }
    }

    /// The declared key's column names; empty when there is none.
    #[must_use]
    pub fn key(&self) -> &[String] {
        match &self.detail {
            Detail::Table { primary_key, .. } | Detail::Source { primary_key, .. } => primary_key,
            Detail::MaterializedView { key, .. } => key,
            Detail::Schema { .. }
            | Detail::View { .. }
            | Detail::Pipeline { .. }
            | Detail::Sink { .. } => &[],
        }
    }

    /// Whether rows of it are stored (tables, sources, materialized views).
    #[must_use]
    pub fn is_stored(&self) -> bool {
        matches!(self.kind(), ObjectKind::Table | ObjectKind::Source | ObjectKind::MaterializedView)
    }

    /// The Arrow schema of its rows, for relations.
    #[must_use]
    pub fn arrow_schema(&self) -> Option<SchemaRef> {
        let fields: Vec<Field> = self.columns()?.iter().map(Column::field).collect();
        Some(Arc::new(Schema::new(fields)))
    }
}

impl Column {
    /// The Arrow field of this column.
    #[must_use]
    pub fn field(&self) -> Field {
        Field::new(&self.name, self.data_type.clone(), self.nullable)
    }
}

impl From<&Field> for Column {
    fn from(field: &Field) -> Self {
        Self {
            name: field.name().clone(),
            data_type: field.data_type().clone(),
            nullable: field.is_nullable(),
            default: None,
        }
    }
}

impl ObjectKind {
    /// The words of this kind in SQL, lower case.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Table => "table",
            Self::Source => "source",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::Pipeline => "pipeline",
            Self::Sink => "sink",
        }
    }
}

mod data_type_text {
    use arrow::datatypes::DataType;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(t: &DataType, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(t)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<DataType, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}
