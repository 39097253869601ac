//! Arrow columns to PostgreSQL values.
//!
//! [`Column::new`] looks at a column's type once and returns a writer for its cells; writing a row then costs
//! one indirect call per cell. `text` holds the value formats of the text protocol, `binary` those of the
//! binary protocol, `nested` arrays and records in both, `json` what only JSON can show (maps, unions).

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
        let ty = match types::of_field(field) {
            // A declared type that the column's own type does not fit is ignored for the binary form.
            ty if format == Format::Binary && !scalar::fits(array.data_type(), &ty) => {
                types::of(array.data_type())
            }
            ty => ty,
        };
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

    /// Writes the cell of a row as the protocol wants it: its length, or -1 for null, and the value.
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
