//! `PostgreSQL`'s dialect into what DataFusion plans, on the syntax tree.
//!
//! The rules go bottom-up, each in the file of what it concerns; the shapes they look for mean the same in any
//! statement, so they apply to queries of users too:
//!
//! | shape | becomes |
//! |---|---|
//! | `pg_catalog.f(x)`, `current_user` | `f(x)`, `current_user()` |
//! | `a OPERATOR(pg_catalog.~) b COLLATE "C"` | `a ~ b` |
//! | `x::regclass`, `x::regtype::text`, `x::"char"` | `regclassin(x)`, `regtypeout(regtypein(x))`, `x::text` |
//! | `'{a,b}'::text[]`, `x = ANY('{a,b}')` | `ARRAY['a','b']` |
//! | `ARRAY(SELECT x ...)` | `array_or_empty((SELECT array_agg(x) ...))` |
//! | `(f(x)).n`, `indkey[0]` | `get_field(f(x), 'n')`, element 1 |
//! | `FROM f(x) WITH ORDINALITY AS a(b, c)` | a derived table that unnests |
//! | `FROM pg_class`, `c.tableoid` | `FROM pg_catalog.pg_class`, its OID |
//! | a long chain of `AND` or `OR` | a balanced tree |
//! | `SELECT a, a` | the second column has a name of its own |
//! | `FETCH FIRST n ROWS ONLY` | `LIMIT n`; with ties a mark on `n` |
//! | `interval '03:04:05'` | `interval '3 hours 4 minutes 5 seconds'` |
//! | a scalar subquery over the system catalog | with `first_value`, as DataFusion wants an aggregate |

mod build;
mod cast;
mod chain;
mod expression;
mod fetch;
mod relation;
mod subquery;

pub(super) use cast::take;

use std::collections::HashSet;
use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, SelectItem, SetExpr, Statement, TableFactor, VisitMut, VisitorMut,
};

/// Rewrites a statement in place, and says whether it reads the system catalog. Positions of tokens stay
/// those of the text.
pub fn rewrite(statement: &mut Statement) -> bool {
    let mut shapes = Shapes::default();
    let mut names = Names(&mut shapes);
    walk(statement, &mut names);
    walk(statement, &mut shapes);
    if let Statement::Query(query) = statement {
        print_outputs(&mut query.body);
    }
    shapes.reads_catalog
}

/// What the rules need to know of the whole statement.
#[derive(Default)]
struct Shapes {
    /// Names of common table expressions, which hide relations of the system catalog.
    ctes: HashSet<String>,
    /// Whether a relation of the system catalog is named.
    reads_catalog: bool,
}

struct Names<'a>(&'a mut Shapes);

impl VisitorMut for Names<'_> {
    type Break = Infallible;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Infallible> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0.ctes.extend(tables.map(|cte| build::folded(&cte.alias.name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<Infallible> {
        self.0.reads_catalog |= relation::is_system(name);
        ControlFlow::Continue(())
    }
}

impl VisitorMut for Shapes {
    type Break = Infallible;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Infallible> {
        fetch::rewrite(query);
        super::output::separate(&mut query.body);
        relation::replace_system_columns(&mut query.body);
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Infallible> {
        relation::rewrite(factor, &self.ctes);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        chain::balance(expr);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        cast::rewrite(expr);
        expression::rewrite(expr, self.reads_catalog);
        subquery::rewrite(expr);
        ControlFlow::Continue(())
    }
}

/// Lets a visitor that never breaks off see a tree.
fn walk<T: VisitMut, V: VisitorMut<Break = Infallible>>(tree: &mut T, visitor: &mut V) {
    let ControlFlow::Continue(()) = tree.visit(visitor);
}

/// Makes OIDs of reg* types print as names where the client sees them.
fn print_outputs(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
                {
                    cast::print(expr);
                }
            }
        }
        SetExpr::Query(query) => print_outputs(&mut query.body),
        SetExpr::SetOperation { left, right, .. } => {
            print_outputs(left);
            print_outputs(right);
        }
        SetExpr::Values(_)
        | SetExpr::Insert(_)
        | SetExpr::Update(_)
        | SetExpr::Delete(_)
        | SetExpr::Merge(_)
        | SetExpr::Table(_) => {}
    }
}
