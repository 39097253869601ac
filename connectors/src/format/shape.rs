//! Which Arrow types stand for SQL types, and what they are called in messages.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit};

/// The type that a column of a self-describing file has in Levada.
///
/// Text is `Utf8View`, timestamps count microseconds, unsigned and tiny numbers widen to the next type
/// that SQL has. Types that SQL has no better one for stay as they are.
pub(crate) fn normal(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_) => {
            DataType::BinaryView
        }
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
        DataType::Date64 => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Dictionary(_, value) => normal(value),
        DataType::List(item) | DataType::LargeList(item) => DataType::List(normal_field(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(normal_field).collect()),
        other => other.clone(),
    }
}

/// `field` with its normal type.
pub(crate) fn normal_field(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(field.name(), normal(field.data_type()), field.is_nullable()))
}

/// `schema` with normal types and without metadata.
pub(crate) fn normal_schema(schema: &Schema) -> Schema {
    Schema::new(schema.fields().iter().map(normal_field).collect::<Vec<_>>())
}

/// The SQL name of a type.
pub(crate) fn sql_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Boolean => "boolean",
        DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        DataType::Int64 => "bigint",
        DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytea",
        DataType::Date32 => "date",
        DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone",
        DataType::Interval(_) => "interval",
        DataType::Decimal128(p, s) => return format!("numeric({p},{s})"),
        DataType::List(item) => return format!("{}[]", sql_name(item.data_type())),
        other => return other.to_string(),
    };
    name.to_owned()
}

/// The column of `names` that `wanted` means: the same name, or the only one that differs by case.
pub(crate) fn column_named<'a>(
    wanted: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Option<usize> {
    let exact = names.clone().position(|name| name == wanted);
    exact.or_else(|| {
        let mut alike = names.enumerate().filter(|(_, name)| name.eq_ignore_ascii_case(wanted));
        let (found, _) = alike.next()?;
        alike.next().is_none().then_some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::column_named;

    #[test]
    fn names_match_exactly_or_by_the_only_one_of_other_case() {
        let names = ["Id", "id", "Total"];
        assert_eq!(column_named("id", names.into_iter()), Some(1));
        assert_eq!(column_named("total", names.into_iter()), Some(2));
        assert_eq!(column_named("ID", names.into_iter()), None, "two differ by case only");
    }
}
