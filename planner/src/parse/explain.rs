//! `EXPLAIN`: `PostgreSQL`'s forms, and what concerns maintenance and lineage.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, Result};
use crate::parse::stream::Stream;
use crate::parse::{inner, is_plannable, option, refuse};
use crate::statement::{Explain, ExplainFormat, ExplainOptions, Opt, OptValue, Statement, Subject};

/// Reads `EXPLAIN ...`.
pub(super) fn explain(stream: &mut Stream<'_>) -> Result<Statement> {
    let position = stream.position();
    stream.expect("EXPLAIN")?;
    if stream.accept("INCREMENTAL") {
        return Ok(Statement::Explain(Explain::Incremental(subject(stream)?)));
    }
    if stream.accept("LINEAGE") {
        let column = if stream.accept("COLUMN") { Some(stream.identifier()?) } else { None };
        let subject = subject(stream)?;
        return Ok(Statement::Explain(Explain::Lineage { column, subject }));
    }
    if stream.accept("ANALYZE MATERIALIZED VIEW") {
        return Ok(Statement::Explain(Explain::Maintained(stream.name()?)));
    }
    for words in ["WATERMARK", "STATE", "COST", "PRIVILEGES", "ROW"] {
        if stream.at(words) {
            return refuse(format!("EXPLAIN {words}"), position);
        }
    }
    let options = if stream.at_sign(&Token::LParen) && options_follow(stream) {
        read_options(stream)?
    } else {
        let analyze = stream.accept("ANALYZE");
        let verbose = stream.accept("VERBOSE");
        ExplainOptions { analyze, verbose, format: ExplainFormat::Text }
    };
    let start = stream.index();
    let statement = inner(stream)?;
    let fits = is_plannable(&statement.statement)
        || matches!(
            statement.statement,
            Statement::Execute(_)
                | Statement::DeclareCursor(_)
                | Statement::CreateView(_)
                | Statement::CreateMaterializedView(_)
        );
    if !fits {
        stream.seek(start);
        return Err(stream.unexpected());
    }
    Ok(Statement::Explain(Explain::Plan { options, statement }))
}

/// Whether the parenthesis opens options, not a query.
fn options_follow(stream: &Stream<'_>) -> bool {
    !["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| stream.at_offset(1, word))
        && stream.bare_word(stream.index() + 1).is_some()
}

/// Reads `FOR relation`, `relation` or a query.
fn subject(stream: &mut Stream<'_>) -> Result<Subject> {
    if !stream.accept("FOR") {
        let query = ["SELECT", "WITH", "VALUES", "TABLE"].iter().any(|word| stream.at(word));
        if query || stream.at_sign(&Token::LParen) {
            return Ok(Subject::Query(stream.query()?));
        }
    }
    if stream.at_end() {
        return Err(stream.expected(&["FOR", "SELECT"]));
    }
    Ok(Subject::Relation(stream.name()?))
}

fn read_options(stream: &mut Stream<'_>) -> Result<ExplainOptions> {
    let mut options = ExplainOptions::default();
    for option in option::options(stream)? {
        match option.key.as_str() {
            "analyze" => options.analyze = boolean(&option)?,
            "verbose" => options.verbose = boolean(&option)?,
            "format" => options.format = format(&option)?,
            "costs" | "buffers" | "timing" | "summary" | "settings" | "wal" | "memory"
            | "generic_plan" | "serialize" => {
                if option.value.text() == "none" || !boolean(&option)? {
                    continue;
                }
                let construct = format!("EXPLAIN option {}", option.key.to_ascii_uppercase());
                return refuse(construct, option.position);
            }
            key => {
                let known = ["ANALYZE", "VERBOSE", "FORMAT"];
                return Err(Error::Syntax {
                    message: format!("unrecognized EXPLAIN option \"{key}\""),
                    position: option.position,
                    hint: Some(match super::nearest(key, known) {
                        Some(word) => format!("Perhaps you meant \"{word}\"."),
                        None => format!("Options are {}.", known.join(", ")),
                    }),
                });
            }
        }
    }
    Ok(options)
}

/// The value of a Boolean option.
pub(super) fn boolean(option: &Opt) -> Result<bool> {
    match option.value.text().to_ascii_lowercase().as_str() {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => {
            Err(Error::syntax(format!("{} requires a Boolean value", option.key), option.position))
        }
    }
}

fn format(option: &Opt) -> Result<ExplainFormat> {
    let name = match &option.value {
        OptValue::Word(name) | OptValue::Text(name) => name.to_ascii_lowercase(),
        _ => String::new(),
    };
    match name.as_str() {
        "text" => Ok(ExplainFormat::Text),
        "tree" => Ok(ExplainFormat::Tree),
        "json" => Ok(ExplainFormat::Json),
        "dot" => Ok(ExplainFormat::Dot),
        "xml" | "yaml" => {
            refuse(format!("EXPLAIN (FORMAT {})", name.to_ascii_uppercase()), option.position)
        }
        _ => Err(Error::InvalidOption {
            message: format!("unrecognized value for EXPLAIN option \"format\": \"{name}\""),
            position: option.position,
            hint: Some("Formats are text, tree, json and dot.".to_owned()),
        }),
    }
}
