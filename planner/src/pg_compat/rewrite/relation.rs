//! Relations in FROM: names of the system catalog, and functions.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, Query, SelectItem,
    SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, Value, VisitorMut,
};
use levada_catalog::pg::{PgRelation, relation};

use super::build::{call, derived, folded, item, last_name, number, select, text};
use super::expression::SET_RETURNING;
use super::walk;
use crate::pg_compat::function::is_known;

/// Names a bare relation of `pg_catalog` in full, and turns functions into derived tables.
pub(super) fn rewrite(factor: &mut TableFactor, ctes: &HashSet<String>) {
    let replacement = match factor {
        TableFactor::Table { name, args: None, .. } => {
            qualify(name, ctes);
            None
        }
        TableFactor::Table { name, alias, args: Some(list), with_ordinality, .. } => {
            strip_schema(name);
            let arguments = expressions(&list.args);
            arguments.and_then(|a| function(name, a, alias.as_mut(), *with_ordinality))
        }
        TableFactor::Function { name, alias, args, with_ordinality, .. } => {
            strip_schema(name);
            let arguments = expressions(args);
            arguments.and_then(|a| function(name, a, alias.as_mut(), *with_ordinality))
        }
        TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
            if let [array] = array_exprs.as_slice() {
                let outputs = Outputs::new("unnest", alias.as_ref(), *with_ordinality);
                Some(outputs.unnest(array.clone()))
            } else {
                None
            }
        }
        TableFactor::Derived { .. }
        | TableFactor::TableFunction { .. }
        | TableFactor::JsonTable { .. }
        | TableFactor::OpenJsonTable { .. }
        | TableFactor::NestedJoin { .. }
        | TableFactor::Pivot { .. }
        | TableFactor::Unpivot { .. }
        | TableFactor::MatchRecognize { .. }
        | TableFactor::XmlTable { .. }
        | TableFactor::SemanticView { .. } => None,
    };
    if let Some(replacement) = replacement {
        *factor = replacement;
    }
}

/// Replaces `t.tableoid` by the OID of the system relation that `t` is.
pub(super) fn replace_system_columns(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            let mut aliases = HashMap::new();
            for TableWithJoins { relation, joins } in &select.from {
                let factors = std::iter::once(relation).chain(joins.iter().map(|j| &j.relation));
                aliases.extend(factors.filter_map(system_alias));
            }
            if !aliases.is_empty() {
                walk(select.as_mut(), &mut TableOids(aliases));
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            replace_system_columns(left);
            replace_system_columns(right);
        }
        SetExpr::Query(_)
        | SetExpr::Values(_)
        | SetExpr::Insert(_)
        | SetExpr::Update(_)
        | SetExpr::Delete(_)
        | SetExpr::Merge(_)
        | SetExpr::Table(_) => {}
    }
}

struct TableOids(HashMap<String, u32>);

impl VisitorMut for TableOids {
    type Break = Infallible;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        if let Expr::CompoundIdentifier(parts) = expr
            && let [table, column] = parts.as_slice()
            && folded(column) == "tableoid"
            && let Some(oid) = self.0.get(&folded(table))
        {
            *expr = number(*oid);
        }
        ControlFlow::Continue(())
    }
}

fn system_alias(factor: &TableFactor) -> Option<(String, u32)> {
    let TableFactor::Table { name, alias, args: None, .. } = factor else { return None };
    let found = system_relation(name)?;
    let alias = alias.as_ref().map_or_else(|| found.name.to_owned(), |a| folded(&a.name));
    Some((alias, found.oid))
}

/// Whether a name is that of a relation of the system catalog.
pub(super) fn is_system(name: &ObjectName) -> bool {
    system_relation(name).is_some()
}

fn system_relation(name: &ObjectName) -> Option<&'static PgRelation> {
    let found = relation(&last_name(name)?)?;
    let bare = name.0.len() == 1 && found.schema == "pg_catalog";
    (bare || schema_of(name).as_deref() == Some(found.schema)).then_some(found)
}

fn schema_of(name: &ObjectName) -> Option<String> {
    let position = name.0.len().checked_sub(2)?;
    name.0.get(position)?.as_ident().map(folded)
}

/// Functions have no schemas here.
pub(super) fn strip_schema(name: &mut ObjectName) {
    if let [schema, _] = name.0.as_slice()
        && let Some(schema) = schema.as_ident()
        && matches!(folded(schema).as_str(), "pg_catalog" | "information_schema")
    {
        name.0.remove(0);
    }
}

fn qualify(name: &mut ObjectName, ctes: &HashSet<String>) {
    let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else { return };
    let bare = folded(ident);
    let known = relation(&bare).is_some_and(|r| r.schema == "pg_catalog");
    if known && !ctes.contains(&bare) {
        name.0.insert(0, ObjectNamePart::Identifier(Ident::new("pg_catalog")));
    }
}

pub(super) fn expressions(arguments: &[FunctionArg]) -> Option<Vec<Expr>> {
    let one = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => None,
    };
    arguments.iter().map(one).collect()
}

/// The derived table of a function of ours, of a scalar function, or of an array.
fn function(
    name: &ObjectName,
    arguments: Vec<Expr>,
    alias: Option<&mut TableAlias>,
    ordinality: bool,
) -> Option<TableFactor> {
    let name = last_name(name)?;
    let constant =
        |e: &Expr| matches!(e, Expr::Value(v) if !matches!(v.value, Value::Placeholder(_)));
    if name == "generate_series" && !ordinality && arguments.iter().all(constant) {
        name_column(alias);
        return None;
    }
    let outputs = Outputs::new(&name, alias.as_deref(), ordinality);
    if name == "pg_options_to_table" {
        let fields = ["option_name", "option_value"];
        return Some(outputs.fields(call(&name, arguments), &fields));
    }
    if name == "_pg_expandarray" {
        return Some(outputs.fields(call(&name, arguments), &["x", "n"]));
    }
    if name == "unnest"
        && let [array] = arguments.as_slice()
    {
        return Some(outputs.unnest(array.clone()));
    }
    if SET_RETURNING.contains(&name.as_str()) {
        return Some(outputs.unnest(call(&name, arguments)));
    }
    is_known(&name).then(|| outputs.scalar(call(&name, arguments)))
}

/// A function with one output names it after the table's alias.
fn name_column(alias: Option<&mut TableAlias>) {
    if let Some(alias) = alias
        && alias.columns.is_empty()
    {
        alias.columns.push(TableAliasColumnDef { name: alias.name.clone(), data_type: None });
    }
}

/// How the outputs of a function in FROM are called.
struct Outputs {
    table: Ident,
    columns: Vec<Ident>,
    ordinality: bool,
}

impl Outputs {
    fn new(function: &str, alias: Option<&TableAlias>, ordinality: bool) -> Self {
        let table = alias.map_or_else(|| Ident::new(function), |a| a.name.clone());
        let columns = alias.map(|a| a.columns.iter().map(|c| c.name.clone()).collect());
        Self { table, columns: columns.unwrap_or_default(), ordinality }
    }

    fn column(&self, position: usize, default: &Ident) -> Ident {
        self.columns.get(position).unwrap_or(default).clone()
    }

    fn scalar(self, value: Expr) -> TableFactor {
        let name = self.column(0, &self.table);
        derived(select(vec![item(value, &name)], None), self.table)
    }

    fn unnest(self, list: Expr) -> TableFactor {
        if self.ordinality {
            let expanded = call("array_expand", vec![list]);
            let names = [self.column(0, &self.table), self.column(1, &Ident::new("ordinality"))];
            let query = read_fields(expanded, ["x", "n"].into_iter().zip(names));
            return derived(query, self.table);
        }
        let name = self.column(0, &self.table);
        let rows = call("unnest", vec![list]);
        derived(select(vec![item(rows, &name)], None), self.table)
    }

    fn fields(self, list: Expr, fields: &[&'static str]) -> TableFactor {
        let named = fields.iter().enumerate().map(|(i, f)| (*f, self.column(i, &Ident::new(*f))));
        let query = read_fields(list, named.collect::<Vec<_>>().into_iter());
        derived(query, self.table)
    }
}

/// `SELECT get_field(e, 'f') AS c, ... FROM (SELECT unnest(list) AS e) AS e`.
fn read_fields(list: Expr, fields: impl Iterator<Item = (&'static str, Ident)>) -> Query {
    let element = Ident::new("element");
    let rows = select(vec![item(call("unnest", vec![list]), &element)], None);
    let read = |(field, name): (&'static str, Ident)| -> SelectItem {
        let value = Expr::Identifier(element.clone());
        item(call("get_field", vec![value, text(field)]), &name)
    };
    let projection = fields.map(read).collect();
    select(projection, Some(derived(rows, element.clone())))
}
