//! What is counted at one level of parentheses, to refuse text whose tree would be too deep or too slow.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::parse::{CHAIN_TOKENS_MAX, OPERATORS_MAX, SET_OPERATIONS_MAX, word};

/// Most queries in doubled parentheses, `((SELECT`, inside each other. sqlparser reads them twice
/// where a table may stand, so that the work doubles with each.
const DOUBLED_MAX: usize = 12;

/// One level of parentheses.
#[derive(Default)]
pub(super) struct Level {
    /// Tokens so far.
    tokens: usize,
    /// Tokens since the last comma or clause.
    chain: usize,
    set_operations: usize,
    /// Queries in doubled parentheses around here.
    doubled: usize,
    /// Whether its own parenthesis comes first in the level around it.
    leads: bool,
    /// Whether a query stands here.
    is_query: bool,
    /// Whether an operand has just ended, so that an operator has two.
    operand: bool,
    operators: Operators,
}

/// Binary operators other than AND and OR, with those in parentheses among their operands.
#[derive(Default)]
struct Operators {
    /// Since the last AND, OR, comma or clause.
    here: usize,
    /// Most of them since the last comma or clause.
    peak: usize,
    /// The sum of these over the commas and clauses before.
    before: usize,
}

impl Level {
    /// A level inside this one.
    pub(super) fn inside(&self) -> Self {
        Self { doubled: self.doubled, leads: self.tokens == 1, ..Self::default() }
    }

    /// Goes on behind a level inside this one.
    pub(super) fn close(&mut self, inner: &Self) {
        self.operand = true;
        // The columns of a query are known without looking into it.
        if !inner.is_query {
            self.operators.add(inner.operators.before + inner.operators.peak);
        }
    }

    /// Whether more than the bounds allow has been counted.
    pub(super) fn is_full(&self) -> bool {
        self.chain > CHAIN_TOKENS_MAX
            || self.set_operations > SET_OPERATIONS_MAX
            || self.doubled > DOUBLED_MAX
            || self.operators.here > OPERATORS_MAX
    }

    pub(super) fn count(&mut self, token: &Token) {
        self.tokens += 1;
        self.chain += 1;
        let operator = is_operator(token);
        if operator && self.operand {
            self.operators.add(1);
        }
        self.operand = !operator && *token != Token::Comma;
        match token {
            Token::Comma => self.separate(),
            Token::Word(word) if word.quote_style.is_none() => self.count_word(&word.value),
            _ => {}
        }
    }

    fn count_word(&mut self, word: &str) {
        if word::separates_chains(word) {
            self.separate();
        } else if word::combines_queries(word) {
            self.set_operations += 1;
        } else if word::is_logical(word) {
            self.operators.here = 0;
        }
        if self.tokens == 1 && word::starts_query(word) {
            self.is_query = true;
            self.doubled += usize::from(self.leads);
        }
    }

    fn separate(&mut self) {
        self.chain = 0;
        self.operators.before += self.operators.peak;
        self.operators.here = 0;
        self.operators.peak = 0;
    }
}

impl Operators {
    fn add(&mut self, more: usize) {
        self.here += more;
        self.peak = self.peak.max(self.here);
    }
}

/// Whether a token is an operator that may have two operands.
fn is_operator(token: &Token) -> bool {
    matches!(
        token,
        Token::Plus
            | Token::Minus
            | Token::Mul
            | Token::Div
            | Token::Mod
            | Token::Caret
            | Token::StringConcat
            | Token::Ampersand
            | Token::Pipe
            | Token::Sharp
            | Token::ShiftLeft
            | Token::ShiftRight
            | Token::Tilde
            | Token::Eq
            | Token::DoubleEq
            | Token::Neq
            | Token::Lt
            | Token::LtEq
            | Token::Gt
            | Token::GtEq
            | Token::Arrow
            | Token::LongArrow
            | Token::HashArrow
            | Token::HashLongArrow
    )
}
