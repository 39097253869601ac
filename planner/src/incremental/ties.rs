//! Ties: where the order of rows decides what a query gives, all columns decide it.
//!
//! The order of equal sort keys is no property of the data, so two runs of such a query may differ. Before
//! a query is maintained, or compared with what is maintained, every order in it that matters is completed
//! by all columns of its rows, ascending and NULLs last; a table's key stands for all its columns. Peers stay
//! peers: the order of a window is completed below the window, which still ranks and frames by its own.
//! `DISTINCT ON` becomes a filter on row numbers, whose order of groups a `LIMIT` above it sees.

mod origin;

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result as Completed;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Distinct, DistinctOn, Expr, ExprFunctionExt, Limit, LogicalPlan, LogicalPlanBuilder,
    Projection, Sort, SortExpr, Window, WindowFrameUnits, lit,
};

use self::origin::decided;
use super::window::call_of;
use crate::error::Result;
use crate::window::row_number;

/// Name of the column that numbers the rows of a group.
const ROW: &str = "__row";

/// `plan` with every order that decides something made total.
///
/// # Errors
/// When a plan cannot be rebuilt.
pub fn break_ties(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Limit(limit) => Ok(Transformed::yes(total_order(limit))),
        LogicalPlan::Sort(sort) if sort.fetch.is_some() => {
            let fetch = sort.fetch;
            let LogicalPlan::Sort(mut sort) = sorted(LogicalPlan::Sort(sort)) else {
                unreachable!("a sort stays a sort")
            };
            sort.fetch = fetch;
            Ok(Transformed::yes(LogicalPlan::Sort(sort)))
        }
        LogicalPlan::Window(window) => Ok(Transformed::yes(ordered_window(window)?)),
        LogicalPlan::Distinct(Distinct::On(on)) => Ok(Transformed::yes(first_of_group(on)?)),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}

/// As [`break_ties`], with windows that name the whole order where that changes nothing else: a batch plan
/// need not keep the order of rows below a window beyond what the window asks for.
///
/// # Errors
/// When a plan cannot be rebuilt.
pub fn break_ties_in_windows(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = break_ties(plan)?.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Window(mut window) if window.window_expr.iter().all(ignores_peers) => {
            let LogicalPlan::Sort(sort) = window.input.as_ref() else {
                return Ok(Transformed::no(LogicalPlan::Window(window)));
            };
            let order = sort.expr.clone();
            let calls = std::mem::take(&mut window.window_expr);
            let calls = calls.into_iter().map(|call| in_order(call, &order)).collect();
            let named = Window::try_new_with_schema(calls, window.input, window.schema)?;
            Ok(Transformed::yes(LogicalPlan::Window(named)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}

/// Whether a call depends on the order of rows alone, not on which of them are equal in it.
fn ignores_peers(expr: &Expr) -> bool {
    const BY_POSITION: [&str; 4] = ["row_number", "ntile", "lag", "lead"];
    const BY_PEERS: [&str; 4] = ["rank", "dense_rank", "percent_rank", "cume_dist"];
    call_of(expr).is_some_and(|call| {
        let by_position = BY_POSITION.contains(&call.fun.name());
        let by_rows = call.params.window_frame.units == WindowFrameUnits::Rows;
        // The first row of all is that of its partition, whatever its frame ends with.
        let by_start =
            call.fun.name() == "first_value" && call.params.window_frame.start_bound.is_unbounded();
        // Without an order the frame is one of rows, and all rows are peers.
        by_position || by_start || (by_rows && !BY_PEERS.contains(&call.fun.name()))
    })
}

/// The call with what `order` has behind its own.
fn in_order(expr: Expr, order: &[SortExpr]) -> Expr {
    let (name, expr) = match expr {
        Expr::Alias(alias) => {
            (alias.name.clone(), alias.expr.as_ref().clone().unalias_nested().data)
        }
        other => {
            let name = other.schema_name().to_string();
            (name, other)
        }
    };
    let Expr::WindowFunction(mut call) = expr else { return expr.alias(name) };
    let params = &mut call.params;
    for sort in order {
        let known = params.order_by.iter().any(|s| s.expr == sort.expr)
            || params.partition_by.contains(&sort.expr);
        if !known {
            params.order_by.push(sort.clone());
        }
    }
    Expr::WindowFunction(call).alias(name)
}

fn total_order(limit: Limit) -> LogicalPlan {
    let input = Arc::unwrap_or_clone(limit.input);
    LogicalPlan::Limit(Limit {
        skip: limit.skip,
        fetch: limit.fetch,
        input: Arc::new(sorted(input)),
    })
}

/// `plan` sorted by what it is sorted by already, then by all its columns.
fn sorted(plan: LogicalPlan) -> LogicalPlan {
    // A projection over a sort keeps its order; the ties are broken below it, where all columns are.
    if let LogicalPlan::Projection(mut projection) = plan {
        if matches!(projection.input.as_ref(), LogicalPlan::Sort(_) | LogicalPlan::Projection(_)) {
            projection.input = Arc::new(sorted(Arc::unwrap_or_clone(projection.input)));
            return LogicalPlan::Projection(projection);
        }
        return sort_by_all(LogicalPlan::Projection(projection));
    }
    sort_by_all(plan)
}

fn sort_by_all(plan: LogicalPlan) -> LogicalPlan {
    let (mut expr, input) = match plan {
        LogicalPlan::Sort(sort) => (sort.expr, sort.input),
        other => (Vec::new(), Arc::new(other)),
    };
    complete(&mut expr, &input);
    LogicalPlan::Sort(Sort { expr, input, fetch: None })
}

/// Adds the columns of `plan` that `order` does not name, but for those that others decide.
fn complete(order: &mut Vec<SortExpr>, plan: &LogicalPlan) {
    let decided = decided(plan);
    let columns = plan.schema().columns().into_iter().enumerate();
    for (_, column) in columns.filter(|(i, _)| !decided.contains(i)) {
        let column = Expr::Column(column);
        if !order.iter().any(|e: &SortExpr| e.expr == column) {
            order.push(column.sort(true, false));
        }
    }
}

/// The window over rows in the total order that its first call begins.
fn ordered_window(mut window: Window) -> Completed<LogicalPlan> {
    let Some(call) = window.window_expr.first().and_then(call_of) else {
        return Ok(LogicalPlan::Window(window));
    };
    let partition = call.params.partition_by.iter().map(|e| e.clone().sort(true, false));
    let mut expr: Vec<SortExpr> = partition.chain(call.params.order_by.iter().cloned()).collect();
    complete(&mut expr, &window.input);
    let input = LogicalPlan::Sort(Sort { expr, input: window.input, fetch: None });
    window.input = Arc::new(input);
    Ok(LogicalPlan::Window(window))
}

/// `DISTINCT ON` as a filter on the row numbers of its groups, in its order.
fn first_of_group(on: DistinctOn) -> Completed<LogicalPlan> {
    let is_sorted = on.sort_expr.is_some();
    let by_group = || on.on_expr.iter().map(|e| e.clone().sort(true, false));
    let mut order = on.sort_expr.clone().unwrap_or_else(|| by_group().collect());
    let groups: Vec<SortExpr> = order.iter().take(on.on_expr.len()).cloned().collect();
    complete(&mut order, &on.input);
    let call = Expr::from(WindowFunction::new(row_number(), Vec::new()));
    let call = call.partition_by(on.on_expr.clone()).order_by(order).build()?.alias(ROW);
    let first = Expr::Column(Column::from_name(ROW)).lt_eq(lit(1_i64));
    let rows = LogicalPlanBuilder::from(Arc::unwrap_or_clone(on.input)).window([call])?;
    let mut rows = rows.filter(first)?;
    if is_sorted {
        rows = rows.sort(groups)?;
    }
    let input = Arc::new(rows.build()?);
    let projection = Projection::try_new_with_schema(on.select_expr, input, on.schema)?;
    Ok(LogicalPlan::Projection(projection))
}
