//! Functions whose results can be far longer than their arguments: refused before room is made for them.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::compute::kernels::length::length;
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{DataFusionError, Result};
use datafusion::functions::{string, unicode};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use crate::pg_compat::PgError;

/// Longest result, in bytes, of one batch of rows.
const BYTES_MAX: i64 = (1 << 30) - 1;

/// Bytes of a character at most.
const CHARACTER_BYTES: i64 = 4;

/// `repeat`, `lpad` and `rpad`.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let bounded = |inner, growth| Arc::new(ScalarUDF::new_from_impl(Bounded { inner, growth }));
    vec![
        bounded(string::repeat(), Growth::Times),
        bounded(unicode::lpad(), Growth::UpTo),
        bounded(unicode::rpad(), Growth::UpTo),
    ]
}

/// What the second argument says of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Growth {
    /// How often it holds the first one.
    Times,
    /// How many characters it has.
    UpTo,
}

/// A function of DataFusion's with a limit to its results.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arguments)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arguments)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let [text, count, ..] = args.args.as_slice()
            && self.result_bytes(text, count, args.number_rows)? > BYTES_MAX
        {
            let message = "requested length too large".to_owned();
            let error = PgError { sqlstate: "54000", message };
            return Err(DataFusionError::External(Box::new(error)));
        }
        self.inner.invoke_with_args(args)
    }
}

impl Bounded {
    /// The bytes that the results take together, at most.
    fn result_bytes(
        &self,
        text: &ColumnarValue,
        count: &ColumnarValue,
        rows: usize,
    ) -> Result<i64> {
        let constant = [text, count].iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { rows };
        let counts = cast(&count.to_array(rows)?, &DataType::Int64)?;
        let counts = counts.as_primitive::<Int64Type>().iter().map(|n| n.unwrap_or(0).max(0));
        Ok(match self.growth {
            Growth::UpTo => {
                counts.fold(0, |sum: i64, n| sum.saturating_add(n.saturating_mul(CHARACTER_BYTES)))
            }
            Growth::Times => {
                let lengths = cast(&length(&text.to_array(rows)?)?, &DataType::Int64)?;
                let lengths = lengths.as_primitive::<Int64Type>().iter();
                lengths.zip(counts).fold(0, |sum: i64, (length, n)| {
                    sum.saturating_add(length.unwrap_or(0).saturating_mul(n))
                })
            }
        })
    }
}
