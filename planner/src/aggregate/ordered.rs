//! Aggregates that see the rows of a group in one order, however they came.
//!
//! The result of these functions depends on the order of their rows: lists and texts as a whole, the digests
//! of approximate percentiles in their last digits. The analyzer completes their `ORDER BY` to a total order
//! ([`TotalOrder`](super::order::TotalOrder)); here the rows of a group are kept, sorted once and given to
//! DataFusion's own function in one piece, so the result depends on nothing but the rows.
//!
//! ```text
//! update, merge    keep the arguments and sort expressions of each row, with its group
//! evaluate         sort by (group, sort expressions); with DISTINCT drop equal neighbours; feed the function
//! ```
//!
//! Without an `ORDER BY`, as in a window, the function is DataFusion's.

mod accumulator;
mod call;
mod rows;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate as standard;
use datafusion::logical_expr::expr::{AggregateFunctionParams, WindowFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, SetMonotonicity,
    Signature,
};

use self::accumulator::{OrderedAccumulator, OrderedGroups};
use self::call::{Call, widened};

/// One of the functions. Its signature and result are those of DataFusion's function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Ordered {
    standard: Arc<AggregateUDF>,
    need: Need,
}

/// What a function makes of its `ORDER BY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Need {
    /// Its rows must come in that order.
    Rows,
    /// As before, and it reads the direction.
    RowsAndDirection,
    /// It sorts its rows itself and reads the direction.
    Direction,
    /// Nothing: it finds its row itself. Told that its rows come in order, it fails on a batch without rows.
    Nothing,
    /// Each row once where DISTINCT is asked for, of which DataFusion takes no notice.
    DistinctRows,
}

impl Ordered {
    fn over(standard: Arc<AggregateUDF>, need: Need) -> Arc<AggregateUDF> {
        Arc::new(AggregateUDF::from(Self { standard, need }))
    }

    /// Whether a call must name a total order, in which the function gets its rows.
    pub(super) fn sorts(&self, distinct: bool) -> bool {
        match self.need {
            Need::Rows | Need::RowsAndDirection | Need::Nothing => true,
            Need::DistinctRows => distinct,
            Need::Direction => false,
        }
    }

    fn call(&self, args: &AccumulatorArgs) -> Result<Call> {
        Call::new(&self.standard, self.need == Need::RowsAndDirection, args)
    }

    fn delegates(&self, order_bys: usize, distinct: bool) -> bool {
        match self.need {
            Need::Direction | Need::Nothing => true,
            // Over a constant there is no order to name, but still each row counts once.
            Need::DistinctRows => !distinct,
            Need::Rows | Need::RowsAndDirection => order_bys == 0,
        }
    }
}

/// All of them.
pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let mut functions: Vec<_> = [
        standard::array_agg::array_agg_udaf(),
        standard::string_agg::string_agg_udaf(),
        standard::nth_value::nth_value_udaf(),
        standard::approx_median::approx_median_udaf(),
    ]
    .into_iter()
    .map(|function| Ordered::over(function, Need::Rows))
    .collect();
    functions.extend(
        [
            standard::approx_percentile_cont::approx_percentile_cont_udaf(),
            standard::approx_percentile_cont_with_weight::approx_percentile_cont_with_weight_udaf(),
        ]
        .map(|function| Ordered::over(function, Need::RowsAndDirection)),
    );
    functions.extend(
        [standard::bit_and_or_xor::bit_xor_udaf(), standard::regr::regr_count_udaf()]
            .map(|function| Ordered::over(function, Need::DistinctRows)),
    );
    functions.extend(
        [standard::first_last::first_value_udaf(), standard::first_last::last_value_udaf()]
            .map(|function| Ordered::over(function, Need::Nothing)),
    );
    let percentile = standard::percentile_cont::percentile_cont_udaf();
    functions.push(Ordered::over(percentile, Need::Direction));
    functions
}

impl AggregateUDFImpl for Ordered {
    fn name(&self) -> &str {
        self.standard.name()
    }

    fn aliases(&self) -> &[String] {
        self.standard.aliases()
    }

    fn schema_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.standard.schema_name(params)
    }

    fn human_display(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.standard.human_display(params)
    }

    fn window_function_schema_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.standard.window_function_schema_name(params)
    }

    fn display_name(&self, params: &AggregateFunctionParams) -> Result<String> {
        self.standard.display_name(params)
    }

    fn window_function_display_name(&self, params: &WindowFunctionParams) -> Result<String> {
        self.standard.window_function_display_name(params)
    }

    fn signature(&self) -> &Signature {
        self.standard.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.standard.return_type(arg_types)
    }

    fn return_field(&self, arg_fields: &[FieldRef]) -> Result<FieldRef> {
        self.standard.return_field(arg_fields)
    }

    fn is_nullable(&self) -> bool {
        self.standard.is_nullable()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.standard.coerce_types(arg_types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if self.delegates(args.order_bys.len(), args.is_distinct) {
            let exprs: Vec<_> = args.exprs.iter().map(widened).collect();
            return self.standard.accumulator(AccumulatorArgs { exprs: &exprs, ..args });
        }
        Ok(Box::new(OrderedAccumulator::new(self.call(&args)?)))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.standard.create_sliding_accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !self.delegates(args.order_bys.len(), args.is_distinct)
            || self.standard.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        if self.delegates(args.order_bys.len(), args.is_distinct) {
            return self.standard.create_groups_accumulator(args);
        }
        Ok(Box::new(OrderedGroups::new(self.call(&args)?)))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if self.delegates(args.ordering_fields.len(), args.is_distinct) {
            return self.standard.state_fields(args);
        }
        let kept = args.input_fields.iter().chain(args.ordering_fields).enumerate();
        let list = |(i, field): (usize, &FieldRef)| {
            let item = Field::new_list_field(field.data_type().clone(), true);
            Arc::new(Field::new_list(format!("{}[{i}]", args.name), item, true))
        };
        Ok(kept.map(list).collect())
    }

    fn with_beneficial_ordering(
        self: Arc<Self>,
        _: bool,
    ) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        // It finds the order of whatever it gets.
        Ok(Some(self))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        match self.need {
            Need::Direction => AggregateOrderSensitivity::Insensitive,
            _ => AggregateOrderSensitivity::SoftRequirement,
        }
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.standard.default_value(data_type)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.standard.supports_null_handling_clause()
    }

    fn supports_within_group_clause(&self) -> bool {
        self.standard.supports_within_group_clause()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.standard.inner().set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.standard.documentation()
    }
}
