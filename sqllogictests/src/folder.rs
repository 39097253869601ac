//! Files of a script's folder. They are inputs that anyone might have dropped there: plain writes, made
//! visible under their name at once by a rename.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use datafusion::prelude::{ParquetReadOptions, SessionContext};

use crate::text;

/// Writes `lines` to `path` below `folder`, replacing what is there.
///
/// # Errors
/// When the file cannot be written.
pub fn write(folder: &Path, path: &str, lines: &[String]) -> Result<()> {
    let target = prepared(folder, path)?;
    let mut text = lines.join("\n");
    text.push('\n');
    place(&target, text.as_bytes())
}

/// Adds `lines` to the end of `path` below `folder`.
///
/// # Errors
/// When the file cannot be read or written.
pub fn append(folder: &Path, path: &str, lines: &[String]) -> Result<()> {
    use std::io::Write as _;
    let target = prepared(folder, path)?;
    let mut file = fs::OpenOptions::new().append(true).create(true).open(&target)?;
    let mut text = lines.join("\n");
    text.push('\n');
    file.write_all(text.as_bytes()).with_context(|| format!("could not append to {path}"))
}

/// Copies a file of the corpus to `path` below `folder`.
///
/// # Errors
/// When it cannot be copied.
pub fn copy(from: &Path, folder: &Path, path: &str) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("could not read {}", from.display()))?;
    place(&prepared(folder, path)?, &bytes)
}

/// Deletes `path` below `folder`.
///
/// # Errors
/// When it cannot be deleted.
pub fn remove(folder: &Path, path: &str) -> Result<()> {
    fs::remove_file(folder.join(path)).with_context(|| format!("could not remove {path}"))
}

/// Puts `bytes` at `target` so that a reader sees all of them or no file.
///
/// # Errors
/// When the file cannot be written.
#[expect(
    clippy::disallowed_methods,
    reason = "an input file dropped by a user is not fsynced by the database"
)]
pub fn place(target: &Path, bytes: &[u8]) -> Result<()> {
    let hidden = target.with_extension("part");
    fs::write(&hidden, bytes)?;
    fs::rename(&hidden, target).with_context(|| format!("could not place {}", target.display()))
}

fn prepared(folder: &Path, path: &str) -> Result<PathBuf> {
    let target = folder.join(path);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(target)
}

/// The rows of the Parquet files below `folder` that match `pattern`, with their column letters, read by
/// a DataFusion of its own.
///
/// # Errors
/// When the files cannot be read.
pub async fn read_parquet(folder: &Path, pattern: &str) -> Result<(String, Vec<String>)> {
    let path = folder.join(pattern);
    let context = SessionContext::new();
    let frame = context
        .read_parquet(path.to_string_lossy().as_ref(), ParquetReadOptions::default())
        .await
        .with_context(|| format!("could not read {pattern}"))?;
    let types = frame.schema().fields().iter().map(|f| text::letter(f.data_type())).collect();
    let rows = frame.collect().await?.iter().flat_map(text::lines).collect();
    Ok((types, rows))
}
