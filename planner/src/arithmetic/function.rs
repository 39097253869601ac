//! The functions: one per operation and integer type.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Datum, Scalar};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{DataType, Int16Type, Int32Type, Int64Type};
use arrow::error::ArrowError;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::expressions::{BinaryExpr, NegativeExpr};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use crate::pg_compat;

/// What is done to integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Negate,
    Absolute,
}

use Operation::{Absolute, Add, Divide, Multiply, Negate, Remainder, Subtract};

/// Names of the functions over `smallint`, `integer` and `bigint`.
const NAMES: [(Operation, [&str; 3]); 7] = [
    (Add, ["int2pl", "int4pl", "int8pl"]),
    (Subtract, ["int2mi", "int4mi", "int8mi"]),
    (Multiply, ["int2mul", "int4mul", "int8mul"]),
    (Divide, ["int2div", "int4div", "int8div"]),
    (Remainder, ["int2mod", "int4mod", "int8mod"]),
    (Negate, ["int2um", "int4um", "int8um"]),
    (Absolute, ["int2abs", "int4abs", "int8abs"]),
];

/// The types, in the order of the names.
const TYPES: [DataType; 3] = [DataType::Int16, DataType::Int32, DataType::Int64];

static FUNCTIONS: LazyLock<Vec<(Operation, DataType, Arc<ScalarUDF>)>> = LazyLock::new(|| {
    let all = NAMES.iter().flat_map(|(operation, names)| {
        names.iter().zip(TYPES).map(|(name, width)| {
            let function = Function::new(name, *operation, width.clone());
            (*operation, width, Arc::new(ScalarUDF::new_from_impl(function)))
        })
    });
    all.collect()
});

impl Operation {
    /// The operation of a binary operator.
    pub(crate) fn of_operator(operator: Operator) -> Option<Self> {
        Some(match operator {
            Operator::Plus => Add,
            Operator::Minus => Subtract,
            Operator::Multiply => Multiply,
            Operator::Divide => Divide,
            Operator::Modulo => Remainder,
            _ => return None,
        })
    }

    /// The binary operator of an operation.
    pub(crate) fn operator(self) -> Option<Operator> {
        Some(match self {
            Add => Operator::Plus,
            Subtract => Operator::Minus,
            Multiply => Operator::Multiply,
            Divide => Operator::Divide,
            Remainder => Operator::Modulo,
            Negate | Absolute => return None,
        })
    }

    /// The sign of a negation.
    pub(crate) fn sign(self) -> Option<char> {
        (self == Negate).then_some('-')
    }

    /// The function that does it to integers of a type.
    pub(crate) fn over(self, data_type: &DataType) -> Option<Arc<ScalarUDF>> {
        let found = FUNCTIONS.iter().find(|(o, t, _)| *o == self && t == data_type);
        found.map(|(_, _, function)| Arc::clone(function))
    }
}

/// The operation that a function does, if it is one of these.
pub(crate) fn operation(function: &ScalarUDF) -> Option<Operation> {
    function.inner().downcast_ref::<Function>().map(|f| f.operation)
}

/// The type that a function gives, if it is one of these.
pub(super) fn result_type(function: &ScalarUDF) -> Option<DataType> {
    function.inner().downcast_ref::<Function>().map(|f| f.data_type.clone())
}

/// An expression with operators in place of these functions, to be shown.
pub(crate) fn as_operators(expr: &Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let shown = Arc::clone(expr).transform_up(|e| {
        let Some(call) = e.downcast_ref::<ScalarFunctionExpr>() else {
            return Ok(Transformed::no(e));
        };
        let Some(operation) = operation(call.fun()) else { return Ok(Transformed::no(e)) };
        let shown: Arc<dyn PhysicalExpr> = match (operation.operator(), call.args()) {
            (Some(operator), [left, right]) => {
                Arc::new(BinaryExpr::new(Arc::clone(left), operator, Arc::clone(right)))
            }
            (None, [operand]) if operation == Negate => {
                Arc::new(NegativeExpr::new(Arc::clone(operand)))
            }
            _ => return Ok(Transformed::no(e)),
        };
        Ok(Transformed::yes(shown))
    })?;
    Ok(shown.data)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    name: &'static str,
    operation: Operation,
    data_type: DataType,
    signature: Signature,
}

impl Function {
    fn new(name: &'static str, operation: Operation, data_type: DataType) -> Self {
        let arity = if operation.operator().is_some() { 2 } else { 1 };
        let signature = Signature::exact(vec![data_type.clone(); arity], Volatility::Immutable);
        Self { name, operation, data_type, signature }
    }

    fn apply(&self, values: &[&dyn Datum]) -> std::result::Result<ArrayRef, ArrowError> {
        match (self.operation, values) {
            (Add, [left, right]) => numeric::add(*left, *right),
            (Subtract, [left, right]) => numeric::sub(*left, *right),
            (Multiply, [left, right]) => numeric::mul(*left, *right),
            (Divide, [left, right]) => numeric::div(*left, *right),
            (Remainder, [left, right]) => numeric::rem(*left, *right),
            (Negate, [operand]) => numeric::neg(operand.get().0),
            (Absolute, [operand]) => absolute(operand.get().0),
            (_, values) => {
                let text = format!("{} of {} arguments", self.name, values.len());
                Err(ArrowError::InvalidArgumentError(text))
            }
        }
    }
}

fn absolute(values: &dyn Array) -> std::result::Result<ArrayRef, ArrowError> {
    let overflow = || ArrowError::ArithmeticOverflow(String::new());
    macro_rules! of {
        ($values:ident, $type:ty) => {
            Arc::new(
                $values
                    .as_primitive::<$type>()
                    .try_unary::<_, $type, _>(|v| v.checked_abs().ok_or_else(overflow))?,
            ) as ArrayRef
        };
    }
    Ok(match values.data_type() {
        DataType::Int16 => of!(values, Int16Type),
        DataType::Int32 => of!(values, Int32Type),
        _ => of!(values, Int64Type),
    })
}

/// `PostgreSQL`'s name of an integer type.
fn type_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        _ => "bigint",
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let values: Vec<Value> = args.args.iter().map(Value::new).collect::<Result<_>>()?;
        let values: Vec<&dyn Datum> = values.iter().map(Value::datum).collect();
        let result = match self.apply(&values) {
            Ok(result) => result,
            Err(ArrowError::ArithmeticOverflow(_)) => {
                let message = format!("{} out of range", type_name(&self.data_type));
                return Err(pg_compat::error("22003", message));
            }
            Err(other) => return Err(other.into()),
        };
        if !constant {
            return Ok(ColumnarValue::Array(result));
        }
        if result.len() != 1 {
            return internal_err!("a constant of {} values", result.len());
        }
        Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?))
    }
}

/// An argument as Arrow's kernels take it.
enum Value {
    Array(ArrayRef),
    Scalar(Scalar<ArrayRef>),
}

impl Value {
    fn new(value: &ColumnarValue) -> Result<Self> {
        Ok(match value {
            ColumnarValue::Array(array) => Self::Array(Arc::clone(array)),
            ColumnarValue::Scalar(scalar) => Self::Scalar(scalar.to_scalar()?),
        })
    }

    fn datum(&self) -> &dyn Datum {
        match self {
            Self::Array(array) => array,
            Self::Scalar(scalar) => scalar,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remainder_by_minus_one_is_zero_and_the_quotient_fails() {
        let apply = |operation: Operation| {
            let name = "int2";
            let function = Function::new(name, operation, DataType::Int16);
            let values = [i16::MIN, -1].map(|v| ScalarValue::Int16(Some(v)).to_scalar().unwrap());
            let array = function.apply(&[&values[0], &values[1]]);
            array.map(|a| a.as_primitive::<Int16Type>().value(0))
        };
        assert_eq!(apply(Remainder).unwrap(), 0, "as PostgreSQL says");
        assert!(
            matches!(apply(Divide), Err(ArrowError::ArithmeticOverflow(_))),
            "32768 is no int2"
        );
    }
}
