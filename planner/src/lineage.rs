//! Which input columns an output column comes from, read off the logical plan.
//!
//! | kind | meaning |
//! |---|---|
//! | `identity` | the value itself |
//! | `transform` | a value computed from it, row by row |
//! | `aggregate` | a value computed from many rows of it |
//! | `filter`, `join`, `group` | it decides which rows take part, not their values |
//!
//! The first three belong to one output column; the others to every output column.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Expr, LogicalPlan};
use levada_catalog::ObjectId;

use crate::bind::relation_of;
use crate::error::Result;

/// How an input column takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The value itself.
    Identity,
    /// Computed row by row.
    Transform,
    /// Computed from many rows.
    Aggregate,
    /// Named in a predicate.
    Filter,
    /// Named in a join condition.
    Join,
    /// Named in `GROUP BY`, `DISTINCT`, `ORDER BY` or a window.
    Group,
}

impl Kind {
    /// The word stored and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Transform => "transform",
            Self::Aggregate => "aggregate",
            Self::Filter => "filter",
            Self::Join => "join",
            Self::Group => "group",
        }
    }
}

/// A column of a stored relation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Input {
    /// The relation.
    pub relation: ObjectId,
    /// The relation's name.
    pub relation_name: String,
    /// The column.
    pub column: String,
}

/// One output column and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The output column.
    pub column: String,
    /// The expression that makes it, as text.
    pub expression: String,
    /// The inputs with the strongest way each takes part.
    pub inputs: BTreeMap<Input, Kind>,
}

/// The lineage of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// One entry per output column.
    pub outputs: Vec<Output>,
    /// Columns that decide which rows there are.
    pub rows: BTreeMap<Input, Kind>,
}

/// Reads the lineage off a bound plan.
///
/// # Errors
/// When a plan refers to a column it does not have: a bug.
pub fn lineage(plan: &LogicalPlan) -> Result<Lineage> {
    let mut rows = BTreeMap::new();
    let columns = columns(plan, &mut rows)?;
    let outputs = plan
        .schema()
        .fields()
        .iter()
        .zip(columns)
        .map(|(field, source)| Output {
            column: field.name().clone(),
            expression: source.expression,
            inputs: source.inputs,
        })
        .collect();
    Ok(Lineage { outputs, rows })
}

#[derive(Clone, Debug, Default)]
struct Source {
    inputs: BTreeMap<Input, Kind>,
    expression: String,
}

type Rows = BTreeMap<Input, Kind>;

fn columns(plan: &LogicalPlan, rows: &mut Rows) -> Result<Vec<Source>> {
    match plan {
        LogicalPlan::TableScan(scan) => Ok(scan_columns(scan)),
        LogicalPlan::Projection(p) => {
            let inner = columns(&p.input, rows)?;
            Ok(p.expr.iter().map(|e| of_expr(e, p.input.schema(), &inner)).collect())
        }
        LogicalPlan::Aggregate(a) => {
            let inner = columns(&a.input, rows)?;
            let schema = a.input.schema();
            for key in &a.group_expr {
                note(rows, &of_expr(key, schema, &inner), Kind::Group);
            }
            let mut all: Vec<Source> =
                a.group_expr.iter().map(|e| of_expr(e, schema, &inner)).collect();
            all.extend(a.aggr_expr.iter().map(|e| of_expr(e, schema, &inner)));
            all.resize(a.schema.fields().len(), Source::default());
            Ok(all)
        }
        LogicalPlan::Window(w) => {
            let mut all = columns(&w.input, rows)?;
            let inner = all.clone();
            for e in &w.window_expr {
                let source = of_expr(e, w.input.schema(), &inner);
                note(rows, &source, Kind::Group);
                all.push(source);
            }
            Ok(all)
        }
        LogicalPlan::Filter(f) => {
            let inner = columns(&f.input, rows)?;
            note(rows, &of_expr(&f.predicate, f.input.schema(), &inner), Kind::Filter);
            note_subqueries(&f.predicate, rows, Kind::Filter)?;
            Ok(inner)
        }
        LogicalPlan::Join(j) => {
            let mut all = columns(&j.left, rows)?;
            all.extend(columns(&j.right, rows)?);
            let mut schema = j.left.schema().as_ref().clone();
            schema.merge(j.right.schema());
            let joined: Vec<&Expr> =
                j.on.iter().flat_map(|(l, r)| [l, r]).chain(&j.filter).collect();
            for e in joined {
                note(rows, &of_expr(e, &schema, &all), Kind::Join);
            }
            all.truncate(j.schema.fields().len());
            Ok(all)
        }
        LogicalPlan::Union(u) => {
            let mut all = vec![Source::default(); u.schema.fields().len()];
            for input in &u.inputs {
                for (to, from) in all.iter_mut().zip(columns(input, rows)?) {
                    merge(&mut to.inputs, &from.inputs);
                    to.expression = from.expression;
                }
            }
            Ok(all)
        }
        other => passed_through(other, rows),
    }
}

/// Operators that keep their (first) input's columns, such as `SubqueryAlias`, `Sort` and `Limit`.
fn passed_through(plan: &LogicalPlan, rows: &mut Rows) -> Result<Vec<Source>> {
    let width = plan.schema().fields().len();
    let mut all: Vec<Source> = Vec::with_capacity(width);
    for input in plan.inputs() {
        let inner = columns(input, rows)?;
        for e in plan.expressions() {
            note(rows, &of_expr(&e, input.schema(), &inner), Kind::Group);
        }
        if all.is_empty() {
            all = inner;
        } else {
            for (to, from) in all.iter_mut().zip(inner) {
                merge(&mut to.inputs, &from.inputs);
            }
        }
    }
    all.resize(width, Source::default());
    Ok(all)
}

fn scan_columns(scan: &datafusion::logical_expr::TableScan) -> Vec<Source> {
    let relation = relation_of(&scan.source);
    let fields = scan.projected_schema.fields().iter();
    fields
        .map(|f| {
            let mut source = Source { inputs: BTreeMap::new(), expression: f.name().clone() };
            if let Some((relation, relation_name, _)) = &relation {
                let input = Input {
                    relation: *relation,
                    relation_name: relation_name.clone(),
                    column: f.name().clone(),
                };
                source.inputs.insert(input, Kind::Identity);
            }
            source
        })
        .collect()
}

fn of_expr(expr: &Expr, schema: &DFSchema, inner: &[Source]) -> Source {
    if let Expr::Alias(alias) = expr {
        return of_expr(&alias.expr, schema, inner);
    }
    if let Expr::Column(column) = expr {
        return position(schema, column).map(|i| inner[i].clone()).unwrap_or_default();
    }
    let kind = if is_aggregate(expr) { Kind::Aggregate } else { Kind::Transform };
    let mut inputs = BTreeMap::new();
    let columns: BTreeSet<&Column> = expr.column_refs().into_iter().collect();
    for column in columns {
        let Some(i) = position(schema, column) else { continue };
        for (input, was) in &inner[i].inputs {
            add(&mut inputs, input.clone(), kind.max(*was));
        }
    }
    Source { inputs, expression: text::text(expr) }
}

fn position(schema: &DFSchema, column: &Column) -> Option<usize> {
    schema.maybe_index_of_column(column)
}

fn is_aggregate(expr: &Expr) -> bool {
    let test = |e: &Expr| matches!(e, Expr::AggregateFunction(_) | Expr::WindowFunction(_));
    expr.exists(|e| Ok(test(e))).expect("the test never fails")
}

fn note(rows: &mut Rows, source: &Source, kind: Kind) {
    for input in source.inputs.keys() {
        add(rows, input.clone(), kind);
    }
}

/// Subqueries of a predicate decide about rows with all they read.
fn note_subqueries(expr: &Expr, rows: &mut Rows, kind: Kind) -> Result<()> {
    let mut plans = Vec::new();
    expr.apply(|e| {
        match e {
            Expr::ScalarSubquery(s) => plans.push(Arc::clone(&s.subquery)),
            Expr::InSubquery(s) => plans.push(Arc::clone(&s.subquery.subquery)),
            Expr::Exists(s) => plans.push(Arc::clone(&s.subquery.subquery)),
            Expr::SetComparison(s) => plans.push(Arc::clone(&s.subquery.subquery)),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    for plan in plans {
        for source in columns(&plan, rows)? {
            note(rows, &source, kind);
        }
    }
    Ok(())
}

fn merge(to: &mut BTreeMap<Input, Kind>, from: &BTreeMap<Input, Kind>) {
    for (input, kind) in from {
        add(to, input.clone(), *kind);
    }
}

/// Keeps the strongest kind.
fn add(to: &mut BTreeMap<Input, Kind>, input: Input, kind: Kind) {
    let known = to.entry(input).or_insert(kind);
    *known = (*known).max(kind);
}

impl Lineage {
    /// The relations it reads.
    #[must_use]
    pub fn relations(&self) -> BTreeSet<ObjectId> {
        let columns = self.outputs.iter().flat_map(|o| o.inputs.keys());
        columns.chain(self.rows.keys()).map(|i| i.relation).collect()
    }

    /// The lines of `EXPLAIN LINEAGE`: every output column, or the one called `only`.
    #[must_use]
    pub fn lines(&self, only: Option<&str>) -> Vec<String> {
        let mut lines = Vec::new();
        for output in self.outputs.iter().filter(|o| only.is_none_or(|c| c == o.column)) {
            lines.push(format!("{} = {}", output.column, output.expression));
            for (input, kind) in &output.inputs {
                lines.push(format!(
                    "  <- {}.{} ({})",
                    input.relation_name,
                    input.column,
                    kind.word()
                ));
            }
        }
        if !self.rows.is_empty() {
            lines.push("rows".to_owned());
            for (input, kind) in &self.rows {
                lines.push(format!(
                    "  <- {}.{} ({})",
                    input.relation_name,
                    input.column,
                    kind.word()
                ));
            }
        }
        lines
    }
}
