//! Protobuf messages that commits and manifests share.
//!
//! Field numbers are for ever: a field may be added, a number is never used again.

use roaring::RoaringBitmap;

use crate::error::{Error, Result};
use crate::log::record::SplitOffset;
use crate::table::DataFile;

/// A Parquet file and its dead rows.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct File {
    #[prost(string, tag = "1")]
    pub(crate) path: String,
    #[prost(uint64, tag = "2")]
    pub(crate) rows: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) bytes: u64,
    #[prost(fixed32, tag = "4")]
    pub(crate) crc32c: u32,
    /// A roaring bitmap in its portable format.
    #[prost(bytes = "vec", optional, tag = "5")]
    pub(crate) deleted: Option<Vec<u8>>,
}

/// The resume position of one split.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Offset {
    #[prost(uint32, tag = "1")]
    pub(crate) source: u32,
    #[prost(string, tag = "2")]
    pub(crate) split: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) offset: Vec<u8>,
    #[prost(uint64, tag = "4")]
    pub(crate) rows: u64,
}

impl File {
    pub(crate) fn of(file: &DataFile) -> Self {
        let deleted = file.deleted.as_ref().map(|bitmap| {
            let mut bytes = Vec::with_capacity(bitmap.serialized_size());
            bitmap.serialize_into(&mut bytes).expect("writing to memory does not fail");
            bytes
        });
        let DataFile { path, rows, bytes, crc32c, .. } = file.clone();
        Self { path, rows, bytes, crc32c, deleted }
    }

    /// The file; `object` is where the message was read.
    pub(crate) fn into_file(self, object: &str) -> Result<DataFile> {
        let Self { path, rows, bytes, crc32c, deleted } = self;
        let bad = |what: &str| Error::corrupt(object, format!("deleted rows of \"{path}\" {what}"));
        let deleted = match deleted {
            None => None,
            Some(bytes) => {
                let bitmap = RoaringBitmap::deserialize_from(bytes.as_slice());
                let bitmap = bitmap.map_err(|error| bad(&format!("cannot be read: {error}")))?;
                if bitmap.max().is_some_and(|last| u64::from(last) >= rows) {
                    return Err(bad("lie behind its end"));
                }
                Some(bitmap)
            }
        };
        Ok(DataFile { path, rows, bytes, crc32c, deleted })
    }
}

impl Offset {
    pub(crate) fn of(offset: &SplitOffset) -> Self {
        let SplitOffset { source, split, offset, rows } = offset.clone();
        Self { source, split, offset, rows }
    }

    pub(crate) fn into_offset(self) -> SplitOffset {
        let Self { source, split, offset, rows } = self;
        SplitOffset { source, split, offset, rows }
    }
}
