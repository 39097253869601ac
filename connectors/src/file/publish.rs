//! A file that appears as a whole or not at all.
//!
//! ```text
//! write .name.tmp  ->  fsync file  ->  link .name.tmp name (fails if name exists)  ->  remove .name.tmp
//!                                                                  ->  fsync folder
//! ```
//! The link is the atomic step: a reader sees all bytes or no file, and of two writers one wins. Patterns
//! do not match the leading dot, so that no source reads a temporary file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The folder that a sink writes to.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its path as given.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `name` is a folder in this one.
    pub(crate) fn is_folder(&self, name: &str) -> bool {
        self.path.join(name).is_dir()
    }

    /// The folder `name` in this one.
    pub(crate) fn child(&self, name: &str) -> Self {
        Self { path: self.path.join(name) }
    }

    /// Creates the folder and those above it.
    pub(crate) fn create(&self) -> Result<()> {
        if self.path.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.path).map_err(|e| self.failed("create", &self.path, e))?;
        if let Some(parent) = self.path.parent().filter(|p| !p.as_os_str().is_empty()) {
            Self::new(parent).sync()?;
        }
        Ok(())
    }

    /// Names of the files in it, sorted; none if it does not exist.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(self.failed("list", &self.path, e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| self.failed("list", &self.path, e))?;
            names.extend(entry.file_name().into_string().ok());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Whether the file `name` exists.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.path.join(name).exists()
    }

    /// The whole file `name`.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path.join(name);
        fs::read(&path).map_err(|e| self.failed("read", &path, e))
    }

    /// Opens the temporary file of `name`, emptied.
    pub(crate) fn start(&self, name: &str) -> Result<File> {
        let path = self.path.join(temporary(name));
        File::create(&path).map_err(|e| self.failed("create", &path, e))
    }

    /// Makes the temporary file of `name` durable under its temporary name.
    pub(crate) fn finish(&self, name: &str, file: &File) -> Result<()> {
        file.sync_all().map_err(|e| self.failed("sync", &self.path.join(temporary(name)), e))
    }

    /// Gives the temporary file of `name` its name, unless that is taken. Durable after [`Self::sync`].
    pub(crate) fn publish(&self, name: &str) -> Result<()> {
        let (from, to) = (self.path.join(temporary(name)), self.path.join(name));
        match fs::hard_link(&from, &to) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound && to.exists() => return Ok(()),
            Err(e) => return Err(self.failed("publish", &to, e)),
        }
        self.remove(&temporary(name))
    }

    /// Writes the file `name` from `bytes`, unless it exists; durable on return.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut file = self.start(name)?;
        file.write_all(bytes).map_err(|e| self.failed("write", &self.path.join(name), e))?;
        self.finish(name, &file)?;
        self.publish(name)?;
        self.sync()
    }

    /// Removes the file `name` if it exists.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.failed("remove", &path, e)),
            _ => Ok(()),
        }
    }

    /// Makes names that appeared or vanished durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let folder = File::open(&self.path).and_then(|folder| folder.sync_all());
        folder.map_err(|e| self.failed("sync", &self.path, e))
    }

    /// The path of the file `name`, for messages.
    pub(crate) fn display(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    #[expect(clippy::unused_self, reason = "reads as the folder's own error")]
    fn failed(&self, action: &'static str, path: &Path, error: io::Error) -> Error {
        Error::io(action, path.display().to_string(), error)
    }
}

/// The name under which `name` is written.
pub(crate) fn temporary(name: &str) -> String {
    format!(".{name}.tmp")
}
