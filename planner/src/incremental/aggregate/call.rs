//! Aggregate calls: which have a class of their own, and what each reads.

use std::fmt::Write;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::AggregateFunction as Call;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, ExprSchemable, SortExpr};
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregateBuilder};

use crate::delta_plan::{AggregateCall, AggregateFunction, Holistic, HolisticInput};
use crate::error::Result;
use crate::incremental::is_hashable;

/// Expressions that must be columns of the input, each once.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) exprs: Vec<Expr>,
}

impl Columns {
    /// The position of `expr` among them.
    pub(super) fn add(&mut self, expr: &Expr) -> usize {
        let known = self.exprs.iter().position(|e| e == expr);
        known.unwrap_or_else(|| {
            self.exprs.push(expr.clone());
            self.exprs.len() - 1
        })
    }
}

/// A call whose columns are positions in [`Columns`].
pub(super) struct Planned {
    function: Function,
    filter: Option<usize>,
    distinct: bool,
}

enum Function {
    Own(AggregateFunction, Option<usize>),
    Holistic { call: Arc<AggregateFunctionExpr>, inputs: Vec<Input>, sorts: Vec<SortExpr> },
}

enum Input {
    Column(usize),
    Constant(ScalarValue),
}

/// How the call `expr` is maintained; `None` when its rows cannot be kept.
pub(super) fn planned(
    expr: &Expr,
    from: &DFSchema,
    columns: &mut Columns,
) -> Result<Option<Planned>> {
    let call = call_of(expr)?;
    let function = match own(call, from) {
        Some(function) => {
            let argument = argument(call).map(|a| columns.add(a));
            Function::Own(function, argument)
        }
        None => match holistic(expr, call, from, columns)? {
            Some(function) => function,
            None => return Ok(None),
        },
    };
    let filter = call.params.filter.as_deref().map(|f| columns.add(f));
    Ok(Some(Planned { function, filter, distinct: call.params.distinct }))
}

impl Planned {
    /// The node's call, over input columns that stand at `at`, with a result of type `output`.
    pub(super) fn node(&self, at: &[usize], from: &Schema, output: &DataType) -> AggregateCall {
        let (function, argument) = match &self.function {
            Function::Own(function, argument) => (function.clone(), argument.map(|a| at[a])),
            Function::Holistic { call, inputs, sorts } => {
                let inputs = inputs.iter().map(|input| input.at(at));
                let inputs: Vec<HolisticInput> = inputs.collect();
                let text = text(call, &inputs, sorts);
                let call = Arc::clone(call);
                (AggregateFunction::Holistic(Holistic { call, inputs, text }), None)
            }
        };
        AggregateCall {
            function,
            argument,
            filter: self.filter.map(|f| at[f]),
            distinct: self.distinct,
            input_type: argument.map_or(DataType::Int64, |a| from.field(a).data_type().clone()),
            output_type: output.clone(),
        }
    }
}

impl Input {
    fn at(&self, at: &[usize]) -> HolisticInput {
        match self {
            Self::Column(i) => HolisticInput::Column(at[*i]),
            Self::Constant(value) => HolisticInput::Constant(value.clone()),
        }
    }
}

fn call_of(expr: &Expr) -> Result<&Call> {
    match expr {
        Expr::AggregateFunction(call) => Ok(call),
        Expr::Alias(alias) => call_of(&alias.expr),
        other => Err(datafusion::common::internal_datafusion_err!(
            "{other} stands where an aggregate call should"
        )
        .into()),
    }
}

/// The argument that is a column of the input; `count` of a constant has none.
fn argument(call: &Call) -> Option<&Expr> {
    match call.params.args.first() {
        Some(Expr::Literal(value, _)) if call.func.name() == "count" && !value.is_null() => None,
        other => other,
    }
}

/// The function with a class of its own that `call` is, if there is one for its types.
fn own(call: &Call, from: &DFSchema) -> Option<AggregateFunction> {
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
    let Some(argument) = argument(call) else {
        return (!call.params.distinct).then_some(function);
    };
    let data_type = argument.get_type(from).ok()?;
    let summable = data_type.is_integer()
        || matches!(data_type, DataType::Float32 | DataType::Float64)
        || matches!(data_type, DataType::Decimal128(..) | DataType::Decimal256(..));
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
        _ => ordered,
    };
    fits.then_some(function)
}

fn holistic(
    expr: &Expr,
    call: &Call,
    from: &DFSchema,
    columns: &mut Columns,
) -> Result<Option<Function>> {
    let context = PhysicalPlanningContext::default();
    let props = ExecutionProps::new();
    let lowered = LoweredAggregateBuilder::new(expr, from, from.as_arrow(), &props, &context);
    let lowered = lowered.build()?.aggregate;
    // What the function refuses, it refuses here.
    lowered.create_accumulator()?.evaluate()?;
    let sorts = if lowered.order_bys().is_empty() { &[][..] } else { &call.params.order_by[..] };
    let mut inputs = Vec::with_capacity(call.params.args.len() + sorts.len());
    for read in call.params.args.iter().chain(sorts.iter().map(|s| &s.expr)) {
        inputs.push(match read {
            Expr::Literal(value, _) => Input::Constant(value.clone()),
            column if is_hashable(&column.get_type(from)?) => Input::Column(columns.add(column)),
            _ => return Ok(None),
        });
    }
    Ok(Some(Function::Holistic { call: lowered, inputs, sorts: sorts.to_vec() }))
}

/// The call over input columns, which tells it from all others.
fn text(call: &AggregateFunctionExpr, inputs: &[HolisticInput], sorts: &[SortExpr]) -> String {
    let texts: Vec<String> = inputs.iter().map(ToString::to_string).collect();
    let (arguments, orders) = texts.split_at(texts.len() - sorts.len());
    let distinct = if call.is_distinct() { "DISTINCT " } else { "" };
    let mut text = format!("{}({distinct}{}", call.fun().name(), arguments.join(", "));
    for (i, (order, sort)) in orders.iter().zip(sorts).enumerate() {
        let before = if i == 0 { " ORDER BY" } else { "," };
        let direction = if sort.asc { "" } else { " DESC" };
        let nulls = match (sort.asc, sort.nulls_first) {
            (true, true) => " NULLS FIRST",
            (false, false) => " NULLS LAST",
            _ => "",
        };
        write!(text, "{before} {order}{direction}{nulls}").expect("writing to a string succeeds");
    }
    text.push(')');
    if call.ignore_nulls() {
        text.push_str(" IGNORE NULLS");
    }
    text
}
