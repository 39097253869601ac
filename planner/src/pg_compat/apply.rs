//! Correlated scalar subqueries that no join replaces: run per distinct outer row.
//!
//! DataFusion turns a correlated subquery into a join when all its correlation can be pulled up through
//! equalities. What clients send to a system catalog goes further: correlation inside ARRAY(...), inside a derived
//! table, under `= ANY(array)`, two levels deep. This rule goes last and replaces each subquery that is left by
//! a function of the outer columns it names. The function puts their values into the plan, runs it, and
//! remembers the result for equal values: right for any shape, and as fast as a small relation needs.
//!
//! A call is made for every row before the expression around it is looked at. Behind `CASE WHEN c THEN` it is
//! therefore given `c` as a guard: for other rows the subquery does not run, and cannot fail.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::Array;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, FieldRef};
use async_trait::async_trait;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, ScalarValue, internal_err};
use datafusion::execution::TaskContext;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl,
    Signature, Subquery, TypeSignature, Volatility,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::physical_plan::collect;

use super::error;

/// The optimizer rule.
pub(super) struct ApplySubqueries {
    state: Arc<SessionState>,
}

impl std::fmt::Debug for ApplySubqueries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApplySubqueries")
    }
}

impl ApplySubqueries {
    pub(super) fn new(state: SessionState) -> Self {
        Self { state: Arc::new(state) }
    }

    /// Replaces the correlated scalar subqueries in a node's expressions.
    fn replace(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let correlated =
            |e: &Expr| matches!(e, Expr::ScalarSubquery(s) if !s.outer_ref_columns.is_empty());
        let mut found = false;
        plan.apply_expressions(|expr| {
            found |= expr.exists(|e| Ok(correlated(e)))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        if !found {
            return Ok(Transformed::no(plan));
        }
        let inputs: Vec<_> = plan.inputs().iter().map(|p| Arc::clone(p.schema())).collect();
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let local = |c: &Column| inputs.iter().any(|s| s.has_column(c));
            let guarded = expr.transform_up(|e| match e {
                Expr::Case(case) => self.calls_in_case(case, &local),
                other => Ok(Transformed::no(other)),
            })?;
            let replaced = guarded.transform_data(|e| self.calls_in(e, &local, None))?;
            Ok(replaced.update_data(|e| name.restore(e)))
        })
    }

    /// Replaces the subqueries behind each THEN by calls that its condition guards.
    fn calls_in_case(
        &self,
        mut case: Case,
        local: &impl Fn(&Column) -> bool,
    ) -> Result<Transformed<Expr>> {
        let mut changed = false;
        for (when, then) in &mut case.when_then_expr {
            let guard = match &case.expr {
                Some(operand) => operand.as_ref().clone().eq(when.as_ref().clone()),
                None => when.as_ref().clone(),
            };
            // A condition with a subquery of its own would run it twice.
            if guard.exists(|e| Ok(matches!(e, Expr::ScalarSubquery(_))))? {
                continue;
            }
            let branch = std::mem::replace(then.as_mut(), Expr::Literal(ScalarValue::Null, None));
            let replaced = self.calls_in(branch, local, Some(&guard))?;
            changed |= replaced.transformed;
            **then = replaced.data;
        }
        let case = Expr::Case(case);
        Ok(if changed { Transformed::yes(case) } else { Transformed::no(case) })
    }

    /// Replaces the correlated subqueries in an expression by calls.
    fn calls_in(
        &self,
        expr: Expr,
        local: &impl Fn(&Column) -> bool,
        guard: Option<&Expr>,
    ) -> Result<Transformed<Expr>> {
        expr.transform_up(|e| match e {
            Expr::ScalarSubquery(subquery) if !subquery.outer_ref_columns.is_empty() => {
                Ok(Transformed::yes(self.call(subquery, local, guard)?))
            }
            other => Ok(Transformed::no(other)),
        })
    }

    /// The call of the function that runs a subquery, for the rows that pass the guard.
    fn call(
        &self,
        subquery: Subquery,
        local: impl Fn(&Column) -> bool,
        guard: Option<&Expr>,
    ) -> Result<Expr> {
        let plan = Arc::unwrap_or_clone(subquery.subquery);
        let plan = plan.transform_up_with_subqueries(|node| self.replace(node))?.data;
        let outer = outer_columns(&plan)?;
        let arguments = outer.iter().map(|(column, field)| {
            if local(column) {
                Expr::Column(column.clone())
            } else {
                Expr::OuterReferenceColumn(Arc::clone(field), column.clone())
            }
        });
        let arguments = guard.cloned().into_iter().chain(arguments).collect();
        let Some(field) = plan.schema().fields().first().cloned() else {
            return internal_err!("a scalar subquery has no column");
        };
        let apply = Apply {
            plan,
            outer: outer.into_iter().map(|(column, _)| column).collect(),
            result: Arc::new(
                Field::new("subquery", field.data_type().clone(), true)
                    .with_metadata(field.metadata().clone()),
            ),
            guarded: guard.is_some(),
            // An optimizer may have found that no outer column matters.
            signature: Signature::one_of(
                vec![TypeSignature::VariadicAny, TypeSignature::Nullary],
                Volatility::Stable,
            ),
            state: Arc::clone(&self.state),
        };
        let function = AsyncScalarUDF::new(Arc::new(apply)).into_scalar_udf();
        Ok(function.call(arguments))
    }
}

impl OptimizerRule for ApplySubqueries {
    fn name(&self) -> &str {
        "apply_subqueries"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        self.replace(plan)
    }
}

/// The outer columns that a plan names, each once, in the order found.
fn outer_columns(plan: &LogicalPlan) -> Result<Vec<(Column, FieldRef)>> {
    let mut found: Vec<(Column, FieldRef)> = Vec::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if let Expr::OuterReferenceColumn(field, column) = e
                    && !found.iter().any(|(known, _)| known == column)
                {
                    found.push((column.clone(), Arc::clone(field)));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// A subquery as a function of its outer columns.
#[derive(Debug)]
struct Apply {
    plan: LogicalPlan,
    outer: Vec<Column>,
    result: FieldRef,
    /// Whether the first argument says for which rows the subquery runs.
    guarded: bool,
    signature: Signature,
    state: Arc<SessionState>,
}

impl PartialEq for Apply {
    fn eq(&self, other: &Self) -> bool {
        self.guarded == other.guarded && self.plan == other.plan && self.outer == other.outer
    }
}

impl Eq for Apply {}

impl Hash for Apply {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.plan.hash(state);
        self.outer.hash(state);
    }
}

impl ScalarUDFImpl for Apply {
    fn name(&self) -> &'static str {
        "subquery"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.result.data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::clone(&self.result))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("a subquery runs asynchronously")
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Apply {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let mut columns = Vec::with_capacity(args.args.len());
        for argument in &args.args {
            columns.push(argument.to_array(rows)?);
        }
        let runs = self.guarded.then(|| columns.remove(0));
        let runs = runs.as_ref().map(|guard| as_boolean_array(guard)).transpose()?;
        let mut known: HashMap<Vec<ScalarValue>, ScalarValue> = HashMap::new();
        let mut results = Vec::with_capacity(rows);
        for row in 0..rows {
            if runs.is_some_and(|runs| runs.is_null(row) || !runs.value(row)) {
                results.push(ScalarValue::try_from(self.result.data_type())?);
                continue;
            }
            let key = columns
                .iter()
                .map(|column| ScalarValue::try_from_array(column, row))
                .collect::<Result<Vec<_>>>()?;
            let result = match known.get(&key) {
                Some(result) => result.clone(),
                None => {
                    let result = self.run(&key).await?;
                    known.insert(key, result.clone());
                    result
                }
            };
            results.push(result);
        }
        if results.is_empty() {
            return Ok(ColumnarValue::Array(arrow::array::new_empty_array(
                self.result.data_type(),
            )));
        }
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(results)?))
    }
}

impl Apply {
    /// The subquery's value for one outer row.
    async fn run(&self, values: &[ScalarValue]) -> Result<ScalarValue> {
        let plan = bind(self.plan.clone(), &self.outer, values)?;
        let state = self.state.as_ref();
        let plan = state.optimizer().optimize(plan, state, |_, _| {})?;
        let physical = state.query_planner().create_physical_plan(&plan, state).await?;
        let batches = collect(Arc::clone(&physical), Arc::new(TaskContext::from(state))).await?;
        let batch = concat_batches(&physical.schema(), &batches)?;
        match batch.num_rows() {
            0 => ScalarValue::try_from(self.result.data_type()),
            1 => ScalarValue::try_from_array(batch.column(0), 0),
            _ => {
                let message = "more than one row returned by a subquery used as an expression";
                Err(error("21000", message.to_owned()))
            }
        }
    }
}

/// The plan with values in place of outer columns.
fn bind(plan: LogicalPlan, outer: &[Column], values: &[ScalarValue]) -> Result<LogicalPlan> {
    let value_of = |column: &Column| {
        outer.iter().position(|c| c == column).and_then(|i| values.get(i)).cloned()
    };
    let bound = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let replaced = expr.transform_up(|e| match &e {
                Expr::OuterReferenceColumn(_, column) => match value_of(column) {
                    Some(value) => Ok(Transformed::yes(Expr::Literal(value, None))),
                    None => Ok(Transformed::no(e)),
                },
                _ => Ok(Transformed::no(e)),
            })?;
            Ok(replaced.update_data(|e| name.restore(e)))
        })?;
        if node.transformed { node.map_data(LogicalPlan::recompute_schema) } else { Ok(node) }
    })?;
    Ok(bound.data)
}
