//! Where in the text an unknown name stands.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, visit_relations};
use levada_catalog::Error as CatalogError;
use levada_planner::parse::position_at;
use levada_planner::statement::{Explain, Statement, Step, Subject};

use super::Prepared;
use crate::error::Error;

/// The error with the position of the relation that it names, if the statement names it in a query.
pub(super) fn locate(error: Error, statement: &Prepared) -> Error {
    let Error::Catalog(inner) = error else { return error };
    let (schema, name) = match inner.as_ref() {
        CatalogError::NotFound { name, .. } => match name.rsplit_once('.') {
            Some((schema, name)) => (Some(schema), name),
            None => (None, name.as_str()),
        },
        CatalogError::SchemaNotFound(schema) => (Some(schema.as_str()), ""),
        _ => return Error::Catalog(inner),
    };
    let wanted = |found: &ast::ObjectName| {
        let mut parts = found.0.iter().rev().filter_map(|p| p.as_ident());
        let last = parts.next();
        let qualifier = parts.next().map(|q| q.value.to_lowercase());
        let named = name.is_empty() || last.is_some_and(|l| same(&l.value, name));
        named && (schema.is_none() || qualifier.as_deref() == schema)
    };
    match find(&statement.parsed.statement, &wanted) {
        None => Error::Catalog(inner),
        Some(at) => {
            let position = position_at(&statement.whole, at.line, at.column);
            Error::Plan(Box::new(levada_planner::Error::At {
                position,
                source: Box::new(levada_planner::Error::Catalog(*inner)),
            }))
        }
    }
}

fn same(written: &str, name: &str) -> bool {
    written == name || written.to_lowercase() == name
}

fn find(
    statement: &Statement,
    wanted: &dyn Fn(&ast::ObjectName) -> bool,
) -> Option<datafusion::sql::sqlparser::tokenizer::Location> {
    let mut found = None;
    let mut look = |name: &ast::ObjectName| {
        if wanted(name)
            && let Some(first) = name.0.first().and_then(|p| p.as_ident())
        {
            found = Some(first.span.start);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    let _done = match statement {
        Statement::Sql(sql) => visit_relations(sql.as_ref(), &mut look),
        Statement::CreateView(s) => visit_relations(&s.query.query, &mut look),
        Statement::CreateMaterializedView(s) => visit_relations(&s.query.query, &mut look),
        Statement::CreatePipeline(s) => s.steps.iter().try_for_each(|step| match step {
            Step::Query(step) => visit_relations(&step.query.query, &mut look),
            _ => ControlFlow::Continue(()),
        }),
        Statement::Explain(Explain::Plan { statement, .. }) => {
            return find(&statement.statement, wanted);
        }
        Statement::Explain(Explain::Incremental(Subject::Query(query))) => {
            visit_relations(&query.query, &mut look)
        }
        _ => ControlFlow::Continue(()),
    };
    found.filter(|at| at.line > 0)
}
