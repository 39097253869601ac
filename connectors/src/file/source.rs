//! Files as a source: which hold more rows, and which can be read no longer.
//!
//! For each file, the listing compares what it is with what the committed position says it was:
//!
//! | file | then |
//! |---|---|
//! | new | ready, unless it lacks a declared column or is a Parquet file without its end |
//! | as it was, and read to its end | nothing |
//! | as it was, with a last line without newline | ready and complete once it has settled |
//! | longer, same inode | ready if the bytes before the position end as they did |
//! | touched, replaced or cut behind the position | ready if the bytes before the position are the same |
//! | shorter than the position, other bytes, gone | a problem |
//! | of which nothing was read, and changed or settled since | as a new one |
//!
//! A text file has **settled** when it was not modified for a second; only then is a last line without
//! newline a record. A file from the future has settled when two listings find it the same.
//!
//! A header counts when its newline is there: before, nothing follows it that could be read, and it may go
//! on. One that has settled without newline is held against the declared columns none the less, so that a
//! half-written or foreign file is told of.
//!
//! A listing alone is never trusted: `open` compares again.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::file::listing::{FilePattern, list};
use crate::file::parquet::{ParquetReader, columns, footer_checksum, metadata, project};
use crate::file::position::{Etag, Position, State, TAIL_BYTES, checksum, read_range};
use crate::file::text::{TextReader, continues};
use crate::format::csv::infer::Inference;
use crate::format::csv::{CsvDecoder, Dialect, Header, bom};
use crate::format::json::{self, JsonDecoder};
use crate::format::{BlockDecoder, Format, RECORD_BYTES_MAX};
use crate::source::{Budget, Chunk, Listing, Offset, Problem, Reader, Source, Split, TableShape};

/// Bytes in which the header of a CSV file is looked for first.
const HEAD_BYTES: u64 = 16 << 10;
/// Records of the first file that inference looks at, and of each further one.
const SAMPLE_RECORDS: [usize; 2] = [20_000, 1_000];
/// Files that inference looks at.
const SAMPLE_FILES: usize = 32;
/// How long a file must be left alone before its last line is taken without newline.
const SETTLED_NS: i64 = 1_000_000_000;

/// A set of files of one format.
#[derive(Debug)]
pub(crate) struct FileSource {
    patterns: Vec<FilePattern>,
    format: Format,
    declared: Option<SchemaRef>,
    seen: Mutex<Seen>,
}

/// What earlier calls found out; rebuilt after a restart.
#[derive(Debug, Default)]
struct Seen {
    /// Inferred columns.
    schema: Option<SchemaRef>,
    /// Files at the last listing, for those it found ready or unchanged.
    etags: BTreeMap<String, Etag>,
}

/// What to do with a file.
enum Verdict {
    Ready { complete: bool },
    Nothing,
    Problem(String),
}

impl FileSource {
    /// A source of the files that `uris` match. Does no I/O.
    pub(crate) fn new(
        uris: &[String],
        format: Format,
        declared: Option<SchemaRef>,
    ) -> Result<Self> {
        if uris.is_empty() {
            return Err(Error::Arguments { connector: "files", expected: "at least one uri" });
        }
        let patterns = uris.iter().map(|uri| FilePattern::new(uri)).collect::<Result<_>>()?;
        Ok(Self { patterns, format, declared, seen: Mutex::default() })
    }

    fn schema(&self) -> Result<SchemaRef> {
        if let Some(declared) = &self.declared {
            return Ok(Arc::clone(declared));
        }
        if let Some(schema) = self.lock().schema.clone() {
            return Ok(schema);
        }
        let schema = Arc::new(self.infer()?);
        self.lock().schema = Some(Arc::clone(&schema));
        Ok(schema)
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All patterns, for messages.
    fn pattern(&self) -> String {
        self.patterns.iter().map(FilePattern::given).collect::<Vec<_>>().join(", ")
    }

    fn infer(&self) -> Result<Schema> {
        let paths: Vec<String> = list(&self.patterns)?.files.into_keys().collect();
        let Some(first) = paths.first() else {
            return Err(Error::NoFilesMatch { pattern: self.pattern() });
        };
        let step = paths.len().div_ceil(SAMPLE_FILES);
        let nothing = |path: &str, message: &str| Error::Inference {
            place: path.to_owned(),
            message: message.into(),
        };
        match &self.format {
            Format::Parquet => infer_parquet(&paths),
            Format::Csv(dialect) => {
                let mut inference = Inference::new()?;
                for (i, path) in paths.iter().step_by(step).enumerate() {
                    let (head, whole) = head(path, RECORD_BYTES_MAX)?;
                    inference.add(&head, whole, dialect, SAMPLE_RECORDS[usize::from(i > 0)]);
                }
                inference.schema().ok_or_else(|| nothing(first, "it holds no record"))
            }
            Format::Json => {
                let mut objects: Vec<Value> = Vec::new();
                for (i, path) in paths.iter().step_by(step).enumerate() {
                    let (head, _) = head(path, RECORD_BYTES_MAX)?;
                    let lines =
                        head.split(|b| *b == b'\n').take(SAMPLE_RECORDS[usize::from(i > 0)]);
                    let parsed = lines.filter_map(|line| serde_json::from_slice(line).ok());
                    objects.extend(parsed.filter(Value::is_object));
                }
                if objects.is_empty() {
                    return Err(nothing(first, "it holds no JSON object on a line"));
                }
                json::infer(&objects).map_err(|e| nothing(first, &e.to_string()))
            }
        }
    }

    /// What is to be done with a file that is `etag` and was committed at `known`.
    fn judge(
        &self,
        path: &str,
        etag: Etag,
        known: Option<&Offset>,
        now_us: i64,
    ) -> Result<Verdict> {
        let Some(offset) = known else {
            return self.judge_new(path, etag, settled(etag, now_us, false));
        };
        let position = Position::decode(path, offset)?;
        let more = self.is_text() && position.at < etag.size;
        let untouched = position.at == 0 && position.state == State::AtEnd;
        if position.etag == etag && untouched && more && settled(etag, now_us, true) {
            return self.judge_new(path, etag, true);
        }
        if position.etag == etag {
            return Ok(match position.state {
                State::Failed => Verdict::Problem("could not be read".to_owned()),
                State::Reading => Verdict::Ready { complete: settled(etag, now_us, false) },
                State::AtEnd if more && settled(etag, now_us, true) => {
                    Verdict::Ready { complete: true }
                }
                State::AtEnd => Verdict::Nothing,
            });
        }
        if position.at == 0 && position.state != State::Reading {
            return self.judge_new(path, etag, settled(etag, now_us, false));
        }
        let verified = self.lock().etags.get(path) == Some(&etag);
        if !verified && !self.is_same(path, etag, &position)? {
            let shorter = self.is_text() && etag.size < position.at;
            let what = if shorter { "shrank" } else { "was changed in place" };
            return Ok(Verdict::Problem(format!("file {what} after it was read")));
        }
        Ok(match position.state {
            State::Failed => Verdict::Problem("could not be read".to_owned()),
            State::Reading => Verdict::Ready { complete: settled(etag, now_us, verified) },
            State::AtEnd if more => Verdict::Ready { complete: settled(etag, now_us, verified) },
            State::AtEnd => Verdict::Nothing,
        })
    }

    /// What is to be done with a file of which nothing is read yet.
    fn judge_new(&self, path: &str, etag: Etag, complete: bool) -> Result<Verdict> {
        let schema = self.declared.clone().or_else(|| self.lock().schema.clone());
        match (&self.format, schema) {
            (Format::Csv(dialect), Some(schema)) if dialect.header => {
                let head = csv_head(&open(path)?, path, dialect, etag.size)?;
                if let (None, true) = (&head.header, complete) {
                    return judge_unfinished(&head, path, dialect, &schema);
                }
                if let Some((names, _)) = &head.header {
                    CsvDecoder::new(dialect, &schema, Some(names), path)?;
                }
            }
            (Format::Parquet, schema) => {
                let file = open(path)?;
                if footer_checksum(&file, path, etag.size)?.is_none() {
                    let message = "file is not a complete Parquet file".to_owned();
                    return Ok(Verdict::Problem(message));
                }
                let metadata = metadata(&file, path)?;
                if let Some(schema) = schema {
                    project(&schema, metadata.schema(), path)?;
                }
            }
            _ => {}
        }
        Ok(Verdict::Ready { complete })
    }

    /// Whether the part of a changed file that was read is as it was.
    fn is_same(&self, path: &str, etag: Etag, position: &Position) -> Result<bool> {
        let file = open(path)?;
        if !self.is_text() {
            return Ok(footer_checksum(&file, path, etag.size)? == Some(position.content));
        }
        if etag.size < position.at {
            return Ok(false);
        }
        if etag.inode == position.etag.inode && etag.size > position.etag.size {
            return continues(&file, path, &Position { etag, ..*position });
        }
        Ok(checksum(&file, path, position.at)? == position.content)
    }

    fn is_text(&self) -> bool {
        !matches!(self.format, Format::Parquet)
    }

    fn open_text(
        &self,
        path: &str,
        file: File,
        position: Position,
        complete: bool,
    ) -> Result<Box<dyn Reader>> {
        let schema = self.schema()?;
        let mut position = position;
        let decoder: Box<dyn BlockDecoder> = match &self.format {
            Format::Csv(dialect) => {
                let Some(decoder) = csv_decoder(&file, path, dialect, &schema, &mut position)?
                else {
                    return Ok(Box::new(NoHeader { position }));
                };
                Box::new(decoder)
            }
            _ => Box::new(JsonDecoder::new(&schema)),
        };
        Ok(Box::new(TextReader::new(file, path, decoder, position, complete)?))
    }
}

#[async_trait]
impl Source for FileSource {
    async fn check(&self) -> Result<()> {
        if self.declared.is_none() && list(&self.patterns)?.files.is_empty() {
            return Err(Error::NoFilesMatch { pattern: self.pattern() });
        }
        Ok(())
    }

    async fn discover(&self) -> Result<TableShape> {
        Ok(TableShape { schema: self.schema()? })
    }

    async fn splits(&self, known: &[(String, Offset)], now_us: i64) -> Result<Listing> {
        let found = list(&self.patterns)?;
        let mut gone: BTreeMap<&str, &Offset> =
            known.iter().map(|(split, offset)| (split.as_str(), offset)).collect();
        let mut listing = Listing { ready: Vec::new(), problems: found.problems };
        let mut etags = BTreeMap::new();
        for (path, etag) in found.files {
            let verdict = self
                .judge(&path, etag, gone.remove(path.as_str()), now_us)
                .unwrap_or_else(|e| Verdict::Problem(e.about(&path)));
            match verdict {
                Verdict::Problem(message) => {
                    listing.problems.push(Problem { split: path, message });
                    continue;
                }
                Verdict::Ready { complete } => {
                    listing.ready.push(Split { name: path.clone(), complete });
                }
                Verdict::Nothing => {}
            }
            etags.insert(path, etag);
        }
        for split in gone.keys() {
            let message = "file vanished after it was read".to_owned();
            listing.problems.push(Problem { split: (*split).to_owned(), message });
        }
        self.lock().etags = etags;
        Ok(listing)
    }

    async fn open(&self, split: &Split, at: Option<Offset>) -> Result<Box<dyn Reader>> {
        let path = split.name.as_str();
        let file = open(path)?;
        let metadata = file.metadata().map_err(|e| Error::io("read the metadata of", path, e))?;
        let etag = Etag::of(&metadata);
        let start = at.map(|at| Position::decode(path, &at)).transpose()?.unwrap_or_default();
        let complete = split.complete && self.lock().etags.get(path) == Some(&etag);
        let changed = || Error::Corrupt {
            place: path.to_owned(),
            message: "it was changed in place after a part of it was read".into(),
        };
        let mut position = Position { etag, ..start };
        if matches!(self.format, Format::Parquet) {
            let footer = footer_checksum(&file, path, etag.size)?.unwrap_or_default();
            if position.at > 0 && footer != start.content {
                return Err(changed());
            }
            position.content = footer;
            let schema = self.schema()?;
            return Ok(Box::new(ParquetReader::open(file, path, &schema, position)?));
        }
        if !continues(&file, path, &position)? {
            return Err(changed());
        }
        self.open_text(path, file, position, complete)
    }
}

fn open(path: &str) -> Result<File> {
    File::open(path).map_err(|e| Error::io("open", path, e))
}

/// Whether nobody writes to a file any more; `again` says that an earlier listing found it the same.
fn settled(etag: Etag, now_us: i64, again: bool) -> bool {
    let age_ns = now_us.saturating_mul(1_000).saturating_sub(etag.modified_ns);
    if age_ns < 0 { again } else { age_ns >= SETTLED_NS }
}

/// A file whose header is not finished yet: it holds nothing.
struct NoHeader {
    position: Position,
}

#[async_trait]
impl Reader for NoHeader {
    async fn next(&mut self, _: Budget) -> Result<Chunk> {
        self.position.state = State::AtEnd;
        let after = self.position.offset();
        Ok(Chunk { rows: None, after, rejects: Vec::new(), end: true })
    }
}

/// The start of a CSV file, with its header if that is finished.
struct CsvHead {
    bytes: Vec<u8>,
    header: Option<(Vec<String>, Header)>,
}

/// Reads the start of a CSV file of `size` bytes, as much as its header takes.
fn csv_head(file: &File, path: &str, dialect: &Dialect, size: u64) -> Result<CsvHead> {
    let mut bytes = read_range(file, path, 0, size.min(HEAD_BYTES))?;
    if !dialect.header {
        return Ok(CsvHead { bytes, header: None });
    }
    let mut header = dialect.names(&bytes, false);
    if header.is_none() && size > HEAD_BYTES {
        bytes = read_range(file, path, 0, size.min(RECORD_BYTES_MAX as u64))?;
        header = dialect.names(&bytes, false);
    }
    Ok(CsvHead { bytes, header })
}

/// What is to be done with a file that has come to rest before the newline of its header.
fn judge_unfinished(
    head: &CsvHead,
    path: &str,
    dialect: &Dialect,
    schema: &SchemaRef,
) -> Result<Verdict> {
    let Some((names, _)) = dialect.names(&head.bytes, true) else { return Ok(Verdict::Nothing) };
    if names.iter().any(|name| name.contains('\r')) {
        return Ok(Verdict::Problem("the lines of the file end in CR without LF".to_owned()));
    }
    if head.bytes.len() >= RECORD_BYTES_MAX {
        return Ok(Verdict::Problem("the first line of the file is too long".to_owned()));
    }
    CsvDecoder::new(dialect, schema, Some(&names), path)?;
    Ok(Verdict::Nothing)
}

/// The decoder of a CSV file, unless its header is unfinished; moves a position at the start of the file
/// behind its header.
fn csv_decoder(
    file: &File,
    path: &str,
    dialect: &Dialect,
    schema: &SchemaRef,
    position: &mut Position,
) -> Result<Option<CsvDecoder>> {
    let head = csv_head(file, path, dialect, position.etag.size)?;
    if !dialect.header {
        if position.at == 0 {
            skip(position, &head.bytes, bom(&head.bytes), 0);
        }
        return CsvDecoder::new(dialect, schema, None, path).map(Some);
    }
    let Some((names, header)) = head.header else { return Ok(None) };
    if position.at == 0 {
        skip(position, &head.bytes, header.bytes, header.lines);
    }
    CsvDecoder::new(dialect, schema, Some(&names), path).map(Some)
}

/// Consumes the first `bytes` of a file.
fn skip(position: &mut Position, head: &[u8], bytes: usize, lines: u64) {
    let consumed = &head[..bytes];
    position.at = bytes as u64;
    position.lines = lines;
    position.content = crc32c::crc32c(consumed);
    let keep = usize::try_from(TAIL_BYTES).expect("the tail is short");
    position.tail = crc32c::crc32c(&consumed[bytes.saturating_sub(keep)..]);
}

/// The columns that most files have, from the footers; the first of equally frequent ones.
fn infer_parquet(paths: &[String]) -> Result<Schema> {
    let step = paths.len().div_ceil(SAMPLE_FILES);
    let mut kinds: Vec<(Schema, usize)> = Vec::new();
    for path in paths.iter().step_by(step) {
        let found = columns(&metadata(&open(path)?, path)?);
        let same = |(kind, _): &&mut (Schema, usize)| {
            let names = || found.fields().iter().map(|field| field.name());
            kind.fields().len() == names().count() && names().all(|n| kind.index_of(n).is_ok())
        };
        match kinds.iter_mut().find(same) {
            Some((_, files)) => *files += 1,
            None => kinds.push((found, 1)),
        }
    }
    let usual = kinds.into_iter().rev().max_by_key(|(_, files)| *files);
    let fields = usual.iter().flat_map(|(schema, _)| schema.fields());
    let nullable = fields.map(|field| field.as_ref().clone().with_nullable(true));
    Ok(Schema::new(nullable.collect::<Vec<_>>()))
}

/// The first bytes of a file, and whether they are all.
fn head(path: &str, bytes: usize) -> Result<(Vec<u8>, bool)> {
    let file = open(path)?;
    let size = file.metadata().map_err(|e| Error::io("read the metadata of", path, e))?.len();
    let length = size.min(bytes as u64);
    Ok((read_range(&file, path, 0, length)?, length == size))
}
