//! `(key [=] value, ...)`.

use datafusion::sql::sqlparser::tokenizer::{Token, Word};

use crate::error::{Error, Result};
use crate::parse::refuse;
use crate::parse::stream::Stream;
use crate::statement::{Opt, OptValue};

/// Reads options if a parenthesis comes next.
pub(super) fn optional(stream: &mut Stream<'_>) -> Result<Vec<Opt>> {
    if stream.at_sign(&Token::LParen) { options(stream) } else { Ok(Vec::new()) }
}

/// Reads options, each key once.
pub(super) fn options(stream: &mut Stream<'_>) -> Result<Vec<Opt>> {
    let options = stream.in_parentheses(option)?;
    for (index, option) in options.iter().enumerate() {
        if options.iter().take(index).any(|other| other.key == option.key) {
            let message = format!("option \"{}\" specified more than once", option.key);
            return Err(Error::syntax(message, option.position));
        }
    }
    Ok(options)
}

fn option(stream: &mut Stream<'_>) -> Result<Opt> {
    let position = stream.position();
    let mut key = word(stream)?;
    while stream.accept_sign(&Token::Period) {
        key.push('.');
        key.push_str(&word(stream)?);
    }
    let signed = stream.accept_sign(&Token::Eq);
    let value = if !signed && (stream.at_sign(&Token::Comma) || stream.at_sign(&Token::RParen)) {
        OptValue::Absent
    } else {
        value(stream)?
    };
    Ok(Opt { key, value, position })
}

fn word(stream: &mut Stream<'_>) -> Result<String> {
    let Some(Token::Word(Word { value, .. })) = stream.token(stream.index()) else {
        return Err(stream.unexpected());
    };
    let word = value.to_lowercase();
    stream.skip(1);
    Ok(word)
}

/// Reads the value of an option.
pub(super) fn value(stream: &mut Stream<'_>) -> Result<OptValue> {
    let position = stream.position();
    if stream.at_sign(&Token::LParen) {
        return list(stream);
    }
    stream.accept("INTERVAL");
    if let Some(text) = stream.accept_string() {
        return Ok(OptValue::Text(text));
    }
    let negative = stream.accept_sign(&Token::Minus);
    let sign = if negative { "-" } else { "" };
    match stream.token(stream.index()).cloned() {
        Some(Token::Number(digits, _)) => {
            stream.skip(1);
            Ok(OptValue::Number(format!("{sign}{digits}")))
        }
        Some(Token::Word(Word { value, quote_style, .. })) if !negative => {
            stream.skip(1);
            if quote_style.is_some() {
                return Ok(OptValue::Text(value));
            }
            let word = value.to_ascii_lowercase();
            match word.as_str() {
                "true" => Ok(OptValue::Boolean(true)),
                "false" => Ok(OptValue::Boolean(false)),
                "secret" if matches!(stream.token(stream.index()), Some(Token::Word(_))) => {
                    refuse("SECRET", position)
                }
                _ => Ok(OptValue::Word(word)),
            }
        }
        _ => Err(stream.unexpected()),
    }
}

/// Reads `(value, ...)`; options inside options belong to clauses that are not carried out.
fn list(stream: &mut Stream<'_>) -> Result<OptValue> {
    let position = stream.position();
    stream.expect_sign(&Token::LParen)?;
    let mut values = Vec::new();
    loop {
        let value = value(stream)?;
        if !stream.at_sign(&Token::Comma) && !stream.at_sign(&Token::RParen) {
            return match value {
                OptValue::Word(_) => refuse("an option with options of its own", position),
                _ => Err(stream.unexpected()),
            };
        }
        values.push(value);
        if stream.accept_sign(&Token::RParen) {
            return Ok(OptValue::List(values));
        }
        stream.expect_sign(&Token::Comma)?;
    }
}
