//! Arrays of one dimension, as array literals (`{1,NULL,"a b"}`) and in binary form.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::FieldRef;
use bytes::Buf;
use postgres_types::Type;

use crate::pg::decode::{self, Builder, Result, binary};
use crate::pg::types;
use crate::sqlstate::Report;

/// A builder of arrays.
struct Lists {
    item: FieldRef,
    elements: Box<dyn Builder>,
    lengths: Vec<usize>,
    valid: Vec<bool>,
}

/// A builder of arrays of `item`, from values of an array type.
pub(super) fn builder(item: &FieldRef, oid: u32) -> Result<Box<dyn Builder>> {
    let element = Type::from_oid(oid).and_then(|ty| types::element_of(&ty));
    let elements = decode::builder(item.data_type(), element.map_or(0, |ty| ty.oid()))?;
    let item = Arc::clone(item);
    Ok(Box::new(Lists { item, elements, lengths: Vec::new(), valid: Vec::new() }))
}

impl Builder for Lists {
    fn text(&mut self, value: &str) -> Result<()> {
        let elements = literal(value)?;
        for element in &elements {
            match element {
                None => self.elements.null(),
                Some(text) => self.elements.text(text)?,
            }
        }
        self.lengths.push(elements.len());
        self.valid.push(true);
        Ok(())
    }

    fn binary(&mut self, mut value: &[u8]) -> Result<()> {
        let short = |_short| binary::wrong();
        let dimensions = value.try_get_i32().map_err(short)?;
        let _has_nulls = value.try_get_i32().map_err(short)?;
        let _element = value.try_get_u32().map_err(short)?;
        let count = match dimensions {
            0 => 0,
            1 => {
                let count = value.try_get_i32().map_err(short)?;
                let _lower_bound = value.try_get_i32().map_err(short)?;
                // Each element has at least its length.
                let count = usize::try_from(count).map_err(|_negative| binary::wrong())?;
                if count > value.len() / 4 {
                    return Err(binary::wrong());
                }
                count
            }
            _ => return Err(one_dimension()),
        };
        for _ in 0..count {
            let length = value.try_get_i32().map_err(short)?;
            if length == -1 {
                self.elements.null();
                continue;
            }
            let length = usize::try_from(length).map_err(|_negative| binary::wrong())?;
            let (element, rest) = value.split_at_checked(length).ok_or_else(binary::wrong)?;
            self.elements.binary(element)?;
            value = rest;
        }
        self.lengths.push(count);
        self.valid.push(true);
        Ok(())
    }

    fn null(&mut self) {
        self.lengths.push(0);
        self.valid.push(false);
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let offsets = OffsetBuffer::from_lengths(std::mem::take(&mut self.lengths));
        let nulls = NullBuffer::from(std::mem::take(&mut self.valid));
        let elements = self.elements.finish()?;
        let lists = ListArray::try_new(Arc::clone(&self.item), offsets, elements, Some(nulls))?;
        Ok(Arc::new(lists))
    }
}

fn one_dimension() -> Report {
    Report::error("0A000", "arrays of more than one dimension cannot be sent to the server")
}

/// The elements of an array literal; `None` is null.
///
/// # Errors
/// When it is no literal (22P02) or has more than one dimension (0A000).
pub(crate) fn literal(value: &str) -> Result<Vec<Option<String>>> {
    let malformed = || Report::error("22P02", format!("malformed array literal: \"{value}\""));
    let inside = value
        .trim()
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .ok_or_else(malformed)?;
    if inside.trim().is_empty() {
        return Ok(Vec::new());
    }
    let mut elements = Vec::new();
    let mut characters = inside.chars().peekable();
    loop {
        while characters.next_if(char::is_ascii_whitespace).is_some() {}
        let mut element = String::new();
        let quoted = characters.next_if_eq(&'"').is_some();
        loop {
            match characters.peek() {
                Some('"') if quoted => break,
                Some(',') | None if !quoted => break,
                None => return Err(malformed()),
                Some('{' | '}') if !quoted => return Err(one_dimension()),
                Some(_) => {}
            }
            match characters.next() {
                Some('\\') => element.push(characters.next().ok_or_else(malformed)?),
                Some(character) => element.push(character),
                None => return Err(malformed()),
            }
        }
        if quoted {
            characters.next();
            while characters.next_if(char::is_ascii_whitespace).is_some() {}
            elements.push(Some(element));
        } else {
            let bare = element.trim_end();
            if bare.is_empty() {
                return Err(malformed());
            }
            elements.push((!bare.eq_ignore_ascii_case("null")).then(|| bare.to_owned()));
        }
        match characters.next() {
            None => return Ok(elements),
            Some(',') => {}
            Some(_) => return Err(malformed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_have_quotes_escapes_and_nulls() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            literal(r#"{1, NULL ,"a \"b\"","null"}"#).ok(),
            Some(vec![some("1"), None, some("a \"b\""), some("null")]),
            "all forms"
        );
        assert_eq!(literal("{}").ok(), Some(Vec::new()), "empty");
        for wrong in ["1,2", "{1,}", "{\"a}", "{\"a\"b}"] {
            assert_eq!(literal(wrong).map_err(|e| e.sqlstate), Err("22P02"), "{wrong}");
        }
        assert_eq!(literal("{{1},{2}}").map_err(|e| e.sqlstate), Err("0A000"), "dimensions");
    }
}
