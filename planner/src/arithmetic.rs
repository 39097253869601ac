//! Arithmetic of integers that fails where the result does not fit, instead of wrapping.
//!
//! DataFusion's operators wrap. [`CheckIntegers`] runs behind the coercion of types, when both operands of an
//! operator have one type, and puts a function in the operator's place. The function is a part of the plan:
//! a batch query, a maintained operator and the folding of constants all evaluate it.
//!
//! | SQL | over `smallint`, `integer`, `bigint` |
//! |---|---|
//! | `a + b`, `a - b`, `a * b` | `int2pl`, `int4pl`, `int8pl`, ... |
//! | `a / b`, `a % b` | `int4div`, ...: truncates towards zero; `int4mod`, ... |
//! | `-a`, `abs(a)` | `int4um`, ..., `int4abs`, ... |
//!
//! The names are those of `PostgreSQL`'s functions. A result outside the type is an error `22003`, a division by
//! zero an error `22012`.

mod function;

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

use crate::named::rewrite_parts;

use function::{Operation, result_type};
pub(crate) use function::{as_operators, operation};

/// The analyzer rule.
#[derive(Debug)]
pub(crate) struct CheckIntegers;

impl AnalyzerRule for CheckIntegers {
    fn name(&self) -> &'static str {
        "check_integers"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(checked)?.data)
    }
}

fn checked(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        let all = scan.source.schema();
        schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &all)?);
    }
    rewrite_parts(plan, |e| Ok(check(e, &schema)))
}

/// The function in place of an operator over integers.
fn check(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Some(function) = function_for(&expr, schema) else { return Transformed::no(expr) };
    let arguments = match expr {
        Expr::BinaryExpr(binary) => vec![*binary.left, *binary.right],
        Expr::Negative(operand) => vec![*operand],
        Expr::ScalarFunction(call) => call.args,
        other => return Transformed::no(other),
    };
    Transformed::yes(function.call(arguments))
}

fn function_for(expr: &Expr, schema: &DFSchema) -> Option<Arc<ScalarUDF>> {
    let (operation, operand) = match expr {
        Expr::BinaryExpr(binary) => {
            let operation = Operation::of_operator(binary.op)?;
            let same = type_of(&binary.left, schema)? == type_of(&binary.right, schema)?;
            same.then_some((operation, binary.left.as_ref()))?
        }
        Expr::Negative(operand) => (Operation::Negate, operand.as_ref()),
        Expr::ScalarFunction(call) if call.func.name() == "abs" => {
            (Operation::Absolute, call.args.first()?)
        }
        _ => return None,
    };
    operation.over(&type_of(operand, schema)?)
}

/// The type of an operand; for a chain of operators it is known without walking down the chain.
fn type_of(expr: &Expr, schema: &DFSchema) -> Option<DataType> {
    let own = match expr {
        Expr::ScalarFunction(call) => result_type(&call.func),
        _ => None,
    };
    own.or_else(|| expr.get_type(schema).ok())
}
