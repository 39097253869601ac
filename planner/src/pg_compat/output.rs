//! Names of output columns as `PostgreSQL` gives them: `count`, `?column?`, `case`, a cast's operand.
//!
//! DataFusion names a column after its whole expression and refuses two of one name. [`name_columns`] reads the
//! names off the tree as parsed and gives repeated columns an alias of their own; after planning,
//! [`OutputNames::names`] has the names to announce.

use std::collections::HashSet;
use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, DataType, Expr, Ident, ObjectName, Query, SelectItem, SetExpr, Statement,
    TrimWhereField, TypedString, Value, visit_expressions_mut,
};

/// Names of a query's output columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputNames {
    /// One entry per select item; `None` stands for the columns of a wildcard.
    items: Vec<Option<String>>,
}

impl OutputNames {
    /// The names to announce for columns that DataFusion calls `planned`.
    #[must_use]
    pub fn names(&self, planned: &[&str]) -> Vec<String> {
        let own = || planned.iter().map(|n| (*n).to_owned()).collect();
        let wildcards = self.items.iter().filter(|i| i.is_none()).count();
        let named = self.items.len() - wildcards;
        let expanded = match (wildcards, planned.len().checked_sub(named)) {
            (0, Some(0)) => 0,
            (1, Some(columns)) => columns,
            _ => return own(),
        };
        let mut names = Vec::with_capacity(planned.len());
        for item in &self.items {
            match item {
                Some(name) => names.push(name.clone()),
                None => {
                    let columns = planned.iter().skip(names.len()).take(expanded);
                    names.extend(columns.map(|n| (*n).to_owned()));
                }
            }
        }
        names
    }
}

/// Reads the names of a statement's output columns and makes repeated ones plannable.
///
/// To be called before [`super::rewrite`], which changes the expressions that names come from.
pub fn name_columns(statement: &mut Statement) -> OutputNames {
    match statement {
        Statement::Query(query) => of_query(query),
        _ => OutputNames::default(),
    }
}

fn of_query(query: &mut Query) -> OutputNames {
    let mut body = query.body.as_mut();
    loop {
        match body {
            SetExpr::Select(select) => return of_select(&mut select.projection),
            SetExpr::Query(query) => body = query.body.as_mut(),
            SetExpr::SetOperation { left, .. } => body = left.as_mut(),
            SetExpr::Values(_)
            | SetExpr::Insert(_)
            | SetExpr::Update(_)
            | SetExpr::Delete(_)
            | SetExpr::Merge(_)
            | SetExpr::Table(_) => return OutputNames::default(),
        }
    }
}

fn of_select(projection: &mut [SelectItem]) -> OutputNames {
    let wildcards = projection.iter().filter(|item| is_wildcard(item)).count();
    let mut seen = HashSet::new();
    let mut items = Vec::with_capacity(projection.len());
    for (position, item) in projection.iter_mut().enumerate() {
        let (name, key) = match item {
            SelectItem::UnnamedExpr(expr) => (column_name(expr), planned_name(expr)),
            SelectItem::ExprWithAlias { alias, .. } => {
                let name = folded(alias);
                (name.clone(), name)
            }
            SelectItem::ExprWithAliases { .. }
            | SelectItem::QualifiedWildcard(..)
            | SelectItem::Wildcard(_) => {
                items.push(None);
                continue;
            }
        };
        // The columns of a wildcard are not known yet: one that is named beside it may be among them.
        if !seen.insert(key) || wildcards == 1 {
            rename(item, &Ident::new(format!("__column_{}", position + 1)));
        }
        items.push(Some(name));
    }
    OutputNames { items }
}

/// Gives repeated columns of a query's branches an alias of their own: a row source of two columns `a` is
/// fine as long as nobody asks for `a`.
pub(super) fn separate(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            let mut seen = HashSet::new();
            for (position, item) in select.projection.iter_mut().enumerate() {
                let key = match item {
                    SelectItem::UnnamedExpr(expr) => planned_name(expr),
                    SelectItem::ExprWithAlias { alias, .. } => folded(alias),
                    SelectItem::ExprWithAliases { .. }
                    | SelectItem::QualifiedWildcard(..)
                    | SelectItem::Wildcard(_) => continue,
                };
                if !seen.insert(key) {
                    rename(item, &Ident::new(format!("__column_{}", position + 1)));
                }
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            separate(left);
            separate(right);
        }
        _ => {}
    }
}

fn is_wildcard(item: &SelectItem) -> bool {
    matches!(
        item,
        SelectItem::QualifiedWildcard(..)
            | SelectItem::Wildcard(_)
            | SelectItem::ExprWithAliases { .. }
    )
}

/// What DataFusion's name of an expression tells of it: neither its parentheses nor its casts.
fn planned_name(expr: &Expr) -> String {
    let mut bare = expr.clone();
    let done: ControlFlow<Infallible> = visit_expressions_mut(&mut bare, |e| {
        while let Expr::Nested(inner) | Expr::Cast { expr: inner, .. } = e {
            *e = super::rewrite::take(inner);
        }
        ControlFlow::Continue(())
    });
    let ControlFlow::Continue(()) = done;
    bare.to_string()
}

fn rename(item: &mut SelectItem, unique: &Ident) {
    match item {
        SelectItem::UnnamedExpr(expr) => {
            let expr = expr.clone();
            *item = SelectItem::ExprWithAlias { expr, alias: unique.clone() };
        }
        SelectItem::ExprWithAlias { alias, .. } => *alias = unique.clone(),
        SelectItem::ExprWithAliases { .. }
        | SelectItem::QualifiedWildcard(..)
        | SelectItem::Wildcard(_) => {}
    }
}

/// The name `PostgreSQL` gives to the column of an expression.
fn column_name(expr: &Expr) -> String {
    strong_name(expr).or_else(|| weak_name(expr)).unwrap_or_else(|| "?column?".to_owned())
}

/// A name that survives a cast around it.
fn strong_name(expr: &Expr) -> Option<String> {
    let fixed = match expr {
        Expr::Identifier(ident) => return Some(folded(ident)),
        Expr::CompoundIdentifier(parts) => return parts.last().map(folded),
        Expr::Function(function) => return function_name(&function.name),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => return strong_name(inner),
        Expr::Cast { expr: inner, .. } => return strong_name(inner),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let field = access_chain.iter().rev().find_map(|part| match part {
                AccessExpr::Dot(Expr::Identifier(ident)) => Some(folded(ident)),
                AccessExpr::Dot(_) | AccessExpr::Subscript(_) => None,
            });
            return field.or_else(|| strong_name(root));
        }
        Expr::Subquery(query) => return subquery_name(query),
        Expr::Case { else_result, .. } => {
            return else_result.as_ref().and_then(|e| strong_name(e));
        }
        Expr::Exists { .. } => "exists",
        Expr::Array(_) => "array",
        Expr::Tuple(_) => "row",
        Expr::Extract { .. } => "extract",
        Expr::Position { .. } => "position",
        Expr::Substring { .. } => "substring",
        Expr::Overlay { .. } => "overlay",
        Expr::Ceil { .. } => "ceil",
        Expr::Floor { .. } => "floor",
        Expr::AtTimeZone { .. } => "timezone",
        Expr::Trim { trim_where, .. } => match trim_where {
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
            Some(TrimWhereField::Both) | None => "btrim",
        },
        _ => return None,
    };
    Some(fixed.to_owned())
}

/// A name that a cast around the expression replaces by its type's.
fn weak_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Cast { data_type, .. } | Expr::TypedString(TypedString { data_type, .. }) => {
            Some(type_name(data_type))
        }
        Expr::Nested(inner) => weak_name(inner),
        Expr::Case { else_result, .. } => {
            let result = else_result.as_ref().and_then(|e| weak_name(e));
            Some(result.unwrap_or_else(|| "case".to_owned()))
        }
        Expr::Interval(_) => Some("interval".to_owned()),
        Expr::Value(value) if matches!(value.value, Value::Boolean(_)) => Some("bool".to_owned()),
        _ => None,
    }
}

fn function_name(name: &ObjectName) -> Option<String> {
    name.0.last()?.as_ident().map(folded)
}

fn subquery_name(query: &Query) -> Option<String> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    match select.projection.first()? {
        SelectItem::UnnamedExpr(expr) => Some(column_name(expr)),
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        SelectItem::ExprWithAliases { .. }
        | SelectItem::QualifiedWildcard(..)
        | SelectItem::Wildcard(_) => None,
    }
}

fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// The internal name of a type.
fn type_name(data_type: &DataType) -> String {
    let name = match data_type {
        DataType::Boolean | DataType::Bool => "bool",
        DataType::SmallInt(_) | DataType::Int2(_) => "int2",
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => "int4",
        DataType::BigInt(_) | DataType::Int8(_) => "int8",
        DataType::Real | DataType::Float4 => "float4",
        DataType::Double(_) | DataType::DoublePrecision | DataType::Float8 | DataType::Float(_) => {
            "float8"
        }
        DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_) => "numeric",
        DataType::Varchar(_) | DataType::CharacterVarying(_) | DataType::CharVarying(_) => {
            "varchar"
        }
        DataType::Char(_) | DataType::Character(_) => "bpchar",
        DataType::Custom(name, _) => {
            return function_name(name).unwrap_or_else(|| "?column?".to_owned());
        }
        DataType::Timestamp(_, zone) => {
            return if zone.to_string().to_lowercase().contains("with time")
                || zone.to_string() == "TZ"
            {
                "timestamptz".to_owned()
            } else {
                "timestamp".to_owned()
            };
        }
        other => return other.to_string().to_lowercase(),
    };
    name.to_owned()
}
