//! Spill space: files that state moves to when memory is short.
//!
//! ```text
//! SpillSpace -> segments: temporary files without a name, mapped      Region: a part of one, owned by state
//! state over the limit -> copied into regions -> the kernel writes them out and drops their pages
//! ```
//! What has moved is still addressed as memory, so no operator knows: a row that is needed again costs a page
//! fault, and stays for as long as there is room. [`SpillSpace::release`] gives the pages back when the process
//! holds too many. The files vanish with the process; after a restart state comes from checkpoints.

mod limit;
mod words;

use std::fs::File;
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arrow::array::{ArrayData, ArrayRef, make_array};
use arrow::buffer::{Buffer, NullBuffer};
use memmap2::{MmapOptions, MmapRaw, UncheckedAdvice};
use rustix::fs::{FallocateFlags, fallocate};

use crate::error::{Error, Result};
pub use crate::spill::limit::{Holder, MemoryLimit};
pub use crate::spill::words::{Word, Words};

/// Bytes of a segment; a larger region gets one for itself.
const SEGMENT_BYTES: usize = 64 << 20;
/// What regions begin at: a page, so that a region that goes takes its pages along.
const PAGE_BYTES: usize = 4096;
/// What buffers begin at, as Arrow recommends.
const ALIGNMENT: usize = 64;

/// Where state moves to.
#[derive(Debug)]
pub struct SpillSpace {
    folder: PathBuf,
    bytes: Arc<AtomicU64>,
    segments: Mutex<Segments>,
}

#[derive(Debug, Default)]
struct Segments {
    /// The segment that has room, and where.
    open: Option<(Arc<Segment>, usize)>,
    all: Vec<Weak<Segment>>,
}

/// A mapped file.
#[derive(Debug)]
struct Segment {
    map: MmapRaw,
    file: File,
    /// Bytes in use in the whole space.
    bytes: Arc<AtomicU64>,
}

/// A part of a segment, zero at first, that belongs to one owner.
#[derive(Debug)]
pub(crate) struct Region {
    segment: Arc<Segment>,
    offset: usize,
    len: usize,
}

/// Has the C library give freed pieces of a megabyte and more back to the system at once, for programs that
/// keep to a memory limit. By default it keeps ever larger ones for itself.
pub fn return_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "a setting of the C library")]
    // SAFETY: the call takes two numbers and may be made at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
    }
}

impl SpillSpace {
    /// Spill space in files of the folder `folder`, which need not exist yet.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, bytes: Arc::default(), segments: Mutex::default() }
    }

    /// Bytes in use.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Gives back the memory of what has moved here; it is read again from the files when it is used.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn release(&self) -> Result<()> {
        let mut segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        segments.all.retain(|segment| segment.strong_count() > 0);
        for segment in segments.all.iter().filter_map(Weak::upgrade) {
            segment.release()?;
        }
        Ok(())
    }

    /// A region of `len` bytes.
    ///
    /// # Errors
    /// 53100 when the disk is full, 58030 when files cannot be made.
    pub(crate) fn region(&self, len: usize) -> Result<Region> {
        let len = len.max(1).next_multiple_of(PAGE_BYTES);
        let mut segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        let (segment, offset) = match &mut segments.open {
            Some((segment, used)) if *used + len <= SEGMENT_BYTES => {
                let offset = *used;
                *used += len;
                (Arc::clone(segment), offset)
            }
            _ => {
                let segment = Arc::new(self.segment(len.max(SEGMENT_BYTES))?);
                segments.all.retain(|segment| segment.strong_count() > 0);
                segments.all.push(Arc::downgrade(&segment));
                if len < SEGMENT_BYTES {
                    segments.open = Some((Arc::clone(&segment), len));
                }
                (segment, 0)
            }
        };
        self.bytes.fetch_add(len as u64, Ordering::Relaxed);
        Ok(Region { segment, offset, len })
    }

    fn segment(&self, len: usize) -> Result<Segment> {
        let failed = |error: std::io::Error| {
            let full = error.kind() == std::io::ErrorKind::StorageFull;
            let text = format!("could not make room in \"{}\": {error}", self.folder.display());
            Error::statement(if full { "53100" } else { "58030" }, text)
        };
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        let file = tempfile::tempfile_in(&self.folder).map_err(failed)?;
        // The disk's blocks are taken now: a mapping cannot say later that there are none.
        fallocate(&file, FallocateFlags::empty(), 0, len as u64).map_err(|e| failed(e.into()))?;
        let map = MmapOptions::new().len(len).map_raw(&file).map_err(failed)?;
        Ok(Segment { map, file, bytes: Arc::clone(&self.bytes) })
    }

    /// The arrays with their bytes here.
    ///
    /// # Errors
    /// Those of a region.
    pub(crate) fn take_in(&self, arrays: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let data: Vec<ArrayData> = arrays.iter().map(|a| a.to_data()).collect();
        let len = data.iter().map(bytes_of).sum();
        let mut place = Place { region: Arc::new(self.region(len)?), used: 0 };
        Ok(data.iter().map(|data| make_array(place.array(data))).collect())
    }
}

impl Segment {
    fn release(&self) -> Result<()> {
        #[expect(
            unsafe_code,
            reason = "advice that drops pages is unsafe for memory without a file"
        )]
        // SAFETY: the mapping is shared and of a file: dropped pages are read again with what was written.
        let released = unsafe {
            self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, 0, self.map.len())
        };
        released.map_err(|e| Error::statement("58030", format!("could not release memory: {e}")))
    }
}

impl Region {
    /// Where its first byte is.
    pub(crate) fn pointer(&self) -> NonNull<u8> {
        let first =
            NonNull::new(self.segment.map.as_mut_ptr()).expect("a mapping is never at null");
        #[expect(unsafe_code, reason = "an address in a mapping")]
        // SAFETY: regions lie within their segment's mapping.
        unsafe {
            first.add(self.offset)
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.segment.bytes.fetch_sub(self.len as u64, Ordering::Relaxed);
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let (offset, len) = (self.offset as u64, self.len as u64);
        // A file system without holes gives the room back with the whole segment.
        let _refused = fallocate(&self.segment.file, hole, offset, len);
    }
}

/// A region that buffers are copied into, one behind the other.
struct Place {
    region: Arc<Region>,
    used: usize,
}

impl Place {
    fn array(&mut self, data: &ArrayData) -> ArrayData {
        let nulls = data.nulls().map(|nulls| {
            let bits = nulls.inner();
            let buffer = self.buffer(bits.inner());
            let bits = arrow::buffer::BooleanBuffer::new(buffer, bits.offset(), bits.len());
            NullBuffer::new(bits)
        });
        let builder = ArrayData::builder(data.data_type().clone())
            .len(data.len())
            .offset(data.offset())
            .nulls(nulls)
            .buffers(data.buffers().iter().map(|buffer| self.buffer(buffer)).collect())
            .child_data(data.child_data().iter().map(|child| self.array(child)).collect());
        #[expect(unsafe_code, reason = "a check would read every byte of what is moved")]
        // SAFETY: the same bytes as those of an array that is valid.
        unsafe {
            builder.build_unchecked()
        }
    }

    fn buffer(&mut self, from: &Buffer) -> Buffer {
        let at = self.used;
        self.used += from.len().next_multiple_of(ALIGNMENT);
        debug_assert!(self.used <= self.region.len, "the region was made for these buffers");
        #[expect(unsafe_code, reason = "a buffer that Arrow did not allocate")]
        // SAFETY: the region has room for all buffers, nobody else writes to it, and it lives as long as the
        // buffer, which owns it.
        unsafe {
            let to = self.region.pointer().add(at);
            std::ptr::copy_nonoverlapping(from.as_ptr(), to.as_ptr(), from.len());
            Buffer::from_custom_allocation(to, from.len(), Arc::clone(&self.region) as _)
        }
    }
}

/// Bytes that [`Place::array`] needs.
fn bytes_of(data: &ArrayData) -> usize {
    let buffers = data.buffers().iter().map(Buffer::len);
    let nulls = data.nulls().map(|nulls| nulls.inner().inner().len());
    let own: usize = buffers.chain(nulls).map(|len| len.next_multiple_of(ALIGNMENT)).sum();
    own + data.child_data().iter().map(bytes_of).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, ListArray, StringViewArray, StructArray};
    use arrow::datatypes::Int32Type;

    use super::SpillSpace;

    #[test]
    fn what_moves_stays_what_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let space = SpillSpace::new(folder.path().join("spill"));
        let numbers: ArrayRef =
            Arc::new(Int64Array::from_iter((0..999).map(|i| (i % 7 != 0).then_some(i))));
        let texts: ArrayRef = Arc::new(StringViewArray::from_iter(
            (0..999).map(|i| (i % 5 != 0).then(|| format!("a text longer than a view: {i}"))),
        ));
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(
            (0..999).map(|i| (i % 3 != 0).then(|| (0..i % 4).map(Some).collect::<Vec<_>>())),
        ));
        let rows = StructArray::from(vec![(
            Arc::new(arrow::datatypes::Field::new("n", numbers.data_type().clone(), true)),
            numbers.slice(0, 999),
        )]);
        let arrays = vec![numbers.slice(13, 500), texts, lists, Arc::new(rows)];
        let moved = space.take_in(&arrays).expect("moved");
        assert_eq!(moved, arrays);
        space.release().expect("released");
        assert_eq!(moved, arrays, "read again from the file");
        assert!(space.bytes() > 0);
        drop(moved);
        assert_eq!(space.bytes(), 0, "nothing is in use");
        let files = std::fs::read_dir(folder.path().join("spill")).expect("the folder").count();
        assert_eq!(files, 0, "the files have no names");
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let space = SpillSpace::new("/proc/no/folder".into());
        let error = space.region(1).expect_err("there is no such folder");
        assert!(error.to_string().contains("/proc/no/folder"), "{error}");
    }
}
