//! Which column of which relation an output column is, unchanged: what drivers are told of a result.

use datafusion::common::TableReference;
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan, TableScan};
use levada_catalog::ObjectId;

use crate::bind::relation_of;

/// A column of a relation or view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The relation's or view's identifier.
    pub relation: ObjectId,
    /// The column's number; the first is 1.
    pub column: usize,
}

/// The catalog part of the qualifier that marks the plan of a view.
const VIEW: &str = "levada view";

/// The qualifier of a view's columns in plans whose origins are asked for.
pub(crate) fn view_mark(id: ObjectId) -> TableReference {
    TableReference::full(VIEW, "", id.to_string())
}

fn marked_view(alias: &TableReference) -> Option<ObjectId> {
    (alias.catalog() == Some(VIEW)).then(|| alias.table().parse().ok()).flatten()
}

/// The origins of a bound plan's columns, [`None`] for those that are computed.
#[must_use]
pub fn origins(plan: &LogicalPlan) -> Vec<Option<Origin>> {
    match plan {
        LogicalPlan::TableScan(scan) => of_scan(scan),
        LogicalPlan::Projection(p) => of_exprs(&p.expr, &p.input),
        LogicalPlan::Aggregate(a) => {
            let mut found = of_exprs(&a.group_expr, &a.input);
            found.resize(plan.schema().fields().len(), None);
            found
        }
        LogicalPlan::SubqueryAlias(s) => match marked_view(&s.alias) {
            Some(relation) => {
                let columns = 1..=plan.schema().fields().len();
                columns.map(|column| Some(Origin { relation, column })).collect()
            }
            None => origins(&s.input),
        },
        LogicalPlan::Filter(f) => origins(&f.input),
        LogicalPlan::Sort(s) => origins(&s.input),
        LogicalPlan::Limit(l) => origins(&l.input),
        LogicalPlan::Distinct(Distinct::All(input)) => origins(input),
        LogicalPlan::Window(w) => {
            let mut found = origins(&w.input);
            found.resize(plan.schema().fields().len(), None);
            found
        }
        LogicalPlan::Join(j) if joins_columns(j.join_type) => {
            let mut found = origins(&j.left);
            found.extend(origins(&j.right));
            found
        }
        _ => vec![None; plan.schema().fields().len()],
    }
}

fn joins_columns(kind: JoinType) -> bool {
    matches!(kind, JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full)
}

fn of_scan(scan: &TableScan) -> Vec<Option<Origin>> {
    let relation = relation_of(&scan.source).map(|(id, _, _)| id);
    let origin =
        |position: usize| relation.map(|relation| Origin { relation, column: position + 1 });
    match &scan.projection {
        Some(positions) => positions.iter().map(|position| origin(*position)).collect(),
        None => (0..scan.source.schema().fields().len()).map(origin).collect(),
    }
}

fn of_exprs(exprs: &[Expr], input: &LogicalPlan) -> Vec<Option<Origin>> {
    let inner = origins(input);
    let of_expr = |expr: &Expr| {
        let mut expr = expr;
        while let Expr::Alias(alias) = expr {
            expr = &alias.expr;
        }
        let Expr::Column(column) = expr else { return None };
        let position = input.schema().maybe_index_of_column(column)?;
        inner.get(position).copied().flatten()
    };
    exprs.iter().map(of_expr).collect()
}
