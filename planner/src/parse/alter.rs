//! `ALTER`, `DROP` and `COMMENT ON`.

use levada_catalog::ObjectKind;

use crate::error::Result;
use crate::parse::stream::Stream;
use crate::parse::unsupported::KINDS;
use crate::parse::{refuse, verb};
use crate::statement::{AlterSource, AlterSourceAction, Comment, Drop, Statement};

/// The kinds of objects and their words.
pub(super) const OBJECTS: [(&str, ObjectKind); 7] = [
    ("SCHEMA", ObjectKind::Schema),
    ("TABLE", ObjectKind::Table),
    ("SOURCE", ObjectKind::Source),
    ("VIEW", ObjectKind::View),
    ("MATERIALIZED VIEW", ObjectKind::MaterializedView),
    ("PIPELINE", ObjectKind::Pipeline),
    ("SINK", ObjectKind::Sink),
];

/// Reads the words of a kind if they come next.
pub(super) fn accept_kind(stream: &mut Stream<'_>) -> Option<ObjectKind> {
    let index = stream.accept_one(&OBJECTS.map(|(words, _)| words))?;
    Some(OBJECTS[index].1)
}

/// Reads `ALTER ...`.
pub(super) fn alter(stream: &mut Stream<'_>) -> Result<Statement> {
    let position = stream.position();
    if !stream.accept("ALTER SOURCE") {
        let known = [
            "TABLE",
            "SCHEMA",
            "ROLE",
            "USER",
            "TYPE",
            "POLICY",
            "FUNCTION",
            "OPERATOR",
            "COLLATION",
        ];
        if !known.iter().any(|word| stream.at_offset(1, word)) {
            stream.skip(1);
            return Err(stream.expected(&["SOURCE", "TABLE", "SCHEMA", "ROLE"]));
        }
        return verb::sql(stream);
    }
    let name = stream.name()?;
    let actions = ["PAUSE", "RESUME", "SET", "SEEK", "REFRESH SCHEMA", "RESNAPSHOT"];
    let action = match stream.expect_one(&actions)? {
        0 => AlterSourceAction::Pause,
        1 => AlterSourceAction::Resume,
        other => return refuse(format!("ALTER SOURCE ... {}", actions[other]), position),
    };
    Ok(Statement::AlterSource(AlterSource { name, action }))
}

/// Reads `DROP kind [IF EXISTS] name, ... [CASCADE | RESTRICT]`.
pub(super) fn drop(stream: &mut Stream<'_>) -> Result<Statement> {
    let start = stream.index();
    let position = stream.position();
    stream.expect("DROP")?;
    let Some(kind) = accept_kind(stream) else {
        if let Some((word, _)) = KINDS.iter().find(|(word, _)| stream.at(word)) {
            return refuse(format!("DROP {word}"), position);
        }
        let known = [
            "INDEX",
            "ROLE",
            "USER",
            "TYPE",
            "SEQUENCE",
            "FUNCTION",
            "PROCEDURE",
            "DATABASE",
            "EXTENSION",
            "TRIGGER",
            "POLICY",
            "DOMAIN",
            "OPERATOR",
        ];
        if known.iter().any(|word| stream.at(word)) {
            stream.seek(start);
            return verb::sql(stream);
        }
        return Err(stream.expected(&OBJECTS.map(|(words, _)| words)));
    };
    let if_exists = stream.accept("IF EXISTS");
    let names = stream.list(Stream::name)?;
    let cascade = stream.accept_one(&["CASCADE", "RESTRICT"]) == Some(0);
    Ok(Statement::Drop(Drop { kind, names, if_exists, cascade }))
}

/// Reads `COMMENT ON kind name IS {'text' | NULL}`.
pub(super) fn comment(stream: &mut Stream<'_>) -> Result<Statement> {
    let position = stream.position();
    stream.expect("COMMENT ON")?;
    let Some(kind) = accept_kind(stream) else {
        return match stream.bare_word(stream.index()) {
            Some(word)
                if crate::parse::nearest(word, OBJECTS.map(|(words, _)| words)).is_none() =>
            {
                refuse(format!("COMMENT ON {}", word.to_ascii_uppercase()), position)
            }
            _ => Err(stream.expected(&OBJECTS.map(|(words, _)| words))),
        };
    };
    let name = stream.name()?;
    stream.expect("IS")?;
    let text = if stream.accept("NULL") { None } else { Some(stream.string()?) };
    Ok(Statement::Comment(Comment { kind, name, text }))
}
