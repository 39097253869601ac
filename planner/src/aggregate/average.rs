//! `avg`, also called `mean`: the exact sum divided once, over floats and decimals; DataFusion's over all else.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF,
    Signature,
};

use super::decimal::{
    self, DecimalAccumulator, DecimalGroups, DistinctDecimalAccumulator, Reading as DecimalReading,
};
use super::float::{self, DistinctFloatAccumulator, FloatAccumulator, FloatGroups, Reading};

/// The function. Its signature is DataFusion's.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Average {
    standard: Arc<AggregateUDF>,
}

impl Average {
    /// The function.
    #[must_use]
    pub fn new() -> Self {
        Self { standard: avg_udaf() }
    }
}

/// The argument's type, if it is a decimal.
fn decimal_argument(arguments: &[FieldRef]) -> Option<&DataType> {
    arguments.first().map(|f| f.data_type()).filter(|t| t.is_decimal())
}

impl Default for Average {
    fn default() -> Self {
        Self::new()
    }
}

impl AggregateUDFImpl for Average {
    fn name(&self) -> &'static str {
        "avg"
    }

    fn aliases(&self) -> &[String] {
        self.standard.aliases()
    }

    fn signature(&self) -> &Signature {
        self.standard.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types.first().and_then(decimal::average_type) {
            Some(average) => Ok(average),
            None => self.standard.return_type(arg_types),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(match (args.return_type(), args.is_distinct) {
            (DataType::Float64, false) => Box::new(FloatAccumulator::new(Reading::Average)),
            (DataType::Float64, true) => Box::new(DistinctFloatAccumulator::new(Reading::Average)),
            _ => match (decimal_argument(args.expr_fields), args.is_distinct) {
                (Some(input), false) => {
                    Box::new(DecimalAccumulator::new(DecimalReading::average(input)?))
                }
                (Some(input), true) => {
                    Box::new(DistinctDecimalAccumulator::new(DecimalReading::average(input)?))
                }
                (None, _) => self.standard.accumulator(args)?,
            },
        })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match args.return_type() {
            DataType::Float64 => self.accumulator(args),
            _ if decimal_argument(args.expr_fields).is_some() => self.accumulator(args),
            _ => self.standard.create_sliding_accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        match (args.return_type(), args.is_distinct) {
            (DataType::Float64, true) => {
                Ok(vec![float::distinct_state_field(args.name, DataType::Float64)])
            }
            (DataType::Float64, false) => Ok(float::state_fields(args.name)),
            _ => match (decimal_argument(args.input_fields), args.is_distinct) {
                (Some(input), true) => {
                    let value = decimal::distinct_type(input);
                    Ok(vec![float::distinct_state_field(args.name, value)])
                }
                (Some(input), false) => Ok(decimal::state_fields(args.name, input)),
                (None, _) => self.standard.state_fields(args),
            },
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        match decimal_argument(args.expr_fields) {
            Some(_) => !args.is_distinct,
            None => self.standard.groups_accumulator_supported(args),
        }
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        match args.return_type() {
            DataType::Float64 => Ok(Box::new(FloatGroups::new(Reading::Average))),
            _ => match decimal_argument(args.expr_fields) {
                Some(input) => Ok(Box::new(DecimalGroups::new(DecimalReading::average(input)?))),
                None => self.standard.create_groups_accumulator(args),
            },
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.standard.documentation()
    }
}
