//! Rows of tables and views as Parquet files.
//!
//! A relation is a list of [`DataFile`]s. A file is written once and never changed; rows that die later
//! are positions in [`DataFile::deleted`], which the manifest holds. Files contain the user's columns
//! only, and equal rows are separate rows.
//!
//! [`file`] writes, [`reader`] reads. The checksum in the manifest covers the whole file; every range that
//! is read is compared with what was checked.

use roaring::RoaringBitmap;

pub mod file;
pub mod reader;
mod stored;
mod verify;

pub use self::file::{FileWriter, Profile, write_parquet};
pub use self::reader::{FileReader, Scan, read_parquet};

/// One Parquet file of a relation and its dead rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataFile {
    /// The name of the object.
    pub path: String,
    /// Rows in the file, dead ones included.
    pub rows: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The crc32c of the whole file.
    pub crc32c: u32,
    /// Positions of dead rows.
    pub deleted: Option<RoaringBitmap>,
}

impl DataFile {
    /// Rows that are not dead.
    #[must_use]
    pub fn live_rows(&self) -> u64 {
        self.rows.saturating_sub(self.deleted.as_ref().map_or(0, RoaringBitmap::len))
    }
}
