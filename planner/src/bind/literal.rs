//! Types of number literals: `integer` where they fit, `bigint` where they do not, else `numeric`.
//!
//! DataFusion reads each integer as 64 bits wide, which makes `int + 1` a `bigint`. This goes over a plan that
//! was made from text just now, in which any other constant of 64 bits stands under a cast.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::{RecursiveQuery, Values};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Subquery, cast,
};

/// `plan` with each integer literal of its narrowest type, and the types that follow from it.
pub(super) fn narrow(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan.transform_up_with_subqueries(narrowed)?.data)
}

fn narrowed(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match plan {
        // Their numbers are counts.
        LogicalPlan::Limit(_) | LogicalPlan::Statement(_) => Ok(Transformed::no(plan)),
        LogicalPlan::Values(values) => Ok(Transformed::yes(list(values)?)),
        LogicalPlan::RecursiveQuery(query) => {
            Ok(Transformed::yes(LogicalPlan::RecursiveQuery(recursive(query)?)))
        }
        plan => {
            let names = NamePreserver::new(&plan);
            let plan = plan.map_expressions(|expr| {
                let name = names.save(&expr);
                let typed = constants(expr)?;
                Ok(if typed.transformed { typed.update_data(|e| name.restore(e)) } else { typed })
            })?;
            plan.map_data(|plan| with_outer_types(plan)?.recompute_schema())
        }
    }
}

/// A node whose subqueries know the types that the outer columns have now.
fn with_outer_types(plan: LogicalPlan) -> Result<LogicalPlan> {
    let inputs = merge_schema(&plan.inputs());
    let stale = |e: &Expr| match e {
        Expr::OuterReferenceColumn(field, column) => inputs
            .qualified_field_from_column(column)
            .is_ok_and(|(_, now)| now.data_type() != field.data_type()),
        _ => false,
    };
    let refreshed = |e: Expr| match &e {
        Expr::OuterReferenceColumn(_, column) if stale(&e) => {
            let (_, now) = inputs.qualified_field_from_column(column)?;
            let field = Arc::clone(now);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column.clone())))
        }
        _ => Ok(Transformed::no(e)),
    };
    let inside = |mut subquery: Subquery| {
        if !subquery.outer_ref_columns.iter().any(stale) {
            return Ok(subquery);
        }
        let plan = Arc::unwrap_or_clone(subquery.subquery);
        let plan = plan.transform_up_with_subqueries(|node| {
            let node = node.map_expressions(|expr| expr.transform_up(refreshed))?;
            node.map_data(LogicalPlan::recompute_schema)
        })?;
        subquery.subquery = Arc::new(plan.data);
        let columns = subquery.outer_ref_columns.into_iter();
        subquery.outer_ref_columns =
            columns.map(|c| Ok(refreshed(c)?.data)).collect::<Result<Vec<_>>>()?;
        Ok::<_, DataFusionError>(subquery)
    };
    let names = NamePreserver::new(&plan);
    let plan = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let typed = expr.transform_up(|e| match e {
            Expr::ScalarSubquery(s) if !s.outer_ref_columns.is_empty() => {
                Ok(Transformed::yes(Expr::ScalarSubquery(inside(s)?)))
            }
            Expr::Exists(mut e) if !e.subquery.outer_ref_columns.is_empty() => {
                e.subquery = inside(e.subquery)?;
                Ok(Transformed::yes(Expr::Exists(e)))
            }
            Expr::InSubquery(mut e) if !e.subquery.outer_ref_columns.is_empty() => {
                e.subquery = inside(e.subquery)?;
                Ok(Transformed::yes(Expr::InSubquery(e)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(if typed.transformed { typed.update_data(|e| name.restore(e)) } else { typed })
    })?;
    Ok(plan.data)
}

fn constants(expr: Expr) -> Result<Transformed<Expr>> {
    expr.transform_up(|e| match e {
        Expr::Literal(value, metadata) => Ok(match narrowest(&value) {
            Some(value) => Transformed::yes(Expr::Literal(value, metadata)),
            None => Transformed::no(Expr::Literal(value, metadata)),
        }),
        other => Ok(Transformed::no(other)),
    })
}

fn narrowest(value: &ScalarValue) -> Option<ScalarValue> {
    match value {
        // The literal is the number without its sign.
        ScalarValue::Int64(Some(n)) if i32::try_from(n.checked_abs()?).is_ok() => {
            Some(ScalarValue::Int32(i32::try_from(*n).ok()))
        }
        ScalarValue::UInt64(Some(n)) => Some(ScalarValue::Decimal128(Some((*n).into()), 20, 0)),
        _ => None,
    }
}

/// `VALUES`: a column is as wide as its widest row.
fn list(values: Values) -> Result<LogicalPlan> {
    let Values { schema, values } = values;
    let mut rows = Vec::with_capacity(values.len());
    for row in values {
        let row = row.into_iter().map(|e| Ok(constants(e)?.data));
        rows.push(row.collect::<Result<Vec<Expr>>>()?);
    }
    let empty = DFSchema::empty();
    let mut fields = Vec::with_capacity(schema.fields().len());
    for (i, (qualifier, field)) in schema.iter().enumerate() {
        let own = |e: &Expr| e.get_type(&empty).unwrap_or(DataType::Null);
        let narrow = rows.iter().all(|r| matches!(own(&r[i]), DataType::Int32 | DataType::Null));
        let field = if narrow && *field.data_type() == DataType::Int64 {
            Arc::new(field.as_ref().clone().with_data_type(DataType::Int32))
        } else {
            Arc::clone(field)
        };
        for row in &mut rows {
            let value = own(&row[i]);
            if value != *field.data_type() && value.is_integer() {
                let taken = std::mem::take(&mut row[i]);
                row[i] = cast(taken, field.data_type().clone());
            }
        }
        fields.push((qualifier.cloned(), field));
    }
    let schema = Arc::new(DFSchema::new_with_metadata(fields, schema.metadata().clone())?);
    Ok(LogicalPlan::Values(Values { schema, values: rows }))
}

/// `WITH RECURSIVE`: both terms have the types that the recursive term was planned with.
fn recursive(query: RecursiveQuery) -> Result<RecursiveQuery> {
    let mut table: Option<SchemaRef> = None;
    query.recursive_term.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(work) = provider.downcast_ref::<CteWorkTable>()
            && work.name() == query.name
        {
            table = Some(work.schema());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    let Some(table) = table else { return Ok(query) };
    let static_term = Arc::new(with_types(&query.static_term, table.fields())?);
    let recursive_term = Arc::new(with_types(&query.recursive_term, table.fields())?);
    RecursiveQuery::try_new(query.name, static_term, recursive_term, query.is_distinct)
}

fn with_types(plan: &LogicalPlan, fields: &[Arc<Field>]) -> Result<LogicalPlan> {
    let own = plan.schema();
    if own.fields().iter().zip(fields).all(|(a, b)| a.data_type() == b.data_type()) {
        return Ok(plan.clone());
    }
    let columns = own.iter().zip(fields).map(|((qualifier, field), to)| {
        let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
        if field.data_type() == to.data_type() {
            return column;
        }
        cast(column, to.data_type().clone()).alias_qualified(qualifier.cloned(), field.name())
    });
    let columns: Vec<Expr> = columns.collect();
    LogicalPlanBuilder::from(plan.clone()).project(columns)?.build()
}
