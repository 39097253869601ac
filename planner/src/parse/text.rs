//! The text that was sent, its tokens, and where each stands.
//!
//! Tokens cover the text without gaps, so one walk over text and tokens places them all: a token
//! ends where the next one starts. Blanks and comments are then dropped, which keeps comments out of
//! everything but slices of the text.

use std::ops::Range;

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::error::{Error, Result};
use crate::parse::bound::Level;
use crate::parse::dialect::Postgres;
use crate::parse::{DEPTH_MAX, TEXT_BYTES_MAX, failure};

/// Text and tokens.
pub(super) struct Text<'a> {
    sql: &'a str,
    tokens: Vec<TokenWithSpan>,
    places: Vec<Place>,
    /// Characters in `sql`.
    chars: usize,
    dialect: Postgres,
}

/// Where a token stands.
#[derive(Clone, Copy)]
struct Place {
    /// Characters before it.
    chars: usize,
    /// Bytes before it.
    start: usize,
    /// Bytes before the end of it.
    end: usize,
}

impl<'a> Text<'a> {
    /// Tokenises `sql`.
    pub(super) fn read(sql: &'a str) -> Result<Self> {
        if sql.len() > TEXT_BYTES_MAX {
            return Err(Error::TooLong { bytes: sql.len(), limit: TEXT_BYTES_MAX });
        }
        let all = Tokenizer::new(&PostgreSqlDialect {}, sql)
            .tokenize_with_location()
            .map_err(|error| failure::token(sql, &error))?;
        let mut walk = Walk::new(sql);
        let mut tokens = Vec::with_capacity(all.len() / 2 + 1);
        let mut places: Vec<Place> = Vec::with_capacity(tokens.capacity());
        let mut open = false;
        for token in all {
            let (chars, start) = walk.reach(token.span.start);
            if open && let Some(last) = places.last_mut() {
                last.end = start;
            }
            open = !matches!(token.token, Token::Whitespace(_));
            if open {
                places.push(Place { chars, start, end: sql.len() });
                tokens.push(token);
            }
        }
        let chars = walk.finish();
        let dialect = Postgres::new(tokens.len());
        let text = Self { sql, tokens, places, chars, dialect };
        text.check_depth()?;
        Ok(text)
    }

    /// The range of all tokens.
    pub(super) fn all(&self) -> Range<usize> {
        0..self.tokens.len()
    }

    /// The token ranges of the statements: cut at `;` outside parentheses, empty ones left out.
    pub(super) fn statements(&self) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        let mut start = 0;
        let mut depth = 0_usize;
        for (index, token) in self.tokens.iter().enumerate() {
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                Token::SemiColon if depth == 0 => {
                    ranges.push(start..index);
                    start = index + 1;
                }
                _ => {}
            }
        }
        ranges.push(start..self.tokens.len());
        ranges.retain(|range| !range.is_empty());
        ranges
    }

    /// The dialect to read it by.
    pub(super) fn dialect(&self) -> &Postgres {
        &self.dialect
    }

    /// The tokens.
    pub(super) fn tokens(&self) -> &[TokenWithSpan] {
        &self.tokens
    }

    /// 1-based character of a token, or of the end of the text.
    pub(super) fn position(&self, index: usize) -> usize {
        self.places.get(index).map_or(self.chars, |place| place.chars) + 1
    }

    /// The text of some tokens, and the characters before it.
    pub(super) fn slice(&self, range: Range<usize>) -> (&'a str, usize) {
        let first = self.places.get(range.start);
        let last = range.end.checked_sub(1).and_then(|index| self.places.get(index));
        match (first, last) {
            (Some(first), Some(last)) if range.start < range.end => {
                (self.sql.get(first.start..last.end).unwrap_or_default(), first.chars)
            }
            _ => ("", first.map_or(self.chars, |place| place.chars)),
        }
    }

    /// The token that starts at a location.
    pub(super) fn token_at(&self, at: Location) -> Option<usize> {
        let key = |token: &TokenWithSpan| (token.span.start.line, token.span.start.column);
        self.tokens.binary_search_by_key(&(at.line, at.column), key).ok()
    }

    /// Refuses what would build a tree too deep to walk: see the bounds in [`crate::parse`].
    fn check_depth(&self) -> Result<()> {
        let mut levels = vec![Level::default()];
        for (index, token) in self.tokens.iter().enumerate() {
            let Some(level) = levels.last_mut() else { break };
            level.count(&token.token);
            let (full, inner) = (level.is_full(), level.inside());
            if full || levels.len() > 2 * DEPTH_MAX {
                return Err(Error::TooDeep { position: self.position(index) });
            }
            match token.token {
                Token::LParen | Token::LBracket => levels.push(inner),
                Token::RParen | Token::RBracket if levels.len() > 1 => {
                    let inner = levels.pop();
                    if let (Some(outer), Some(inner)) = (levels.last_mut(), inner) {
                        outer.close(&inner);
                        if outer.is_full() {
                            return Err(Error::TooDeep { position: self.position(index) });
                        }
                    }
                }
                Token::SemiColon => levels = vec![Level::default()],
                _ => {}
            }
        }
        Ok(())
    }
}

/// A walk over the characters of a text that counts as sqlparser does.
struct Walk<'a> {
    rest: std::str::Chars<'a>,
    line: u64,
    column: u64,
    chars: usize,
    bytes: usize,
}

impl<'a> Walk<'a> {
    fn new(sql: &'a str) -> Self {
        Self { rest: sql.chars(), line: 1, column: 1, chars: 0, bytes: 0 }
    }

    fn step(&mut self) -> bool {
        let Some(c) = self.rest.next() else { return false };
        self.chars += 1;
        self.bytes += c.len_utf8();
        if c == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        true
    }

    /// Walks on to a location; characters and bytes before it.
    fn reach(&mut self, at: Location) -> (usize, usize) {
        while (self.line, self.column) < (at.line, at.column) && self.step() {}
        (self.chars, self.bytes)
    }

    /// Walks to the end; characters in all.
    fn finish(mut self) -> usize {
        while self.step() {}
        self.chars
    }
}

/// See [`crate::parse::position_at`].
pub(super) fn position_at(sql: &str, line: u64, column: u64) -> usize {
    if line == 0 || column == 0 {
        return 0;
    }
    let mut walk = Walk::new(sql);
    let (chars, _) = walk.reach(Location::new(line, column));
    if walk.line == line { chars + 1 } else { 0 }
}
