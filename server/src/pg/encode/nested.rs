//! Arrays and records.
//!
//! ```text
//! array, text      {1,NULL,"a b"}            nested: {{1,2},{3,4}}
//! array, binary    dimensions, has-nulls flag, element OID, (length, lower bound) per dimension, elements
//! record, text     (1,,"a b")                an absent field is null
//! record, binary   field count, then (OID, length, value) per field
//! ```
//! In binary an array of arrays is one array of several dimensions and must be rectangular.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use bytes::{BufMut, BytesMut};
use postgres_types::Type;

use crate::pg::decode::list;
use crate::pg::encode::{Column, Error, Format, Put, Result, scalar, text};
use crate::pg::types;

/// Where the elements of each row lie in the array of all elements.
type Spans = Arc<dyn Fn(usize) -> Range<usize> + Send + Sync>;

/// The elements of a column of arrays.
enum Elements {
    /// Plain values.
    Leaf(Column),
    /// Arrays again.
    Arrays(Box<ListColumn>),
}

/// A column of arrays.
struct ListColumn {
    spans: Spans,
    element: Type,
    elements: Elements,
    nulls: Option<arrow::buffer::NullBuffer>,
}

/// The writer of a column of arrays.
pub(super) fn list(array: &ArrayRef, ty: &Type, format: Format) -> Put {
    let column = ListColumn::new(array, ty, format);
    let vector = matches!(*ty, Type::INT2_VECTOR | Type::OID_VECTOR);
    match format {
        Format::Text if vector => Box::new(move |row, out| column.vector(row, out)),
        Format::Text => Box::new(move |row, out| column.text(row, out)),
        Format::Binary => {
            let lower_bound = i32::from(!vector);
            Box::new(move |row, out| column.binary(row, lower_bound, out))
        }
    }
}

impl ListColumn {
    fn new(array: &ArrayRef, ty: &Type, format: Format) -> Self {
        let (values, spans) = parts(array);
        let element = types::element_of(ty).unwrap_or(Type::TEXT);
        let elements = if is_list(values.data_type()) {
            Elements::Arrays(Box::new(Self::new(&values, ty, format)))
        } else {
            Elements::Leaf(Column::typed(&values, &element, format))
        };
        Self { spans, element, elements, nulls: array.logical_nulls() }
    }

    fn text(&self, row: usize, out: &mut BytesMut) -> Result<()> {
        let mut cell = BytesMut::new();
        out.put_u8(b'{');
        for (at, index) in (self.spans)(row).enumerate() {
            if at > 0 {
                out.put_u8(b',');
            }
            match &self.elements {
                Elements::Leaf(column) if column.is_null(index) => out.put_slice(b"NULL"),
                Elements::Leaf(column) => {
                    cell.clear();
                    column.put(index, &mut cell)?;
                    text::array_element(&cell, out);
                }
                Elements::Arrays(inner) if inner.is_null(index) => out.put_slice(b"NULL"),
                Elements::Arrays(inner) => inner.text(index, out)?,
            }
        }
        out.put_u8(b'}');
        Ok(())
    }

    /// `int2vector` and `oidvector` are numbers between blanks.
    fn vector(&self, row: usize, out: &mut BytesMut) -> Result<()> {
        for (at, index) in (self.spans)(row).enumerate() {
            if at > 0 {
                out.put_u8(b' ');
            }
            if let Elements::Leaf(column) = &self.elements {
                column.put(index, out)?;
            }
        }
        Ok(())
    }

    fn binary(&self, row: usize, lower_bound: i32, out: &mut BytesMut) -> Result<()> {
        let mut dimensions = Vec::new();
        self.measure(&[row], &mut dimensions)?;
        let empty = dimensions.contains(&0);
        let mut body = BytesMut::new();
        let mut has_nulls = false;
        if !empty {
            self.collect(row, &mut has_nulls, &mut body)?;
        }
        let long = |n: usize| i32::try_from(n).map_err(|_too_long| Error::TooLong(n));
        out.put_i32(if empty { 0 } else { long(dimensions.len())? });
        out.put_i32(i32::from(has_nulls));
        out.put_u32(self.element.oid());
        if !empty {
            for dimension in &dimensions {
                out.put_i32(long(*dimension)?);
                out.put_i32(lower_bound);
            }
        }
        out.put_slice(&body);
        Ok(())
    }

    /// Appends the length shared by these rows' arrays, and the lengths of what is inside them.
    fn measure(&self, rows: &[usize], dimensions: &mut Vec<usize>) -> Result<()> {
        let mut inside = Vec::new();
        let mut length = None;
        for row in rows {
            let span = if self.is_null(*row) { 0..0 } else { (self.spans)(*row) };
            if *length.get_or_insert(span.len()) != span.len() {
                return Err(Error::Ragged);
            }
            inside.extend(span);
        }
        dimensions.push(length.unwrap_or(0));
        match &self.elements {
            Elements::Arrays(inner) if !inside.is_empty() => inner.measure(&inside, dimensions),
            _ => Ok(()),
        }
    }

    fn collect(&self, row: usize, has_nulls: &mut bool, out: &mut BytesMut) -> Result<()> {
        for index in (self.spans)(row) {
            match &self.elements {
                Elements::Leaf(column) => {
                    *has_nulls |= column.is_null(index);
                    column.put_with_length(index, out)?;
                }
                Elements::Arrays(inner) => inner.collect(index, has_nulls, out)?,
            }
        }
        Ok(())
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }
}

fn is_list(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::List(_)
            | DataType::LargeList(_)
            | DataType::ListView(_)
            | DataType::LargeListView(_)
            | DataType::FixedSizeList(..)
    )
}

/// All elements of a column of arrays, and where each row's lie.
pub(super) fn parts(array: &ArrayRef) -> (ArrayRef, Spans) {
    let index = |offset: i64| usize::try_from(offset).unwrap_or(0);
    match array.data_type() {
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let offsets = lists.offsets().clone();
            let spans = move |row: usize| {
                index(i64::from(offsets[row]))..index(i64::from(offsets[row + 1]))
            };
            (Arc::clone(lists.values()), Arc::new(spans))
        }
        DataType::LargeList(_) => {
            let lists = array.as_list::<i64>();
            let offsets = lists.offsets().clone();
            let spans = move |row: usize| index(offsets[row])..index(offsets[row + 1]);
            (Arc::clone(lists.values()), Arc::new(spans))
        }
        DataType::ListView(_) => {
            let lists = array.as_list_view::<i32>();
            let (offsets, sizes) = (lists.offsets().clone(), lists.sizes().clone());
            let spans = move |row: usize| {
                let start = index(i64::from(offsets[row]));
                start..start + index(i64::from(sizes[row]))
            };
            (Arc::clone(lists.values()), Arc::new(spans))
        }
        DataType::LargeListView(_) => {
            let lists = array.as_list_view::<i64>();
            let (offsets, sizes) = (lists.offsets().clone(), lists.sizes().clone());
            let spans = move |row: usize| {
                let start = index(offsets[row]);
                start..start + index(sizes[row])
            };
            (Arc::clone(lists.values()), Arc::new(spans))
        }
        _ => {
            let lists = array.as_fixed_size_list();
            let width = usize::try_from(lists.value_length()).unwrap_or(0);
            let spans = move |row: usize| row * width..(row + 1) * width;
            (Arc::clone(lists.values()), Arc::new(spans))
        }
    }
}

/// Writes the binary form of an array given as text: `1 2` for the vector types, else an array
/// literal.
pub(super) fn literal(value: &str, ty: &Type, out: &mut BytesMut) -> Result<()> {
    let vector = matches!(*ty, Type::INT2_VECTOR | Type::OID_VECTOR);
    let elements = if vector {
        value.split_whitespace().map(|word| Some(word.to_owned())).collect()
    } else {
        list::literal(value).map_err(|_malformed| Error::Malformed)?
    };
    let element = types::element_of(ty).unwrap_or(Type::TEXT);
    let width = scalar::width(&element);
    let long = |n: usize| i32::try_from(n).map_err(|_too_long| Error::TooLong(n));
    out.put_i32(i32::from(!elements.is_empty()));
    out.put_i32(i32::from(elements.contains(&None)));
    out.put_u32(element.oid());
    if !elements.is_empty() {
        out.put_i32(long(elements.len())?);
        out.put_i32(i32::from(!vector));
    }
    for text in &elements {
        match (text, width) {
            (None, _) => out.put_i32(-1),
            (Some(text), None) => {
                out.put_i32(long(text.len())?);
                out.put_slice(text.as_bytes());
            }
            (Some(text), Some(width)) => {
                let number: i64 = text.parse().map_err(|_unreadable| Error::Malformed)?;
                out.put_i32(long(width)?);
                out.put_slice(&number.to_be_bytes()[8 - width..]);
            }
        }
    }
    Ok(())
}

/// The writer of a column of records.
pub(super) fn record(array: &ArrayRef, format: Format) -> Put {
    let records = array.as_struct();
    let fields: Vec<(Type, Column)> = records
        .fields()
        .iter()
        .zip(records.columns())
        .map(|(field, column)| {
            let ty = types::of_field(field);
            let column = Column::new(column, field, format);
            (ty, column)
        })
        .collect();
    match format {
        Format::Text => Box::new(move |row, out| record_text(&fields, row, out)),
        Format::Binary => Box::new(move |row, out| record_binary(&fields, row, out)),
    }
}

fn record_text(fields: &[(Type, Column)], row: usize, out: &mut BytesMut) -> Result<()> {
    let mut cell = BytesMut::new();
    out.put_u8(b'(');
    for (at, (_, column)) in fields.iter().enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        if !column.is_null(row) {
            cell.clear();
            column.put(row, &mut cell)?;
            text::record_field(&cell, out);
        }
    }
    out.put_u8(b')');
    Ok(())
}

fn record_binary(fields: &[(Type, Column)], row: usize, out: &mut BytesMut) -> Result<()> {
    out.put_i32(i32::try_from(fields.len()).map_err(|_too_long| Error::TooLong(fields.len()))?);
    for (ty, column) in fields {
        out.put_u32(ty.oid());
        column.put_with_length(row, out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_in_text_become_arrays_from_zero() {
        let mut out = BytesMut::new();
        literal("1 2", &Type::INT2_VECTOR, &mut out).expect("numbers");
        let words: Vec<u8> =
            [1, 0, 21, 2, 0, 2].iter().flat_map(|w: &i32| w.to_be_bytes()).collect();
        assert_eq!(out[..24], words, "header and first length");
        assert_eq!(out[24..], [0, 1, 0, 0, 0, 2, 0, 2], "numbers of two bytes");
    }
}
