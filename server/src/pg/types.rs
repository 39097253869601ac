//! Which PostgreSQL type stands for which Arrow type.
//!
//! ```text
//! Boolean -> bool        Int8..Int16, UInt8 -> int2    Int32, UInt16 -> int4    Int64 -> int8
//! UInt32 -> oid
//! UInt64, Decimal* -> numeric     Float16, Float32 -> float4     Float64 -> float8
//! Utf8* -> text    Binary* -> bytea    Date* -> date    Time* -> time    Timestamp -> timestamp[tz]
//! Interval, Duration -> interval       List* -> the element's array      Struct -> record
//! Map, Union -> json       Dictionary, RunEndEncoded -> their values' type       Null -> text
//! ```
//! A column may say otherwise: the metadata entry [`PG_TYPE`] of its field holds a PostgreSQL type
//! name (`oid`, `name`, `char`, `jsonb`, ...). The catalog relations use it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use levada_engine::client::{PG_COLUMN_KEY, PG_TABLE_KEY};
use postgres_types::{Kind, Type};

/// Key of the field metadata that overrides the PostgreSQL type.
pub(crate) const PG_TYPE: &str = "pg_type";

/// The PostgreSQL type of a column.
pub(crate) fn of_field(field: &Field) -> Type {
    field
        .metadata()
        .get(PG_TYPE)
        .and_then(|name| by_name(name))
        .unwrap_or_else(|| of(field.data_type()))
}

/// The OID of the relation whose column a field is, unchanged; 0 for what is computed.
pub(crate) fn table_of(field: &Field) -> i32 {
    let table = field.metadata().get(PG_TABLE_KEY).and_then(|oid| oid.parse::<u32>().ok());
    // The wire's integers carry all 32 bits of an OID.
    table.unwrap_or(0).cast_signed()
}

/// The number of that column, from 1; 0 for what is computed.
pub(crate) fn column_of(field: &Field) -> i16 {
    field.metadata().get(PG_COLUMN_KEY).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The PostgreSQL type of an Arrow type.
pub(crate) fn of(data_type: &DataType) -> Type {
    match data_type {
        DataType::Boolean => Type::BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => Type::INT2,
        DataType::Int32 | DataType::UInt16 => Type::INT4,
        DataType::Int64 => Type::INT8,
        // PostgreSQL's only number of four bytes without a sign; the catalog is full of them.
        DataType::UInt32 => Type::OID,
        DataType::UInt64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => Type::NUMERIC,
        DataType::Float16 | DataType::Float32 => Type::FLOAT4,
        DataType::Float64 => Type::FLOAT8,
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Type::TEXT,
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => Type::BYTEA,
        DataType::Date32 | DataType::Date64 => Type::DATE,
        DataType::Time32(_) | DataType::Time64(_) => Type::TIME,
        DataType::Timestamp(_, None) => Type::TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => Type::TIMESTAMPTZ,
        DataType::Interval(_) | DataType::Duration(_) => Type::INTERVAL,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => array_of(&of_field(item)),
        DataType::Struct(_) => Type::RECORD,
        DataType::Map(..) | DataType::Union(..) => Type::JSON,
        DataType::Dictionary(_, values) => of(values),
        DataType::RunEndEncoded(_, values) => of_field(values),
    }
}

/// The array type over an element type. An array is its own array type: PostgreSQL does not count
/// dimensions.
pub(crate) fn array_of(element: &Type) -> Type {
    if matches!(element.kind(), Kind::Array(_)) {
        return element.clone();
    }
    NAMED
        .iter()
        .find(|(_, scalar, _)| scalar == element)
        .map_or(Type::TEXT_ARRAY, |(_, _, array)| array.clone())
}

/// The element type of an array type.
pub(crate) fn element_of(array: &Type) -> Option<Type> {
    match array.kind() {
        Kind::Array(element) => Some(element.clone()),
        _ => match *array {
            Type::INT2_VECTOR => Some(Type::INT2),
            Type::OID_VECTOR => Some(Type::OID),
            _ => None,
        },
    }
}

/// The type of a PostgreSQL name; `_x` and `x[]` name the array type.
pub(crate) fn by_name(name: &str) -> Option<Type> {
    let (name, array) = match (name.strip_suffix("[]"), name.strip_prefix('_')) {
        (Some(element), _) | (None, Some(element)) => (element, true),
        (None, None) => (name, false),
    };
    match name {
        "int2vector" => return Some(Type::INT2_VECTOR),
        "oidvector" => return Some(Type::OID_VECTOR),
        "anyarray" => return Some(Type::ANYARRAY),
        _ => {}
    }
    NAMED
        .iter()
        .find(|(known, _, _)| *known == name)
        .map(|(_, scalar, of)| if array { of.clone() } else { scalar.clone() })
}

/// `pg_type.typlen`: the size of a value in bytes, -1 when it varies.
pub(crate) fn size(ty: &Type) -> i16 {
    match *ty {
        Type::BOOL | Type::CHAR => 1,
        Type::INT2 => 2,
        Type::INT4
        | Type::FLOAT4
        | Type::DATE
        | Type::OID
        | Type::XID
        | Type::CID
        | Type::REGPROC
        | Type::REGCLASS
        | Type::REGTYPE
        | Type::REGNAMESPACE
        | Type::REGROLE => 4,
        Type::TID => 6,
        Type::INT8 | Type::FLOAT8 | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => 8,
        Type::TIMETZ => 12,
        Type::INTERVAL | Type::UUID => 16,
        Type::NAME => 64,
        _ => -1,
    }
}

/// `atttypmod`: precision and scale of a decimal, -1 for everything else.
pub(crate) fn modifier(data_type: &DataType) -> i32 {
    match *data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale)
            if scale >= 0 =>
        {
            (i32::from(precision) << 16 | i32::from(scale)) + 4
        }
        _ => -1,
    }
}

/// The Arrow type that values of a PostgreSQL type are decoded into; `None` for `unknown`, for 0
/// and for types this server has no values of.
pub(crate) fn arrow_type(oid: u32) -> Option<DataType> {
    let ty = Type::from_oid(oid)?;
    Some(match ty {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 => DataType::Int64,
        Type::OID
        | Type::XID
        | Type::CID
        | Type::REGPROC
        | Type::REGCLASS
        | Type::REGTYPE
        | Type::REGNAMESPACE
        | Type::REGROLE => DataType::UInt32,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        // The scale of a parameter is known with its value only; the decoder picks one that fits.
        Type::NUMERIC => DataType::Decimal128(38, 10),
        Type::TEXT
        | Type::VARCHAR
        | Type::BPCHAR
        | Type::NAME
        | Type::CHAR
        | Type::JSON
        | Type::JSONB
        | Type::UUID
        | Type::XML => DataType::Utf8,
        Type::BYTEA => DataType::Binary,
        Type::DATE => DataType::Date32,
        Type::TIME => DataType::Time64(TimeUnit::Microsecond),
        Type::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("+00:00"))),
        Type::INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        ref other => {
            let element = element_of(other)?;
            let item = Field::new_list_field(arrow_type(element.oid())?, true);
            DataType::List(Arc::new(item))
        }
    })
}

/// Name, type and array type of the types that values may have.
static NAMED: &[(&str, Type, Type)] = &[
    ("bool", Type::BOOL, Type::BOOL_ARRAY),
    ("bytea", Type::BYTEA, Type::BYTEA_ARRAY),
    ("char", Type::CHAR, Type::CHAR_ARRAY),
    ("name", Type::NAME, Type::NAME_ARRAY),
    ("int8", Type::INT8, Type::INT8_ARRAY),
    ("int2", Type::INT2, Type::INT2_ARRAY),
    ("int4", Type::INT4, Type::INT4_ARRAY),
    ("regproc", Type::REGPROC, Type::REGPROC_ARRAY),
    ("regclass", Type::REGCLASS, Type::REGCLASS_ARRAY),
    ("regtype", Type::REGTYPE, Type::REGTYPE_ARRAY),
    ("regnamespace", Type::REGNAMESPACE, Type::REGNAMESPACE_ARRAY),
    ("regrole", Type::REGROLE, Type::REGROLE_ARRAY),
    ("text", Type::TEXT, Type::TEXT_ARRAY),
    ("oid", Type::OID, Type::OID_ARRAY),
    ("tid", Type::TID, Type::TID_ARRAY),
    ("xid", Type::XID, Type::XID_ARRAY),
    ("cid", Type::CID, Type::CID_ARRAY),
    ("json", Type::JSON, Type::JSON_ARRAY),
    ("jsonb", Type::JSONB, Type::JSONB_ARRAY),
    ("xml", Type::XML, Type::XML_ARRAY),
    ("pg_node_tree", Type::PG_NODE_TREE, Type::TEXT_ARRAY),
    ("float4", Type::FLOAT4, Type::FLOAT4_ARRAY),
    ("float8", Type::FLOAT8, Type::FLOAT8_ARRAY),
    ("aclitem", Type::ACLITEM, Type::ACLITEM_ARRAY),
    ("bpchar", Type::BPCHAR, Type::BPCHAR_ARRAY),
    ("varchar", Type::VARCHAR, Type::VARCHAR_ARRAY),
    ("date", Type::DATE, Type::DATE_ARRAY),
    ("time", Type::TIME, Type::TIME_ARRAY),
    ("timestamp", Type::TIMESTAMP, Type::TIMESTAMP_ARRAY),
    ("timestamptz", Type::TIMESTAMPTZ, Type::TIMESTAMPTZ_ARRAY),
    ("interval", Type::INTERVAL, Type::INTERVAL_ARRAY),
    ("timetz", Type::TIMETZ, Type::TIMETZ_ARRAY),
    ("numeric", Type::NUMERIC, Type::NUMERIC_ARRAY),
    ("uuid", Type::UUID, Type::UUID_ARRAY),
    ("record", Type::RECORD, Type::RECORD_ARRAY),
    ("pg_lsn", Type::PG_LSN, Type::PG_LSN_ARRAY),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_overrides_the_type() {
        let field = Field::new("oid", DataType::Int32, false)
            .with_metadata([(PG_TYPE.to_owned(), "oid".to_owned())].into());
        assert_eq!(of_field(&field), Type::OID, "metadata wins");
        assert_eq!(by_name("_text"), Some(Type::TEXT_ARRAY), "underscore names arrays");
        assert_eq!(by_name("text[]"), Some(Type::TEXT_ARRAY), "brackets name arrays");
    }

    #[test]
    fn numeric_modifier_is_postgres_typmod() {
        assert_eq!(modifier(&DataType::Decimal128(12, 2)), (12 << 16 | 2) + 4, "numeric(12,2)");
        assert_eq!(modifier(&DataType::Int32), -1, "no modifier");
    }

    #[test]
    fn every_scalar_comes_back_as_an_arrow_type_of_its_own() {
        for oid in [16, 17, 20, 21, 23, 25, 700, 701, 1082, 1083, 1114, 1184, 1186] {
            let arrow = arrow_type(oid).expect("a type in use");
            assert_eq!(of(&arrow).oid(), oid, "oid {oid}");
        }
    }
}
