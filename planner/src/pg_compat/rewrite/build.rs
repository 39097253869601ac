//! Small syntax trees.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    Array, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArgumentList, FunctionArguments, GroupByExpr, Ident, ObjectName, OrderByExpr, Query,
    Select, SelectFlavor, SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins, Value,
};

use crate::pg_compat::cell::array_texts;

/// `name(arguments)`.
pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    Expr::Function(function(name, arguments, Vec::new()))
}

/// `name(argument ORDER BY ...)`.
pub(super) fn aggregate(name: &str, argument: Expr, order: Vec<OrderByExpr>) -> Expr {
    let clauses =
        if order.is_empty() { Vec::new() } else { vec![FunctionArgumentClause::OrderBy(order)] };
    Expr::Function(function(name, vec![argument], clauses))
}

fn function(name: &str, arguments: Vec<Expr>, clauses: Vec<FunctionArgumentClause>) -> Function {
    let args = arguments.into_iter().map(|e| FunctionArg::Unnamed(FunctionArgExpr::Expr(e)));
    Function {
        name: ObjectName::from(Ident::new(name)),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: args.collect(),
            clauses,
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    }
}

/// A text literal.
pub(super) fn text(value: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.to_owned()).with_empty_span())
}

/// A number literal.
pub(super) fn number(value: u32) -> Expr {
    Expr::Value(Value::Number(value.to_string(), false).with_empty_span())
}

/// `ARRAY[...]`.
pub(super) fn array(items: Vec<Expr>) -> Expr {
    if items.is_empty() {
        return call("make_array", items);
    }
    Expr::Array(Array { elem: items, named: true })
}

/// `expr AS alias`.
pub(super) fn item(expr: Expr, alias: &Ident) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: alias.clone() }
}

/// `(query) AS alias`.
pub(super) fn derived(query: Query, alias: Ident) -> TableFactor {
    let alias = TableAlias { explicit: true, name: alias, columns: Vec::new(), at: None };
    TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query),
        alias: Some(alias),
        sample: None,
    }
}

/// `SELECT projection FROM from`.
pub(super) fn select(projection: Vec<SelectItem>, from: Option<TableFactor>) -> Query {
    let from = from.map(|relation| TableWithJoins { relation, joins: Vec::new() });
    let select = Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from: from.into_iter().collect(),
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    };
    Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

/// The items of an array literal in `PostgreSQL`'s text form; `None` for other text.
pub(super) fn array_items(literal: &str) -> Option<Vec<Expr>> {
    let null = || Expr::Value(Value::Null.with_empty_span());
    let items = array_texts(literal)?.into_iter();
    Some(items.map(|item| item.map_or_else(null, |value| text(&value))).collect())
}

/// The text of a string literal.
pub(super) fn literal_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
            _ => None,
        },
        Expr::Nested(inner) => literal_text(inner),
        _ => None,
    }
}

/// The last part of a name, folded unless quoted.
pub(super) fn last_name(name: &ObjectName) -> Option<String> {
    let ident = name.0.last()?.as_ident()?;
    Some(folded(ident))
}

/// An identifier as it resolves.
pub(super) fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}
