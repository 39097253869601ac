//! JSON text of any value: the form of maps and unions on the wire, and of the shell's `--json`.
//!
//! Numbers and booleans stand bare, as do lists, records and maps of them; NaN, the infinities,
//! decimals beyond a double and everything else are strings in their PostgreSQL text form.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use bytes::{BufMut, BytesMut};

use crate::pg::encode::{Format, Put, nested, put as put_plain, text};
use crate::pg::types;

/// The writer of a column's cells as JSON; nulls included.
pub(crate) fn put(array: &ArrayRef) -> Put {
    let value = put_value(array);
    match array.logical_nulls() {
        None => value,
        Some(nulls) => Box::new(move |row, out| {
            if nulls.is_null(row) {
                out.put_slice(b"null");
                return Ok(());
            }
            value(row, out)
        }),
    }
}

fn put_value(array: &ArrayRef) -> Put {
    match array.data_type() {
        DataType::Boolean => {
            let array = array.as_boolean().clone();
            Box::new(move |row, out| {
                out.put_slice(if array.value(row) { b"true" } else { b"false" });
                Ok(())
            })
        }
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::FixedSizeList(..) => list(array),
        DataType::Struct(_) => record(array),
        DataType::Map(..) => map(array),
        DataType::Union(..) => {
            let array = array.as_union().clone();
            Box::new(move |row, out| {
                let child: ArrayRef = array.value(row);
                put(&child)(0, out)
            })
        }
        data_type => plain(array, data_type.is_numeric()),
    }
}

/// A value without inner values, quoted unless it is a number that JSON knows.
fn plain(array: &ArrayRef, is_number: bool) -> Put {
    let inner = put_plain(array, &types::of(array.data_type()), Format::Text);
    Box::new(move |row, out| {
        let mut cell = BytesMut::new();
        inner(row, &mut cell)?;
        if is_number && cell.iter().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e')) {
            out.put_slice(&cell);
        } else {
            quote(&cell, out);
        }
        Ok(())
    })
}

fn list(array: &ArrayRef) -> Put {
    let (values, spans) = nested::parts(array);
    let value = put(&values);
    Box::new(move |row, out| {
        out.put_u8(b'[');
        for (at, index) in spans(row).enumerate() {
            if at > 0 {
                out.put_u8(b',');
            }
            value(index, out)?;
        }
        out.put_u8(b']');
        Ok(())
    })
}

fn record(array: &ArrayRef) -> Put {
    let records = array.as_struct();
    let fields: Vec<(String, Put)> = records
        .fields()
        .iter()
        .zip(records.columns())
        .map(|(field, column)| (field.name().clone(), put(column)))
        .collect();
    Box::new(move |row, out| {
        out.put_u8(b'{');
        for (at, (name, value)) in fields.iter().enumerate() {
            if at > 0 {
                out.put_u8(b',');
            }
            quote(name.as_bytes(), out);
            out.put_u8(b':');
            value(row, out)?;
        }
        out.put_u8(b'}');
        Ok(())
    })
}

fn map(array: &ArrayRef) -> Put {
    let maps = array.as_map();
    let offsets = maps.offsets().clone();
    let key = put_plain(maps.keys(), &types::of(maps.keys().data_type()), Format::Text);
    let value = put(&Arc::clone(maps.values()));
    Box::new(move |row, out| {
        let span = usize::try_from(offsets[row]).unwrap_or(0)
            ..usize::try_from(offsets[row + 1]).unwrap_or(0);
        out.put_u8(b'{');
        for (at, index) in span.enumerate() {
            if at > 0 {
                out.put_u8(b',');
            }
            let mut name = BytesMut::new();
            key(index, &mut name)?;
            quote(&name, out);
            out.put_u8(b':');
            value(index, out)?;
        }
        out.put_u8(b'}');
        Ok(())
    })
}

/// Writes UTF-8 text as a JSON string.
pub(crate) fn quote(value: &[u8], out: &mut BytesMut) {
    out.put_u8(b'"');
    for byte in value {
        match byte {
            b'"' | b'\\' => out.put_slice(&[b'\\', *byte]),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            0..0x20 => text::push(out, format_args!("\\u{byte:04x}")),
            _ => out.put_u8(*byte),
        }
    }
    out.put_u8(b'"');
}
