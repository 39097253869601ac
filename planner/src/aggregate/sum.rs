//! `sum`: exact over floats, checked over integers and decimals, DataFusion's over all else.
//!
//! Sums of `smallint` and `integer` are `bigint`, those of `bigint` are `numeric`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF,
    Signature, Volatility,
};

use super::decimal::{
    self, DecimalAccumulator, DecimalGroups, DistinctDecimalAccumulator, Reading as DecimalReading,
};
use super::float::{self, DistinctFloatAccumulator, FloatAccumulator, FloatGroups, Reading};
use super::integer::{self, DistinctIntegerAccumulator, IntegerAccumulator, IntegerGroups};

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Sum {
    standard: Arc<AggregateUDF>,
    signature: Signature,
}

impl Sum {
    /// The function.
    #[must_use]
    pub fn new() -> Self {
        Self { standard: sum_udaf(), signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl Default for Sum {
    fn default() -> Self {
        Self::new()
    }
}

/// What is summed.
enum Sort {
    Float,
    Integer,
    Decimal,
    Other,
}

impl Sort {
    fn of(arguments: &[FieldRef]) -> Self {
        match arguments.first().map(|f| f.data_type()) {
            Some(DataType::Float64) => Self::Float,
            Some(input) if input.is_integer() => Self::Integer,
            Some(DataType::Decimal128(..) | DataType::Decimal256(..)) => Self::Decimal,
            _ => Self::Other,
        }
    }
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        if let [DataType::Int8 | DataType::Int16 | DataType::Int32] = arg_types {
            return Ok(arg_types.to_vec());
        }
        let fields: Vec<FieldRef> =
            arg_types.iter().map(|t| Arc::new(Field::new("", t.clone(), true))).collect();
        let coerced = fields_with_udf(&fields, self.standard.as_ref())?;
        Ok(coerced.iter().map(|f| f.data_type().clone()).collect())
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [DataType::Int8 | DataType::Int16 | DataType::Int32] => Ok(DataType::Int64),
            [DataType::Int64] => Ok(integer::WIDE),
            other => self.standard.return_type(other),
        }
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let output = args.return_type().clone();
        Ok(match (Sort::of(args.expr_fields), args.is_distinct) {
            (Sort::Float, false) => Box::new(FloatAccumulator::new(Reading::Sum)),
            (Sort::Float, true) => Box::new(DistinctFloatAccumulator::new(Reading::Sum)),
            (Sort::Integer, false) => Box::new(IntegerAccumulator::new(output)),
            (Sort::Integer, true) => Box::new(DistinctIntegerAccumulator::new(output)),
            (Sort::Decimal, false) => {
                Box::new(DecimalAccumulator::new(DecimalReading::sum(&output)?))
            }
            (Sort::Decimal, true) => {
                Box::new(DistinctDecimalAccumulator::new(DecimalReading::sum(&output)?))
            }
            (Sort::Other, _) => self.standard.accumulator(args)?,
        })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match Sort::of(args.expr_fields) {
            Sort::Float | Sort::Integer | Sort::Decimal => self.accumulator(args),
            Sort::Other => self.standard.create_sliding_accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let output = args.return_type();
        match (Sort::of(args.input_fields), args.is_distinct) {
            (Sort::Float | Sort::Integer, true) => {
                Ok(vec![float::distinct_state_field(args.name, output.clone())])
            }
            (Sort::Float, false) => Ok(float::state_fields(args.name)),
            (Sort::Integer, false) => Ok(integer::state_fields(args.name)),
            (Sort::Decimal, true) => {
                let value = decimal::distinct_type(output);
                Ok(vec![float::distinct_state_field(args.name, value)])
            }
            (Sort::Decimal, false) => Ok(decimal::state_fields(args.name, output)),
            (Sort::Other, _) => self.standard.state_fields(args),
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
        Ok(match Sort::of(args.expr_fields) {
            Sort::Float => Box::new(FloatGroups::new(Reading::Sum)),
            Sort::Integer => Box::new(IntegerGroups::new(output)),
            Sort::Decimal => Box::new(DecimalGroups::new(DecimalReading::sum(&output)?)),
            Sort::Other => self.standard.create_groups_accumulator(args)?,
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
