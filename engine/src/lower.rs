//! Plan nodes to operators.

use std::sync::Arc;

use levada_planner::delta_plan::{DeltaPlan, Node, NodeId, Op};

use crate::arrangement::hash::HashWidth;
use crate::error::{Error, Result};
use crate::operator::Operator;
use crate::operator::aggregate::Aggregate;
use crate::operator::constant::Constant;
use crate::operator::distinct::Distinct;
use crate::operator::filter::Filter;
use crate::operator::join::Join;
use crate::operator::project::Project;
use crate::operator::threshold::Threshold;
use crate::operator::top_k::top_k;
use crate::operator::union::Union;
use crate::operator::unnest::Unnest;
use crate::operator::window::Window;

/// The running form of node `id` of `plan`.
///
/// # Errors
/// For a relation and a recompute node, which are no operators, and when a node cannot run.
pub fn lower(plan: &DeltaPlan, id: NodeId) -> Result<Box<dyn Operator>> {
    lower_with(plan, id, HashWidth::Full)
}

/// As [`lower`], with only some bits of the hashes in use.
///
/// # Errors
/// As [`lower`].
pub fn lower_with(plan: &DeltaPlan, id: NodeId, width: HashWidth) -> Result<Box<dyn Operator>> {
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
            Box::new(Aggregate::new(aggregate, &input.schema, insert_only, output, width)?)
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
        Op::Window(window) => {
            Box::new(Window::new(window, &input(0)?.schema, Arc::clone(&node.schema))?)
        }
    })
}
