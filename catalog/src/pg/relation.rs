//! The relations of the system catalog and their columns.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef, TimeUnit};

use super::PG_TYPE_KEY;
use crate::object::ObjectId;

/// A relation of `pg_catalog` or `information_schema`.
#[derive(Debug)]
pub struct PgRelation {
    /// `pg_catalog` or `information_schema`.
    pub schema: &'static str,
    /// Bare name.
    pub name: &'static str,
    /// Its OID, that of `PostgreSQL` 15.
    pub oid: ObjectId,
    /// `r` table or `v` view.
    pub kind: char,
    /// Columns in order.
    pub columns: Vec<PgColumn>,
    pub(super) schema_ref: SchemaRef,
    positions: HashMap<&'static str, usize>,
}

/// A column of the system catalog.
#[derive(Clone, Debug)]
pub struct PgColumn {
    /// Name.
    pub name: &'static str,
    /// `PostgreSQL` type name, `_x` for an array of `x`.
    pub type_name: &'static str,
    /// Whether it is never NULL.
    pub not_null: bool,
}

impl PgRelation {
    /// Position of a column.
    #[must_use]
    pub fn position(&self, column: &str) -> Option<usize> {
        self.positions.get(column).copied()
    }
}

impl PgColumn {
    /// Whether its values are arrays or vectors.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(arrow_type(self.type_name), DataType::List(_))
    }

    fn parse(text: &'static str) -> Option<Self> {
        let (name, type_text) = text.split_once(' ')?;
        let bare = type_text.strip_suffix('!');
        Some(Self { name, type_name: bare.unwrap_or(type_text), not_null: bare.is_some() })
    }

    fn field(&self) -> Field {
        let metadata = HashMap::from([(PG_TYPE_KEY.to_owned(), self.type_name.to_owned())]);
        Field::new(self.name, arrow_type(self.type_name), true).with_metadata(metadata)
    }
}

/// All relations, by schema and name.
#[must_use]
pub fn relations() -> &'static [PgRelation] {
    static RELATIONS: LazyLock<Vec<PgRelation>> = LazyLock::new(|| {
        include_str!("data/relations.tsv").lines().skip(1).filter_map(parse).collect()
    });
    &RELATIONS
}

/// The relation of that bare name.
#[must_use]
pub fn relation(name: &str) -> Option<&'static PgRelation> {
    static BY_NAME: LazyLock<HashMap<&'static str, &'static PgRelation>> =
        LazyLock::new(|| relations().iter().map(|r| (r.name, r)).collect());
    BY_NAME.get(name).copied()
}

fn parse(line: &'static str) -> Option<PgRelation> {
    let mut fields = line.split('\t');
    let (schema, name) = (fields.next()?, fields.next()?);
    let oid = fields.next()?.parse().ok()?;
    let kind = fields.next()?.chars().next()?;
    let columns: Vec<PgColumn> = fields.next()?.split(',').filter_map(PgColumn::parse).collect();
    let arrow: Vec<Field> = columns.iter().map(PgColumn::field).collect();
    let positions = columns.iter().enumerate().map(|(i, c)| (c.name, i)).collect();
    let schema_ref = Arc::new(Schema::new(arrow));
    Some(PgRelation { schema, name, oid, kind, columns, schema_ref, positions })
}

/// The Arrow type that carries a `PostgreSQL` type of the catalog.
pub(super) fn arrow_type(name: &str) -> DataType {
    match name {
        "bool" => DataType::Boolean,
        "int2" => DataType::Int16,
        "int4" => DataType::Int32,
        "int8" => DataType::Int64,
        "float4" => DataType::Float32,
        "float8" => DataType::Float64,
        "numeric" => DataType::Decimal128(38, 0),
        "oid" | "regproc" | "regtype" | "xid" => DataType::UInt32,
        "bytea" => DataType::Binary,
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        "interval" => DataType::Interval(IntervalUnit::MonthDayNano),
        "int2vector" => list(DataType::Int16),
        "oidvector" => list(DataType::UInt32),
        array if array.starts_with('_') => list(arrow_type(array.trim_start_matches('_'))),
        _ => DataType::Utf8,
    }
}

fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}
