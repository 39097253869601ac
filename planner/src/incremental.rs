//! Logical plans to delta plans, one construct per file.
//!
//! The builder walks the optimised logical plan from the leaves up and adds one node per operator; equal
//! nodes (by fingerprint) are one node. What has no delta rule becomes one [`Op::Recompute`] node over the
//! stored relations below it, with the reason.

mod aggregate;
mod clock;
mod distinct;
mod filter;
mod hoist;
mod join;
mod limit;
mod not_in;
mod order;
mod project;
mod ranked;
mod recompute;
mod relation;
mod temporal;
mod threshold;
mod ties;
mod union;
mod unnest;
mod values;
mod window;

pub use self::ties::{break_ties, break_ties_in_windows};

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::context::{ExecutionProps, SessionState};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Volatility};
use datafusion::physical_expr::create_physical_expr;
use sha2::{Digest, Sha256};

use crate::arithmetic::as_operators;
use crate::clock::{give_rows, is_read_in};
use crate::delta_plan::{DeltaPlan, Expression, Fingerprint, Node, NodeId, Op, Properties};
use crate::error::{Error, Result};
use crate::shift_time::shift_times;

/// Makes the delta plan of an optimised logical plan.
///
/// `insert_only` says of a stored relation whether rows are never retracted from it.
///
/// # Errors
/// Volatile functions, and what not even a recompute can run.
pub fn delta_plan(
    state: &SessionState,
    plan: &LogicalPlan,
    insert_only: &dyn Fn(u32) -> bool,
) -> Result<DeltaPlan> {
    refuse_volatile(plan)?;
    let plan = give_rows(plan.clone())?;
    let mut builder = Builder { state, insert_only, nodes: Vec::new(), known: HashMap::new() };
    let root = builder.plan(&plan)?;
    Ok(reachable(builder.nodes, root))
}

/// The plan without the nodes that the root does not need.
fn reachable(nodes: Vec<Node>, root: NodeId) -> DeltaPlan {
    let mut needed = vec![false; nodes.len()];
    needed[root] = true;
    for id in (0..nodes.len()).rev().filter(|id| *id <= root) {
        if needed[id] {
            nodes[id].inputs.iter().for_each(|input| needed[*input] = true);
        }
    }
    let mut moved = vec![0; nodes.len()];
    let mut kept = Vec::new();
    for (id, mut node) in nodes.into_iter().enumerate().filter(|(id, _)| needed[*id]) {
        node.inputs.iter_mut().for_each(|input| *input = moved[*input]);
        moved[id] = kept.len();
        kept.push(node);
    }
    DeltaPlan { root: moved[root], nodes: kept }
}

struct Builder<'a> {
    state: &'a SessionState,
    insert_only: &'a dyn Fn(u32) -> bool,
    nodes: Vec<Node>,
    known: HashMap<Fingerprint, NodeId>,
}

impl Builder<'_> {
    fn plan(&mut self, plan: &LogicalPlan) -> Result<NodeId> {
        if is_read_in(plan) {
            return self.reading_clock(plan);
        }
        match plan {
            LogicalPlan::TableScan(scan) => self.relation(plan, scan),
            LogicalPlan::SubqueryAlias(alias) => self.plan(&alias.input),
            LogicalPlan::Projection(projection) => self.projection(plan, projection),
            LogicalPlan::Filter(filter) => self.filter(plan, filter),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Distinct(Distinct::All(input)) => self.distinct(input),
            LogicalPlan::Distinct(Distinct::On(_)) => self.recompute(plan, "DISTINCT ON"),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(plan, aggregate),
            LogicalPlan::Join(join) => self.join(plan, join),
            LogicalPlan::Values(values) => self.values(plan, values),
            LogicalPlan::EmptyRelation(empty) => self.empty(plan, empty),
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.plan(&sort.input),
            LogicalPlan::Sort(sort) => self.sorted_first(plan, sort),
            LogicalPlan::Limit(limit) => self.limit(plan, limit),
            LogicalPlan::Window(window) => self.window(plan, window),
            LogicalPlan::Unnest(unnest) => self.unnest(unnest),
            LogicalPlan::RecursiveQuery(_) => self.recompute(plan, "recursive query"),
            LogicalPlan::Subquery(subquery) => self.plan(&subquery.subquery),
            LogicalPlan::Repartition(repartition) => self.plan(&repartition.input),
            LogicalPlan::Extension(extension) => {
                self.recompute(plan, &format!("operator {}", extension.node.name()))
            }
            LogicalPlan::Statement(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_) => Err(Error::InvalidDefinition {
                message: "a view must be defined by a query".to_owned(),
                position: 0,
                hint: None,
            }),
        }
    }

    /// Adds a node, or finds the equal one.
    fn add(
        &mut self,
        op: Op,
        inputs: Vec<NodeId>,
        schema: SchemaRef,
        properties: Properties,
    ) -> NodeId {
        let fingerprint = self.fingerprint(&op, &inputs, &schema);
        if let Some(id) = self.known.get(&fingerprint) {
            return *id;
        }
        let id = self.nodes.len();
        self.nodes.push(Node { op, inputs, schema, properties, fingerprint });
        self.known.insert(fingerprint, id);
        id
    }

    fn fingerprint(&self, op: &Op, inputs: &[NodeId], schema: &Schema) -> Fingerprint {
        let mut hasher = Sha256::new();
        hasher.update(format!("{op:?}"));
        for field in schema.fields() {
            hasher.update(format!("|{}", field.data_type()));
        }
        for input in inputs {
            hasher.update(self.nodes[*input].fingerprint.0.to_le_bytes());
        }
        let digest = hasher.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Fingerprint(u128::from_le_bytes(bytes))
    }

    /// Makes sure each of `exprs` is a column of the returned node, whose first columns are `input`'s.
    fn with_columns(
        &mut self,
        input: NodeId,
        schema: &DFSchema,
        exprs: &[&Expr],
    ) -> Result<(NodeId, Vec<usize>)> {
        let width = self.nodes[input].schema.fields().len();
        let mut positions = Vec::with_capacity(exprs.len());
        let mut extra: Vec<(Expression, Field)> = Vec::new();
        for expr in exprs {
            if let Some(position) = column_position(expr, schema) {
                positions.push(position);
                continue;
            }
            let compiled = expression(expr, schema)?;
            // Constants of different types have equal texts.
            let data_type = compiled.physical.data_type(schema.as_arrow())?;
            let known = extra
                .iter()
                .position(|(e, f)| e.text == compiled.text && f.data_type() == &data_type);
            positions.push(width + known.unwrap_or(extra.len()));
            if known.is_none() {
                let field = Field::new(&compiled.text, data_type, true);
                extra.push((compiled, field));
            }
        }
        if extra.is_empty() {
            return Ok((input, positions));
        }
        let node = &self.nodes[input];
        let mut exprs: Vec<Expression> = (0..width).map(|i| column(&node.schema, i)).collect();
        let mut fields: Vec<Field> =
            node.schema.fields().iter().map(|f| f.as_ref().clone()).collect();
        let properties = node.properties.clone();
        for (expression, field) in extra {
            exprs.push(expression);
            fields.push(field);
        }
        let schema = Arc::new(Schema::new(fields));
        Ok((self.add_project(exprs, input, schema, properties)?, positions))
    }
}

/// Compiles an expression and keeps its text.
fn expression(expr: &Expr, schema: &DFSchema) -> Result<Expression> {
    let physical = compile(expr, schema)?;
    let text = as_operators(&physical)?.to_string();
    Ok(Expression { text, physical: shift_times(physical, schema.as_arrow())? })
}

/// Compiles an expression over rows of `schema`.
pub(crate) fn compile(
    expr: &Expr,
    schema: &DFSchema,
) -> Result<Arc<dyn datafusion::physical_expr::PhysicalExpr>> {
    let context = PhysicalPlanningContext::default();
    Ok(create_physical_expr(expr, schema, &ExecutionProps::new(), &context)?)
}

/// The column that `expr` is, looking through aliases.
fn column_position(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match expr {
        Expr::Column(column) => schema.index_of_column(column).ok(),
        Expr::Alias(alias) => column_position(&alias.expr, schema),
        _ => None,
    }
}

/// Column `i` as an expression.
fn column(schema: &Schema, i: usize) -> Expression {
    let physical: Arc<dyn datafusion::physical_expr::PhysicalExpr> =
        Arc::new(datafusion::physical_expr::expressions::Column::new(schema.field(i).name(), i));
    Expression { text: physical.to_string(), physical }
}

/// The Arrow schema of a plan's output, every column nullable: NULLs are data, not a type.
fn output_schema(schema: &DFSchema) -> SchemaRef {
    let fields = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Whether the expression still holds a subquery that no rule turned into a join.
fn has_subquery(expr: &Expr) -> bool {
    let is_subquery = |e: &Expr| {
        matches!(
            e,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(_, _)
        )
    };
    expr.exists(|e| Ok(is_subquery(e))).expect("the test never fails")
}

fn refuse_volatile(plan: &LogicalPlan) -> Result<()> {
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::ScalarFunction(call) = e
                    && call.func.signature().volatility == Volatility::Volatile
                {
                    found = Some(call.func.name().to_owned());
                    return Ok(TreeNodeRecursion::Stop);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    match found {
        None => Ok(()),
        Some(name) => Err(Error::Unsupported {
            construct: format!("function {name}() in a materialized view"),
            position: 0,
            hint: Some(
                "Its result changes although no input does. Use it in queries over the view."
                    .to_owned(),
            ),
        }),
    }
}

/// Whether rows of this type can be a key or a member of a set.
fn is_hashable(data_type: &DataType) -> bool {
    !matches!(data_type, DataType::Map(..) | DataType::Union(..) | DataType::RunEndEncoded(..))
}
