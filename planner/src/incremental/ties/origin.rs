//! Where the columns of a plan come from, and which of them a table's key decides.

use std::collections::BTreeSet;

use datafusion::common::{Constraint, JoinType};
use datafusion::logical_expr::{Distinct, Expr, Join, LogicalPlan, TableScan};

/// A column of one of the scans below a plan, by their numbers.
type Origin = Option<(usize, usize)>;

/// The columns of `plan` that others of its columns decide: those of a table whose key is among them.
///
/// It holds behind joins too, also for the NULLs of outer ones: the key's columns are NULL with the others.
pub(crate) fn decided(plan: &LogicalPlan) -> BTreeSet<usize> {
    let mut scans = Vec::new();
    let origins = origins(plan, &mut scans);
    let mut decided = BTreeSet::new();
    for (number, scan) in scans.into_iter().enumerate() {
        let place = |column: &usize| origins.iter().position(|o| *o == Some((number, *column)));
        let Some(key) = primary_key(scan) else { continue };
        let Some(key) = key.iter().map(place).collect::<Option<Vec<_>>>() else { continue };
        let of_scan = |o: &Origin| o.is_some_and(|(scan, _)| scan == number);
        let columns = origins.iter().enumerate().filter(|(_, o)| of_scan(o)).map(|(i, _)| i);
        decided.extend(columns.filter(|i| !key.contains(i)));
    }
    decided
}

fn primary_key(scan: &TableScan) -> Option<&[usize]> {
    scan.source.constraints()?.iter().find_map(|constraint| match constraint {
        Constraint::PrimaryKey(key) => Some(key.as_slice()),
        Constraint::Unique(_) => None,
    })
}

/// The origin of each column of `plan`; the scans found on the way join `scans`.
fn origins<'a>(plan: &'a LogicalPlan, scans: &mut Vec<&'a TableScan>) -> Vec<Origin> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let number = scans.len();
            scans.push(scan);
            let column = |i| scan.projection.as_ref().map_or(i, |p| p[i]);
            (0..plan.schema().fields().len()).map(|i| Some((number, column(i)))).collect()
        }
        LogicalPlan::Projection(projection) => {
            let below = origins(&projection.input, scans);
            let schema = projection.input.schema();
            let origin = |expr: &Expr| {
                let Expr::Column(column) = expr.clone().unalias_nested().data else { return None };
                schema.maybe_index_of_column(&column).and_then(|i| below[i])
            };
            projection.expr.iter().map(origin).collect()
        }
        LogicalPlan::Join(join) => of_join(join, scans),
        LogicalPlan::Window(window) => {
            let mut columns = origins(&window.input, scans);
            columns.resize(plan.schema().fields().len(), None);
            columns
        }
        LogicalPlan::SubqueryAlias(alias) => origins(&alias.input, scans),
        LogicalPlan::Filter(filter) => origins(&filter.input, scans),
        LogicalPlan::Sort(sort) => origins(&sort.input, scans),
        LogicalPlan::Limit(limit) => origins(&limit.input, scans),
        LogicalPlan::Distinct(Distinct::All(input)) => origins(input, scans),
        other => vec![None; other.schema().fields().len()],
    }
}

fn of_join<'a>(join: &'a Join, scans: &mut Vec<&'a TableScan>) -> Vec<Origin> {
    let mut columns = match join.join_type {
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => Vec::new(),
        _ => origins(&join.left, scans),
    };
    match join.join_type {
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {}
        _ => columns.extend(origins(&join.right, scans)),
    }
    columns.resize(join.schema.fields().len(), None);
    columns
}
