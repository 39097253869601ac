//! `SHOW`: settings, and what there is.

use datafusion::sql::sqlparser::tokenizer::Token;
use levada_catalog::ObjectKind;

use crate::error::Result;
use crate::parse::alter::accept_kind;
use crate::parse::stream::Stream;
use crate::parse::unsupported::KINDS;
use crate::parse::{refuse, setting};
use crate::statement::{Show, Statement};

const LISTS: [(&str, ObjectKind); 7] = [
    ("SCHEMAS", ObjectKind::Schema),
    ("TABLES", ObjectKind::Table),
    ("SOURCES", ObjectKind::Source),
    ("VIEWS", ObjectKind::View),
    ("MATERIALIZED VIEWS", ObjectKind::MaterializedView),
    ("PIPELINES", ObjectKind::Pipeline),
    ("SINKS", ObjectKind::Sink),
];

/// Reads `SHOW ...`.
pub(super) fn show(stream: &mut Stream<'_>) -> Result<Statement> {
    let position = stream.position();
    stream.expect("SHOW")?;
    if stream.accept("CREATE") {
        let Some(kind) = accept_kind(stream) else {
            if let Some((word, _)) = KINDS.iter().find(|(word, _)| stream.at(word)) {
                return refuse(format!("SHOW CREATE {word}"), position);
            }
            return Err(stream.expected(&super::alter::OBJECTS.map(|(words, _)| words)));
        };
        return Ok(Statement::Show(Show::Create { kind, name: stream.name()? }));
    }
    if let Some((_, words)) = KINDS.iter().find(|(_, words)| stream.at(words)) {
        return refuse(format!("SHOW {words}"), position);
    }
    if stream.at("FRESHNESS") {
        return refuse("SHOW FRESHNESS", position);
    }
    if let Some(index) = stream.accept_one(&LISTS.map(|(words, _)| words)) {
        let schema = if stream.accept("IN") { Some(stream.identifier()?) } else { None };
        let like = if stream.accept("LIKE") { Some(stream.string()?) } else { None };
        return Ok(Statement::Show(Show::Objects { kind: LISTS[index].1, schema, like }));
    }
    if stream.accept("ALL") {
        return Ok(Statement::Show(Show::All));
    }
    if stream.at_end() || stream.at_sign(&Token::SemiColon) {
        return Err(stream.expected(&["SOURCES", "PIPELINES", "ALL", "the name of a setting"]));
    }
    Ok(Statement::Show(Show::Setting(setting::name(stream)?)))
}
