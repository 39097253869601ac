//! One argument or result of a function, between Arrow and Rust.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray,
    StringArray, StructArray, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, FieldRef, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::Result;

/// A value of any type that the functions deal in.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Real(f64),
    Text(String),
    List(Vec<Cell>),
    Row(Vec<(String, Cell)>),
}

impl Cell {
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Null | Self::List(_) | Self::Row(_) => None,
            Self::Bool(b) => Some(if *b { "true" } else { "false" }.to_owned()),
            Self::Int(i) => Some(i.to_string()),
            Self::Real(r) => Some(r.to_string()),
            Self::Text(t) => Some(t.clone()),
        }
    }

    pub(super) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(i) => Some(*i),
            Self::Text(t) => t.trim().parse().ok(),
            Self::Null | Self::Bool(_) | Self::Real(_) | Self::List(_) | Self::Row(_) => None,
        }
    }

    pub(super) fn oid(&self) -> Option<u32> {
        self.int().and_then(|i| u32::try_from(i).ok())
    }

    pub(super) fn bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            Self::Text(t) => match t.as_str() {
                "t" | "true" | "on" | "1" => Some(true),
                "f" | "false" | "off" | "0" => Some(false),
                _ => None,
            },
            Self::Null | Self::Int(_) | Self::Real(_) | Self::List(_) | Self::Row(_) => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Cell]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }
}

impl From<bool> for Cell {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<i64> for Cell {
    fn from(i: i64) -> Self {
        Self::Int(i)
    }
}

impl From<i32> for Cell {
    fn from(i: i32) -> Self {
        Self::Int(i.into())
    }
}

impl From<u32> for Cell {
    fn from(i: u32) -> Self {
        Self::Int(i.into())
    }
}

impl From<&str> for Cell {
    fn from(t: &str) -> Self {
        Self::Text(t.to_owned())
    }
}

impl From<String> for Cell {
    fn from(t: String) -> Self {
        Self::Text(t)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(o: Option<T>) -> Self {
        o.map_or(Self::Null, Into::into)
    }
}

/// The rows of an array as cells.
pub(super) fn cells(array: &ArrayRef) -> Result<Vec<Cell>> {
    let with_nulls = |values: Vec<Cell>| {
        let nulls = array.logical_nulls();
        let is_null = |i| nulls.as_ref().is_some_and(|n: &NullBuffer| n.is_null(i));
        let pairs = values.into_iter().enumerate();
        pairs.map(|(i, v)| if is_null(i) { Cell::Null } else { v }).collect()
    };
    let values = match array.data_type() {
        DataType::Null => vec![Cell::Null; array.len()],
        DataType::Boolean => {
            array.as_boolean().iter().map(|b| b.unwrap_or_default().into()).collect()
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let real = cast(array, &DataType::Float64)?;
            real.as_primitive::<Float64Type>().values().iter().map(|r| Cell::Real(*r)).collect()
        }
        t if t.is_integer() => {
            let int = cast(array, &DataType::Int64)?;
            int.as_primitive::<Int64Type>().values().iter().map(|i| Cell::Int(*i)).collect()
        }
        DataType::Timestamp(_, zone) => {
            let target = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
            let time = cast(array, &target)?;
            let micros = time.as_primitive::<TimestampMicrosecondType>().values();
            micros.iter().map(|i| Cell::Int(*i)).collect()
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => {
            list_cells(array)?
        }
        DataType::Struct(fields) => {
            let row = array.as_struct();
            let columns: Vec<Vec<Cell>> = row.columns().iter().map(cells).collect::<Result<_>>()?;
            let names: Vec<&String> = fields.iter().map(|f| f.name()).collect();
            (0..array.len())
                .map(|i| {
                    let values =
                        names.iter().zip(&columns).map(|(n, c)| ((*n).clone(), c[i].clone()));
                    Cell::Row(values.collect())
                })
                .collect()
        }
        _ => {
            let text = cast(array, &DataType::Utf8)?;
            text.as_string::<i32>().iter().map(|t| t.unwrap_or_default().into()).collect()
        }
    };
    Ok(with_nulls(values))
}

fn list_cells(array: &ArrayRef) -> Result<Vec<Cell>> {
    let (DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)) =
        array.data_type()
    else {
        return Ok(vec![Cell::Null; array.len()]);
    };
    let plain = cast(array, &DataType::List(Arc::clone(item)))?;
    let lists = plain.as_list::<i32>();
    let rows = (0..lists.len()).map(|i| {
        if lists.is_null(i) { Ok(Cell::Null) } else { cells(&lists.value(i)).map(Cell::List) }
    });
    rows.collect()
}

/// An array of the given type from cells; a cell that does not fit is NULL.
pub(super) fn array(data_type: &DataType, cells: &[Cell]) -> Result<ArrayRef> {
    let array: ArrayRef = match data_type {
        DataType::Boolean => Arc::new(cells.iter().map(Cell::bool).collect::<BooleanArray>()),
        DataType::Int32 => {
            let ints = cells.iter().map(|c| c.int().and_then(|i| i32::try_from(i).ok()));
            Arc::new(ints.collect::<Int32Array>())
        }
        DataType::Int64 => Arc::new(cells.iter().map(Cell::int).collect::<Int64Array>()),
        DataType::UInt32 => Arc::new(cells.iter().map(Cell::oid).collect::<UInt32Array>()),
        DataType::Float64 => {
            let reals = cells.iter().map(|c| if let Cell::Real(r) = c { Some(*r) } else { None });
            Arc::new(reals.collect::<Float64Array>())
        }
        DataType::Utf8 => Arc::new(cells.iter().map(Cell::text).collect::<StringArray>()),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let times = cells.iter().map(Cell::int).collect::<TimestampMicrosecondArray>();
            Arc::new(times.with_timezone_opt(zone.clone()))
        }
        DataType::List(item) => Arc::new(list_array(item, cells)?),
        DataType::Struct(fields) => {
            let mut columns = Vec::with_capacity(fields.len());
            for field in fields {
                let values: Vec<Cell> = cells.iter().map(|c| field_of(c, field)).collect();
                columns.push(array(field.data_type(), &values)?);
            }
            let nulls: NullBuffer = cells.iter().map(|c| *c != Cell::Null).collect();
            Arc::new(StructArray::try_new(fields.clone(), columns, Some(nulls))?)
        }
        DataType::Null => new_null_array(&DataType::Null, cells.len()),
        other => cast(&array(&DataType::Utf8, cells)?, other)?,
    };
    Ok(array)
}

fn list_array(item: &FieldRef, cells: &[Cell]) -> Result<ListArray> {
    let parsed: Vec<Cell> = cells.iter().map(parse_list).collect();
    let lists = parsed.iter().map(Cell::list);
    let flat: Vec<Cell> = lists.clone().flatten().flatten().cloned().collect();
    let lengths = lists.clone().map(|l| l.map_or(0, <[Cell]>::len));
    let nulls: NullBuffer = lists.map(|l| l.is_some()).collect();
    let child = array(item.data_type(), &flat)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(ListArray::try_new(Arc::clone(item), offsets, child, Some(nulls))?)
}

/// An array given as text, in `PostgreSQL`'s form.
fn parse_list(cell: &Cell) -> Cell {
    match cell {
        Cell::Text(text) => match array_texts(text) {
            Some(items) => Cell::List(items.into_iter().map(Cell::from).collect()),
            None => Cell::Null,
        },
        other => other.clone(),
    }
}

/// The items of an array in `PostgreSQL`'s text form, one level deep; `None` for other text.
pub(super) fn array_texts(literal: &str) -> Option<Vec<Option<String>>> {
    let inner = literal.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    let mut chars = inner.chars().peekable();
    if inner.trim().is_empty() {
        return Some(items);
    }
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let mut value = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => value.push(chars.next()?),
                    c => value.push(c),
                }
            }
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
            items.push(Some(value));
        } else {
            while let Some(c) = chars.next_if(|c| *c != ',') {
                if matches!(c, '{' | '}' | '"') {
                    return None;
                }
                value.push(c);
            }
            let value = value.trim();
            items.push((!value.eq_ignore_ascii_case("null")).then(|| value.to_owned()));
        }
        match chars.next() {
            None => return Some(items),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

fn field_of(cell: &Cell, field: &Field) -> Cell {
    match cell {
        Cell::Row(values) => values
            .iter()
            .find(|(name, _)| name == field.name())
            .map_or(Cell::Null, |(_, value)| value.clone()),
        _ => Cell::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::array_texts;

    fn items(literal: &str) -> Option<String> {
        array_texts(literal).map(|items| format!("{items:?}"))
    }

    #[test]
    fn array_literals_parse_as_in_postgresql() {
        assert_eq!(items("{}").as_deref(), Some("[]"));
        let plain = r#"[Some("a"), Some("b c"), None]"#;
        assert_eq!(items("{a, b c ,NULL}").as_deref(), Some(plain));
        let quoted = r#"[Some("x,\"y"), Some(""), Some("NULL")]"#;
        assert_eq!(items(r#"{"x,\"y","","NULL"}"#).as_deref(), Some(quoted));
        assert_eq!(items("a,b"), None);
        assert_eq!(items("{{1},{2}}"), None);
    }
}
