//! Objects as files of one directory, durable through fsync.
//!
//! ```text
//! write .tmp/<n> -> fsync file -> rename to its name -> fsync directory -> acknowledge
//! ```
//! The rename refuses to replace when the put is exclusive (`RENAME_NOREPLACE`, else a hard link), so a
//! name appears at once and whole or not at all; a new directory is made durable in its parent first.
//!
//! **A failed fsync ends the process.** The kernel may have dropped the dirty pages, so a second fsync
//! could report success for bytes that are lost; only reading the truth again after a restart is safe.
//!
//! One process owns the directory: it holds an exclusive `flock` on `lock` as long as the [`LocalBlob`]
//! lives. Calls do blocking file operations in place; callers run them off the threads of a busy runtime.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use super::{Blob, Put, check_name};
use crate::error::{Error, Result};

const LOCK: &str = "lock";
const STAGING: &str = ".tmp";

/// A directory that holds one database; locked against other processes.
#[derive(Debug)]
pub struct LocalBlob {
    root: PathBuf,
    staged: AtomicU64,
    /// Keeps the `flock`; the system releases it when the file closes, also after a kill.
    _lock: File,
}

/// What a rename does about a file of the same name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Existing {
    Replace,
    Keep,
}

impl LocalBlob {
    /// Opens a directory and locks it; creates it, and the ones above it, if it is not there.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process (or another `LocalBlob`) holds it, [`Error::NotADatabase`]
    /// when it holds other files, [`Error::Unreadable`] when it cannot be read.
    pub fn open(root: PathBuf) -> Result<Self> {
        let root = if root.is_absolute() {
            root
        } else {
            let here = std::env::current_dir();
            here.map_err(|source| Error::Unreadable { path: root.clone(), source })?.join(root)
        };
        create_dir_durably(&root)?;
        refuse_foreign(&root)?;
        let path = root.join(LOCK);
        let mut options = OpenOptions::new();
        let lock = options.read(true).write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(|source| Error::Unreadable { path: root.clone(), source })?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(Error::InUse { path: root }),
            Err(errno) => return Err(Error::io("lock", &path, errno.into())),
        }
        let staging = root.join(STAGING);
        match fs::remove_dir_all(&staging) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::io("clear", &staging, error));
            }
            _ => {}
        }
        create_dir_durably(&staging)?;
        Ok(Self { root, staged: AtomicU64::new(0), _lock: lock })
    }

    /// The absolute path of the directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn file(&self, path: &str) -> Result<PathBuf> {
        check_name(path)?;
        if path == LOCK {
            return Err(Error::corrupt(path, "this is not the name of an object"));
        }
        Ok(self.root.join(path))
    }

    fn write(&self, path: &str, bytes: &[u8], existing: Existing) -> Result<Put> {
        let target = self.file(path)?;
        if existing == Existing::Keep && target.exists() {
            return Ok(Put::Exists);
        }
        let parent = target.parent().unwrap_or(&self.root);
        create_dir_durably(parent)?;
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        let staged = self.root.join(STAGING).join(number.to_string());
        let result =
            write_synced(&staged, bytes).and_then(|()| publish(&staged, &target, existing));
        if !matches!(result, Ok(Put::Created))
            && let Err(error) = fs::remove_file(&staged)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!(path = %staged.display(), %error, "staged file is left behind");
        }
        if matches!(result, Ok(Put::Created)) {
            sync_dir(parent)?;
        }
        result
    }

    fn walk(&self, dir: &Path, prefix: &str, found: &mut Vec<(String, u64)>) -> Result<()> {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(());
            }
            Err(error) => return Err(Error::io("list", dir, error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| Error::io("list", dir, error))?;
            let path = entry.path();
            let relative = path.strip_prefix(&self.root).ok().and_then(Path::to_str);
            let Some(name) = relative.filter(|name| check_name(name).is_ok() && *name != LOCK)
            else {
                continue;
            };
            let kind = entry.file_type().map_err(|error| Error::io("list", &path, error))?;
            if kind.is_dir() {
                let inner = format!("{name}/");
                if inner.starts_with(prefix) || prefix.starts_with(&inner) {
                    self.walk(&path, prefix, found)?;
                }
            } else if name.starts_with(prefix) {
                match entry.metadata() {
                    Ok(metadata) => found.push((name.to_owned(), metadata.len())),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(Error::io("list", &path, error)),
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Blob for LocalBlob {
    async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        self.write(path, &bytes, Existing::Replace).map(|_| ())
    }

    async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<Put> {
        self.write(path, &bytes, Existing::Keep)
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        let file = self.file(path)?;
        match fs::read(&file) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &file, error)),
        }
    }

    async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let name = self.file(path)?;
        let file = File::open(&name).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::missing(path),
            _ => Error::io("open", &name, error),
        })?;
        let short = || Error::corrupt(path, "the object is shorter than its references say");
        // The length is checked before memory is taken: a wrong reference must not exhaust it.
        let length = file.metadata().map_err(|error| Error::io("read", &name, error))?.len();
        if range.end > length || range.start > range.end {
            return Err(short());
        }
        let count = usize::try_from(range.end - range.start).map_err(|_error| short())?;
        let mut bytes = vec![0; count];
        match file.read_exact_at(&mut bytes, range.start) {
            Ok(()) => Ok(bytes.into()),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(short()),
            Err(error) => Err(Error::io("read", &name, error)),
        }
    }

    async fn head(&self, path: &str) -> Result<Option<u64>> {
        let file = self.file(path)?;
        match fs::metadata(&file) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.len())),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &file, error)),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        // Only the deepest directory that the prefix names has to be walked.
        let start = prefix.rsplit_once('/').map_or("", |(dir, _)| dir);
        let dir = if start.is_empty() { self.root.clone() } else { self.file(start)? };
        self.walk(&dir, prefix, &mut found)?;
        found.retain(|(name, _)| after.is_none_or(|after| name.as_str() > after));
        found.sort_unstable();
        Ok(found)
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let file = self.file(path)?;
        match fs::remove_file(&file) {
            // Not made durable: a name that comes back after a power loss is an orphan again.
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io("delete", &file, error)),
        }
    }

    fn location(&self, path: &str) -> String {
        self.root.join(path).display().to_string()
    }
}

/// A directory with files but neither `format` nor our lock is somebody else's.
fn refuse_foreign(root: &Path) -> Result<()> {
    let unreadable = |source| Error::Unreadable { path: root.to_owned(), source };
    let mut entries = fs::read_dir(root).map_err(unreadable)?;
    let ours = root.join(LOCK).exists() || root.join("format").exists();
    if !ours && entries.next().is_some() {
        return Err(Error::NotADatabase { location: root.display().to_string() });
    }
    Ok(())
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(|error| Error::io("create", path, error))?;
    file.write_all(bytes).map_err(|error| Error::io("write", path, error))?;
    sync_or_abort(path, &file)
}

/// Gives a staged file its name. `Err` means that the name was not given.
fn publish(staged: &Path, target: &Path, existing: Existing) -> Result<Put> {
    let flags = match existing {
        Existing::Replace => RenameFlags::empty(),
        Existing::Keep => RenameFlags::NOREPLACE,
    };
    match renameat_with(CWD, staged, CWD, target, flags) {
        Ok(()) => Ok(Put::Created),
        Err(Errno::EXIST) if existing == Existing::Keep => Ok(Put::Exists),
        // File systems without an exclusive rename: a hard link never replaces.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if existing == Existing::Keep => {
            match fs::hard_link(staged, target) {
                Ok(()) => {
                    if let Err(error) = fs::remove_file(staged) {
                        tracing::warn!(path = %staged.display(), %error, "staged file is left behind");
                    }
                    Ok(Put::Created)
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Put::Exists),
                Err(error) => Err(Error::io("create", target, error)),
            }
        }
        Err(errno) => Err(Error::io("create", target, errno.into())),
    }
}

/// Creates a directory and those above it, each made durable in its parent.
fn create_dir_durably(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_dir_durably(parent)?;
        match fs::create_dir(dir) {
            Ok(()) => sync_dir(parent)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let source = io::Error::from(ErrorKind::NotADirectory);
                return Err(Error::Unreadable { path: dir.to_owned(), source });
            }
            Err(error) => return Err(Error::io("create directory", dir, error)),
        }
    }
    Ok(())
}

fn sync_dir(dir: &Path) -> Result<()> {
    let file = File::open(dir).map_err(|error| Error::io("open", dir, error))?;
    sync_or_abort(dir, &file)
}

fn sync_or_abort(path: &Path, file: &File) -> Result<()> {
    match file.sync_all() {
        Ok(()) => Ok(()),
        // Delayed allocation reports a full device here; the bytes never had a name.
        Err(error) if error.kind() == ErrorKind::StorageFull && !path.is_dir() => {
            Err(Error::io("write", path, error))
        }
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "fsync failed, ending the process");
            std::process::abort();
        }
    }
}
