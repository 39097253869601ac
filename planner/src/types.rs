//! `PostgreSQL` type names that DataFusion does not map itself.
//!
//! | SQL | Arrow |
//! |---|---|
//! | `numeric` without precision | `Decimal128(38, 10)` |
//! | `json`, `jsonb`, `uuid`, `name`, `citext` | `Utf8View` |
//! | `oid`, `regclass`, ... | `UInt32` |
//! | `timestamptz` | `Timestamp(Microsecond, "+00:00")` |
//! | `timestamp` | `Timestamp(Microsecond)` |

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::Result;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{self, ExactNumberInfo, TimezoneInfo};

/// The type planner of all sessions.
#[derive(Debug)]
pub(crate) struct PostgresTypes;

impl TypePlanner for PostgresTypes {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        Ok(arrow_type(sql_type).map(|t| Arc::new(Field::new("", t, true))))
    }
}

fn arrow_type(sql_type: &ast::DataType) -> Option<DataType> {
    match sql_type {
        ast::DataType::Numeric(ExactNumberInfo::None)
        | ast::DataType::Decimal(ExactNumberInfo::None)
        | ast::DataType::Dec(ExactNumberInfo::None) => Some(DataType::Decimal128(38, 10)),
        ast::DataType::JSON | ast::DataType::JSONB | ast::DataType::Uuid => {
            Some(DataType::Utf8View)
        }
        ast::DataType::Timestamp(_, zone) => {
            let utc = matches!(zone, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone);
            Some(DataType::Timestamp(TimeUnit::Microsecond, utc.then(|| "+00:00".into())))
        }
        ast::DataType::TimestampNtz(_) => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
        ast::DataType::Custom(name, arguments) if arguments.is_empty() => named_type(name),
        _ => None,
    }
}

fn named_type(name: &ast::ObjectName) -> Option<DataType> {
    let last = name.0.last()?.as_ident()?.value.to_ascii_lowercase();
    match last.as_str() {
        "oid" | "regclass" | "regtype" | "regproc" | "regnamespace" | "regrole" | "xid" => {
            Some(DataType::UInt32)
        }
        "name" | "citext" | "json" | "jsonb" | "uuid" | "text" | "bpchar" => {
            Some(DataType::Utf8View)
        }
        _ => None,
    }
}
