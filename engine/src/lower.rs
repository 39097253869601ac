//! Plan nodes to operators: which operator runs a node, and where its work may be divided.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::physical_expr::expressions::Column;
use levada_planner::delta_plan::{
    Aggregate as AggregateNode, AggregateFunction, DeltaPlan, Expression, JoinKind, Node, NodeId,
    Op,
};

use crate::arrangement::hash::HashWidth;
use crate::error::{Error, Result};
use crate::operator::Operator;
use crate::operator::aggregate::Aggregate;
use crate::operator::clock::Clock;
use crate::operator::constant::Constant;
use crate::operator::distinct::Distinct;
use crate::operator::filter::Filter;
use crate::operator::join::Join;
use crate::operator::project::Project;
use crate::operator::sharded::{Reads, Route, SHARDS, Sharded};
use crate::operator::sliced::Sliced;
use crate::operator::temporal::Temporal;
use crate::operator::threshold::Threshold;
use crate::operator::top_k::top_k;
use crate::operator::union::Union;
use crate::operator::unnest::Unnest;
use crate::operator::window::Window;
use crate::workers::Workers;

/// How an operator can be divided.
enum Division {
    /// Not at all.
    Whole,
    /// Between any two rows: it has no state.
    Rows,
    /// Between keys.
    Keys(Vec<Route>),
}

/// The running form of node `id` of `plan`, in shards where it can be; `workers` step them.
///
/// # Errors
/// For a relation and a recompute node, which are no operators, and when a node cannot run.
pub fn lower(plan: &DeltaPlan, id: NodeId, workers: &Workers) -> Result<Box<dyn Operator>> {
    let instance = |_| instance(plan, id, HashWidth::Full, workers);
    let instances = || (0..SHARDS).map(instance).collect::<Result<Vec<_>>>();
    Ok(match division(plan, &plan.nodes[id]) {
        Division::Whole => instance(0)?,
        Division::Rows => Box::new(Sliced::new(instances()?, workers.clone())),
        Division::Keys(routes) => Box::new(Sharded::new(instances()?, routes, workers.clone())),
    })
}

/// Where the work of a node may be cut: between rows that do not meet in its state.
fn division(plan: &DeltaPlan, node: &Node) -> Division {
    let keys = |inputs: &[&[usize]]| {
        if inputs.iter().all(|columns| columns.is_empty()) {
            return Division::Whole;
        }
        Division::Keys(inputs.iter().map(|columns| Route::Key(Arc::from(*columns))).collect())
    };
    match &node.op {
        Op::Filter(_) | Op::Unnest(_) => Division::Rows,
        Op::Project(expressions) if expressions.iter().any(|e| !is_column(e)) => Division::Rows,
        Op::Distinct => keys(&[&(0..node.schema.fields().len()).collect::<Vec<_>>()]),
        Op::Aggregate(aggregate) if aggregate.keys.is_empty() => Division::Whole,
        Op::Aggregate(aggregate) => {
            let key = Arc::from(aggregate.keys.as_slice());
            let input = &plan.nodes[node.inputs[0]].schema;
            Division::Keys(vec![match reads(aggregate) {
                Some(columns) => Route::KeyOf(key, Arc::new(Reads::new(input, &columns))),
                None => Route::Key(key),
            }])
        }
        Op::TopK(top) => keys(&[&top.partition]),
        Op::Window(window) => keys(&[&window.partition]),
        Op::Join(join) if join.left_keys.is_empty() => cross(plan, node, join.kind),
        Op::Join(join) => keys(&[&join.left_keys, &join.right_keys]),
        Op::Relation { .. }
        | Op::Recompute(_)
        | Op::Constant(_)
        | Op::Clock(_)
        | Op::Threshold(_)
        | Op::Temporal(_)
        | Op::Union
        | Op::Project(_) => Division::Whole,
    }
}

/// The columns that an aggregation reads, unless it keeps whole rows.
fn reads(node: &AggregateNode) -> Option<BTreeSet<usize>> {
    let mut columns: BTreeSet<usize> = node.keys.iter().copied().collect();
    for call in &node.calls {
        match &call.function {
            AggregateFunction::End(_) | AggregateFunction::Holistic(_) => return None,
            AggregateFunction::Moment { second, .. } => columns.extend(*second),
            _ => {}
        }
        columns.extend(call.argument.into_iter().chain(call.filter));
    }
    Some(columns)
}

/// All pairs with constant rows, or with those of the clock: every shard has all of those, and some rows of the other input.
fn cross(plan: &DeltaPlan, node: &Node, kind: JoinKind) -> Division {
    let schema = |input: usize| &plan.nodes[node.inputs[input]].schema;
    let whole = |input: usize| Route::Key((0..schema(input).fields().len()).collect());
    let is_constant =
        |input: usize| matches!(plan.nodes[node.inputs[input]].op, Op::Constant(_) | Op::Clock(_));
    match (kind, is_constant(0), is_constant(1)) {
        (JoinKind::Inner, false, true) => Division::Keys(vec![whole(0), Route::All]),
        (JoinKind::Inner, true, false) => Division::Keys(vec![Route::All, whole(1)]),
        _ => Division::Whole,
    }
}

fn is_column(expression: &Expression) -> bool {
    expression.physical.downcast_ref::<Column>().is_some()
}

/// The running form of node `id` of `plan` in one piece, with only some bits of the hashes in use.
///
/// # Errors
/// As [`lower`].
pub fn lower_with(plan: &DeltaPlan, id: NodeId, width: HashWidth) -> Result<Box<dyn Operator>> {
    instance(plan, id, width, &Workers::alone())
}

fn instance(
    plan: &DeltaPlan,
    id: NodeId,
    width: HashWidth,
    workers: &Workers,
) -> Result<Box<dyn Operator>> {
    let node = &plan.nodes[id];
    let input = |i: usize| -> Result<&Node> {
        let missing = || Error::Internal(format!("node {id} has no input {i}"));
        node.inputs.get(i).and_then(|n| plan.nodes.get(*n)).ok_or_else(missing)
    };
    Ok(match &node.op {
        Op::Relation { name, .. } => {
            return Err(Error::Internal(format!("relation \"{name}\" is no operator")));
        }
        Op::Recompute(_) => return Err(Error::Internal("a recompute is no operator".to_owned())),
        Op::Constant(rows) => Box::new(Constant::new(rows.clone())),
        Op::Clock(values) => Box::new(Clock::new(values.clone(), Arc::clone(&node.schema))),
        Op::Filter(predicate) => Box::new(Filter::new(predicate.clone())),
        Op::Project(expressions) => {
            Box::new(Project::new(expressions.clone(), Arc::clone(&node.schema)))
        }
        Op::Union => Box::new(Union::new(Arc::clone(&node.schema))),
        Op::Distinct => Box::new(Distinct::new(Arc::clone(&node.schema), width)),
        Op::Aggregate(aggregate) => {
            let input = input(0)?;
            let insert_only = input.properties.insert_only;
            let output = Arc::clone(&node.schema);
            let made = Aggregate::new(aggregate, &input.schema, insert_only, output, width)?;
            Box::new(made.with_workers(workers.clone()))
        }
        Op::Join(join) => {
            let inputs = [input(0)?.schema.as_ref(), input(1)?.schema.as_ref()];
            Box::new(Join::new(join, inputs, Arc::clone(&node.schema), width)?)
        }
        Op::Unnest(unnest) => {
            Box::new(Unnest::new(unnest, &input(0)?.schema, Arc::clone(&node.schema)))
        }
        Op::TopK(top) => {
            let input = input(0)?;
            let insert_only = input.properties.insert_only;
            top_k(top, &input.schema, insert_only, Arc::clone(&node.schema), width)?
        }
        Op::Threshold(threshold) => {
            let inputs = [&input(0)?.schema, &input(1)?.schema];
            Box::new(Threshold::new(threshold, inputs, Arc::clone(&node.schema))?)
        }
        Op::Temporal(temporal) => {
            Box::new(Temporal::new(temporal, &input(0)?.schema, Arc::clone(&node.schema))?)
        }
        Op::Window(window) => {
            Box::new(Window::new(window, &input(0)?.schema, Arc::clone(&node.schema))?)
        }
    })
}
