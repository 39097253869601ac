//! Rows under construction: values by column name, defaults for the rest.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, IntervalMonthDayNanoArray, ListArray, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array, new_empty_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, FieldRef};

use super::relation::{PgColumn, PgRelation, arrow_type};

/// One value of a cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Real(f64),
    Text(String),
    List(Vec<Value>),
}

/// A relation's rows, column by column.
pub(super) struct Table {
    relation: &'static PgRelation,
    columns: Vec<Vec<Value>>,
    defaults: Vec<Value>,
}

impl Table {
    pub(super) fn new(relation: &'static PgRelation) -> Self {
        let defaults: Vec<Value> = relation.columns.iter().map(default_of).collect();
        Self { relation, columns: vec![Vec::new(); defaults.len()], defaults }
    }

    /// Appends a row; columns that are not named get their default (NULL, or zero when NOT NULL).
    pub(super) fn push<const N: usize>(&mut self, cells: [(&str, Value); N]) {
        self.push_all(cells);
    }

    /// [`Self::push`] for cells whose number is not known beforehand.
    pub(super) fn push_all<'a>(&mut self, cells: impl IntoIterator<Item = (&'a str, Value)>) {
        for (column, value) in self.columns.iter_mut().zip(&self.defaults) {
            column.push(value.clone());
        }
        for (name, value) in cells {
            let position = self.relation.position(name);
            debug_assert!(position.is_some(), "{} has no column {name}", self.relation.name);
            if let Some(cell) = position.and_then(|p| self.columns[p].last_mut()) {
                *cell = value;
            }
        }
    }

    /// Appends the rows of a tab-separated file whose first line names the columns, each with `extra` cells.
    pub(super) fn push_file(&mut self, text: &str, extra: &[(&str, Value)]) {
        let mut lines = text.lines();
        let names: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
        for line in lines {
            let cells: Vec<(&str, Value)> =
                names.iter().zip(line.split('\t')).map(|(n, t)| (*n, self.parse(n, t))).collect();
            self.push_all(cells.into_iter().chain(extra.iter().cloned()));
        }
    }

    pub(super) fn has_column(&self, name: &str) -> bool {
        self.relation.position(name).is_some()
    }

    pub(super) fn finish(self) -> RecordBatch {
        let schema = &self.relation.schema_ref;
        let arrays: Vec<ArrayRef> = schema
            .fields()
            .iter()
            .zip(&self.columns)
            .map(|(field, values)| array(field.data_type(), values))
            .collect();
        RecordBatch::try_new(Arc::clone(schema), arrays)
            .expect("each array has its field's type and one value per row")
    }

    fn parse(&self, column: &str, text: &str) -> Value {
        let position = self.relation.position(column);
        match position.map(|p| self.relation.schema_ref.field(p).data_type()) {
            Some(data_type) => parse(data_type, text),
            None => Value::Null,
        }
    }
}

fn default_of(column: &PgColumn) -> Value {
    if !column.not_null {
        return Value::Null;
    }
    match arrow_type(column.type_name) {
        DataType::Boolean => Value::Bool(false),
        DataType::Utf8 => Value::Text(String::new()),
        DataType::Float32 | DataType::Float64 => Value::Real(0.0),
        DataType::List(_) => Value::List(Vec::new()),
        _ => Value::Int(0),
    }
}

fn parse(data_type: &DataType, text: &str) -> Value {
    if text == "\\N" {
        return Value::Null;
    }
    match data_type {
        DataType::Boolean => Value::Bool(text == "t"),
        DataType::Utf8 => Value::Text(text.to_owned()),
        DataType::Float32 | DataType::Float64 => text.parse().map_or(Value::Null, Value::Real),
        DataType::List(item) => {
            Value::List(text.split_whitespace().map(|part| parse(item.data_type(), part)).collect())
        }
        _ => text.parse().map_or(Value::Null, Value::Int),
    }
}

fn array(data_type: &DataType, values: &[Value]) -> ArrayRef {
    match data_type {
        DataType::Boolean => Arc::new(values.iter().map(Value::bool).collect::<BooleanArray>()),
        DataType::Int16 => Arc::new(values.iter().map(Value::int).collect::<Int16Array>()),
        DataType::Int32 => Arc::new(values.iter().map(Value::int).collect::<Int32Array>()),
        DataType::Int64 => Arc::new(values.iter().map(Value::int).collect::<Int64Array>()),
        DataType::UInt32 => Arc::new(values.iter().map(Value::int).collect::<UInt32Array>()),
        DataType::Float32 => Arc::new(values.iter().map(Value::real32).collect::<Float32Array>()),
        DataType::Float64 => Arc::new(values.iter().map(Value::real).collect::<Float64Array>()),
        DataType::Utf8 => Arc::new(values.iter().map(Value::text).collect::<StringArray>()),
        DataType::Binary => {
            let bytes = values.iter().map(|v| v.text().map(str::as_bytes));
            Arc::new(bytes.collect::<BinaryArray>())
        }
        DataType::Timestamp(_, zone) => {
            let times = values.iter().map(Value::int).collect::<TimestampMicrosecondArray>();
            Arc::new(times.with_timezone_opt(zone.clone()))
        }
        DataType::Interval(_) => Arc::new(IntervalMonthDayNanoArray::new_null(values.len())),
        DataType::Decimal128(precision, scale) => {
            let numbers = values.iter().map(|v| v.int().map(|i: i64| i128::from(i)));
            let numbers = numbers.collect::<Decimal128Array>();
            let typed = numbers.clone().with_precision_and_scale(*precision, *scale);
            Arc::new(typed.unwrap_or(numbers))
        }
        DataType::List(item) => Arc::new(list_array(item, values)),
        other => new_empty_array(other),
    }
}

fn list_array(item: &FieldRef, values: &[Value]) -> ListArray {
    let lists = values.iter().map(|v| match v {
        Value::List(items) => Some(items.as_slice()),
        _ => None,
    });
    let flat: Vec<Value> = lists.clone().flatten().flatten().cloned().collect();
    let lengths = lists.clone().map(|l| l.map_or(0, <[Value]>::len));
    let nulls: NullBuffer = lists.map(|l| l.is_some()).collect();
    let child = array(item.data_type(), &flat);
    ListArray::new(Arc::clone(item), OffsetBuffer::from_lengths(lengths), child, Some(nulls))
}

impl Value {
    fn bool(&self) -> Option<bool> {
        if let Self::Bool(b) = self { Some(*b) } else { None }
    }

    fn int<T: TryFrom<i64>>(&self) -> Option<T> {
        if let Self::Int(i) = self { T::try_from(*i).ok() } else { None }
    }

    fn real(&self) -> Option<f64> {
        if let Self::Real(r) = self { Some(*r) } else { None }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the column is float4")]
    fn real32(&self) -> Option<f32> {
        self.real().map(|r| r as f32)
    }

    fn text(&self) -> Option<&str> {
        if let Self::Text(t) = self { Some(t) } else { None }
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<i16> for Value {
    fn from(i: i16) -> Self {
        Self::Int(i.into())
    }
}

impl From<i32> for Value {
    fn from(i: i32) -> Self {
        Self::Int(i.into())
    }
}

impl From<i64> for Value {
    fn from(i: i64) -> Self {
        Self::Int(i)
    }
}

impl From<u32> for Value {
    fn from(i: u32) -> Self {
        Self::Int(i.into())
    }
}

impl From<&str> for Value {
    fn from(t: &str) -> Self {
        Self::Text(t.to_owned())
    }
}

impl From<String> for Value {
    fn from(t: String) -> Self {
        Self::Text(t)
    }
}

impl From<&String> for Value {
    fn from(t: &String) -> Self {
        Self::Text(t.clone())
    }
}

impl From<char> for Value {
    fn from(c: char) -> Self {
        Self::Text(c.to_string())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(o: Option<T>) -> Self {
        o.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}
