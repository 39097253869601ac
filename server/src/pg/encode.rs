//! Arrow columns to PostgreSQL values.
//!
//! [`Column::new`] looks at a column's type once and returns a writer for its cells; writing a row
//! then costs one indirect call per cell. `text` holds the value formats of the text protocol,
//! `binary` those of the binary protocol, `nested` arrays and records in both, `json` what only
//! JSON can show (maps, unions).

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, Int16Type, Int32Type, Int64Type, RunEndIndexType,
};
use bytes::{BufMut, BytesMut};
use postgres_types::Type;

use crate::pg::types;

pub(crate) mod binary;
pub(crate) mod json;
mod nested;
mod scalar;
pub(crate) mod text;

/// Why a value has no PostgreSQL form.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// A time, date or interval outside PostgreSQL's range (22008).
    #[error("{0} out of range")]
    OutOfRange(&'static str),
    /// An array of arrays of unequal length has no binary form (2202E).
    #[error("multidimensional arrays must have sub-arrays with matching dimensions")]
    Ragged,
    /// Text that is declared as an array but is none (22P02).
    #[error("malformed array literal")]
    Malformed,
    /// A value longer than a message may be (54000).
    #[error("value of {0} bytes is too long to send")]
    TooLong(usize),
}

/// Result of encoding.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Writes the cell of a row, which is not null.
pub(crate) type Put = Box<dyn Fn(usize, &mut BytesMut) -> Result<()> + Send + Sync>;

/// The protocol's two forms of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// As in SQL.
    Text,
    /// As in PostgreSQL's memory, in network byte order.
    Binary,
}

impl Format {
    /// The format code on the wire.
    pub(crate) fn code(self) -> i16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }
}

/// A column ready to be written cell by cell.
pub(crate) struct Column {
    nulls: Option<NullBuffer>,
    put: Put,
}

impl Column {
    /// Prepares a column of a result.
    pub(crate) fn new(array: &ArrayRef, field: &Field, format: Format) -> Self {
        let ty = sent_type(array.data_type(), field, format);
        Self::typed(array, &ty, format)
    }

    /// Prepares a column as values of a PostgreSQL type.
    fn typed(array: &ArrayRef, ty: &Type, format: Format) -> Self {
        Self { nulls: array.logical_nulls(), put: put(array, ty, format) }
    }

    /// Whether the cell of a row is null.
    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Writes the cell of a row without its length; it must not be null.
    ///
    /// # Errors
    /// When PostgreSQL has no form for the value.
    pub(crate) fn put(&self, row: usize, out: &mut BytesMut) -> Result<()> {
        (self.put)(row, out)
    }

    /// Writes the cell of a row as the protocol wants it: its length, or -1 for null, and the
    /// value.
    ///
    /// # Errors
    /// When PostgreSQL has no form for the value; `out` then holds an unfinished cell.
    pub(crate) fn put_with_length(&self, row: usize, out: &mut BytesMut) -> Result<()> {
        if self.is_null(row) {
            out.put_i32(-1);
            return Ok(());
        }
        with_length(out, |out| self.put(row, out))
    }
}

/// The PostgreSQL type a column is sent as. A declared type that the column's own type has no
/// binary form of holds for text only.
pub(crate) fn sent_type(data_type: &DataType, field: &Field, format: Format) -> Type {
    let declared = types::of_field(field);
    if format == Format::Binary && !scalar::fits(data_type, &declared) {
        return types::of(data_type);
    }
    declared
}

/// Writes a 4-byte length, which does not count itself, and what `body` writes.
pub(crate) fn with_length(
    out: &mut BytesMut,
    body: impl FnOnce(&mut BytesMut) -> Result<()>,
) -> Result<()> {
    let at = out.len();
    out.put_i32(0);
    body(out)?;
    let written = out.len() - at - 4;
    let length = i32::try_from(written).map_err(|_too_long| Error::TooLong(written))?;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// The writer of an array's cells.
fn put(array: &ArrayRef, ty: &Type, format: Format) -> Put {
    match array.data_type() {
        DataType::Dictionary(..) => dictionary(array, ty, format),
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => runs::<Int16Type>(array, ty, format),
            DataType::Int32 => runs::<Int32Type>(array, ty, format),
            _ => runs::<Int64Type>(array, ty, format),
        },
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::FixedSizeList(..) => nested::list(array, ty, format),
        DataType::Struct(_) => nested::record(array, format),
        DataType::Map(..) | DataType::Union(..) => json::put(array),
        _ => scalar::put(array, ty, format),
    }
}

fn dictionary(array: &ArrayRef, ty: &Type, format: Format) -> Put {
    let dictionary = array.as_any_dictionary();
    if dictionary.values().is_empty() {
        return Box::new(|_, _| Ok(()));
    }
    let keys = dictionary.normalized_keys();
    let values = put(dictionary.values(), ty, format);
    Box::new(move |row, out| values(keys[row], out))
}

fn runs<R: RunEndIndexType + ArrowPrimitiveType>(
    array: &ArrayRef,
    ty: &Type,
    format: Format,
) -> Put {
    let Some(runs) = array.as_run_opt::<R>().cloned() else {
        return Box::new(|_, _| Ok(()));
    };
    let values = put(runs.values(), ty, format);
    Box::new(move |row, out| values(runs.get_physical_index(row), out))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Array, Decimal256Array, DictionaryArray, FixedSizeListArray, Int32Array, ListArray,
        MapBuilder, NullArray, RunArray, StringArray, StringBuilder, StructArray,
        TimestampSecondArray, UInt32Array, UInt64Array,
    };
    use arrow::datatypes::{Int8Type, i256};

    use super::*;

    fn cells(array: impl Array + 'static, format: Format) -> Vec<Option<Vec<u8>>> {
        let array: ArrayRef = Arc::new(array);
        let field = Field::new("c", array.data_type().clone(), true);
        cells_of(&array, &field, format)
    }

    fn cells_of(array: &ArrayRef, field: &Field, format: Format) -> Vec<Option<Vec<u8>>> {
        let column = Column::new(array, field, format);
        (0..array.len())
            .map(|row| {
                let mut out = BytesMut::new();
                column.put(row, &mut out).expect("a value PostgreSQL has");
                (!column.is_null(row)).then(|| out.to_vec())
            })
            .collect()
    }

    fn texts(array: impl Array + 'static) -> Vec<Option<String>> {
        cells(array, Format::Text)
            .into_iter()
            .map(|cell| cell.map(|bytes| String::from_utf8(bytes).expect("text")))
            .collect()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn indirect_columns_show_their_values() {
        let words: DictionaryArray<Int8Type> = [Some("a"), None, Some("b")].into_iter().collect();
        assert_eq!(texts(words), [some("a"), None, some("b")], "dictionary");
        let runs: RunArray<Int32Type> =
            [Some("a"), Some("a"), None, Some("b")].into_iter().collect();
        let sliced = runs.slice(1, 3);
        assert_eq!(texts(sliced), [some("a"), None, some("b")], "runs, sliced");
        assert_eq!(texts(NullArray::new(2)), [None, None], "nulls");
    }

    #[test]
    fn wide_numbers_keep_their_digits() {
        assert_eq!(texts(UInt64Array::from(vec![u64::MAX])), [some("18446744073709551615")], "u64");
        let decimals = Decimal256Array::from(vec![i256::from_i128(-123_450)])
            .with_precision_and_scale(60, 3)
            .expect("valid");
        assert_eq!(texts(decimals), [some("-123.450")], "decimal");
        let moment = TimestampSecondArray::from(vec![i64::MAX]);
        let field = Field::new("c", moment.data_type().clone(), true);
        let column = Column::new(&(Arc::new(moment) as ArrayRef), &field, Format::Text);
        assert!(column.put(0, &mut BytesMut::new()).is_err(), "beyond PostgreSQL's calendar");
    }

    #[test]
    fn an_oid_keeps_its_upper_half() {
        let oids: ArrayRef = Arc::new(UInt32Array::from(vec![4_000_000_000]));
        let field = Field::new("oid", DataType::UInt32, false)
            .with_metadata([(types::PG_TYPE.to_owned(), "oid".to_owned())].into());
        assert_eq!(
            cells_of(&oids, &field, Format::Binary),
            [Some(4_000_000_000_u32.to_be_bytes().to_vec())],
            "four bytes"
        );
    }

    #[test]
    fn arrays_and_records_nest() {
        let inner = Int32Array::from(vec![Some(1), None, Some(3), Some(4)]);
        let field = Arc::new(Field::new_list_field(DataType::Int32, true));
        let pairs = FixedSizeListArray::new(field, 2, Arc::new(inner), None);
        assert_eq!(texts(pairs.clone()), [some("{1,NULL}"), some("{3,4}")], "pairs");
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([2]);
        let field = Arc::new(Field::new_list_field(pairs.data_type().clone(), true));
        let matrix = ListArray::new(field, offsets, Arc::new(pairs), None);
        assert_eq!(texts(matrix.clone()), [some("{{1,NULL},{3,4}}")], "matrix");
        let binary = cells(matrix, Format::Binary).remove(0).expect("a value");
        let header: Vec<i32> = binary[..28]
            .chunks_exact(4)
            .map(|word| i32::from_be_bytes([word[0], word[1], word[2], word[3]]))
            .collect();
        assert_eq!(header, [2, 1, 23, 2, 1, 2, 1], "two dimensions of two, with nulls");
        let record = StructArray::from(vec![
            (
                Arc::new(Field::new("a", DataType::Int32, true)),
                Arc::new(Int32Array::from(vec![None, Some(2)])) as ArrayRef,
            ),
            (
                Arc::new(Field::new("b", DataType::Utf8, true)),
                Arc::new(StringArray::from(vec!["x y", ""])) as ArrayRef,
            ),
        ]);
        assert_eq!(texts(record), [some("(,\"x y\")"), some("(2,\"\")")], "records");
    }

    #[test]
    fn ragged_arrays_have_a_text_form_only() {
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1)]),
            Some(vec![Some(2), Some(3)]),
        ]);
        let field = Arc::new(Field::new_list_field(lists.data_type().clone(), true));
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([2]);
        let ragged: ArrayRef = Arc::new(ListArray::new(field, offsets, Arc::new(lists), None));
        let field = Field::new("c", ragged.data_type().clone(), true);
        let mut out = BytesMut::new();
        Column::new(&ragged, &field, Format::Text).put(0, &mut out).expect("text");
        assert_eq!(&out[..], b"{{1},{2,3}}", "text");
        let binary = Column::new(&ragged, &field, Format::Binary).put(0, &mut out);
        assert!(matches!(binary, Err(Error::Ragged)), "binary");
    }

    #[test]
    fn maps_are_json() {
        let mut builder = MapBuilder::new(None, StringBuilder::new(), Int32Array::builder(2));
        builder.keys().append_value("a\"b");
        builder.values().append_value(1);
        builder.keys().append_value("c");
        builder.values().append_null();
        builder.append(true).expect("as many keys as values");
        assert_eq!(texts(builder.finish()), [some("{\"a\\\"b\":1,\"c\":null}")], "map");
    }
}
