//! How much state may be in memory at once.
//!
//! ```text
//! limit = keep (state)  +  reserve (deltas on their way, queries, what no one counts): 5/8, but at most 1 GiB
//! state in memory > keep            -> the largest holders move theirs to spill space
//! pages in memory > limit, spilled  -> the kernel takes those of the spill space back
//! ```
//! Every holder counts what it holds as it changes, so asking costs nothing until there is too much.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Result;
use crate::spill::SpillSpace;

/// Most bytes that are kept free for what is not state.
const RESERVE_MAX: usize = 1 << 30;
/// Share of what may be kept that a holder must have for its state to be worth moving.
const SMALL: usize = 256;

/// Something that holds state.
pub trait Holder {
    /// Bytes that it holds in memory.
    fn in_memory(&self) -> usize;

    /// Moves state to `space` until that freed about `want` bytes; how many it freed.
    ///
    /// # Errors
    /// When there is no room.
    fn spill(&mut self, space: &Arc<SpillSpace>, want: usize) -> Result<usize>;
}

/// A limit for state in memory, and where the rest goes.
#[derive(Debug)]
pub struct MemoryLimit {
    limit: usize,
    keep: usize,
    space: Arc<SpillSpace>,
    /// What must be in memory before it is tried again to move some.
    again: usize,
    /// Pages of files in memory after the last release: programs and what cannot be released.
    floor: AtomicUsize,
}

/// Bytes of a process in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Resident {
    all: usize,
    of_files: usize,
}

impl MemoryLimit {
    /// Keeps `bytes` of state in memory, whatever the limit says.
    #[must_use]
    pub fn keeping(self, bytes: usize) -> Self {
        Self { keep: bytes, again: bytes, ..self }
    }

    /// The process is to stay within about `limit` bytes; what does not fit goes to files in `folder`.
    #[must_use]
    pub fn new(limit: usize, folder: PathBuf) -> Self {
        let keep = limit - (limit / 8 * 5).min(RESERVE_MAX);
        let space = Arc::new(SpillSpace::new(folder));
        Self { limit, keep, space, again: keep, floor: AtomicUsize::new(0) }
    }

    /// The same limit and space for other holders; what all of them use counts against it.
    #[must_use]
    pub fn sibling(&self) -> Self {
        let floor = AtomicUsize::new(self.floor.load(Ordering::Relaxed));
        let space = Arc::clone(&self.space);
        Self { limit: self.limit, keep: self.keep, space, again: self.keep, floor }
    }

    /// Where the rest goes.
    #[must_use]
    pub fn space(&self) -> &Arc<SpillSpace> {
        &self.space
    }

    /// Whether there is something to do while `used` bytes are in memory.
    #[must_use]
    pub fn is_exceeded(&self, used: usize) -> bool {
        used > self.keep && used >= self.again
    }

    /// Moves state of `holders`, the largest first, out of memory, of which they and others use `used` bytes.
    ///
    /// # Errors
    /// When there is no room in the spill space; then nothing is tried before more is used.
    pub fn enforce(&mut self, used: usize, mut holders: Vec<&mut dyn Holder>) -> Result<()> {
        // What moved must not be back at the limit with the next row.
        let want = used.saturating_sub(self.keep - self.keep / 8);
        holders.sort_unstable_by_key(|holder| std::cmp::Reverse(holder.in_memory()));
        let mut freed = 0;
        self.again = used + self.keep / 16;
        for holder in holders {
            if freed >= want || holder.in_memory() < self.keep / SMALL {
                break;
            }
            freed += holder.spill(&self.space, want - freed)?;
        }
        self.again = (used.saturating_sub(freed) + self.keep / 16).max(self.keep);
        Ok(())
    }

    /// Gives pages of the spill space back when the process holds more than the limit.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn settle(&self) -> Result<()> {
        if self.space.bytes() == 0 {
            return Ok(());
        }
        let Some(now) = resident() else { return Ok(()) };
        let spilled = now.of_files.saturating_sub(self.floor.load(Ordering::Relaxed));
        if now.all <= self.limit || spilled <= self.limit / 16 {
            return Ok(());
        }
        self.space.release()?;
        self.floor.store(resident().map_or(0, |now| now.of_files), Ordering::Relaxed);
        Ok(())
    }
}

/// What this process holds; unknown where the system does not tell.
fn resident() -> Option<Resident> {
    resident_in(&fs::read_to_string("/proc/self/status").ok()?)
}

fn resident_in(status: &str) -> Option<Resident> {
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes << 10)
    };
    let of_files = bytes("RssFile:")? + bytes("RssShmem:")?;
    Some(Resident { all: bytes("VmRSS:")?, of_files })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Holder, MemoryLimit, Resident, resident, resident_in};
    use crate::error::Result;
    use crate::spill::SpillSpace;

    struct Bytes(usize);

    impl Holder for Bytes {
        fn in_memory(&self) -> usize {
            self.0
        }

        fn spill(&mut self, _: &Arc<SpillSpace>, want: usize) -> Result<usize> {
            let freed = want.min(self.0);
            self.0 -= freed;
            Ok(freed)
        }
    }

    #[test]
    fn the_largest_move_first_and_only_as_much_as_needed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut limit = MemoryLimit::new(1600, folder.path().to_owned());
        assert!(!limit.is_exceeded(600), "three eighths of it are for state");
        assert!(limit.is_exceeded(601));
        let (mut a, mut b) = (Bytes(200), Bytes(500));
        limit.enforce(700, vec![&mut a, &mut b]).expect("moved");
        assert_eq!((a.0, b.0), (200, 325), "to seven eighths of what may be kept");
        let (mut a, mut b) = (Bytes(0), Bytes(0));
        limit.enforce(1000, vec![&mut a, &mut b]).expect("there is nothing to move");
        assert!(!limit.is_exceeded(1010), "not tried again at once");
        assert!(limit.is_exceeded(1100), "but when there is more");
    }

    #[test]
    fn what_a_process_holds_is_read() {
        let status =
            "Name:\tx\nVmRSS:\t  12 kB\nRssAnon:\t 5 kB\nRssFile:\t 6 kB\nRssShmem:\t 1 kB\n";
        assert_eq!(resident_in(status), Some(Resident { all: 12 << 10, of_files: 7 << 10 }));
        assert_eq!(resident_in(""), None);
        assert!(resident().is_none_or(|now| now.all > now.of_files));
    }
}
