//! Functions, operators and access to parts of values.

use std::collections::HashSet;
use std::sync::LazyLock;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Subscript, Value,
};
use levada_catalog::pg::relations;

use super::build::{array, array_items, call, folded, last_name, literal_text, number, text};
use super::cast::take;
use super::relation::strip_schema;
use crate::pg_compat::function::{is_known, with_backslashes};
use crate::temporal;

/// Functions that yield a list here and a set of rows in `PostgreSQL`.
pub(super) const SET_RETURNING: &[&str] = &[
    "generate_series",
    "generate_subscripts",
    "_pg_expandarray",
    "pg_options_to_table",
    "pg_partition_ancestors",
];

pub(super) fn rewrite(expr: &mut Expr, reads_catalog: bool) {
    match expr {
        Expr::Interval(interval) if interval.leading_field.is_none() => {
            let spelled = literal_text(&interval.value).and_then(temporal::interval);
            if let Some(spelled) = spelled {
                *interval.value = text(&spelled);
            }
        }
        Expr::Collate { expr: inner, .. } => *expr = take(inner),
        Expr::Function(function) => {
            complete(function);
            if is_set_returning(function) {
                let list = take(expr);
                *expr = call("unnest", vec![list]);
            } else if reads_catalog {
                coalesce_array(function);
            }
        }
        Expr::BinaryOp { left, op, right } => {
            if let BinaryOperator::PGCustomBinaryOperator(parts) = op
                && let Some(plain) = parts.last().and_then(|symbol| operator(symbol))
            {
                *op = plain;
            }
            if matches!(op, BinaryOperator::Eq | BinaryOperator::NotEq) {
                literal_beside(left, right);
                literal_beside(right, left);
            }
        }
        Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. } => {
            array_operand(left, right);
        }
        Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
            if let Some(Value::SingleQuotedString(escape)) = escape_char.as_ref().map(|v| &v.value)
                && escape != "\\"
            {
                **pattern = match literal_text(pattern) {
                    Some(literal) => text(&with_backslashes(literal, escape)),
                    None => call("like_escape", vec![take(pattern), text(escape)]),
                };
                *escape_char = None;
            }
        }
        Expr::CompoundFieldAccess { .. } => access(expr),
        _ => {}
    }
}

/// Functions have no schemas here; those written without parentheses get them.
fn complete(function: &mut Function) {
    strip_schema(&mut function.name);
    let bare = matches!(function.args, FunctionArguments::None);
    if bare && last_name(&function.name).is_some_and(|name| is_known(&name)) {
        function.args = FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: Vec::new(),
            clauses: Vec::new(),
        });
    }
}

fn is_set_returning(function: &Function) -> bool {
    let name = last_name(&function.name);
    function.name.0.len() == 1 && name.is_some_and(|n| SET_RETURNING.contains(&n.as_str()))
}

/// The operator of a symbol written as `OPERATOR(schema.symbol)`.
fn operator(symbol: &str) -> Option<BinaryOperator> {
    Some(match symbol {
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        "=" => BinaryOperator::Eq,
        "<>" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        "<=" => BinaryOperator::LtEq,
        ">" => BinaryOperator::Gt,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "%" => BinaryOperator::Modulo,
        "||" => BinaryOperator::StringConcat,
        _ => return None,
    })
}

/// `polroles = '{0}'`, `indisprimary = 't'`: beside an array or a boolean of the system catalog, the text is
/// one too.
fn literal_beside(column: &Expr, literal: &mut Expr) {
    let Some(name) = column_name(column) else { return };
    if array_columns().contains(name.as_str()) {
        if let Some(items) = literal_text(literal).and_then(array_items) {
            *literal = array(items);
        }
    } else if boolean_columns().contains(name.as_str()) {
        let truth = match literal_text(literal) {
            Some("t" | "true") => true,
            Some("f" | "false") => false,
            Some(_) | None => return,
        };
        *literal = Expr::Value(Value::Boolean(truth).with_empty_span());
    }
}

/// `coalesce(x, '{}')`: the text is an array if `x` is one, which only its type tells.
fn coalesce_array(function: &mut Function) {
    let FunctionArguments::List(list) = &function.args else { return };
    let [
        FunctionArg::Unnamed(FunctionArgExpr::Expr(first)),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(last)),
    ] = list.args.as_slice()
    else {
        return;
    };
    let shaped = literal_text(last).and_then(array_items).is_some();
    let is_coalesce = last_name(&function.name).as_deref() == Some("coalesce");
    if is_coalesce && shaped && !matches!(first, Expr::Value(_)) {
        function.name = ObjectName::from(Ident::new("coalesce_array"));
    }
}

/// `x = ANY('{a,b}')` and `x = ANY($1)`: the operand is an array.
fn array_operand(left: &Expr, right: &mut Expr) {
    if let Some(items) = literal_text(right).and_then(array_items) {
        *right = array(items);
        return;
    }
    let parameter =
        matches!(right, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)));
    if parameter {
        let oid = column_name(left).is_some_and(|name| oid_columns().contains(name.as_str()));
        let item = if oid { DataType::IntUnsigned(None) } else { DataType::Text };
        let inner = take(right);
        *right = Expr::Cast {
            kind: CastKind::DoubleColon,
            expr: Box::new(inner),
            data_type: DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(item), None)),
            array: false,
            format: None,
        };
    }
}

/// `(f(x)).n` reads a field; subscripts of `int2vector` and `oidvector` count from 0.
fn access(expr: &mut Expr) {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else { return };
    let vector = vector_column(root, access_chain);
    for part in access_chain.iter_mut() {
        if let AccessExpr::Subscript(Subscript::Index { index }) = part
            && vector
        {
            let inner = take(index);
            *index = Expr::BinaryOp {
                left: Box::new(Expr::Nested(Box::new(inner))),
                op: BinaryOperator::Plus,
                right: Box::new(number(1)),
            };
        }
    }
    let is_value = !matches!(root.as_ref(), Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    if let [AccessExpr::Dot(Expr::Identifier(field))] = access_chain.as_slice()
        && is_value
    {
        let name = text(&folded(field));
        let inner = match take(root) {
            Expr::Nested(inner) => *inner,
            other => other,
        };
        *expr = call("get_field", vec![inner, name]);
    }
}

fn vector_column(root: &Expr, chain: &[AccessExpr]) -> bool {
    let dotted = chain.iter().rev().find_map(|part| match part {
        AccessExpr::Dot(Expr::Identifier(ident)) => Some(folded(ident)),
        AccessExpr::Dot(_) | AccessExpr::Subscript(_) => None,
    });
    let name = dotted.or_else(|| column_name(root));
    name.is_some_and(|name| vector_columns().contains(name.as_str()))
}

/// The bare name of a column reference.
fn column_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(folded(ident)),
        Expr::CompoundIdentifier(parts) => parts.last().map(folded),
        Expr::Nested(inner) => column_name(inner),
        _ => None,
    }
}

fn array_columns() -> &'static HashSet<&'static str> {
    static NAMES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
        columns_of(|t| t.starts_with('_') || matches!(t, "int2vector" | "oidvector"))
    });
    &NAMES
}

fn boolean_columns() -> &'static HashSet<&'static str> {
    static NAMES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| columns_of(|t| t == "bool"));
    &NAMES
}

fn vector_columns() -> &'static HashSet<&'static str> {
    static NAMES: LazyLock<HashSet<&'static str>> =
        LazyLock::new(|| columns_of(|t| matches!(t, "int2vector" | "oidvector")));
    &NAMES
}

fn oid_columns() -> &'static HashSet<&'static str> {
    static NAMES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| columns_of(|t| t == "oid"));
    &NAMES
}

fn columns_of(keep: impl Fn(&str) -> bool) -> HashSet<&'static str> {
    let all = relations().iter().flat_map(|r| &r.columns);
    all.filter(|c| keep(c.type_name)).map(|c| c.name).collect()
}
