//! Text that stands for bytes, and bytes as text, as `PostgreSQL` reads and writes them.
//!
//! | SQL | is |
//! |---|---|
//! | `'\xdead'::bytea`, `'\xdead'` beside a `bytea` | the bytes, read from hexadecimal digits |
//! | `'a\\b\001'::bytea` | the bytes, read from the escape format |
//! | `b::text` | `\x` and hexadecimal digits |
//! | `length(b)` | the number of bytes |
//!
//! DataFusion's casts take the bytes of the text itself. This rule runs behind the coercion of types, when every
//! cast stands in the plan.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, BinaryArray, Int32Array, StringArray};
use arrow::compute::cast as cast_array;
use arrow::datatypes::DataType;
use datafusion::common::cast::as_binary_array;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility, cast,
};
use datafusion::optimizer::AnalyzerRule;

use crate::named::rewrite_parts;
use crate::pg_compat;

/// The analyzer rule.
#[derive(Debug)]
pub(crate) struct Bytea;

impl AnalyzerRule for Bytea {
    fn name(&self) -> &'static str {
        "bytea"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(converted)?.data)
    }
}

fn converted(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    rewrite_parts(plan, |e| {
        if let Some(bytes) = measured(&e) {
            return Ok(Transformed::yes(LENGTH.call(vec![bytes])));
        }
        let Expr::Cast(cast) = &e else { return Ok(Transformed::no(e)) };
        let target = cast.field.data_type();
        if is_binary(target)
            && let Expr::Literal(value, metadata) = cast.expr.as_ref()
            && let Some(Some(text)) = value.try_as_str()
        {
            let bytes = ScalarValue::Binary(Some(parse(text)?)).cast_to(target)?;
            return Ok(Transformed::yes(Expr::Literal(bytes, metadata.clone())));
        }
        if target.is_string() && cast.expr.get_type(&schema).is_ok_and(|t| is_binary(&t)) {
            return Ok(Transformed::yes(shown(cast.expr.as_ref().clone(), target)));
        }
        Ok(Transformed::no(e))
    })
}

static TEXT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| function("byteaout", DataType::Utf8));
static LENGTH: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| function("bytealen", DataType::Int32));

/// The bytes whose text a function would measure.
fn measured(expr: &Expr) -> Option<Expr> {
    let Expr::ScalarFunction(call) = expr else { return None };
    if !matches!(call.func.name(), "character_length" | "length" | "octet_length") {
        return None;
    }
    let mut text = call.args.first()?;
    while let Expr::Cast(cast) = text {
        text = &cast.expr;
    }
    match text {
        Expr::ScalarFunction(shown) if shown.func == *TEXT => shown.args.first().cloned(),
        _ => None,
    }
}

fn is_binary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

fn shown(bytes: Expr, target: &DataType) -> Expr {
    let text = TEXT.call(vec![bytes]);
    if *target == DataType::Utf8 { text } else { cast(text, target.clone()) }
}

/// Bytes from their text.
fn parse(text: &str) -> Result<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(digits) => hexadecimal(digits),
        None => escaped(text.as_bytes()),
    }
}

fn hexadecimal(digits: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    let mut high = None;
    for c in digits.chars() {
        if high.is_none() && c.is_ascii_whitespace() {
            continue;
        }
        let Some(digit) = c.to_digit(16).and_then(|d| u8::try_from(d).ok()) else {
            return Err(pg_compat::error("22023", format!("invalid hexadecimal digit: \"{c}\"")));
        };
        match high.take() {
            None => high = Some(digit << 4),
            Some(high) => bytes.push(high | digit),
        }
    }
    if high.is_some() {
        let message = "invalid hexadecimal data: odd number of digits";
        return Err(pg_compat::error("22023", message.to_owned()));
    }
    Ok(bytes)
}

/// `\\` is a backslash, `\012` a byte in octal, all else itself.
fn escaped(mut text: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    loop {
        text = match text {
            [] => return Ok(bytes),
            [b'\\', b'\\', rest @ ..] => {
                bytes.push(b'\\');
                rest
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest
            }
            [b'\\', ..] => {
                let message = "invalid input syntax for type bytea";
                return Err(pg_compat::error("22P02", message.to_owned()));
            }
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
}

fn function(name: &'static str, result: DataType) -> Arc<ScalarUDF> {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(OfBytes { name, result, signature }))
}

/// Bytes as text, or their number.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OfBytes {
    name: &'static str,
    result: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for OfBytes {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let bytes = args.args[0].to_array(args.number_rows)?;
        let bytes: ArrayRef = cast_array(&bytes, &DataType::Binary)?;
        let bytes = as_binary_array(&bytes)?;
        let result: ArrayRef = match self.result {
            DataType::Int32 => Arc::new(
                bytes
                    .iter()
                    .map(|value| value.and_then(|v| i32::try_from(v.len()).ok()))
                    .collect::<Int32Array>(),
            ),
            _ => Arc::new(texts(bytes)),
        };
        Ok(ColumnarValue::Array(result))
    }
}

fn texts(bytes: &BinaryArray) -> StringArray {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let text = |value: &[u8]| {
        let mut text = String::with_capacity(2 + 2 * value.len());
        text.push_str("\\x");
        for byte in value {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        text
    };
    bytes.iter().map(|value| value.map(text)).collect()
}
