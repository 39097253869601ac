//! `sum`: exact over floats, checked over integers, DataFusion's over all else.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF,
    Signature,
};

use super::float::{self, DistinctFloatAccumulator, FloatAccumulator, FloatGroups, Reading};
use super::integer::{self, DistinctIntegerAccumulator, IntegerAccumulator, IntegerGroups};

/// The function. Its signature and result types are DataFusion's.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Sum {
    standard: Arc<AggregateUDF>,
}

impl Sum {
    /// The function.
    #[must_use]
    pub fn new() -> Self {
        Self { standard: sum_udaf() }
    }
}

impl Default for Sum {
    fn default() -> Self {
        Self::new()
    }
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        self.standard.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.standard.return_type(arg_types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let output = args.return_type().clone();
        Ok(match (&output, args.is_distinct) {
            (DataType::Float64, false) => Box::new(FloatAccumulator::new(Reading::Sum)),
            (DataType::Float64, true) => Box::new(DistinctFloatAccumulator::new(Reading::Sum)),
            (DataType::Int64 | DataType::UInt64, false) => {
                Box::new(IntegerAccumulator::new(output))
            }
            (DataType::Int64 | DataType::UInt64, true) => {
                Box::new(DistinctIntegerAccumulator::new(output))
            }
            _ => self.standard.accumulator(args)?,
        })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match args.return_type() {
            DataType::Float64 | DataType::Int64 | DataType::UInt64 => self.accumulator(args),
            _ => self.standard.create_sliding_accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let output = args.return_type();
        match (output, args.is_distinct) {
            (DataType::Float64 | DataType::Int64 | DataType::UInt64, true) => {
                Ok(vec![float::distinct_state_field(args.name, output.clone())])
            }
            (DataType::Float64, false) => Ok(float::state_fields(args.name)),
            (DataType::Int64 | DataType::UInt64, false) => Ok(integer::state_fields(args.name)),
            _ => self.standard.state_fields(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let output = args.return_type().clone();
        Ok(match output {
            DataType::Float64 => Box::new(FloatGroups::new(Reading::Sum)),
            DataType::Int64 | DataType::UInt64 => Box::new(IntegerGroups::new(output)),
            _ => self.standard.create_groups_accumulator(args)?,
        })
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
