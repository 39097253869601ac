//! The tokens of one statement, read from left to right.
//!
//! Our own parsers and sqlparser's take turns on one stream. A phrase (`"OR REPLACE"`) is one or more
//! words, matched as unquoted words whatever their case.

use std::ops::{ControlFlow, Range};

use datafusion::sql::sqlparser::ast::{self, VisitMut, visit_expressions_mut};
use datafusion::sql::sqlparser::dialect::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Word};

use crate::error::{Error, Result};
use crate::parse::text::Text;
use crate::parse::{DEPTH_MAX, failure, is_reserved, refuse};
use crate::statement::{ColumnName, IfExists, Name, QueryText};

/// A statement being read. Indexes count its tokens from 0.
pub(super) struct Stream<'a> {
    text: &'a Text<'a>,
    range: Range<usize>,
    parser: Parser<'a>,
}

impl<'a> Stream<'a> {
    /// A stream over some tokens of `text`.
    pub(super) fn new(text: &'a Text<'a>, range: Range<usize>) -> Self {
        let tokens = text.tokens().get(range.clone()).unwrap_or_default().to_vec();
        let parser = Parser::new(text.dialect())
            .with_recursion_limit(DEPTH_MAX)
            .with_tokens_with_locations(tokens);
        Self { text, range, parser }
    }

    // Places.

    /// Index of the next token.
    pub(super) fn index(&self) -> usize {
        self.parser.index().min(self.range.len())
    }

    /// Index past the last token.
    pub(super) fn last_index(&self) -> usize {
        self.range.len()
    }

    /// 1-based character of the next token in the whole string.
    pub(super) fn position(&self) -> usize {
        self.position_of(self.index())
    }

    /// 1-based character of a token in the whole string.
    pub(super) fn position_of(&self, index: usize) -> usize {
        self.text.position(self.range.start + index)
    }

    /// The token at an index.
    pub(super) fn token(&self, index: usize) -> Option<&Token> {
        (index < self.range.len()).then(|| &self.parser.token_at(index).token)
    }

    /// The index of the token at a location, if it belongs to this statement.
    pub(super) fn token_at(&self, at: Location) -> Option<usize> {
        let index = self.text.token_at(at)?.checked_sub(self.range.start)?;
        (index <= self.range.len()).then_some(index)
    }

    /// The text from a token to the last one read, and the characters before it.
    pub(super) fn slice(&self, start: usize) -> (&'a str, usize) {
        self.text.slice(self.range.start + start..self.range.start + self.index())
    }

    /// The text of a token, or of the semicolon that ends the statement, and where it stands.
    pub(super) fn near(&self, index: usize) -> (&'a str, usize) {
        let index = self.range.start + index.min(self.range.len());
        let (near, _) = self.text.slice(index..(index + 1).min(self.text.tokens().len()));
        (near, self.text.position(index))
    }

    /// Goes back, or on, to a token.
    pub(super) fn seek(&mut self, index: usize) {
        while self.parser.index() > index {
            self.parser.prev_token();
        }
        while self.parser.index() < index {
            self.parser.advance_token();
        }
    }

    // Words and signs.

    /// The unquoted word at an index.
    pub(super) fn bare_word(&self, index: usize) -> Option<&str> {
        match self.token(index)? {
            Token::Word(Word { value, quote_style: None, .. }) => Some(value),
            _ => None,
        }
    }

    /// The unquoted word at an index, if it is no keyword of SQL.
    pub(super) fn unknown_word(&self, index: usize) -> Option<&str> {
        match self.token(index)? {
            Token::Word(Word { value, quote_style: None, keyword: Keyword::NoKeyword }) => {
                Some(value)
            }
            _ => None,
        }
    }

    /// Whether the next tokens are a phrase.
    pub(super) fn at(&self, phrase: &str) -> bool {
        self.at_offset(0, phrase)
    }

    /// Whether the tokens from the n-th next on are a phrase.
    pub(super) fn at_offset(&self, offset: usize, phrase: &str) -> bool {
        phrase.split(' ').zip(self.index() + offset..).all(|(word, index)| {
            self.bare_word(index).is_some_and(|found| found.eq_ignore_ascii_case(word))
        })
    }

    /// Reads a phrase if it comes next.
    pub(super) fn accept(&mut self, phrase: &str) -> bool {
        let found = self.at(phrase);
        if found {
            self.skip(phrase.split(' ').count());
        }
        found
    }

    /// Reads one of some phrases, if one comes next; its place in the list.
    pub(super) fn accept_one(&mut self, phrases: &[&str]) -> Option<usize> {
        phrases.iter().position(|phrase| self.accept(phrase))
    }

    /// Reads a phrase that must come next; an error stands at the first word that differs.
    pub(super) fn expect(&mut self, phrase: &str) -> Result<()> {
        for word in phrase.split(' ') {
            if !self.accept(word) {
                return Err(self.expected(&[word]));
            }
        }
        Ok(())
    }

    /// Reads one of some phrases that must come next; its place in the list.
    pub(super) fn expect_one(&mut self, phrases: &[&str]) -> Result<usize> {
        self.accept_one(phrases).ok_or_else(|| self.expected(phrases))
    }

    /// Whether a sign comes next.
    pub(super) fn at_sign(&self, sign: &Token) -> bool {
        self.token(self.index()) == Some(sign)
    }

    /// Reads a sign if it comes next.
    pub(super) fn accept_sign(&mut self, sign: &Token) -> bool {
        self.parser.consume_token(sign)
    }

    /// Reads a sign that must come next.
    pub(super) fn expect_sign(&mut self, sign: &Token) -> Result<()> {
        if self.accept_sign(sign) { Ok(()) } else { Err(failure::stray(self, self.index())) }
    }

    /// Passes over some tokens.
    pub(super) fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.parser.advance_token();
        }
    }

    /// Whether all is read.
    pub(super) fn at_end(&self) -> bool {
        self.index() >= self.range.len()
    }

    /// Fails unless all is read.
    pub(super) fn end(&self) -> Result<()> {
        if self.at_end() { Ok(()) } else { Err(failure::stray(self, self.index())) }
    }

    // Errors at the next token.

    /// The next token is not the start of anything that may stand here.
    pub(super) fn unexpected(&self) -> Error {
        failure::unexpected_at(self, self.index(), None)
    }

    /// One of some phrases had to come next.
    pub(super) fn expected(&self, phrases: &[&str]) -> Error {
        failure::expected_at(self, self.index(), phrases)
    }

    // Parts.

    /// Reads a part by sqlparser.
    pub(super) fn sql<T>(
        &mut self,
        read: impl FnOnce(&mut Parser<'a>) -> std::result::Result<T, ParserError>,
    ) -> Result<T> {
        read(&mut self.parser).map_err(|error| failure::statement(self, &error))
    }

    /// Reads a part by sqlparser that is printed again: signs before signs get parentheses, as two
    /// minus signs side by side would be printed as the start of a comment.
    pub(super) fn tree<T: VisitMut>(
        &mut self,
        read: impl FnOnce(&mut Parser<'a>) -> std::result::Result<T, ParserError>,
    ) -> Result<T> {
        let mut tree = self.sql(read)?;
        let done: ControlFlow<()> = visit_expressions_mut(&mut tree, |expression| {
            if let ast::Expr::UnaryOp { op, expr } = expression
                && *op != ast::UnaryOperator::Not
                && matches!(**expr, ast::Expr::UnaryOp { .. })
            {
                let inner = std::mem::replace(&mut **expr, ast::Expr::value(ast::Value::Null));
                **expr = ast::Expr::Nested(Box::new(inner));
            }
            ControlFlow::Continue(())
        });
        debug_assert!(done.is_continue(), "nothing stops the visit");
        Ok(tree)
    }

    /// Reads an identifier; unquoted it must not be reserved.
    pub(super) fn identifier(&mut self) -> Result<ColumnName> {
        let position = self.position();
        let name = match self.token(self.index()) {
            Some(Token::Word(Word { value, quote_style: Some('"'), .. })) if !value.is_empty() => {
                value.clone()
            }
            Some(Token::Word(Word { value, quote_style: None, .. })) if !is_reserved(value) => {
                value.to_ascii_lowercase()
            }
            _ => return Err(self.unexpected()),
        };
        self.skip(1);
        Ok(ColumnName { name, position })
    }

    /// Reads `[[database.]schema.]name`.
    pub(super) fn name(&mut self) -> Result<Name> {
        let first = self.identifier()?;
        let position = first.position;
        let mut parts = vec![first.name];
        while parts.len() < 3 && self.accept_sign(&Token::Period) {
            parts.push(self.part()?);
        }
        let name = parts.pop().unwrap_or_default();
        let schema = parts.pop();
        Ok(Name { database: parts.pop(), schema, name, position })
    }

    /// Reads a part of a name behind a period, where no word is reserved.
    fn part(&mut self) -> Result<String> {
        let part = match self.token(self.index()) {
            Some(Token::Word(Word { value, quote_style: Some('"'), .. })) => value.clone(),
            Some(Token::Word(Word { value, quote_style: None, .. })) => value.to_ascii_lowercase(),
            _ => return Err(self.unexpected()),
        };
        self.skip(1);
        Ok(part)
    }

    /// Reads `item, item, ...`.
    pub(super) fn list<T>(&mut self, read: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![read(self)?];
        while self.accept_sign(&Token::Comma) {
            items.push(read(self)?);
        }
        Ok(items)
    }

    /// Reads `(item, item, ...)`.
    pub(super) fn in_parentheses<T>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.expect_sign(&Token::LParen)?;
        let items = self.list(read)?;
        self.expect_sign(&Token::RParen)?;
        Ok(items)
    }

    /// Reads `(column, ...)`, each column once.
    pub(super) fn columns(&mut self) -> Result<Vec<ColumnName>> {
        let columns = self.in_parentheses(Self::identifier)?;
        distinct(&columns)?;
        Ok(columns)
    }

    /// Reads `(column, ...)` if a parenthesis comes next.
    pub(super) fn optional_columns(&mut self) -> Result<Vec<ColumnName>> {
        if self.at_sign(&Token::LParen) { self.columns() } else { Ok(Vec::new()) }
    }

    /// Reads a string literal.
    pub(super) fn string(&mut self) -> Result<String> {
        match self.accept_string() {
            Some(text) => Ok(text),
            None => Err(self.unexpected()),
        }
    }

    /// Reads a string literal if one comes next.
    pub(super) fn accept_string(&mut self) -> Option<String> {
        let text = match self.token(self.index())? {
            Token::SingleQuotedString(text)
            | Token::EscapedStringLiteral(text)
            | Token::UnicodeStringLiteral(text) => text.clone(),
            Token::DollarQuotedString(text) => text.value.clone(),
            _ => return None,
        };
        self.skip(1);
        Some(text)
    }

    /// Reads a whole number with an optional sign.
    pub(super) fn accept_integer(&mut self) -> Result<Option<i64>> {
        let start = self.index();
        let negative = self.accept_sign(&Token::Minus);
        let signed = negative || self.accept_sign(&Token::Plus);
        let Some(Token::Number(digits, _)) = self.token(self.index()) else {
            if signed {
                return Err(self.unexpected());
            }
            return Ok(None);
        };
        let text = if negative { format!("-{digits}") } else { digits.clone() };
        let Ok(value) = text.parse() else {
            self.seek(start);
            return Err(self.unexpected());
        };
        self.skip(1);
        Ok(Some(value))
    }

    /// Reads `IF NOT EXISTS` if it comes next; with `OR REPLACE` before it is an error.
    pub(super) fn if_not_exists(&mut self, or_replace: bool) -> Result<IfExists> {
        let position = self.position();
        if !self.accept("IF NOT EXISTS") {
            return Ok(if or_replace { IfExists::Replace } else { IfExists::Fail });
        }
        if or_replace {
            return Err(Error::syntax("OR REPLACE and IF NOT EXISTS exclude each other", position));
        }
        Ok(IfExists::Skip)
    }

    /// Reads a query that only reads.
    pub(super) fn query(&mut self) -> Result<QueryText> {
        let start = self.index();
        let phrases = ["SELECT", "WITH", "VALUES", "TABLE"];
        if !self.at_sign(&Token::LParen) && !phrases.iter().any(|phrase| self.at(phrase)) {
            return Err(self.expected(&["SELECT", "WITH", "VALUES"]));
        }
        let query = self.tree(Parser::parse_query)?;
        if !reads_only(&query.body) {
            return refuse("a query that changes rows", self.position_of(start));
        }
        let (text, offset) = self.slice(start);
        Ok(QueryText { query, text: text.to_owned(), offset })
    }

    /// Reads a query that ends before a token of this statement.
    pub(super) fn query_up_to(&mut self, end: usize) -> Result<QueryText> {
        if end >= self.last_index() {
            return self.query();
        }
        let mut part = Self::new(self.text, self.range.start..self.range.start + end);
        part.seek(self.index());
        let query = part.query()?;
        part.end()?;
        self.seek(end);
        Ok(query)
    }

    /// Reads `(query)`.
    pub(super) fn query_in_parentheses(&mut self) -> Result<QueryText> {
        self.expect_sign(&Token::LParen)?;
        let query = self.query()?;
        self.expect_sign(&Token::RParen)?;
        Ok(query)
    }
}

fn reads_only(body: &ast::SetExpr) -> bool {
    match body {
        ast::SetExpr::Insert(_)
        | ast::SetExpr::Update(_)
        | ast::SetExpr::Delete(_)
        | ast::SetExpr::Merge(_) => false,
        ast::SetExpr::Select(select) => select.into.is_none(),
        ast::SetExpr::Query(_)
        | ast::SetExpr::SetOperation { .. }
        | ast::SetExpr::Values(_)
        | ast::SetExpr::Table(_) => true,
    }
}

/// Fails at a name that stands twice.
pub(super) fn distinct(columns: &[ColumnName]) -> Result<()> {
    for (index, column) in columns.iter().enumerate() {
        if columns.iter().take(index).any(|other| other.name == column.name) {
            let name = column.name.clone();
            return Err(Error::DuplicateColumn { name, position: column.position });
        }
    }
    Ok(())
}
