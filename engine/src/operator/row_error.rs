//! Errors of single rows, as data.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use levada_planner::pg_compat::PgError;
use levada_storage::delta::ErrorRow;

/// The error row of a row with this hash whose evaluation failed.
#[must_use]
pub fn error_row(error: &DataFusionError, row_hash: u64) -> ErrorRow {
    let (sqlstate, message) = describe(error);
    ErrorRow { sqlstate: sqlstate.to_owned(), message, row_hash }
}

/// SQLSTATE and primary message of an evaluation error, in `PostgreSQL`'s words where it has some.
#[must_use]
pub fn describe(error: &DataFusionError) -> (&'static str, String) {
    match error.find_root() {
        DataFusionError::ArrowError(error, _) => describe_arrow(error),
        DataFusionError::External(source) if source.is::<PgError>() => {
            let PgError { sqlstate, message } =
                source.downcast_ref().expect("the guard has tested the type");
            (sqlstate, message.clone())
        }
        other => {
            let text = other.strip_backtrace();
            let message = clean(&text);
            (sqlstate_of(&message), message)
        }
    }
}

fn describe_arrow(error: &ArrowError) -> (&'static str, String) {
    match error {
        ArrowError::DivideByZero => ("22012", "division by zero".to_owned()),
        ArrowError::ArithmeticOverflow(text) => ("22003", clean(text)),
        ArrowError::CastError(text) | ArrowError::ParseError(text) => {
            let message = clean(text);
            if let Some(outside) = outside_integers(&message) {
                return ("22003", outside);
            }
            let state = sqlstate_of(&message);
            (if state == "22000" { "22P02" } else { state }, message)
        }
        ArrowError::ExternalError(source) => match source.downcast_ref::<DataFusionError>() {
            Some(error) => describe(error),
            None => ("22000", clean(&source.to_string())),
        },
        other => {
            let message = clean(&other.to_string());
            (sqlstate_of(&message), message)
        }
    }
}

/// `integer out of range` for `can't cast value 2147483648 to type Int32` and its like.
fn outside_integers(message: &str) -> Option<String> {
    let (_, kind) = message.strip_prefix("can't cast value ")?.rsplit_once(" to type ")?;
    let name = match kind {
        "Int16" => "smallint",
        "Int32" => "integer",
        "Int64" => "bigint",
        _ => return None,
    };
    Some(format!("{name} out of range"))
}

/// The class of an error that is known by its text only.
fn sqlstate_of(message: &str) -> &'static str {
    let lower = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    if has(&["divide by zero", "division by zero"]) {
        "22012"
    } else if has(&["overflow", "out of range", "too large", "can't be cast", "can't cast value"]) {
        "22003"
    } else if has(&["regular expression did not compile", "regex parse error"]) {
        "2201B"
    } else if has(&["cannot cast string", "error parsing"]) {
        "22P02"
    } else {
        "22000"
    }
}

/// The text without the names of the layers it came through, in lower case at the start and without a
/// full stop.
fn clean(text: &str) -> String {
    const LAYERS: [&str; 11] = [
        "Arrow error: ",
        "Execution error: ",
        "External error: ",
        "Internal error: ",
        "Optimizer rule ",
        "Cast error: ",
        "Parser error: ",
        "Compute error: ",
        "Arithmetic overflow: ",
        "Invalid argument error: ",
        "Schema error: ",
    ];
    let mut rest = text.lines().next().unwrap_or_default().trim();
    while let Some(inner) = LAYERS.iter().find_map(|layer| rest.strip_prefix(layer)) {
        rest = inner;
    }
    let rest = rest.trim_end_matches('.');
    let mut chars = rest.chars();
    match (chars.next(), chars.clone().next()) {
        // An acronym keeps its case.
        (Some(first), second) if !second.is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => rest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::error::ArrowError;
    use datafusion::error::DataFusionError;

    use super::describe;

    #[test]
    fn arithmetic_and_casts_have_postgres_states() {
        let cases: [(DataFusionError, &str, &str); 5] = [
            (ArrowError::DivideByZero.into(), "22012", "division by zero"),
            (
                ArrowError::ArithmeticOverflow("Overflow happened on: 1 + 2".to_owned()).into(),
                "22003",
                "overflow happened on: 1 + 2",
            ),
            (
                ArrowError::CastError("Cannot cast string 'x' to value of Int32 type".to_owned())
                    .into(),
                "22P02",
                "cannot cast string 'x' to value of Int32 type",
            ),
            (
                ArrowError::CastError("Can't cast value 300 to type Int8".to_owned()).into(),
                "22003",
                "can't cast value 300 to type Int8",
            ),
            (DataFusionError::Execution("JSON is broken.".to_owned()), "22000", "JSON is broken"),
        ];
        for (error, state, message) in cases {
            let wrapped = error.context("while it ran");
            assert_eq!(describe(&wrapped), (state, message.to_owned()), "{message}");
        }
    }
}
