//! `COPY`, with options in parentheses and in the form of older clients.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, Result};
use crate::parse::option;
use crate::parse::stream::Stream;
use crate::parse::{nearest, refuse};
use crate::statement::{
    Copy, CopyFormat, CopyHeader, CopyOptions, CopyRows, CopyTarget, ForcedColumns, Statement,
};

/// Reads `COPY {relation [(columns)] | (query)} {FROM | TO} target options`.
pub(super) fn copy(stream: &mut Stream<'_>) -> Result<Statement> {
    stream.expect("COPY")?;
    let mut reading = Reading::default();
    if stream.at("BINARY") {
        reading.once("format", stream.position())?;
        stream.skip(1);
        reading.options.format = CopyFormat::Binary;
    }
    let position = stream.position();
    let rows = if stream.at_sign(&Token::LParen) {
        if stream.at_offset(1, "SUBSCRIBE") {
            return refuse("COPY (SUBSCRIBE ...)", position);
        }
        CopyRows::Query(stream.query_in_parentheses()?)
    } else {
        let name = stream.name()?;
        CopyRows::Relation { name, columns: stream.optional_columns()? }
    };
    let target = target(stream, &rows)?;
    if stream.accept("USING DELIMITERS") {
        reading.once("delimiter", stream.position())?;
        reading.options.delimiter = Some(delimiter(stream)?);
    }
    stream.accept("WITH");
    if stream.accept_sign(&Token::LParen) {
        loop {
            modern(stream, &mut reading)?;
            if !stream.accept_sign(&Token::Comma) {
                break;
            }
        }
        stream.expect_sign(&Token::RParen)?;
    } else {
        while legacy(stream, &mut reading)? {}
    }
    let position = stream.position();
    if stream.at("WHERE") {
        return refuse("COPY ... WHERE", position);
    }
    reading.check(&target)?;
    Ok(Statement::Copy(Box::new(Copy { rows, target, options: reading.options })))
}

fn target(stream: &mut Stream<'_>, rows: &CopyRows) -> Result<CopyTarget> {
    let from = match rows {
        CopyRows::Relation { .. } => stream.expect_one(&["FROM", "TO"])? == 0,
        CopyRows::Query(_) => {
            stream.expect("TO")?;
            false
        }
    };
    let position = stream.position();
    if stream.at("PROGRAM") {
        return refuse("COPY ... PROGRAM", position);
    }
    if stream.accept_one(&["STDIN", "STDOUT"]).is_some() {
        return Ok(if from { CopyTarget::FromClient } else { CopyTarget::ToClient });
    }
    let Some(uri) = stream.accept_string() else {
        return Err(stream.expected(if from { &["STDIN", "'uri'"] } else { &["STDOUT", "'uri'"] }));
    };
    Ok(if from { CopyTarget::FromUri(uri) } else { CopyTarget::ToUri(uri) })
}

/// Options read, and where each stands.
#[derive(Default)]
struct Reading {
    options: CopyOptions,
    seen: Vec<(&'static str, usize)>,
}

impl Reading {
    /// Notes an option; twice is an error.
    fn once(&mut self, key: &'static str, position: usize) -> Result<()> {
        if self.place(key).is_some() {
            return Err(Error::syntax("conflicting or redundant options", position));
        }
        self.seen.push((key, position));
        Ok(())
    }

    fn place(&self, key: &str) -> Option<usize> {
        self.seen.iter().find(|(seen, _)| *seen == key).map(|(_, position)| *position)
    }

    /// Fails where options do not fit the format, the direction or each other.
    fn check(&self, target: &CopyTarget) -> Result<()> {
        let options = &self.options;
        let inwards = matches!(target, CopyTarget::FromClient | CopyTarget::FromUri(_));
        let csv = options.format == CopyFormat::Csv;
        for key in ["quote", "escape", "force_quote", "force_not_null", "force_null"] {
            if let Some(position) = self.place(key)
                && !csv
            {
                return invalid(format!("COPY {} requires CSV mode", upper(key)), position);
            }
        }
        for key in ["delimiter", "null", "default", "header"] {
            if let Some(position) = self.place(key)
                && !matches!(options.format, CopyFormat::Csv | CopyFormat::Text)
            {
                let format = format!("{:?}", options.format).to_uppercase();
                return invalid(
                    format!("cannot specify {} in {format} mode", upper(key)),
                    position,
                );
            }
        }
        for (key, only_inwards) in [
            ("force_quote", false),
            ("force_not_null", true),
            ("force_null", true),
            ("default", true),
        ] {
            if let Some(position) = self.place(key)
                && inwards != only_inwards
            {
                let direction = if inwards { "FROM" } else { "TO" };
                let message = format!("COPY {} cannot be used with COPY {direction}", upper(key));
                return invalid(message, position);
            }
        }
        if options.header == CopyHeader::Match && !inwards {
            let message = "cannot use \"match\" with HEADER in COPY TO".to_owned();
            return invalid(message, self.place("header").unwrap_or_default());
        }
        let quote = options.quote.unwrap_or('"');
        if csv && options.delimiter.unwrap_or(',') == quote {
            let place = self.place("delimiter").or_else(|| self.place("quote"));
            let message = "COPY delimiter and quote must be different".to_owned();
            return invalid(message, place.unwrap_or_default());
        }
        Ok(())
    }
}

fn upper(key: &str) -> String {
    key.to_ascii_uppercase()
}

fn invalid<T>(message: String, position: usize) -> Result<T> {
    Err(Error::InvalidOption { message, position, hint: None })
}

/// Options in parentheses.
const MODERN: [&str; 15] = [
    "format",
    "header",
    "delimiter",
    "null",
    "default",
    "quote",
    "escape",
    "force_quote",
    "force_not_null",
    "force_null",
    "encoding",
    "freeze",
    "on_error",
    "log_verbosity",
    "partition by",
];

/// Reads one option in parentheses.
fn modern(stream: &mut Stream<'_>, reading: &mut Reading) -> Result<()> {
    let position = stream.position();
    let Some(index) = stream.accept_one(&MODERN) else {
        let Some(word) = stream.bare_word(stream.index()) else {
            return Err(stream.unexpected());
        };
        let word = word.to_ascii_lowercase();
        return Err(Error::Syntax {
            message: format!("option \"{word}\" not recognized"),
            position,
            hint: nearest(&word, MODERN)
                .map(|meant| format!("Perhaps you meant \"{}\".", upper(meant))),
        });
    };
    let key = MODERN[index];
    reading.once(key, position)?;
    stream.accept_sign(&Token::Eq);
    match key {
        "format" => reading.options.format = format(stream)?,
        "header" => reading.options.header = header(stream)?,
        "partition by" => return refuse("COPY ... PARTITION BY", position),
        "force_quote" => reading.options.force_quote = forced(stream)?,
        "force_not_null" => reading.options.force_not_null = forced(stream)?,
        "force_null" => reading.options.force_null = forced(stream)?,
        "encoding" => encoding(stream)?,
        // There is nothing to freeze: rows never need another visit.
        "freeze" => {
            header(stream)?;
        }
        "on_error" => {
            if option::value(stream)?.text() != "stop" {
                return refuse("COPY ... ON_ERROR", position);
            }
        }
        "log_verbosity" => {
            if option::value(stream)?.text() != "default" {
                return refuse("COPY ... LOG_VERBOSITY", position);
            }
        }
        _ => text_option(stream, reading, key)?,
    }
    Ok(())
}

/// Reads the value of an option that is a text.
fn text_option(stream: &mut Stream<'_>, reading: &mut Reading, key: &str) -> Result<()> {
    let options = &mut reading.options;
    match key {
        "delimiter" => options.delimiter = Some(delimiter(stream)?),
        "quote" => options.quote = Some(character(stream, "quote")?),
        "escape" => options.escape = Some(character(stream, "escape")?),
        "null" => options.null = Some(line(stream, "null representation")?),
        _ => options.default = Some(line(stream, "default representation")?),
    }
    Ok(())
}

/// Reads one option of the older form; whether there was one.
fn legacy(stream: &mut Stream<'_>, reading: &mut Reading) -> Result<bool> {
    let position = stream.position();
    let phrases = [
        "BINARY",
        "CSV",
        "HEADER",
        "DELIMITER",
        "DELIMITERS",
        "NULL",
        "QUOTE",
        "ESCAPE",
        "FORCE QUOTE",
        "FORCE NOT NULL",
        "FORCE NULL",
        "ENCODING",
        "FREEZE",
    ];
    let Some(index) = stream.accept_one(&phrases) else { return Ok(false) };
    let key = match phrases[index] {
        "BINARY" | "CSV" => "format",
        "HEADER" => "header",
        "DELIMITER" | "DELIMITERS" => "delimiter",
        "NULL" => "null",
        "QUOTE" => "quote",
        "ESCAPE" => "escape",
        "FORCE QUOTE" => "force_quote",
        "FORCE NOT NULL" => "force_not_null",
        "FORCE NULL" => "force_null",
        "ENCODING" => "encoding",
        _ => "freeze",
    };
    reading.once(key, position)?;
    let options = &mut reading.options;
    match index {
        0 => options.format = CopyFormat::Binary,
        1 => options.format = CopyFormat::Csv,
        2 => options.header = CopyHeader::Present,
        8 => options.force_quote = bare_columns(stream)?,
        9 => options.force_not_null = bare_columns(stream)?,
        10 => options.force_null = bare_columns(stream)?,
        11 => encoding(stream)?,
        12 => {}
        _ => {
            stream.accept("AS");
            text_option(stream, reading, key)?;
        }
    }
    Ok(true)
}

fn format(stream: &mut Stream<'_>) -> Result<CopyFormat> {
    let position = stream.position();
    let name = option::value(stream)?.text().to_ascii_lowercase();
    let formats = [
        ("text", CopyFormat::Text),
        ("csv", CopyFormat::Csv),
        ("binary", CopyFormat::Binary),
        ("json", CopyFormat::Json),
        ("parquet", CopyFormat::Parquet),
        ("arrow", CopyFormat::Arrow),
    ];
    match formats.iter().find(|(known, _)| *known == name) {
        Some((_, format)) => Ok(*format),
        None => Err(Error::InvalidOption {
            message: format!("COPY format \"{name}\" not recognized"),
            position,
            hint: Some("Formats are text, csv, binary, json, parquet and arrow.".to_owned()),
        }),
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "1" => Some(true),
        "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn header(stream: &mut Stream<'_>) -> Result<CopyHeader> {
    if stream.at_sign(&Token::Comma) || stream.at_sign(&Token::RParen) {
        return Ok(CopyHeader::Present);
    }
    let position = stream.position();
    let text = option::value(stream)?.text();
    match truth(&text) {
        Some(true) => Ok(CopyHeader::Present),
        Some(false) => Ok(CopyHeader::Absent),
        None if text.eq_ignore_ascii_case("match") => Ok(CopyHeader::Match),
        None => Err(Error::syntax("header requires a Boolean value or \"match\"", position)),
    }
}

fn encoding(stream: &mut Stream<'_>) -> Result<()> {
    let position = stream.position();
    let name = stream.string()?;
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    if plain.eq_ignore_ascii_case("utf8") || plain.eq_ignore_ascii_case("unicode") {
        return Ok(());
    }
    refuse(format!("encoding \"{name}\""), position)
}

/// Reads `(columns)` or `*`.
fn forced(stream: &mut Stream<'_>) -> Result<ForcedColumns> {
    if stream.accept_sign(&Token::Mul) {
        return Ok(ForcedColumns::All);
    }
    Ok(ForcedColumns::Columns(stream.columns()?))
}

/// Reads `column, ...` or `*`.
fn bare_columns(stream: &mut Stream<'_>) -> Result<ForcedColumns> {
    if stream.accept_sign(&Token::Mul) {
        return Ok(ForcedColumns::All);
    }
    Ok(ForcedColumns::Columns(stream.list(Stream::identifier)?))
}

/// Reads a text without line ends.
fn line(stream: &mut Stream<'_>, what: &str) -> Result<String> {
    let position = stream.position();
    let text = stream.string()?;
    if text.contains(['\n', '\r']) {
        let message = format!("COPY {what} cannot use newline or carriage return");
        return invalid(message, position);
    }
    Ok(text)
}

/// Reads a character of one byte.
fn character(stream: &mut Stream<'_>, what: &str) -> Result<char> {
    let position = stream.position();
    let text = stream.string()?;
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if c.is_ascii() => Ok(c),
        _ => invalid(format!("COPY {what} must be a single one-byte character"), position),
    }
}

fn delimiter(stream: &mut Stream<'_>) -> Result<char> {
    let position = stream.position();
    let c = character(stream, "delimiter")?;
    if matches!(c, '\n' | '\r') {
        let message = "COPY delimiter cannot be newline or carriage return".to_owned();
        return invalid(message, position);
    }
    Ok(c)
}
