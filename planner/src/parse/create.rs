//! `CREATE`: schemas and views here, other kinds of ours in their own files, tables in sqlparser.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::Result;
use crate::parse::stream::Stream;
use crate::parse::{connector, fixed, pipeline, refuse, verb};
use crate::statement::{
    ColumnName, CreateMaterializedView, CreateSchema, CreateView, Incremental, Statement,
};

/// Reads `CREATE ...`.
pub(super) fn create(stream: &mut Stream<'_>) -> Result<Statement> {
    let start = stream.index();
    stream.expect("CREATE")?;
    let or_replace = stream.accept("OR REPLACE");
    let position = stream.position();
    let kinds = ["SCHEMA", "SOURCE", "VIEW", "MATERIALIZED VIEW", "PIPELINE", "SINK"];
    match stream.accept_one(&kinds) {
        Some(0) if !or_replace => schema(stream),
        Some(1) => connector::source(stream, or_replace),
        Some(2) => view(stream, or_replace),
        Some(3) => materialized_view(stream, or_replace),
        Some(4) => pipeline::pipeline(stream, or_replace),
        Some(5) => connector::sink(stream, or_replace),
        Some(_) => {
            stream.seek(start + 3);
            Err(stream.unexpected())
        }
        None => {
            for phrase in ["TEMP VIEW", "TEMPORARY VIEW", "RECURSIVE VIEW", "TEMP RECURSIVE VIEW"] {
                if stream.at(phrase) {
                    return refuse(format!("CREATE {phrase}"), position);
                }
            }
            other(stream, start)
        }
    }
}

/// `CREATE TABLE` and what only sqlparser knows.
fn other(stream: &mut Stream<'_>, start: usize) -> Result<Statement> {
    let position = stream.position();
    let known = [
        "TABLE",
        "TEMP",
        "TEMPORARY",
        "LOCAL",
        "GLOBAL",
        "UNLOGGED",
        "ROLE",
        "USER",
        "INDEX",
        "UNIQUE",
        "TYPE",
        "SEQUENCE",
        "FUNCTION",
        "PROCEDURE",
        "EXTENSION",
        "DATABASE",
        "TRIGGER",
        "CONSTRAINT",
        "POLICY",
        "DOMAIN",
        "OPERATOR",
        "SERVER",
        "COLLATION",
    ];
    if !known.iter().any(|word| stream.at(word)) {
        let ours = [
            "SOURCE",
            "TABLE",
            "VIEW",
            "MATERIALIZED",
            "PIPELINE",
            "SINK",
            "SCHEMA",
            "ROLE",
            "INDEX",
            "FUNCTION",
        ];
        return Err(stream.expected(&ours));
    }
    if stream.accept("TABLE") {
        stream.accept("IF NOT EXISTS");
        if stream.name().is_ok() && stream.at("FROM SOURCE") {
            return refuse("CREATE TABLE ... FROM SOURCE", position);
        }
    }
    stream.seek(start);
    verb::sql(stream)
}

/// `CREATE SCHEMA [IF NOT EXISTS] name`.
fn schema(stream: &mut Stream<'_>) -> Result<Statement> {
    let if_exists = stream.if_not_exists(false)?;
    let position = stream.position();
    if stream.at("AUTHORIZATION") {
        return refuse("CREATE SCHEMA ... AUTHORIZATION", position);
    }
    let name = stream.identifier()?;
    let position = stream.position();
    if stream.at("AUTHORIZATION") {
        return refuse("CREATE SCHEMA ... AUTHORIZATION", position);
    }
    if stream.at("CREATE") || stream.at("GRANT") {
        return refuse("CREATE SCHEMA with elements", position);
    }
    Ok(Statement::CreateSchema(CreateSchema { name, if_exists }))
}

/// `CREATE [OR REPLACE] VIEW [IF NOT EXISTS] name [(columns)] AS query`.
fn view(stream: &mut Stream<'_>, or_replace: bool) -> Result<Statement> {
    let if_exists = stream.if_not_exists(or_replace)?;
    let name = stream.name()?;
    let columns = stream.optional_columns()?;
    let position = stream.position();
    if stream.at("WITH") {
        return refuse("CREATE VIEW ... WITH", position);
    }
    stream.expect("AS")?;
    let query = stream.query()?;
    let position = stream.position();
    for phrase in ["WITH CHECK OPTION", "WITH LOCAL CHECK OPTION", "WITH CASCADED CHECK OPTION"] {
        if stream.at(phrase) {
            return refuse("WITH CHECK OPTION", position);
        }
    }
    Ok(Statement::CreateView(CreateView { name, if_exists, columns, query }))
}

/// `CREATE [OR REPLACE] MATERIALIZED VIEW [IF NOT EXISTS] name [(columns)] clauses AS query`.
fn materialized_view(stream: &mut Stream<'_>, or_replace: bool) -> Result<Statement> {
    let if_exists = stream.if_not_exists(or_replace)?;
    let name = stream.name()?;
    let columns = stream.optional_columns()?;
    let (key, incremental) = clauses(stream)?;
    let tail = emit_tail(stream);
    let query = stream.query_up_to(tail)?;
    fixed::accept(stream, &[fixed::EMIT])?;
    with_data(stream)?;
    Ok(Statement::CreateMaterializedView(CreateMaterializedView {
        name,
        if_exists,
        columns,
        key,
        incremental,
        query,
    }))
}

/// Reads clauses up to and with `AS`: `KEY` and `INCREMENTAL`.
fn clauses(stream: &mut Stream<'_>) -> Result<(Vec<ColumnName>, Incremental)> {
    let mut key = None;
    let mut incremental = None;
    loop {
        if stream.accept("AS") {
            return Ok((key.unwrap_or_default(), incremental.unwrap_or_default()));
        }
        if key.is_none() && stream.accept("KEY") {
            key = Some(stream.columns()?);
        } else if incremental.is_none() && stream.accept("INCREMENTAL") {
            let values = [Incremental::AllowRecompute, Incremental::Strict];
            incremental = Some(values[stream.expect_one(&["ALLOW RECOMPUTE", "STRICT"])?]);
        } else if !fixed::accept(stream, &fixed::VIEW)? {
            return Err(stream.expected(&["AS", "KEY", "INCREMENTAL", "REFRESH", "EMIT"]));
        }
    }
}

/// Index of a trailing `EMIT ...` outside parentheses; the end if there is none. In a query it
/// would be read as an alias.
fn emit_tail(stream: &Stream<'_>) -> usize {
    let mut depth = 0_usize;
    let mut tail = stream.last_index();
    for index in stream.index()..stream.last_index() {
        match stream.token(index) {
            Some(Token::LParen) => depth += 1,
            Some(Token::RParen) => depth = depth.saturating_sub(1),
            _ => {}
        }
        let offset = index - stream.index();
        let emit = depth == 0
            && ["EMIT ON", "EMIT EVERY", "EMIT FINAL", "EMIT CHANGES"]
                .iter()
                .any(|phrase| stream.at_offset(offset, phrase));
        if emit {
            tail = index;
        }
    }
    tail
}

/// `WITH DATA` is what always holds.
fn with_data(stream: &mut Stream<'_>) -> Result<()> {
    let position = stream.position();
    if stream.accept("WITH NO DATA") {
        return refuse("WITH NO DATA", position);
    }
    stream.accept("WITH DATA");
    Ok(())
}
