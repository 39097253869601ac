//! Messages a client sends, decoded strictly.
//!
//! pgwire's own decoders for these read past short bodies (a panic) and replace bytes that are not
//! UTF-8; here both are a [`Violation`]. Startup packets, whose decoders do neither, are left to
//! pgwire.

use bytes::{Buf, Bytes};

use crate::pg::guard::{Frame, Violation};

/// A request of a logged-in client.
#[derive(Debug)]
pub(crate) enum Request {
    /// A string of statements.
    Query(String),
    /// Makes a prepared statement.
    Parse {
        /// Its name; empty for the unnamed one.
        name: String,
        /// One statement.
        text: String,
        /// Types of the parameters; 0 is for the server to find.
        types: Vec<u32>,
    },
    /// Makes a portal: a statement with its parameter values.
    Bind(Bind),
    /// Asks for parameter types and columns.
    Describe(Target),
    /// Runs a portal.
    Execute {
        /// Name of the portal.
        portal: String,
        /// Rows to send at most; 0 for all.
        rows_max: usize,
    },
    /// Drops a statement or portal.
    Close(Target),
    /// Sends what is pending.
    Flush,
    /// Ends a group of extended messages.
    Sync,
    /// A piece of data for COPY.
    CopyData(Bytes),
    /// The end of COPY data.
    CopyDone,
    /// The client gives up a COPY.
    CopyFail(String),
    /// The client leaves.
    Terminate,
}

/// The parts of a Bind message.
#[derive(Debug)]
pub(crate) struct Bind {
    /// Name of the portal.
    pub(crate) portal: String,
    /// Name of the statement.
    pub(crate) statement: String,
    /// Formats of the values: none, one for all, or one each.
    pub(crate) value_formats: Vec<i16>,
    /// The values.
    pub(crate) values: Vec<Option<Bytes>>,
    /// Formats of the columns, likewise.
    pub(crate) column_formats: Vec<i16>,
}

/// What Describe and Close speak of.
#[derive(Debug)]
pub(crate) enum Target {
    /// A prepared statement.
    Statement(String),
    /// A portal.
    Portal(String),
}

/// Decodes a message.
///
/// # Errors
/// When the body is not what the tag promises.
pub(crate) fn decode(frame: Frame) -> Result<Request, Violation> {
    let mut body = Body(frame.body);
    let request = match frame.tag {
        b'Q' => Request::Query(body.string()?),
        b'P' => {
            let name = body.string()?;
            let text = body.string()?;
            let count = body.count()?;
            let types = (0..count)
                .map(|_| body.word().map(i32::cast_unsigned))
                .collect::<Result<_, _>>()?;
            Request::Parse { name, text, types }
        }
        b'B' => Request::Bind(bind(&mut body)?),
        b'D' => Request::Describe(target(&mut body)?),
        b'C' => Request::Close(target(&mut body)?),
        b'E' => {
            let portal = body.string()?;
            // A negative count means no limit, like 0.
            let rows_max = usize::try_from(body.word()?).unwrap_or(0);
            Request::Execute { portal, rows_max }
        }
        b'H' => Request::Flush,
        b'S' => Request::Sync,
        b'd' => Request::CopyData(body.rest()),
        b'c' => Request::CopyDone,
        b'f' => Request::CopyFail(body.string()?),
        b'X' => Request::Terminate,
        other => return Err(Violation::Tag(other)),
    };
    if body.0.has_remaining() { Err(Violation::Format) } else { Ok(request) }
}

fn bind(body: &mut Body) -> Result<Bind, Violation> {
    let portal = body.string()?;
    let statement = body.string()?;
    let value_formats = body.formats()?;
    let count = body.count()?;
    let mut values = Vec::with_capacity(usize::from(count).min(64));
    for _ in 0..count {
        values.push(body.value()?);
    }
    let column_formats = body.formats()?;
    Ok(Bind { portal, statement, value_formats, values, column_formats })
}

fn target(body: &mut Body) -> Result<Target, Violation> {
    match body.0.try_get_u8() {
        Ok(b'S') => Ok(Target::Statement(body.string()?)),
        Ok(b'P') => Ok(Target::Portal(body.string()?)),
        _ => Err(Violation::Format),
    }
}

/// A body being read from the front.
struct Body(Bytes);

impl Body {
    /// Text up to a zero byte.
    fn string(&mut self) -> Result<String, Violation> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Violation::Format)?;
        let text = self.0.split_to(end);
        self.0.advance(1);
        String::from_utf8(text.to_vec()).map_err(|_not_text| Violation::Encoding)
    }

    fn word(&mut self) -> Result<i32, Violation> {
        self.0.try_get_i32().map_err(|_short| Violation::Format)
    }

    fn count(&mut self) -> Result<u16, Violation> {
        self.0.try_get_u16().map_err(|_short| Violation::Format)
    }

    fn formats(&mut self) -> Result<Vec<i16>, Violation> {
        let count = self.count()?;
        (0..count).map(|_| self.0.try_get_i16().map_err(|_short| Violation::Format)).collect()
    }

    /// A length and as many bytes; -1 for null.
    fn value(&mut self) -> Result<Option<Bytes>, Violation> {
        let length = self.word()?;
        if length == -1 {
            return Ok(None);
        }
        match usize::try_from(length) {
            Ok(length) if length <= self.0.len() => Ok(Some(self.0.split_to(length))),
            _ => Err(Violation::Format),
        }
    }

    fn rest(&mut self) -> Bytes {
        self.0.split_to(self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(tag: u8, body: &'static [u8]) -> Frame {
        Frame { tag, body: Bytes::from_static(body) }
    }

    #[test]
    fn bodies_cut_anywhere_are_violations() {
        let whole = b"p\0s\0\0\x01\0\x01\0\x01\0\0\0\x02ab\0\x01\0\x01";
        assert!(decode(frame(b'B', whole)).is_ok(), "the whole message");
        for end in 0..whole.len() {
            assert!(decode(frame(b'B', &whole[..end])).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn bytes_after_the_end_are_violations() {
        assert_eq!(decode(frame(b'S', b"x")).err(), Some(Violation::Format), "sync has no body");
    }

    #[test]
    fn text_must_be_utf8() {
        assert_eq!(decode(frame(b'Q', b"\xff\0")).err(), Some(Violation::Encoding), "encoding");
    }
}
