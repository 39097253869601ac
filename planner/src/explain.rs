//! `EXPLAIN INCREMENTAL`: a delta plan as an indented tree, with the cost of each node.

use std::fmt::{Display, Write};

use arrow::compute::SortOptions;

use crate::delta_plan::{
    Aggregate, AggregateCall, AggregateFunction, DeltaPlan, Join, JoinKind, Node, NodeId,
    Numbering, Op, Quantile, RowEnd, TopK,
};

/// The lines of `EXPLAIN INCREMENTAL`, root first. A node used twice is shown once and referred to.
#[must_use]
pub fn lines(plan: &DeltaPlan) -> Vec<String> {
    let mut lines = lines_with(plan, &|node| {
        let append = if node.properties.insert_only { "  append-only" } else { "" };
        format!("cost={}{}{append}", node.op.cost(), state(&node.op))
    });
    if plan.moves_all_rows() {
        lines.push(format!("WARNING: {CLOCK_MOVES}"));
    }
    lines
}

/// What is said of a plan in which a move of the clock touches all rows that meet it.
pub const CLOCK_MOVES: &str = "where now() is more than a bound in WHERE, a move of the clock touches all rows it is evaluated for";

/// The plan as a tree, each node with what `detail` says of it.
#[must_use]
pub fn lines_with(plan: &DeltaPlan, detail: &dyn Fn(&Node) -> String) -> Vec<String> {
    let mut shown = vec![false; plan.nodes.len()];
    let mut lines = Vec::new();
    tree(plan, (plan.root, 0), detail, &mut shown, &mut lines);
    lines
}

fn tree(
    plan: &DeltaPlan,
    (id, depth): (NodeId, usize),
    detail: &dyn Fn(&Node) -> String,
    shown: &mut [bool],
    lines: &mut Vec<String>,
) {
    let node = &plan.nodes[id];
    let indent = "  ".repeat(depth);
    if shown[id] && !node.inputs.is_empty() {
        lines.push(format!("{indent}{} (shared, see above)", describe(node)));
        return;
    }
    shown[id] = true;
    lines.push(format!("{indent}{}  {}", describe(node), detail(node)).trim_end().to_owned());
    for input in &node.inputs {
        tree(plan, (*input, depth + 1), detail, shown, lines);
    }
}

/// The node's operator and what parametrises it.
#[must_use]
pub fn describe(node: &Node) -> String {
    match &node.op {
        Op::Relation { name, columns, .. } if columns.is_empty() => format!("Relation {name}"),
        Op::Relation { name, .. } => {
            let columns: Vec<&str> =
                node.schema.fields().iter().map(|f| f.name().as_str()).collect();
            format!("Relation {name} [{}]", columns.join(", "))
        }
        Op::Constant(rows) => format!("Constant rows={}", rows.num_rows()),
        Op::Clock(values) => {
            let texts: Vec<&str> = values.iter().map(|value| value.text.as_str()).collect();
            format!("Clock [{}]", texts.join(", "))
        }
        Op::Filter(predicate) => format!("Filter {}", predicate.text),
        Op::Project(exprs) => {
            let texts: Vec<&str> = exprs.iter().map(|e| e.text.as_str()).collect();
            format!("Project [{}]", texts.join(", "))
        }
        Op::Union => "Union".to_owned(),
        Op::Unnest(unnest) => {
            let lists = unnest.lists.iter().map(|(column, _)| column);
            let columns = lists.chain(&unnest.structs).map(|column| format!("#{column}"));
            format!("Unnest [{}]", columns.collect::<Vec<_>>().join(", "))
        }
        Op::Distinct => "Distinct".to_owned(),
        Op::Aggregate(aggregate) => describe_aggregate(aggregate),
        Op::Join(join) => describe_join(join),
        Op::Threshold(threshold) => {
            let row = threshold.order.first().map_or(0, |key| key.column);
            format!("Threshold #{row} {} #{}", threshold.comparison, threshold.value)
        }
        Op::Temporal(temporal) => {
            let row = temporal.order.first().map_or(0, |key| key.column);
            format!("Temporal #{row} {} {}", temporal.comparison, temporal.bound.text)
        }
        Op::TopK(top_k) => describe_top_k(top_k),
        Op::Window(window) => {
            let calls: Vec<&str> = window.calls.iter().map(|c| c.text.as_str()).collect();
            format!("Window {} calls=[{}]", describe_partition(&window.partition), calls.join(", "))
        }
        Op::Recompute(recompute) => format!("Recompute reason=\"{}\"", recompute.reason),
    }
}

fn describe_aggregate(aggregate: &Aggregate) -> String {
    let keys: Vec<String> = aggregate.keys.iter().map(|k| format!("#{k}")).collect();
    let calls: Vec<String> = aggregate.calls.iter().map(describe_call).collect();
    format!("Aggregate key=[{}] calls=[{}]", keys.join(", "), calls.join(", "))
}

fn describe_call(call: &AggregateCall) -> String {
    let name = match &call.function {
        AggregateFunction::Count => "count",
        AggregateFunction::Sum => "sum",
        AggregateFunction::Avg => "avg",
        AggregateFunction::Min => "min",
        AggregateFunction::Max => "max",
        AggregateFunction::BoolAnd => "bool_and",
        AggregateFunction::BoolOr => "bool_or",
        AggregateFunction::BitAnd => "bit_and",
        AggregateFunction::BitOr => "bit_or",
        AggregateFunction::BitXor => "bit_xor",
        AggregateFunction::Moment { statistic, second } => {
            let distinct = if call.distinct { "DISTINCT " } else { "" };
            let columns = call.argument.iter().chain(second).map(|c| format!("#{c}"));
            let columns = columns.collect::<Vec<_>>().join(", ");
            return filtered(format!("{}({distinct}{columns})", statistic.name()), call);
        }
        AggregateFunction::Quantile(Quantile::Median) => "median",
        AggregateFunction::Quantile(Quantile::Continuous(part)) => {
            let distinct = if call.distinct { "DISTINCT " } else { "" };
            let argument = call.argument.map_or_else(String::new, |a| format!("#{a}"));
            return filtered(format!("percentile_cont({distinct}{argument}, {part})"), call);
        }
        AggregateFunction::End(end) => return filtered(describe_end(end), call),
        AggregateFunction::Holistic(holistic) => return filtered(holistic.text.clone(), call),
    };
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    let argument = call.argument.map_or_else(|| "*".to_owned(), |a| format!("#{a}"));
    filtered(format!("{name}({distinct}{argument})"), call)
}

fn describe_end(end: &RowEnd) -> String {
    let name = if end.last { "last_value" } else { "first_value" };
    let columns = end.order.iter().map(|(column, options)| (format!("#{column}"), *options));
    let nulls = if end.ignore_nulls { " IGNORE NULLS" } else { "" };
    format!("{name}(#{}{}){nulls}", end.order[end.result].0, order_by(columns))
}

/// ` ORDER BY` and columns with their directions, as short as SQL allows.
pub(crate) fn order_by(columns: impl Iterator<Item = (impl Display, SortOptions)>) -> String {
    let mut text = String::new();
    for (i, (column, options)) in columns.enumerate() {
        let before = if i == 0 { " ORDER BY" } else { "," };
        let direction = if options.descending { " DESC" } else { "" };
        let nulls = match (options.descending, options.nulls_first) {
            (false, true) => " NULLS FIRST",
            (true, false) => " NULLS LAST",
            _ => "",
        };
        write!(text, "{before} {column}{direction}{nulls}").expect("writing to a string succeeds");
    }
    text
}

fn filtered(mut text: String, call: &AggregateCall) -> String {
    if let Some(filter) = call.filter {
        write!(text, " FILTER #{filter}").expect("writing to a string succeeds");
    }
    text
}

fn describe_join(join: &Join) -> String {
    let pairs: Vec<String> =
        join.left_keys.iter().zip(&join.right_keys).map(|(l, r)| format!("#{l} = #{r}")).collect();
    let mut text = match (pairs.is_empty(), join.kind) {
        (true, JoinKind::Inner) => "Join cross".to_owned(),
        (true, kind) => format!("Join {kind}"),
        (false, kind) => format!("Join {kind} on [{}]", pairs.join(", ")),
    };
    if let Some(residual) = &join.residual {
        write!(text, " where {}", residual.text).expect("writing to a string succeeds");
    }
    text
}

fn describe_partition(partition: &[usize]) -> String {
    let columns: Vec<String> = partition.iter().map(|c| format!("#{c}")).collect();
    format!("partition=[{}]", columns.join(", "))
}

fn describe_top_k(top_k: &TopK) -> String {
    let order = top_k.order.iter().map(|key| {
        let direction = if key.options.descending { " desc" } else { "" };
        let nulls = if key.options.nulls_first { " nulls first" } else { "" };
        format!("#{}{direction}{nulls}", key.column)
    });
    let order: Vec<String> = order.collect();
    let mut text =
        format!("TopK {} order=[{}]", describe_partition(&top_k.partition), order.join(", "));
    match top_k.numbering {
        Numbering::Row => {}
        Numbering::Rank => text.push_str(" by=rank"),
        Numbering::DenseRank => text.push_str(" by=dense_rank"),
    }
    if let Some(fetch) = top_k.fetch {
        write!(text, " fetch={fetch}").expect("writing to a string succeeds");
    }
    if top_k.skip > 0 {
        write!(text, " skip={}", top_k.skip).expect("writing to a string succeeds");
    }
    text
}

fn state(op: &Op) -> &'static str {
    match op {
        Op::Distinct => "  state=row -> weight",
        Op::Aggregate(aggregate) if aggregate.is_holistic() => "  state=group -> slot and rows",
        Op::Aggregate(aggregate) if aggregate.is_ordered() => {
            "  state=group -> slot and values in order"
        }
        Op::Aggregate(_) => "  state=group -> slot",
        Op::Join(join) => match (join.kind, &join.residual) {
            (JoinKind::Inner, _) => "  state=both inputs by key",
            (JoinKind::Semi | JoinKind::Anti | JoinKind::Mark, None) => {
                "  state=left by key, right key -> count"
            }
            (_, None) => "  state=both inputs by key, key -> count",
            (_, Some(_)) => "  state=both inputs by key, row -> partners",
        },
        Op::Threshold(_) | Op::TopK(_) | Op::Window(_) => "  state=rows in order",
        Op::Temporal(temporal) if temporal.comparison.passes_before() => {
            "  state=rows that have not entered"
        }
        Op::Temporal(_) => "  state=rows that have not left",
        Op::Recompute(_) => "  state=last output",
        Op::Relation { .. }
        | Op::Constant(_)
        | Op::Clock(_)
        | Op::Filter(_)
        | Op::Project(_)
        | Op::Union
        | Op::Unnest(_) => "",
    }
}
