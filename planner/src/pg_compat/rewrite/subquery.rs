//! Subqueries as values.

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArguments, GroupByExpr, Ident, ObjectNamePart, OrderByExpr, OrderByKind, Query,
    Select, SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, Value,
};

use super::build::{aggregate, call, derived, folded, item, last_name, select};
use super::cast::take;

/// Aggregates, beside which no other aggregate may go.
const AGGREGATES: &[&str] = &[
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "array_agg",
    "string_agg",
    "bool_and",
    "bool_or",
    "every",
    "first_value",
    "last_value",
    "json_agg",
    "jsonb_agg",
    "json_object_agg",
    "unnest",
];

pub(super) fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Function(function) => {
            if last_name(&function.name).as_deref() == Some("array")
                && let FunctionArguments::Subquery(query) = &mut function.args
            {
                let collected = collect((**query).clone());
                *expr = call("array_or_empty", vec![Expr::Subquery(Box::new(collected))]);
            }
        }
        Expr::Subquery(query) => take_first(query),
        _ => {}
    }
}

/// `SELECT x FROM ...` as `SELECT array_agg(x) FROM ...`.
fn collect(mut query: Query) -> Query {
    let order = order_of(&query);
    if let Some(value) = plain_value(&mut query) {
        let order = order.unwrap_or_default();
        let order = order.into_iter().map(|o| resolve_ordinal(o, value)).collect();
        let inner = take(value);
        *value = aggregate("array_agg", inner, order);
        query.order_by = None;
        return query;
    }
    let value = Ident::new("value");
    let alias = Ident::new("elements");
    let mut table = derived(query, alias);
    if let TableFactor::Derived { alias: Some(TableAlias { columns, .. }), .. } = &mut table {
        columns.push(TableAliasColumnDef { name: value.clone(), data_type: None });
    }
    let all = aggregate("array_agg", Expr::Identifier(value), Vec::new());
    select(vec![item(all, &Ident::new("array"))], Some(table))
}

/// A subquery over the system catalog that is not aggregated yields its first row's value: DataFusion joins
/// only subqueries of which it knows that they have one row.
fn take_first(query: &mut Query) {
    let order = order_of(query).unwrap_or_default();
    let over_catalog = match query.body.as_ref() {
        SetExpr::Select(select) => !select.from.is_empty() && is_over_catalog(select),
        _ => false,
    };
    if !over_catalog {
        return;
    }
    if let Some(value) = plain_value(query) {
        let order = order.into_iter().map(|o| resolve_ordinal(o, value)).collect();
        let inner = take(value);
        *value = aggregate("first_value", inner, order);
        query.order_by = None;
    }
}

/// The one output of a query without grouping, DISTINCT, limits or aggregates.
fn plain_value(query: &mut Query) -> Option<&mut Expr> {
    let limited = query.limit_clause.is_some() || query.fetch.is_some() || query.with.is_some();
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(e, _) if e.is_empty());
    if limited || grouped || select.distinct.is_some() || select.having.is_some() {
        return None;
    }
    let [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }] =
        select.projection.as_mut_slice()
    else {
        return None;
    };
    (!is_aggregated(value)).then_some(value)
}

/// Whether an expression calls an aggregate outside of its subqueries.
fn is_aggregated(expr: &Expr) -> bool {
    match expr {
        Expr::Function(function) => {
            let own = last_name(&function.name).is_some_and(|n| AGGREGATES.contains(&n.as_str()));
            let arguments = match &function.args {
                FunctionArguments::List(list) => list.args.as_slice(),
                FunctionArguments::None | FunctionArguments::Subquery(_) => &[],
            };
            own || super::relation::expressions(arguments)
                .into_iter()
                .flatten()
                .any(|e| is_aggregated(&e))
        }
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => is_aggregated(inner),
        Expr::BinaryOp { left, right, .. } => is_aggregated(left) || is_aggregated(right),
        _ => false,
    }
}

fn is_over_catalog(select: &Select) -> bool {
    let factors = select
        .from
        .iter()
        .flat_map(|t| std::iter::once(&t.relation).chain(t.joins.iter().map(|j| &j.relation)));
    let mut named = false;
    for factor in factors {
        match factor {
            TableFactor::Table { name, args: None, .. } => {
                let [ObjectNamePart::Identifier(schema), _] = name.0.as_slice() else {
                    return false;
                };
                if !matches!(folded(schema).as_str(), "pg_catalog" | "information_schema") {
                    return false;
                }
                named = true;
            }
            TableFactor::Derived { .. } => {}
            _ => return false,
        }
    }
    named
}

fn order_of(query: &Query) -> Option<Vec<OrderByExpr>> {
    match query.order_by.as_ref().map(|o| &o.kind) {
        Some(OrderByKind::Expressions(list)) => Some(list.clone()),
        Some(OrderByKind::All(_)) | None => None,
    }
}

/// `ORDER BY 1` is the value itself.
fn resolve_ordinal(mut order: OrderByExpr, value: &Expr) -> OrderByExpr {
    let ordinal = matches!(&order.expr, Expr::Value(v) if matches!(v.value, Value::Number(_, _)));
    if ordinal {
        order.expr = value.clone();
    }
    order
}
