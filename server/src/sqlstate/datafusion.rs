//! DataFusion's and Arrow's errors.
//!
//! Many of them carry only text; the families that clients tell apart are found in it.

use std::io;

use arrow::error::ArrowError;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use levada_engine::error::Error as EngineError;
use levada_planner::Error as PlannerError;

use crate::pg::types;
use crate::sqlstate::{Position, Report};

mod input;
mod planning;

use input::{cast, execution};
use planning::plan;

/// An error of DataFusion, unwrapped to the one that says what went wrong.
pub(super) fn report(error: &DataFusionError) -> Report {
    match error {
        DataFusionError::ArrowError(error, _) => arrow(error),
        DataFusionError::ParquetError(error) => Report::error("58030", plain(&error.to_string())),
        DataFusionError::ObjectStore(error) => object_store(error),
        DataFusionError::IoError(error) => input_output(error),
        DataFusionError::SQL(error, _) => syntax(&error.to_string()),
        DataFusionError::NotImplemented(message) => missing(message),
        DataFusionError::Plan(message) => plan(message),
        DataFusionError::Configuration(message) => Report::error("22023", plain(message)),
        DataFusionError::SchemaError(error, _) => schema(error),
        DataFusionError::Execution(message) => execution(message),
        DataFusionError::ExecutionJoin(error) => Report::error("XX000", error.to_string()),
        DataFusionError::ResourcesExhausted(message) => {
            Report::error("53200", "out of memory").with_detail(sentence(message))
        }
        DataFusionError::External(error) => external(error.as_ref()),
        DataFusionError::Context(_, inner) => report(inner),
        DataFusionError::Diagnostic(diagnostic, inner) => {
            let mut report = report(inner).with_span(diagnostic.span);
            if report.hint.is_none() {
                report.hint = diagnostic.helps.first().map(|help| sentence(&help.message));
            }
            report
        }
        DataFusionError::Collection(errors) => {
            errors.first().map_or_else(|| Report::error("XX000", "unknown error"), report)
        }
        DataFusionError::Shared(inner) => report(inner),
        DataFusionError::Internal(message) => internal(message),
        DataFusionError::Substrait(message) | DataFusionError::Ffi(message) => {
            Report::error("XX000", plain(message))
        }
    }
}

/// An error of another crate: the engine's own, DataFusion's, Arrow's or a file's.
fn external(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Report {
    if let Some(inner) = error.downcast_ref::<DataFusionError>() {
        return report(inner);
    }
    if let Some(inner) = error.downcast_ref::<ArrowError>() {
        return arrow(inner);
    }
    if let Some(inner) = error.downcast_ref::<levada_planner::pg_compat::PgError>() {
        return Report::error(inner.sqlstate, inner.message.clone());
    }
    if let Some(inner) = error.downcast_ref::<EngineError>() {
        return super::engine(inner);
    }
    if let Some(inner) = error.downcast_ref::<PlannerError>() {
        return super::planner(inner);
    }
    if let Some(inner) = error.downcast_ref::<io::Error>() {
        return input_output(inner);
    }
    // The optimizer reads constant patterns with a parser that is not at hand here.
    let text = error.to_string();
    if text.starts_with("regex parse error") {
        return input::regular_expression(&text);
    }
    Report::error("XX000", plain(&text))
}

pub(super) fn arrow(error: &ArrowError) -> Report {
    match error {
        ArrowError::NotYetImplemented(message) => Report::error("0A000", plain(message)),
        ArrowError::ExternalError(inner) => external(inner.as_ref()),
        ArrowError::DivideByZero => Report::error("22012", "division by zero"),
        ArrowError::ArithmeticOverflow(message) => {
            Report::error("22003", "value out of range").with_detail(sentence(message))
        }
        ArrowError::CastError(message) => cast(message),
        ArrowError::ParseError(message) => cast(message),
        ArrowError::CsvError(message) | ArrowError::JsonError(message) => {
            Report::error("22000", plain(message))
        }
        ArrowError::IoError(_, error) => input_output(error),
        ArrowError::ParquetError(message) | ArrowError::AvroError(message) => {
            Report::error("58030", plain(message))
        }
        ArrowError::InvalidArgumentError(message) | ArrowError::ComputeError(message) => {
            execution(message)
        }
        ArrowError::MemoryError(message) => {
            Report::error("53200", "out of memory").with_detail(sentence(message))
        }
        ArrowError::OffsetOverflowError(_)
        | ArrowError::DictionaryKeyOverflowError
        | ArrowError::RunEndIndexOverflowError => {
            Report::error("54000", "result exceeds what one batch can hold")
        }
        ArrowError::SchemaError(message) => Report::error("42804", plain(message)),
        ArrowError::IpcError(_) | ArrowError::CDataInterface(_) => {
            Report::error("XX000", plain(&error.to_string()))
        }
    }
}

fn object_store(error: &object_store::Error) -> Report {
    let sqlstate = match error {
        object_store::Error::NotFound { .. } => "58P01",
        object_store::Error::AlreadyExists { .. } => "58P02",
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => "42501",
        object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. } => {
            "0A000"
        }
        object_store::Error::InvalidPath { .. } => "22023",
        _ => "58030",
    };
    Report::error(sqlstate, plain(&error.to_string()))
}

fn input_output(error: &io::Error) -> Report {
    let sqlstate = match error.kind() {
        io::ErrorKind::NotFound => "58P01",
        io::ErrorKind::PermissionDenied => "42501",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "53100",
        io::ErrorKind::OutOfMemory => "53200",
        _ => "58030",
    };
    Report::error(sqlstate, plain(&error.to_string()))
}

/// A parser's message, which ends with the place: `... at Line: 1, Column: 8`.
fn syntax(message: &str) -> Report {
    let message = message
        .strip_prefix("sql parser error: ")
        .or_else(|| message.strip_prefix("ParserError(\""))
        .unwrap_or(message);
    let (text, position) = match message.rsplit_once(" at Line: ") {
        None => (message, None),
        Some((text, place)) => (text, line_and_column(place)),
    };
    let mut report = Report::error("42601", format!("syntax error: {}", plain(text)));
    report.position = position;
    report
}

/// Reads `1, Column: 8`.
fn line_and_column(place: &str) -> Option<Position> {
    let (line, column) = place.split_once(", Column: ")?;
    let digits: String = column.chars().take_while(char::is_ascii_digit).collect();
    Some(Position::LineColumn(line.trim().parse().ok()?, digits.parse().ok()?))
}

fn schema(error: &SchemaError) -> Report {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            if let Some(table) = &field.relation
                && !valid_fields.iter().any(|valid| valid.relation.as_ref() == Some(table))
            {
                return no_table(table.table()).with_span(field.spans.first());
            }
            let report = Report::error("42703", format!("column {} does not exist", quoted(field)))
                .with_span(field.spans.first());
            match nearest(field, valid_fields) {
                Some(column) => {
                    report.with_hint(format!("Perhaps you meant the column {}.", quoted(column)))
                }
                None => report,
            }
        }
        SchemaError::AmbiguousReference { field } => {
            Report::error("42702", format!("column reference {} is ambiguous", quoted(field)))
                .with_span(field.spans.first())
        }
        SchemaError::DuplicateQualifiedField { qualifier, .. } => Report::error(
            "42712",
            format!("table name \"{}\" specified more than once", qualifier.table()),
        )
        .with_hint("Give one of them an alias."),
        SchemaError::DuplicateUnqualifiedField { name } => {
            Report::error("42701", format!("column \"{name}\" specified more than once"))
        }
    }
}

/// A qualifier that names no table of FROM.
fn no_table(name: &str) -> Report {
    Report::error("42P01", format!("missing FROM-clause entry for table \"{name}\""))
}

/// `"table.column"`, as PostgreSQL quotes it.
fn quoted(column: &Column) -> String {
    match &column.relation {
        Some(relation) => format!("\"{}.{}\"", relation.table(), column.name),
        None => format!("\"{}\"", column.name),
    }
}

/// The column most like the one asked for, if it is alike at all.
fn nearest<'a>(field: &Column, valid: &'a [Column]) -> Option<&'a Column> {
    let wanted = field.name.to_lowercase();
    valid
        .iter()
        .map(|column| (distance(&wanted, &column.name.to_lowercase()), column))
        .filter(|(distance, column)| {
            distance * 2 <= wanted.chars().count().max(column.name.chars().count())
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, column)| column)
}

/// Edits that turn one word into the other.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// What DataFusion does not do. A type that PostgreSQL does not have either is simply unknown.
fn missing(message: &str) -> Report {
    let text = plain(message);
    if text.contains("does not support logical expression WindowFunction") {
        return Report::error("42P20", "window functions are not allowed here")
            .with_hint("Compute them in a subquery, and use their result outside of it.");
    }
    if text.to_lowercase().contains("date part '") {
        return Report::error("22023", text);
    }
    match text.strip_prefix("unsupported SQL type ") {
        Some(name) if types::by_name(&name.to_lowercase()).is_none() => {
            Report::error("42704", format!("type \"{}\" does not exist", name.to_lowercase()))
        }
        _ => Report::error("0A000", text),
    }
}

/// DataFusion calls some user errors internal; what names a type or a function is one of those.
fn internal(message: &str) -> Report {
    let text = plain(message);
    if text.contains("nsupported") || text.contains("not supported") {
        return Report::error("0A000", text);
    }
    Report::error("XX000", text)
}

fn postgres_word(arrow: &str) -> &str {
    match arrow {
        "Int8" | "Int16" => "smallint",
        "Int32" => "integer",
        "Int64" => "bigint",
        "Float32" => "real",
        "Float64" => "double precision",
        "Boolean" => "boolean",
        "Utf8" | "LargeUtf8" | "Utf8View" => "text",
        "Date32" | "Date64" => "date",
        other if other.starts_with("Timestamp") => "timestamp",
        other if other.starts_with("Time") => "time",
        other if other.starts_with("Interval") => "interval",
        other if other.starts_with("Decimal") => "numeric",
        other => other,
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// A message in PostgreSQL's manner: one line, lower case at the start, no full stop, no backtrace.
fn plain(message: &str) -> String {
    let message = message.split("\n\nbacktrace:").next().unwrap_or(message);
    let message = [
        "Error during planning: ",
        "Execution error: ",
        "Arrow error: ",
        "This feature is not implemented: ",
        "Internal error: ",
    ]
    .iter()
    .fold(message, |rest, prefix| rest.strip_prefix(prefix).unwrap_or(rest));
    let message = message.trim().trim_end_matches('.');
    let mut characters = message.chars();
    match (characters.next(), characters.next()) {
        // An abbreviation or a quoted word stays as it is.
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain([second]).chain(characters).collect()
        }
        _ => message.to_owned(),
    }
}

/// A message as a sentence: capital, full stop.
fn sentence(message: &str) -> String {
    let message = message.split("\n\nbacktrace:").next().unwrap_or(message).trim();
    let mut characters = message.chars();
    let mut text: String = match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    };
    if !text.ends_with(['.', '?', '!']) {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_column_names_the_nearest() {
        let error = SchemaError::FieldNotFound {
            field: Box::new(Column::new_unqualified("totl")),
            valid_fields: vec![
                Column::new(Some("orders"), "id"),
                Column::new(Some("orders"), "total"),
            ],
        };
        let found = schema(&error);
        assert_eq!(found.sqlstate, "42703", "undefined column");
        assert_eq!(found.message, "column \"totl\" does not exist", "message");
        assert_eq!(
            found.hint.as_deref(),
            Some("Perhaps you meant the column \"orders.total\"."),
            "hint"
        );
    }

    #[test]
    fn nested_errors_are_unwrapped() {
        let error = DataFusionError::Context(
            "somewhere".to_owned(),
            Box::new(DataFusionError::from(ArrowError::DivideByZero)),
        );
        assert_eq!(report(&error).sqlstate, "22012", "division by zero");
    }

    #[test]
    fn parser_places_become_positions() {
        let found = syntax("sql parser error: Expected: end, found: x at Line: 1, Column: 8");
        assert_eq!(found.sqlstate, "42601", "syntax error");
        assert_eq!(found.position, Some(Position::LineColumn(1, 8)), "place");
    }
}
