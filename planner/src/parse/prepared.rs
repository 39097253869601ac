//! Prepared statements, cursors and channels: what a session keeps by name.

use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::Result;
use crate::parse::stream::Stream;
use crate::parse::{inner, is_plannable};
use crate::statement::{DeclareCursor, Execute, Fetch, FetchDirection, Notify, Prepare, Statement};

/// Reads `PREPARE name [(types)] AS statement`.
pub(super) fn prepare(stream: &mut Stream<'_>) -> Result<Statement> {
    stream.expect("PREPARE")?;
    let name = stream.identifier()?;
    let types = if stream.at_sign(&Token::LParen) {
        stream.in_parentheses(|stream| stream.sql(Parser::parse_data_type))?
    } else {
        Vec::new()
    };
    stream.expect("AS")?;
    let start = stream.index();
    let statement = inner(stream)?;
    if !is_plannable(&statement.statement) {
        stream.seek(start);
        return Err(stream.unexpected());
    }
    Ok(Statement::Prepare(Prepare { name, types, statement }))
}

/// Reads `EXECUTE name [(values)]`.
pub(super) fn execute(stream: &mut Stream<'_>) -> Result<Statement> {
    stream.expect("EXECUTE")?;
    let name = stream.identifier()?;
    let parameters = if stream.at_sign(&Token::LParen) {
        stream.in_parentheses(|stream| stream.tree(Parser::parse_expr))?
    } else {
        Vec::new()
    };
    Ok(Statement::Execute(Execute { name, parameters }))
}

/// Reads `DEALLOCATE [PREPARE] {name | ALL}`.
pub(super) fn deallocate(stream: &mut Stream<'_>) -> Result<Statement> {
    stream.expect("DEALLOCATE")?;
    if stream.at("PREPARE") && stream.token(stream.index() + 1).is_some() {
        stream.skip(1);
    }
    let name = if stream.accept("ALL") { None } else { Some(stream.identifier()?.name) };
    Ok(Statement::Deallocate(name))
}

/// Reads `DECLARE name ... CURSOR [{WITH | WITHOUT} HOLD] FOR query`.
pub(super) fn declare(stream: &mut Stream<'_>) -> Result<Statement> {
    stream.expect("DECLARE")?;
    let name = stream.identifier()?;
    let mut binary = false;
    let mut scroll = None;
    loop {
        match stream.accept_one(&["BINARY", "ASENSITIVE", "INSENSITIVE", "NO SCROLL", "SCROLL"]) {
            Some(0) => binary = true,
            Some(3) => scroll = Some(false),
            Some(4) => scroll = Some(true),
            Some(_) => {}
            None => break,
        }
    }
    stream.expect("CURSOR")?;
    let hold = stream.accept_one(&["WITH HOLD", "WITHOUT HOLD"]) == Some(0);
    stream.expect("FOR")?;
    let position = stream.position();
    if stream.at("SUBSCRIBE") {
        return super::refuse("DECLARE ... CURSOR FOR SUBSCRIBE", position);
    }
    let query = stream.query()?;
    Ok(Statement::DeclareCursor(DeclareCursor { name, binary, scroll, hold, query }))
}

/// Reads `{FETCH | MOVE} [direction] [FROM | IN] cursor`.
pub(super) fn fetch(stream: &mut Stream<'_>) -> Result<Statement> {
    let only_move = stream.expect_one(&["FETCH", "MOVE"])? == 1;
    let direction = direction(stream)?;
    stream.accept_one(&["FROM", "IN"]);
    let cursor = stream.identifier()?;
    Ok(Statement::Fetch(Fetch { cursor, direction, only_move }))
}

fn direction(stream: &mut Stream<'_>) -> Result<FetchDirection> {
    if let Some(count) = stream.accept_integer()? {
        return Ok(FetchDirection::Forward(count));
    }
    // A cursor may have the name of a direction: then nothing follows it.
    if stream.token(stream.index() + 1).is_none() {
        return Ok(FetchDirection::Forward(1));
    }
    let words =
        ["NEXT", "PRIOR", "FIRST", "LAST", "ABSOLUTE", "RELATIVE", "ALL", "FORWARD", "BACKWARD"];
    Ok(match stream.accept_one(&words) {
        None | Some(0) => FetchDirection::Forward(1),
        Some(1) => FetchDirection::Forward(-1),
        Some(2) => FetchDirection::Absolute(1),
        Some(3) => FetchDirection::Absolute(-1),
        Some(4) => FetchDirection::Absolute(integer(stream)?),
        Some(5) => FetchDirection::Relative(integer(stream)?),
        Some(6) => FetchDirection::ForwardAll,
        Some(7) => {
            if stream.accept("ALL") {
                FetchDirection::ForwardAll
            } else {
                FetchDirection::Forward(stream.accept_integer()?.unwrap_or(1))
            }
        }
        Some(_) => {
            if stream.accept("ALL") {
                FetchDirection::BackwardAll
            } else {
                FetchDirection::Forward(stream.accept_integer()?.unwrap_or(1).saturating_neg())
            }
        }
    })
}

fn integer(stream: &mut Stream<'_>) -> Result<i64> {
    match stream.accept_integer()? {
        Some(number) => Ok(number),
        None => Err(stream.unexpected()),
    }
}

/// Reads `CLOSE {name | ALL}`.
pub(super) fn close(stream: &mut Stream<'_>) -> Result<Statement> {
    stream.expect("CLOSE")?;
    let name = if stream.accept("ALL") { None } else { Some(stream.identifier()?.name) };
    Ok(Statement::CloseCursor(name))
}

/// Reads `LISTEN`, `UNLISTEN` and `NOTIFY`.
pub(super) fn channel(stream: &mut Stream<'_>) -> Result<Statement> {
    match stream.expect_one(&["LISTEN", "UNLISTEN", "NOTIFY"])? {
        0 => Ok(Statement::Listen(stream.identifier()?.name)),
        1 => {
            let all = stream.accept_sign(&Token::Mul);
            Ok(Statement::Unlisten(if all { None } else { Some(stream.identifier()?.name) }))
        }
        _ => {
            let channel = stream.identifier()?.name;
            let payload =
                if stream.accept_sign(&Token::Comma) { Some(stream.string()?) } else { None };
            Ok(Statement::Notify(Notify { channel, payload }))
        }
    }
}
