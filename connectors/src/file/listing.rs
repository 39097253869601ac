//! Patterns to files.
//!
//! A uri is a path, a `file:` url, a folder (all its files) or a pattern with `*`, `?`, `[..]`, `**`.
//! Wildcards match no leading dot, so that files being written under a hidden name are not seen, and
//! nothing below `_levada`, where sinks keep their manifests.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, glob_with};

use crate::error::{Error, Result};
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

/// The regular files that `patterns` match, sorted by path, and the folders that cannot be read.
pub(crate) fn list(patterns: &[FilePattern]) -> Result<(Vec<String>, Vec<Problem>)> {
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let mut found = BTreeSet::new();
    let mut problems = Vec::new();
    for FilePattern { given, pattern } in patterns {
        let folder = Path::new(pattern);
        let inside = folder.is_dir().then(|| folder.join("*").to_string_lossy().into_owned());
        let matches = glob_with(inside.as_deref().unwrap_or(pattern), options)
            .map_err(|e| Error::Pattern { pattern: given.clone(), message: e.msg })?;
        for entry in matches {
            match entry {
                Ok(path) if is_data(&path) => match path.into_os_string().into_string() {
                    Ok(path) => {
                        found.insert(path);
                    }
                    Err(name) => problems.push(Problem {
                        split: name.to_string_lossy().into_owned(),
                        message: "file name is not valid UTF-8".to_owned(),
                    }),
                },
                Ok(_) => {}
                Err(e) => problems.push(Problem {
                    split: e.path().to_string_lossy().into_owned(),
                    message: format!("could not list the folder: {}", e.error()),
                }),
            }
        }
    }
    Ok((found.into_iter().collect(), problems))
}

fn is_data(path: &PathBuf) -> bool {
    let own = path.components().any(|c| c == Component::Normal("_levada".as_ref()));
    !own && path.is_file()
}
