//! How far a file is read, and which file it was.
//!
//! The offset of a file is a fixed record of 62 bytes; its first field after the version is the
//! position in big-endian order, so that offsets of one file compare as positions do.
//!
//! | field | bytes | means |
//! |---|---|---|
//! | version | 1 | 1 |
//! | position | 8 | bytes consumed of a text file, rows of a Parquet file |
//! | rows, line | 8 + 8 | rows yielded, newlines consumed |
//! | etag | 24 | size, modification time in ns and inode when the file was last opened |
//! | content | 4 | CRC-32C of the consumed bytes; of the footer for Parquet |
//! | tail | 4 | CRC-32C of the last [`TAIL_BYTES`] consumed bytes |
//! | state | 1 | see [`State`] |
//! | reserved | 4 | 0 |

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::UNIX_EPOCH;

use crate::error::{Error, Result};
use crate::source::Offset;

/// How many consumed bytes are compared before a file that grew is read on.
pub(crate) const TAIL_BYTES: u64 = 1024;
const VERSION: u8 = 1;
const LENGTH: usize = 62;

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Etag {
    /// Bytes.
    pub(crate) size: u64,
    /// Modification time, nanoseconds since 1970 in UTC.
    pub(crate) modified_ns: i64,
    /// Inode number.
    pub(crate) inode: u64,
}

/// Where reading stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// There may be more records.
    #[default]
    Reading,
    /// All that was there is read, but for a last line without newline, if there is one.
    AtEnd,
    /// The file cannot be read further; its reject says why.
    Failed,
}

/// The decoded offset of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Bytes (text) or rows (Parquet) consumed.
    pub(crate) at: u64,
    /// Rows yielded.
    pub(crate) rows: u64,
    /// Newlines consumed.
    pub(crate) lines: u64,
    /// The file when it was last opened.
    pub(crate) etag: Etag,
    /// Checksum of what was consumed.
    pub(crate) content: u32,
    /// Checksum of the end of what was consumed.
    pub(crate) tail: u32,
    /// Where reading stands.
    pub(crate) state: State,
}

impl Etag {
    /// The state of a file with this metadata.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok();
        let since = modified.and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        Self {
            size: metadata.len(),
            modified_ns: i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            inode: metadata.ino(),
        }
    }
}

impl Position {
    /// The offset that decodes to this.
    pub(crate) fn offset(&self) -> Offset {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(VERSION);
        bytes.extend(self.at.to_be_bytes());
        bytes.extend(self.rows.to_le_bytes());
        bytes.extend(self.lines.to_le_bytes());
        bytes.extend(self.etag.size.to_le_bytes());
        bytes.extend(self.etag.modified_ns.to_le_bytes());
        bytes.extend(self.etag.inode.to_le_bytes());
        bytes.extend(self.content.to_le_bytes());
        bytes.extend(self.tail.to_le_bytes());
        bytes.push(match self.state {
            State::Reading => 0,
            State::AtEnd => 1,
            State::Failed => 2,
        });
        bytes.extend([0; 4]);
        Offset(bytes)
    }

    /// Decodes the offset of the file `split`.
    pub(crate) fn decode(split: &str, offset: &Offset) -> Result<Self> {
        let bad = |message| Error::Offset { split: split.to_owned(), message };
        let Ok(bytes): Result<&[u8; LENGTH], _> = offset.0.as_slice().try_into() else {
            return Err(bad("it does not have the length of a file offset"));
        };
        if bytes[0] != VERSION {
            return Err(bad("it has an unknown version"));
        }
        let long = |at: usize| {
            let bytes: [u8; 8] = bytes[at..at + 8].try_into().expect("the slice has 8 bytes");
            bytes
        };
        let short = |at: usize| {
            let bytes: [u8; 4] = bytes[at..at + 4].try_into().expect("the slice has 4 bytes");
            u32::from_le_bytes(bytes)
        };
        Ok(Self {
            at: u64::from_be_bytes(long(1)),
            rows: u64::from_le_bytes(long(9)),
            lines: u64::from_le_bytes(long(17)),
            etag: Etag {
                size: u64::from_le_bytes(long(25)),
                modified_ns: i64::from_le_bytes(long(33)),
                inode: u64::from_le_bytes(long(41)),
            },
            content: short(49),
            tail: short(53),
            state: match bytes[57] {
                0 => State::Reading,
                1 => State::AtEnd,
                2 => State::Failed,
                _ => return Err(bad("it has an unknown state")),
            },
        })
    }
}

/// The bytes `[from, to)` of a file.
pub(crate) fn read_range(file: &File, path: &str, from: u64, to: u64) -> Result<Vec<u8>> {
    let length = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, from).map_err(|e| Error::io("read", path, e))?;
    Ok(bytes)
}

/// CRC-32C of the first `length` bytes of a file.
pub(crate) fn checksum(file: &File, path: &str, length: u64) -> Result<u32> {
    let (mut at, mut sum) = (0, 0);
    while at < length {
        let to = length.min(at + (1 << 20));
        sum = crc32c::crc32c_append(sum, &read_range(file, path, at, to)?);
        at = to;
    }
    Ok(sum)
}

/// CRC-32C of the last bytes before `at`.
pub(crate) fn tail_checksum(file: &File, path: &str, at: u64) -> Result<u32> {
    Ok(crc32c::crc32c(&read_range(file, path, at.saturating_sub(TAIL_BYTES), at)?))
}

#[cfg(test)]
mod tests {
    use super::{Etag, Position, State};
    use crate::source::Offset;

    #[test]
    fn a_position_survives_its_offset_and_orders_it() {
        let etag = Etag { size: 9, modified_ns: -4, inode: u64::MAX };
        let mut a = Position { at: 255, rows: 1, lines: 2, etag, ..Position::default() };
        (a.content, a.tail, a.state) = (7, 8, State::Failed);
        let b = Position { at: 256, ..Position::default() };
        assert_eq!(Position::decode("f", &a.offset()).unwrap(), a);
        assert!(a.offset() < b.offset(), "offsets compare as positions do");
    }

    #[test]
    fn damaged_offsets_are_refused() {
        let mut offset = Position::default().offset();
        offset.0[0] = 9;
        let error = Position::decode("f", &offset).unwrap_err();
        assert_eq!(error.to_string(), "invalid offset of split \"f\": it has an unknown version");
        assert!(Position::decode("f", &Offset(vec![1])).is_err());
    }
}
