//! Aggregate calls: which have a class of their own, and what each reads.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::{AggregateFunction as Call, NullTreatment};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, ExprSchemable, SortExpr};
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregateBuilder};

use crate::aggregate::moments::{Moment, Statistic};
use crate::delta_plan::{
    AggregateCall, AggregateFunction, Holistic, HolisticInput, Quantile, RowEnd,
};
use crate::error::Result;
use crate::explain::order_by;
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
    Moment(Statistic, usize, Option<usize>),
    End(RowEnd),
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
        None => {
            let other = match moment(call, columns).or_else(|| quantile(call, from, columns)) {
                Some(function) => Some(function),
                None => row_end(call, from, columns)?,
            };
            match other {
                Some(function) => function,
                None => match holistic(expr, call, from, columns)? {
                    Some(function) => function,
                    None => return Ok(None),
                },
            }
        }
    };
    let filter = call.params.filter.as_deref().map(|f| columns.add(f));
    Ok(Some(Planned { function, filter, distinct: call.params.distinct }))
}

impl Planned {
    /// The node's call, over input columns that stand at `at`, with a result of type `output`.
    pub(super) fn node(&self, at: &[usize], from: &Schema, output: &DataType) -> AggregateCall {
        let (function, argument) = match &self.function {
            Function::Own(function, argument) => (function.clone(), argument.map(|a| at[a])),
            Function::Moment(statistic, first, second) => {
                let second = second.map(|s| at[s]);
                (AggregateFunction::Moment { statistic: *statistic, second }, Some(at[*first]))
            }
            Function::End(end) => {
                let order = end.order.iter().map(|(column, options)| (at[*column], *options));
                let end = RowEnd { order: order.collect(), ..end.clone() };
                (AggregateFunction::End(end), None)
            }
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
        "bool_and" => AggregateFunction::BoolAnd,
        "bool_or" => AggregateFunction::BoolOr,
        "bit_and" => AggregateFunction::BitAnd,
        "bit_or" => AggregateFunction::BitOr,
        "bit_xor" => AggregateFunction::BitXor,
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
        AggregateFunction::BoolAnd | AggregateFunction::BoolOr => data_type == DataType::Boolean,
        AggregateFunction::BitAnd | AggregateFunction::BitOr | AggregateFunction::BitXor => {
            data_type.is_integer()
        }
        _ => ordered,
    };
    fits.then_some(function)
}

/// The statistic that `call` is; one over distinct pairs is none.
fn moment(call: &Call, columns: &mut Columns) -> Option<Function> {
    let statistic = call.func.inner().downcast_ref::<Moment>()?.statistic();
    match &call.params.args[..] {
        [x] => Some(Function::Moment(statistic, columns.add(x), None)),
        [y, x] if !call.params.distinct => {
            Some(Function::Moment(statistic, columns.add(y), Some(columns.add(x))))
        }
        _ => None,
    }
}

/// The place in the order of its values that `call` asks for.
fn quantile(call: &Call, from: &DFSchema, columns: &mut Columns) -> Option<Function> {
    let params = &call.params;
    if params.null_treatment.is_some() {
        return None;
    }
    let is_float = |t: &DataType| matches!(t, DataType::Float32 | DataType::Float64);
    let is_decimal = |t: &DataType| t.is_decimal();
    let (quantile, argument, fits) = match (call.func.name(), &params.args[..]) {
        ("median", [argument]) => {
            let data_type = argument.get_type(from).ok()?;
            (Quantile::Median, argument, is_float(&data_type) || is_decimal(&data_type))
        }
        ("percentile_cont", [argument, Expr::Literal(ScalarValue::Float64(Some(part)), _)]) => {
            let is_descending = params.order_by.first().is_some_and(|sort| !sort.asc);
            let part = if is_descending { 1.0 - part } else { *part };
            let fits = is_float(&argument.get_type(from).ok()?) && (0.0..=1.0).contains(&part);
            (Quantile::Continuous(part), argument, fits)
        }
        _ => return None,
    };
    let function = AggregateFunction::Quantile(quantile);
    fits.then(|| Function::Own(function, Some(columns.add(argument))))
}

/// The end of an order that `call` asks for, if its order is total: then no rows but it need be known.
fn row_end(call: &Call, from: &DFSchema, columns: &mut Columns) -> Result<Option<Function>> {
    let last = match call.func.name() {
        "first_value" => false,
        "last_value" => true,
        _ => return Ok(None),
    };
    let sorts = &call.params.order_by;
    let [argument] = &call.params.args[..] else { return Ok(None) };
    let Some(result) = sorts.iter().position(|sort| sort.expr == *argument) else {
        return Ok(None);
    };
    let mut order = Vec::with_capacity(sorts.len());
    for sort in sorts {
        let data_type = sort.expr.get_type(from)?;
        if !is_hashable(&data_type) || matches!(data_type, DataType::Dictionary(..)) {
            return Ok(None);
        }
        let options = SortOptions { descending: !sort.asc, nulls_first: sort.nulls_first };
        order.push((columns.add(&sort.expr), options));
    }
    let ignore_nulls = call.params.null_treatment == Some(NullTreatment::IgnoreNulls);
    Ok(Some(Function::End(RowEnd { last, order, result, ignore_nulls })))
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
    let sorts =
        sorts.iter().map(|s| SortOptions { descending: !s.asc, nulls_first: s.nulls_first });
    text.push_str(&order_by(orders.iter().zip(sorts)));
    text.push(')');
    if call.ignore_nulls() {
        text.push_str(" IGNORE NULLS");
    }
    text
}
