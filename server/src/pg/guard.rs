//! Frames off the socket, with limits: the length of a message is checked before a byte of it is
//! kept.
//!
//! ```text
//! before login   length (4), body                      at most 16 KiB
//! after login    tag (1), length (4), body             at most 64 MiB
//! ```
//! The length counts itself. A frame is handed on only when it is complete, so decoding never waits
//! and a wrong inner length cannot reach into the next message.

use bytes::{Buf, Bytes, BytesMut};

/// Longest startup packet, its length included.
pub(crate) const STARTUP_BYTES_MAX: usize = 16 * 1024;

/// Longest message after login, its length included.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One message: its tag (0 for startup packets) and its body.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Type of the message.
    pub(crate) tag: u8,
    /// What follows the length.
    pub(crate) body: Bytes,
}

/// Bytes that are not a message (08P01).
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Violation {
    /// A length below the smallest or above the limit.
    #[error("invalid message length")]
    Length,
    /// A tag that no frontend message has.
    #[error("invalid frontend message type {0}")]
    Tag(u8),
    /// A body that ends too early, goes on too long or has a string without an end.
    #[error("invalid message format")]
    Format,
    /// Text that is not UTF-8 (22021).
    #[error("invalid byte sequence for encoding \"UTF8\"")]
    Encoding,
}

/// Takes a startup packet, which has no tag, if it is complete.
///
/// # Errors
/// When its length is out of bounds.
pub(crate) fn take_startup(input: &mut BytesMut) -> Result<Option<Frame>, Violation> {
    // A startup packet holds at least its length and a version or request code.
    let Some(length) = length(input, 0, 8, STARTUP_BYTES_MAX)? else {
        return Ok(None);
    };
    if input.len() < length {
        return Ok(None);
    }
    let mut body = input.split_to(length).freeze();
    body.advance(4);
    Ok(Some(Frame { tag: 0, body }))
}

/// Takes a message if it is complete.
///
/// # Errors
/// When its tag is unknown or its length out of bounds.
pub(crate) fn take_message(input: &mut BytesMut) -> Result<Option<Frame>, Violation> {
    let Some(&tag) = input.first() else {
        return Ok(None);
    };
    if !b"BCDEHPQSXcdf".contains(&tag) {
        return Err(Violation::Tag(tag));
    }
    let Some(length) = length(input, 1, 4, MESSAGE_BYTES_MAX)? else {
        return Ok(None);
    };
    if input.len() < 1 + length {
        return Ok(None);
    }
    let mut body = input.split_to(1 + length).freeze();
    body.advance(5);
    Ok(Some(Frame { tag, body }))
}

/// The tag of the next message if it is complete, which stays where it is.
pub(crate) fn peek_tag(input: &BytesMut) -> Option<u8> {
    let length = length(input, 1, 4, MESSAGE_BYTES_MAX).ok()??;
    (input.len() > length).then(|| input[0])
}

fn length(
    input: &BytesMut,
    at: usize,
    shortest: usize,
    longest: usize,
) -> Result<Option<usize>, Violation> {
    let Some(word) = input.get(at..at + 4) else {
        return Ok(None);
    };
    let word: [u8; 4] = word.try_into().expect("four bytes were taken");
    match usize::try_from(i32::from_be_bytes(word)) {
        Ok(length) if (shortest..=longest).contains(&length) => Ok(Some(length)),
        _ => Err(Violation::Length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_when_complete() {
        let mut input = BytesMut::from(&b"Q\0\0\0\x06ab"[..5]);
        assert!(take_message(&mut input).expect("valid").is_none(), "not yet");
        input.extend_from_slice(b"abS\0\0\0\x04");
        let frame = take_message(&mut input).expect("valid").expect("complete");
        assert_eq!((frame.tag, &frame.body[..]), (b'Q', &b"ab"[..]), "first");
        assert_eq!(peek_tag(&input), Some(b'S'), "second stays");
    }

    #[test]
    fn lengths_out_of_bounds_are_refused_before_the_body_arrives() {
        for word in [0_i32, 3, -1, i32::MAX, 64 * 1024 * 1024 + 1] {
            let mut input = BytesMut::from(&b"Q"[..]);
            input.extend_from_slice(&word.to_be_bytes());
            assert_eq!(take_message(&mut input).err(), Some(Violation::Length), "length {word}");
        }
        let mut input = BytesMut::from(&(16 * 1024 + 1_i32).to_be_bytes()[..]);
        assert_eq!(take_startup(&mut input).err(), Some(Violation::Length), "startup");
    }

    #[test]
    fn unknown_tags_are_refused() {
        let mut input = BytesMut::from(&b"!"[..]);
        assert_eq!(take_message(&mut input).err(), Some(Violation::Tag(b'!')), "tag");
    }
}
