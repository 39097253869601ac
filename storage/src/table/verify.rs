//! Checked ranges of a file whose manifest holds one checksum.
//!
//! The first look at a file reads it once, compares its checksum with the manifest's, and remembers the
//! checksum of every block. A range that is read later is widened to whole blocks and compared with these,
//! so wrong bytes are noticed at every read, not only at the first. Files up to [`WHOLE_BYTES_MAX`] are
//! kept in memory instead while they are open: one request, and nothing to read twice.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::DataFile;
use crate::blob::Blob;
use crate::error::{Error, Result};

const BLOCK: u64 = 1 << 20;
/// Blocks that are fetched by one request.
const FETCH: u64 = 8 * BLOCK;
/// Larger files are not kept in memory.
const WHOLE_BYTES_MAX: u64 = 64 << 20;

/// The checked bytes of one file.
#[derive(Clone, Debug)]
pub(super) struct Verified {
    blob: Arc<dyn Blob>,
    path: Arc<str>,
    bytes: u64,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Whole(Bytes),
    /// The crc32c of each block.
    Blocks(Arc<[u32]>),
}

impl Verified {
    /// Reads the whole file and compares it with what the manifest says.
    pub(super) async fn open(blob: Arc<dyn Blob>, file: &DataFile) -> Result<Self> {
        Self::open_above(blob, file, WHOLE_BYTES_MAX).await
    }

    async fn open_above(blob: Arc<dyn Blob>, file: &DataFile, whole_max: u64) -> Result<Self> {
        let path = file.path.as_str();
        let found = if file.bytes <= whole_max {
            let whole = blob.get(path).await?.ok_or_else(|| Error::missing(path))?;
            (whole.len() as u64, crc32c::crc32c(&whole), Content::Whole(whole))
        } else {
            let length = blob.head(path).await?.ok_or_else(|| Error::missing(path))?;
            if length != file.bytes {
                return Err(wrong_length(path, length, file.bytes));
            }
            let (crc, blocks) = checksum_blocks(blob.as_ref(), path, length).await?;
            (length, crc, Content::Blocks(blocks.into()))
        };
        let (length, crc, content) = found;
        if length != file.bytes {
            return Err(wrong_length(path, length, file.bytes));
        }
        if crc != file.crc32c {
            let detail = format!("its checksum is {crc:08x} instead of {:08x}", file.crc32c);
            return Err(Error::corrupt(path, detail));
        }
        Ok(Self { blob, path: path.into(), bytes: length, content })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes `range`, checked.
    pub(super) async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        if range.start > range.end || range.end > self.bytes {
            return Err(Error::corrupt(self.path(), "its footer refers to bytes behind its end"));
        }
        match &self.content {
            Content::Whole(whole) => Ok(whole.slice(offset(range.start)..offset(range.end))),
            Content::Blocks(blocks) => self.read_blocks(blocks, range).await,
        }
    }

    async fn read_blocks(&self, blocks: &[u32], range: Range<u64>) -> Result<Bytes> {
        let start = range.start - range.start % BLOCK;
        let end = range.end.next_multiple_of(BLOCK).min(self.bytes);
        let mut read = BytesMut::new();
        let mut at = start;
        while at < end {
            let next = (at + FETCH).min(end);
            let fetched = self.blob.get_range(&self.path, at..next).await?;
            for (i, block) in fetched.chunks(offset(BLOCK)).enumerate() {
                if crc32c::crc32c(block) != blocks[offset(at / BLOCK) + i] {
                    let block = at + BLOCK * i as u64;
                    let detail = format!("bytes from {block} changed since they were checked");
                    return Err(Error::corrupt(self.path(), detail));
                }
            }
            if at == start && next == end {
                return Ok(fetched.slice(offset(range.start - start)..offset(range.end - start)));
            }
            read.extend_from_slice(&fetched);
            at = next;
        }
        Ok(read.freeze().slice(offset(range.start - start)..offset(range.end - start)))
    }
}

/// The crc32c of an object and of each of its blocks.
async fn checksum_blocks(blob: &dyn Blob, path: &str, length: u64) -> Result<(u32, Vec<u32>)> {
    let mut blocks = Vec::with_capacity(offset(length.div_ceil(BLOCK)));
    let mut crc = 0;
    let mut at = 0;
    while at < length {
        let next = (at + FETCH).min(length);
        let fetched = blob.get_range(path, at..next).await?;
        for block in fetched.chunks(offset(BLOCK)) {
            let sum = crc32c::crc32c(block);
            crc = crc32c::crc32c_combine(crc, sum, block.len());
            blocks.push(sum);
        }
        at = next;
    }
    Ok((crc, blocks))
}

fn wrong_length(path: &str, found: u64, wanted: u64) -> Error {
    Error::corrupt(path, format!("it has {found} bytes instead of {wanted}"))
}

fn offset(bytes: u64) -> usize {
    usize::try_from(bytes).expect("offsets inside of a fetched range fit into memory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::MemoryBlob;

    async fn file_of(content: &[u8]) -> (Arc<dyn Blob>, DataFile) {
        let blob: Arc<dyn Blob> = Arc::new(MemoryBlob::new());
        blob.put("data/1/a.parquet", Bytes::copy_from_slice(content)).await.unwrap();
        let file = DataFile {
            path: "data/1/a.parquet".into(),
            bytes: content.len() as u64,
            crc32c: crc32c::crc32c(content),
            ..DataFile::default()
        };
        (blob, file)
    }

    #[tokio::test]
    async fn ranges_of_both_forms_are_the_bytes_of_the_file() {
        let content: Vec<_> =
            (0..19 << 20).map(|i: u32| i.to_le_bytes()[(i % 3) as usize]).collect();
        let (blob, file) = file_of(&content).await;
        for whole_max in [0, u64::MAX] {
            let verified = Verified::open_above(Arc::clone(&blob), &file, whole_max).await.unwrap();
            for range in [0..1, 5..(9 << 20) + 3, (1 << 20) - 1..1 << 20, 7..7, 0..19 << 20] {
                let read = verified.read(range.clone()).await.unwrap();
                assert!(read == content[offset(range.start)..offset(range.end)], "{range:?}");
            }
            assert!(verified.read(0..(19 << 20) + 1).await.is_err());
        }
    }

    #[tokio::test]
    async fn bytes_that_change_after_the_first_look_are_noticed() {
        let mut content = vec![7; 3 << 20];
        let (blob, file) = file_of(&content).await;
        let verified = Verified::open_above(Arc::clone(&blob), &file, 0).await.unwrap();
        content[(2 << 20) + 5] = 8;
        blob.put(&file.path, content.into()).await.unwrap();
        assert!(verified.read(0..2 << 20).await.is_ok());
        let error = verified.read((2 << 20)..(2 << 20) + 1).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        assert!(Verified::open_above(blob, &file, 0).await.is_err());
    }
}
