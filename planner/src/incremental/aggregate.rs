//! `GROUP BY`: keys, arguments and filters become columns, then groups are maintained.

use datafusion::logical_expr::expr::AggregateFunction as Call;
use datafusion::logical_expr::{Aggregate as LogicalAggregate, Expr, LogicalPlan};

use arrow::datatypes::DataType;

use super::{Builder, has_subquery, is_hashable, output_schema};
use crate::delta_plan::{Aggregate, AggregateCall, AggregateFunction, NodeId, Op, Properties};
use crate::error::Result;

impl Builder<'_> {
    pub(super) fn aggregate(
        &mut self,
        plan: &LogicalPlan,
        aggregate: &LogicalAggregate,
    ) -> Result<NodeId> {
        if aggregate.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
            return self.recompute(plan, "GROUPING SETS");
        }
        let all = || aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
        if all().any(has_subquery) {
            return self.recompute(plan, "correlated subquery");
        }
        let schema = output_schema(&aggregate.schema);
        if !schema.fields().iter().all(|f| is_hashable(f.data_type())) {
            return self.recompute(plan, "GROUP BY a type without equality");
        }
        let mut functions = Vec::with_capacity(aggregate.aggr_expr.len());
        for expr in &aggregate.aggr_expr {
            let call = call_of(expr);
            match call.and_then(|c| maintained(c, aggregate).map(|f| (c, f))) {
                Some(found) => functions.push(found),
                None => {
                    let name = call.map_or("an aggregate", |c| c.func.name());
                    return self.recompute(plan, &format!("aggregate function {name}"));
                }
            }
        }
        let input = self.plan(&aggregate.input)?;
        self.groups(input, aggregate, &functions, schema)
    }

    fn groups(
        &mut self,
        input: NodeId,
        aggregate: &LogicalAggregate,
        functions: &[(&Call, AggregateFunction)],
        schema: arrow::datatypes::SchemaRef,
    ) -> Result<NodeId> {
        let from = aggregate.input.schema();
        let mut columns: Vec<&Expr> = aggregate.group_expr.iter().collect();
        for (call, _) in functions {
            columns.extend(argument(call));
            columns.extend(call.params.filter.as_deref());
        }
        let (input, positions) = self.with_columns(input, from, &columns)?;
        let mut positions = positions.into_iter();
        let keys: Vec<usize> = positions.by_ref().take(aggregate.group_expr.len()).collect();
        let mut calls = Vec::with_capacity(functions.len());
        for (i, (call, function)) in functions.iter().enumerate() {
            let argument = argument(call).and_then(|_| positions.next());
            let filter = call.params.filter.as_ref().and_then(|_| positions.next());
            let input_type = argument
                .map_or(DataType::Int64, |a| self.nodes[input].schema.field(a).data_type().clone());
            calls.push(AggregateCall {
                function: *function,
                argument,
                filter,
                distinct: call.params.distinct,
                input_type,
                output_type: schema.field(keys.len() + i).data_type().clone(),
            });
        }
        let properties =
            Properties { insert_only: false, unique_keys: vec![(0..keys.len()).collect()] };
        Ok(self.add(Op::Aggregate(Aggregate { keys, calls }), vec![input], schema, properties))
    }
}

fn call_of(expr: &Expr) -> Option<&Call> {
    match expr {
        Expr::AggregateFunction(call) => Some(call),
        Expr::Alias(alias) => call_of(&alias.expr),
        _ => None,
    }
}

/// The argument that is a column of the input; `count` of a constant has none.
fn argument(call: &Call) -> Option<&Expr> {
    match call.params.args.first() {
        Some(Expr::Literal(value, _)) if call.func.name() == "count" && !value.is_null() => None,
        other => other,
    }
}

/// The maintained function that `call` is, if there is one for its types.
fn maintained(call: &Call, aggregate: &LogicalAggregate) -> Option<AggregateFunction> {
    if call.params.args.len() > 1 || call.params.null_treatment.is_some() {
        return None;
    }
    let function = match call.func.name() {
        "count" => AggregateFunction::Count,
        "sum" => AggregateFunction::Sum,
        "avg" => AggregateFunction::Avg,
        "min" => AggregateFunction::Min,
        "max" => AggregateFunction::Max,
        _ => return None,
    };
    if call.params.distinct && argument(call).is_none() {
        return None;
    }
    let data_type = match argument(call) {
        None => return Some(function),
        Some(e) => {
            use datafusion::logical_expr::ExprSchemable;
            e.get_type(aggregate.input.schema()).ok()?
        }
    };
    let summable = data_type.is_integer()
        || matches!(data_type, DataType::Float32 | DataType::Float64 | DataType::Decimal128(..));
    let ordered = data_type.is_primitive() && !matches!(data_type, DataType::Interval(_))
        || matches!(
            data_type,
            DataType::Boolean
                | DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Utf8View
                | DataType::Binary
                | DataType::LargeBinary
                | DataType::BinaryView
        );
    let fits = match function {
        AggregateFunction::Count => !call.params.distinct || is_hashable(&data_type),
        AggregateFunction::Sum | AggregateFunction::Avg => summable,
        AggregateFunction::Min | AggregateFunction::Max => ordered,
    };
    fits.then_some(function)
}
