//! The house rules that rustfmt and clippy cannot see, executed.
//!
//! | module | guards |
//! |---|---|
//! | `crates` | who may depend on whom, and that every version stands in the workspace once |
//! | `sources` | size, opening comment, name and words of every source file; the named absences |
//! | `pages` | links, pages that must exist, topics of tests, large binaries |
//!
//! A rule collects every offence before it fails, so one run shows all there is to mend. A file that must
//! break a rule stands in that rule's list of exceptions with a reason; the lists only shrink.
//!
//! This is a test binary of its own, because it links nothing of the product.

#[path = "tidy/crates.rs"]
mod crates;
#[path = "tidy/pages.rs"]
mod pages;
#[path = "tidy/sources.rs"]
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold no text of ours.
const SKIPPED: [&str; 5] = ["target", "levada-data", "out", "node_modules", "__pycache__"];

/// One file of the tree.
struct File {
    /// Path from the root, with forward slashes.
    path: String,
    /// Contents.
    bytes: Vec<u8>,
}

impl File {
    /// The contents as text; `None` for a binary file.
    fn text(&self) -> Option<&str> {
        let head = &self.bytes[..self.bytes.len().min(8192)];
        if head.contains(&0) { None } else { std::str::from_utf8(&self.bytes).ok() }
    }

    /// Whether the file is Rust.
    fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }

    /// The top folder: the crate, for a source file.
    fn top(&self) -> &str {
        self.path.split('/').next().unwrap_or("")
    }

    /// Whether the file is code of the product (not a test).
    fn is_product(&self) -> bool {
        self.is_rust() && self.path.contains("/src/") && self.top() != "sqllogictests"
    }
}

/// The folder that holds the workspace.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package lies in the workspace").to_path_buf()
}

/// Every file of the tree but build output and hidden folders (`.ci` is ours).
fn tree() -> Vec<File> {
    let root = root();
    let mut files = Vec::new();
    collect(&root, &root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 20, "the tree was not found at {}", root.display());
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the entry is readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let hidden = name.starts_with('.') && name != ".ci" && name != ".gitignore";
        if hidden || SKIPPED.contains(&name.as_str()) || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            // A build folder under another name marks itself.
            if !path.join("CACHEDIR.TAG").exists() {
                collect(root, &path, files);
            }
        } else {
            let relative = path.strip_prefix(root).expect("the walk starts at the root");
            let bytes = fs::read(&path).expect("the file is readable");
            files.push(File { path: relative.to_string_lossy().replace('\\', "/"), bytes });
        }
    }
}

/// Fails with the list of offences, if there are any.
fn settle(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}
