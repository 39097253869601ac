//! `DEFAULT` in the rows of an `INSERT`.

use datafusion::sql::sqlparser::ast::{Expr, Insert, SetExpr, TableObject, Value};
use levada_catalog::{Column, Object};

use crate::error::Result;

/// Puts the columns' default values in place of `DEFAULT`, also in `INSERT INTO t DEFAULT VALUES`.
pub(super) fn fill_defaults(insert: &mut Insert, table: &Object) -> Result<()> {
    let columns = table.columns().unwrap_or_default();
    let Some(source) = &mut insert.source else {
        if matches!(insert.table, TableObject::TableName(_)) {
            let row = columns.iter().map(default_of).collect::<Result<Vec<Expr>>>()?;
            let mut query = levada_planner::parse::query("VALUES (1)")?;
            if let SetExpr::Values(values) = query.body.as_mut() {
                for first in &mut values.rows {
                    first.content.clone_from(&row);
                }
            }
            insert.source = Some(query);
        }
        return Ok(());
    };
    let SetExpr::Values(values) = source.body.as_mut() else { return Ok(()) };
    let named: Vec<Option<&Column>> = if insert.columns.is_empty() {
        columns.iter().map(Some).collect()
    } else {
        let names = insert.columns.iter().map(|name| {
            let ident = name.0.last()?.as_ident()?;
            let folded = match ident.quote_style {
                Some(_) => ident.value.clone(),
                None => ident.value.to_lowercase(),
            };
            columns.iter().find(|c| c.name == folded)
        });
        names.collect()
    };
    for row in &mut values.rows {
        for (value, column) in row.content.iter_mut().zip(&named) {
            if is_default(value)
                && let Some(column) = column
            {
                *value = default_of(column)?;
            }
        }
    }
    Ok(())
}

fn is_default(value: &Expr) -> bool {
    let Expr::Identifier(ident) = value else { return false };
    ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default")
}

fn default_of(column: &Column) -> Result<Expr> {
    match &column.default {
        Some(text) => Ok(levada_planner::parse::expression(text)?),
        None => Ok(Expr::value(Value::Null)),
    }
}
