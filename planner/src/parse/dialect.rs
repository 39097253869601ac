//! PostgreSQL's dialect, with bounds on the work that sqlparser does.
//!
//! sqlparser reads some constructs twice when the first attempt fails, and inside these again twice:
//! the work doubles with every level. Where it can be told how to read a construct it is told so; for
//! what is left, each text has a budget of expressions read, many times what it needs.

use std::any::TypeId;
use std::cell::Cell;

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::keywords::Keyword;
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};

use crate::parse::is_reserved;

/// The dialect of one text.
#[derive(Debug)]
pub(super) struct Postgres {
    rules: PostgreSqlDialect,
    steps_left: Cell<usize>,
}

impl Postgres {
    /// A dialect for a text of some tokens.
    pub(super) fn new(tokens: usize) -> Self {
        let steps = tokens.saturating_mul(16).saturating_add(1_000);
        Self { rules: PostgreSqlDialect {}, steps_left: Cell::new(steps) }
    }
}

/// Answers questions with PostgreSQL's answer.
macro_rules! as_postgres {
    ($($question:ident)*) => {
        $(fn $question(&self) -> bool { self.rules.$question() })*
    };
}

impl Dialect for Postgres {
    fn dialect(&self) -> TypeId {
        self.rules.dialect()
    }

    fn parse_prefix(&self, _: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        match self.steps_left.get().checked_sub(1) {
            Some(steps) => {
                self.steps_left.set(steps);
                None
            }
            None => Some(Err(ParserError::RecursionLimitExceeded)),
        }
    }

    /// The right side of `IS DISTINCT FROM` ends where a weaker operator begins: at an AND, say. sqlparser
    /// would read a whole expression.
    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        left: &Expr,
        _: u8,
    ) -> Option<Result<Expr, ParserError>> {
        use Keyword::{DISTINCT, FROM, IS, NOT};
        let make = if parser.parse_keywords(&[IS, DISTINCT, FROM]) {
            Expr::IsDistinctFrom
        } else if parser.parse_keywords(&[IS, NOT, DISTINCT, FROM]) {
            Expr::IsNotDistinctFrom
        } else {
            return None;
        };
        let right = parser.parse_subexpr(self.prec_value(Precedence::Is));
        Some(right.map(|right| make(Box::new(left.clone()), Box::new(right))))
    }

    /// Words that PostgreSQL reserves are no names when reading them otherwise fails.
    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        self.rules.is_reserved_for_identifier(keyword) || is_reserved(&format!("{keyword:?}"))
    }

    /// Names of arguments are words: `f(a => 1)`. Reading them as expressions would read every
    /// argument twice.
    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        self.rules.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, c: char) -> bool {
        self.rules.is_delimited_identifier_start(c)
    }

    fn is_identifier_start(&self, c: char) -> bool {
        self.rules.is_identifier_start(c)
    }

    fn is_identifier_part(&self, c: char) -> bool {
        self.rules.is_identifier_part(c)
    }

    fn is_custom_operator_part(&self, c: char) -> bool {
        self.rules.is_custom_operator_part(c)
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        self.rules.get_next_precedence(parser)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        self.rules.prec_value(precedence)
    }

    as_postgres! {
        supports_unicode_string_literal
        supports_filter_during_aggregation
        supports_group_by_expr
        allow_extract_custom
        allow_extract_single_quotes
        supports_create_index_with_clause
        supports_explain_with_utility_options
        supports_listen_notify
        supports_factorial_operator
        supports_bitwise_shift_operators
        supports_comment_on
        supports_load_extension
        supports_named_fn_args_with_colon_operator
        supports_empty_projections
        supports_nested_comments
        supports_string_escape_constant
        supports_numeric_literal_underscores
        supports_array_typedef_with_brackets
        supports_geometric_types
        supports_set_names
        supports_alter_column_type_using
        supports_notnull_operator
        supports_interval_options
        supports_insert_table_alias
        supports_create_table_like_parenthesized
        supports_select_wildcard_with_alias
        supports_comma_separated_trim
        supports_xml_expressions
        supports_comment_optimizer_hint
    }
}
