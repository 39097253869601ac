//! The functions: a table of name, arity, result and body, made into DataFusion's form.
//!
//! A body sees one row at a time as [`Cell`]s. That is slow, and right for a catalog: rows are few and
//! every function is a lookup in the snapshot.

mod array;
mod clock;
mod definition;
mod json;
mod privilege;
mod reg;
mod session;
mod size;
mod text;
mod type_of;
mod visibility;

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};
use levada_catalog::pg::PG_TYPE_KEY;

use super::cell::{Cell, array as to_array, cells};
use super::{Snapshot, error};

pub(super) use text::with_backslashes;

/// The families; those of values alone are the same at any time.
const FAMILIES: [(&[Spec], Volatility); 10] = [
    (clock::FUNCTIONS, Volatility::Stable),
    (session::FUNCTIONS, Volatility::Stable),
    (visibility::FUNCTIONS, Volatility::Stable),
    (definition::FUNCTIONS, Volatility::Stable),
    (privilege::FUNCTIONS, Volatility::Stable),
    (reg::FUNCTIONS, Volatility::Stable),
    (size::FUNCTIONS, Volatility::Stable),
    (text::FUNCTIONS, Volatility::Immutable),
    (json::FUNCTIONS, Volatility::Immutable),
    (array::FUNCTIONS, Volatility::Immutable),
];

/// All functions over one snapshot.
pub(super) fn all(snapshot: &Arc<Snapshot>) -> Vec<ScalarUDF> {
    let specs = FAMILIES.iter().flat_map(|(specs, v)| specs.iter().map(move |s| (s, *v)));
    let functions = specs.map(|(s, v)| ScalarUDF::new_from_impl(Function::new(s, v, snapshot)));
    functions.chain([ScalarUDF::new_from_impl(type_of::TypeOf::new(snapshot))]).collect()
}

/// Whether a function of that name is ours.
pub(super) fn is_known(name: &str) -> bool {
    FAMILIES.iter().any(|(specs, _)| specs.iter().any(|spec| spec.name == name))
}

type Body = fn(&Snapshot, &[Cell]) -> Result<Cell>;

/// What a function is.
struct Spec {
    name: &'static str,
    arity: RangeInclusive<usize>,
    result: Kind,
    body: Body,
}

/// Result types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Bool,
    Int4,
    Int8,
    Oid,
    Text,
    Name,
    Json,
    Timestamp,
    Timestamptz,
    Names,
    Oids,
    Texts,
    Ints,
    /// `List<Struct<option_name, option_value>>`.
    Options,
    /// The type of the first argument.
    Same,
    /// `List<Struct<x: item of the first argument, n>>`.
    Expanded,
    /// Nothing, as text.
    Void,
}

const fn spec(name: &'static str, arity: RangeInclusive<usize>, result: Kind, body: Body) -> Spec {
    Spec { name, arity, result, body }
}

impl Kind {
    fn field(self, name: &str, arguments: &[FieldRef]) -> Field {
        let first = || arguments.first().map_or(DataType::Null, |f| f.data_type().clone());
        let (data_type, pg_type) = match self {
            Self::Bool => (DataType::Boolean, "bool"),
            Self::Int4 => (DataType::Int32, "int4"),
            Self::Int8 => (DataType::Int64, "int8"),
            Self::Oid => (DataType::UInt32, "oid"),
            Self::Text => (DataType::Utf8, "text"),
            Self::Name => (DataType::Utf8, "name"),
            Self::Json => (DataType::Utf8, "json"),
            Self::Void => (DataType::Utf8, "void"),
            Self::Timestamp => (DataType::Timestamp(TimeUnit::Microsecond, None), "timestamp"),
            Self::Timestamptz => {
                (DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), "timestamptz")
            }
            Self::Names => (list_of(DataType::Utf8), "_name"),
            Self::Texts => (list_of(DataType::Utf8), "_text"),
            Self::Oids => (list_of(DataType::UInt32), "_oid"),
            Self::Ints => (list_of(DataType::Int32), "_int4"),
            Self::Options => {
                let text = |n: &str| Field::new(n, DataType::Utf8, true);
                let fields = Fields::from(vec![text("option_name"), text("option_value")]);
                (list_of(DataType::Struct(fields)), "_record")
            }
            Self::Same => return Field::new(name, first(), true),
            Self::Expanded => {
                let item = item_of(&first());
                let fields = Fields::from(vec![
                    Field::new("x", item, true),
                    Field::new("n", DataType::Int32, true),
                ]);
                (list_of(DataType::Struct(fields)), "_record")
            }
        };
        let metadata = HashMap::from([(PG_TYPE_KEY.to_owned(), pg_type.to_owned())]);
        Field::new(name, data_type, true).with_metadata(metadata)
    }
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

fn item_of(list: &DataType) -> DataType {
    match list {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            item.data_type().clone()
        }
        _ => DataType::Null,
    }
}

/// A [`Spec`] bound to a snapshot.
#[derive(Debug)]
struct Function {
    name: &'static str,
    arity: RangeInclusive<usize>,
    result: Kind,
    body: Body,
    signature: Signature,
    snapshot: Arc<Snapshot>,
}

impl Function {
    fn new(spec: &Spec, volatility: Volatility, snapshot: &Arc<Snapshot>) -> Self {
        let any = TypeSignature::OneOf(vec![TypeSignature::Nullary, TypeSignature::VariadicAny]);
        Self {
            name: spec.name,
            arity: spec.arity.clone(),
            result: spec.result,
            body: spec.body,
            signature: Signature::new(any, volatility),
            snapshot: Arc::clone(snapshot),
        }
    }
}

/// Two functions are equal when they have the same name and see the same snapshot.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.snapshot, &other.snapshot)
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
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
        internal_err!("the result of {} depends on its arguments' fields", self.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let given = args.arg_fields.len();
        if !self.arity.contains(&given) {
            let types: Vec<String> =
                args.arg_fields.iter().map(|f| f.data_type().to_string()).collect();
            let message = format!("function {}({}) does not exist", self.name, types.join(", "));
            return Err(error("42883", message));
        }
        Ok(Arc::new(self.result.field(self.name, args.arg_fields)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let count = if constant { 1 } else { rows };
        let mut columns = Vec::with_capacity(args.args.len());
        for argument in &args.args {
            columns.push(cells(&argument.to_array(count)?)?);
        }
        let mut results = Vec::with_capacity(count);
        let mut row = Vec::with_capacity(columns.len());
        for i in 0..count {
            row.clear();
            row.extend(columns.iter().map(|column| column[i].clone()));
            results.push((self.body)(&self.snapshot, &row)?);
        }
        let array = to_array(args.return_field.data_type(), &results)?;
        if constant {
            let value = datafusion::common::ScalarValue::try_from_array(&array, 0)?;
            return Ok(ColumnarValue::Scalar(value));
        }
        Ok(ColumnarValue::Array(array))
    }
}

/// The argument at a position, NULL when it is missing.
fn argument(row: &[Cell], position: usize) -> &Cell {
    row.get(position).unwrap_or(&Cell::Null)
}

/// The body of a function that yields NULL for any object: nothing of its kind can exist.
fn none(_: &Snapshot, _: &[Cell]) -> Result<Cell> {
    Ok(Cell::Null)
}
