//! `CREATE SOURCE` and `CREATE SINK`: the two ends that a connector serves.

use datafusion::sql::sqlparser::ast::{ColumnDef, ColumnOption, ColumnOptionDef};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, Result};
use crate::parse::stream::{Stream, distinct};
use crate::parse::{fixed, nearest, option, refuse};
use crate::statement::{
    ColumnName, Connector, CreateSink, CreateSource, Format, FormatPosition, IfExists, Name,
    OnRecordError, Statement,
};

/// Reads `[IF NOT EXISTS] name [(columns)] FROM connector clauses`.
pub(super) fn source(stream: &mut Stream<'_>, or_replace: bool) -> Result<Statement> {
    let if_exists = stream.if_not_exists(or_replace)?;
    let name = stream.name()?;
    let declared = if stream.at_sign(&Token::LParen) { Some(declared(stream)?) } else { None };
    let position = stream.position();
    if stream.at("WITH") {
        return refuse("CREATE SOURCE ... WITH", position);
    }
    stream.expect("FROM")?;
    let connector = source_connector(stream)?;
    let mut format = None;
    let mut on_error = None;
    while !stream.at_end() {
        if format.is_none() && stream.accept("FORMAT") {
            format = Some(read_format(stream)?);
        } else if on_error.is_none() && stream.accept("ON ERROR") {
            let values = [OnRecordError::Quarantine, OnRecordError::Skip, OnRecordError::Fail];
            on_error = Some(values[stream.expect_one(&["QUARANTINE", "SKIP", "FAIL"])?]);
        } else if !fixed::accept(stream, &fixed::SOURCE)? {
            return Err(stream.expected(&["FORMAT", "ON ERROR"]));
        }
    }
    let (columns, primary_key) = match declared {
        Some(declared) => (Some(declared.columns), declared.primary_key),
        None => (None, Vec::new()),
    };
    Ok(Statement::CreateSource(Box::new(CreateSource {
        name,
        if_exists,
        columns,
        primary_key,
        connector,
        format,
        on_error,
    })))
}

fn source_connector(stream: &mut Stream<'_>) -> Result<Connector> {
    let position = stream.position();
    match stream.expect_one(&["FILES", "GENERATOR", "CONNECTION", "WEBHOOK"])? {
        0 => {
            let arguments = uris(stream)?;
            let options = option::optional(stream)?;
            Ok(Connector { name: "files".to_owned(), arguments, options, position })
        }
        1 => {
            let arguments = vec![stream.identifier()?.name];
            let options = option::optional(stream)?;
            Ok(Connector { name: "generator".to_owned(), arguments, options, position })
        }
        2 => refuse("CREATE SOURCE ... FROM CONNECTION", position),
        _ => refuse("CREATE SOURCE ... FROM WEBHOOK", position),
    }
}

/// Reads `'uri'` or `('uri', ...)`.
fn uris(stream: &mut Stream<'_>) -> Result<Vec<String>> {
    if let Some(uri) = stream.accept_string() {
        return Ok(vec![uri]);
    }
    stream.in_parentheses(Stream::string)
}

/// Reads `name [(options)]` behind `FORMAT`.
fn read_format(stream: &mut Stream<'_>) -> Result<Format> {
    let position = stream.position();
    for name in ["AVRO", "RAW", "PROTOBUF", "PLAIN", "UPSERT", "DEBEZIUM"] {
        if stream.at(name) {
            return refuse(format!("FORMAT {name}"), position);
        }
    }
    let name = match stream.bare_word(stream.index()) {
        Some(word) => word.to_ascii_lowercase(),
        None => return Err(stream.expected(&["CSV", "JSON", "PARQUET"])),
    };
    stream.skip(1);
    let options = option::optional(stream)?;
    let using = stream.position();
    if stream.at("USING SCHEMA REGISTRY") {
        return refuse("USING SCHEMA REGISTRY", using);
    }
    Ok(Format { name, options, position: FormatPosition(position) })
}

/// What stands between the parentheses of a source.
#[derive(Default)]
struct Declared {
    columns: Vec<ColumnDef>,
    names: Vec<ColumnName>,
    primary_key: Vec<ColumnName>,
}

impl Declared {
    fn set_key(&mut self, key: Vec<ColumnName>, position: usize) -> Result<()> {
        if !self.primary_key.is_empty() {
            let message = "multiple primary keys are not allowed".to_owned();
            return Err(Error::InvalidDefinition { message, position, hint: None });
        }
        self.primary_key = key;
        Ok(())
    }
}

/// Reads `(column or PRIMARY KEY (columns), ...)`.
fn declared(stream: &mut Stream<'_>) -> Result<Declared> {
    let mut declared = Declared::default();
    stream.expect_sign(&Token::LParen)?;
    loop {
        item(stream, &mut declared)?;
        if !stream.accept_sign(&Token::Comma) {
            break;
        }
    }
    stream.expect_sign(&Token::RParen)?;
    distinct(&declared.names)?;
    for key in &declared.primary_key {
        if !declared.names.iter().any(|column| column.name == key.name) {
            let all = declared.names.iter().map(|column| column.name.as_str());
            return Err(Error::UnknownColumn {
                name: key.name.clone(),
                position: key.position,
                nearest: nearest(&key.name, all).map(str::to_owned),
            });
        }
    }
    Ok(declared)
}

/// Reads one column or the key.
fn item(stream: &mut Stream<'_>, declared: &mut Declared) -> Result<()> {
    let position = stream.position();
    if stream.accept("PRIMARY KEY") {
        let key = stream.columns()?;
        return declared.set_key(key, position);
    }
    if stream.at("WATERMARK FOR") {
        return refuse("WATERMARK", position);
    }
    if stream.at_sign(&Token::Mul) {
        return refuse("* among declared columns", position);
    }
    let start = stream.index();
    let name = stream.identifier()?;
    if stream.at_sign(&Token::Comma) || stream.at_sign(&Token::RParen) {
        return refuse("a column without a type", position);
    }
    stream.seek(start);
    let mut column = stream.tree(Parser::parse_column_def)?;
    let end = stream.position();
    if stream.at("METADATA FROM") {
        return refuse("METADATA FROM", end);
    }
    let mut is_key = false;
    let mut options = Vec::new();
    for option in column.options {
        match option.option {
            ColumnOption::PrimaryKey(_) => is_key = true,
            ColumnOption::NotNull => options.push(ColumnOptionDef { name: None, ..option }),
            ColumnOption::Null => {}
            other => {
                let words = other.to_string();
                let first: Vec<&str> = words.split(' ').take(1).collect();
                return refuse(format!("{} of a source's column", first.join(" ")), position);
            }
        }
    }
    column.options = options;
    if is_key {
        declared.set_key(vec![name.clone()], position)?;
    }
    declared.names.push(name);
    declared.columns.push(column);
    Ok(())
}

/// Reads `[IF NOT EXISTS] name FROM relation INTO connector clauses`.
pub(super) fn sink(stream: &mut Stream<'_>, or_replace: bool) -> Result<Statement> {
    let if_exists = stream.if_not_exists(or_replace)?;
    let name = stream.name()?;
    let sink = sink_body(stream, name)?;
    Ok(Statement::CreateSink(Box::new(CreateSink { if_exists, ..sink })))
}

/// Reads `FROM relation INTO connector clauses`, up to the end or a comma or parenthesis.
pub(super) fn sink_body(stream: &mut Stream<'_>, name: Name) -> Result<CreateSink> {
    let position = stream.position();
    stream.expect("FROM")?;
    if stream.at_sign(&Token::LParen) {
        return refuse("a sink of a query", position);
    }
    let from = stream.name()?;
    stream.expect("INTO")?;
    let position = stream.position();
    let connector = match stream.expect_one(&["FILES", "CONNECTION", "TABLE", "WEBHOOK"])? {
        0 => Connector {
            name: "files".to_owned(),
            arguments: uris(stream)?,
            options: option::optional(stream)?,
            position,
        },
        1 => return refuse("CREATE SINK ... INTO CONNECTION", position),
        2 => return refuse("CREATE SINK ... INTO TABLE", position),
        _ => return refuse("CREATE SINK ... INTO WEBHOOK", position),
    };
    let mut format = None;
    while !stream.at_end() && !stream.at_sign(&Token::Comma) && !stream.at_sign(&Token::RParen) {
        if format.is_none() && stream.accept("FORMAT") {
            format = Some(read_format(stream)?);
        } else if !fixed::accept(stream, &fixed::SINK)? {
            return Err(stream.expected(&["FORMAT"]));
        }
    }
    Ok(CreateSink { name, if_exists: IfExists::Fail, from, connector, format })
}
