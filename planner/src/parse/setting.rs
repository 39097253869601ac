//! `SET`, `RESET` and `DISCARD`.

use datafusion::sql::sqlparser::tokenizer::{Token, Word};

use crate::error::Result;
use crate::parse::stream::Stream;
use crate::parse::{refuse, transaction};
use crate::statement::{ColumnName, Discard, Setting, SettingValue, Statement};

/// Settings with words of their own.
const SPELLED: [(&str, &str); 3] = [
    ("TIME ZONE", "timezone"),
    ("SESSION AUTHORIZATION", "session_authorization"),
    ("TRANSACTION ISOLATION LEVEL", "transaction_isolation"),
];

/// Reads the name of a setting as `SHOW` and `RESET` take it: `a`, `a.b`, `TIME ZONE`.
pub(super) fn name(stream: &mut Stream<'_>) -> Result<ColumnName> {
    let position = stream.position();
    if let Some(index) = stream.accept_one(&SPELLED.map(|(words, _)| words)) {
        return Ok(ColumnName { name: SPELLED[index].1.to_owned(), position });
    }
    let mut name = stream.identifier()?.name.to_lowercase();
    while stream.accept_sign(&Token::Period) {
        name.push('.');
        name.push_str(&stream.identifier()?.name.to_lowercase());
    }
    Ok(ColumnName { name, position })
}

/// Reads `SET ...`.
pub(super) fn set(stream: &mut Stream<'_>) -> Result<Statement> {
    let position = stream.position();
    stream.expect("SET")?;
    if stream.accept("SESSION CHARACTERISTICS AS TRANSACTION") {
        return Ok(Statement::Setting(Setting::Session(transaction::some_modes(stream)?)));
    }
    if stream.at("CONSTRAINTS") {
        return refuse("SET CONSTRAINTS", position);
    }
    if stream.accept("TRANSACTION") {
        if stream.at("SNAPSHOT") {
            return refuse("SET TRANSACTION SNAPSHOT", position);
        }
        return Ok(Statement::Setting(Setting::Transaction(transaction::some_modes(stream)?)));
    }
    let scoped = !stream.at("SESSION AUTHORIZATION");
    let local = match scoped.then(|| stream.accept_one(&["SESSION", "LOCAL"])).flatten() {
        Some(index) => index == 1,
        None => false,
    };
    let (name, value) = assignment(stream)?;
    Ok(Statement::Setting(Setting::Set { name, value, local }))
}

/// Reads `name {TO | =} value` and its spellings.
fn assignment(stream: &mut Stream<'_>) -> Result<(ColumnName, SettingValue)> {
    let position = stream.position();
    let named = |name: &str| ColumnName { name: name.to_owned(), position };
    if stream.accept("TIME ZONE") {
        return Ok((named("timezone"), time_zone(stream)?));
    }
    for (words, name) in [
        ("SESSION AUTHORIZATION", "session_authorization"),
        ("ROLE", "role"),
        ("NAMES", "client_encoding"),
        ("SCHEMA", "search_path"),
    ] {
        let assigned = words == "ROLE"
            && (stream.at_offset(1, "TO") || stream.token(stream.index() + 1) == Some(&Token::Eq));
        if !assigned && stream.accept(words) {
            let empty = words == "NAMES" && stream.at_end();
            let value = if empty { SettingValue::Default } else { one_value(stream)? };
            return Ok((named(name), value));
        }
    }
    let name = name(stream)?;
    if !stream.accept_sign(&Token::Eq) && !stream.accept("TO") {
        return Err(stream.expected(&["TO"]));
    }
    if stream.accept("DEFAULT") {
        return Ok((name, SettingValue::Default));
    }
    Ok((name, SettingValue::Values(stream.list(value)?)))
}

fn one_value(stream: &mut Stream<'_>) -> Result<SettingValue> {
    if stream.accept("DEFAULT") {
        return Ok(SettingValue::Default);
    }
    Ok(SettingValue::Values(vec![value(stream)?]))
}

/// `SET TIME ZONE {LOCAL | DEFAULT | value | INTERVAL 'text' [fields]}`.
fn time_zone(stream: &mut Stream<'_>) -> Result<SettingValue> {
    if stream.accept("LOCAL") {
        return Ok(SettingValue::Default);
    }
    if stream.accept("INTERVAL") {
        let text = stream.string()?;
        stream.accept("HOUR TO MINUTE");
        return Ok(SettingValue::Values(vec![text]));
    }
    one_value(stream)
}

/// One value: a string, a number or a word.
fn value(stream: &mut Stream<'_>) -> Result<String> {
    if let Some(text) = stream.accept_string() {
        return Ok(text);
    }
    let negative = stream.accept_sign(&Token::Minus);
    if !negative {
        stream.accept_sign(&Token::Plus);
    }
    let value = match stream.token(stream.index()) {
        Some(Token::Number(digits, _)) if negative => format!("-{digits}"),
        Some(Token::Number(digits, _)) => digits.clone(),
        Some(Token::Word(Word { value, quote_style: None, .. })) if !negative => {
            value.to_ascii_lowercase()
        }
        Some(Token::Word(Word { value, .. })) if !negative => value.clone(),
        _ => return Err(stream.unexpected()),
    };
    stream.skip(1);
    Ok(value)
}

/// Reads `RESET {ALL | name}`.
pub(super) fn reset(stream: &mut Stream<'_>) -> Result<Statement> {
    stream.expect("RESET")?;
    if stream.accept("ALL") {
        return Ok(Statement::Setting(Setting::ResetAll));
    }
    Ok(Statement::Setting(Setting::Reset(name(stream)?)))
}

/// Reads `DISCARD {ALL | PLANS | SEQUENCES | TEMP}`.
pub(super) fn discard(stream: &mut Stream<'_>) -> Result<Statement> {
    stream.expect("DISCARD")?;
    let what = match stream.expect_one(&["ALL", "PLANS", "SEQUENCES", "TEMP", "TEMPORARY"])? {
        0 => Discard::All,
        1 => Discard::Plans,
        2 => Discard::Sequences,
        _ => Discard::Temporary,
    };
    Ok(Statement::Discard(what))
}
