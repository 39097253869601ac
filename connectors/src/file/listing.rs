//! Patterns to files.
//!
//! A uri is a path, a `file:` url, a folder (all its files) or a pattern with `*`, `?`, `[..]`, `**`.
//! Wildcards match no leading dot, so that files being written under a hidden name are not seen, and
//! nothing below `_levada`, where sinks keep their manifests.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::{fs, io};

use glob::{MatchOptions, glob_with};

use crate::error::{Error, Result};
use crate::file::owner::PRIVATE;
use crate::file::position::Etag;
use crate::source::Problem;

/// A checked pattern.
#[derive(Clone, Debug)]
pub(crate) struct FilePattern {
    given: String,
    pattern: String,
}

impl FilePattern {
    /// The pattern of a uri.
    pub(crate) fn new(uri: &str) -> Result<Self> {
        let pattern = path_of(uri)?;
        glob::Pattern::new(pattern)
            .map_err(|e| Error::Pattern { pattern: uri.to_owned(), message: e.msg })?;
        Ok(Self { given: uri.to_owned(), pattern: pattern.to_owned() })
    }

    /// The uri as given.
    pub(crate) fn given(&self) -> &str {
        &self.given
    }
}

/// The path of a uri that names something on this machine.
pub(crate) fn path_of(uri: &str) -> Result<&str> {
    let bad = |message| Error::Pattern { pattern: uri.to_owned(), message };
    let path = match uri.split_once("://") {
        Some(("file", path)) => path,
        Some((scheme, _)) => {
            return Err(Error::Unsupported { construct: format!("scheme \"{scheme}\"").into() });
        }
        None => uri,
    };
    if path.is_empty() {
        return Err(bad("it is empty"));
    }
    if path.contains('\0') {
        return Err(bad("it holds a zero byte"));
    }
    Ok(path)
}

/// What patterns match.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Regular files by path, as they are at this moment.
    pub(crate) files: BTreeMap<String, Etag>,
    /// Folders and files that cannot be looked at.
    pub(crate) problems: Vec<Problem>,
}

/// The regular files that `patterns` match.
pub(crate) fn list(patterns: &[FilePattern]) -> Result<Found> {
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let mut found = Found::default();
    for FilePattern { given, pattern } in patterns {
        let folder = Path::new(pattern);
        let inside = folder.is_dir().then(|| folder.join("*").to_string_lossy().into_owned());
        let matches = glob_with(inside.as_deref().unwrap_or(pattern), options)
            .map_err(|e| Error::Pattern { pattern: given.clone(), message: e.msg })?;
        for entry in matches {
            match entry {
                Ok(path) => found.look(&path),
                Err(e) => found.problem(e.path(), format!("could not list it: {}", e.error())),
            }
        }
    }
    Ok(found)
}

impl Found {
    fn look(&mut self, path: &Path) {
        if path.components().any(|c| c == Component::Normal(PRIVATE.as_ref())) {
            return;
        }
        match (fs::metadata(path), path.to_str()) {
            (Ok(metadata), Some(name)) if metadata.is_file() => {
                self.files.insert(name.to_owned(), Etag::of(&metadata));
            }
            (Ok(metadata), None) if metadata.is_file() => {
                self.problem(path, "file name is not valid UTF-8".to_owned());
            }
            (Err(e), _) if e.kind() != io::ErrorKind::NotFound => {
                self.problem(path, format!("could not read its metadata: {e}"));
            }
            _ => {}
        }
    }

    fn problem(&mut self, path: &Path, message: String) {
        self.problems.push(Problem { split: path.to_string_lossy().into_owned(), message });
    }
}
