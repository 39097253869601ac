//! Reading a source to its end, as an engine would.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::json::LineDelimitedWriter;
use futures::executor::block_on;
use levada_connectors::registry::{SourceRequest, source};
use levada_connectors::source::{Budget, Listing, Offset, Problem, Reject, Source};

/// A budget that nothing exceeds.
pub(crate) const ALL: Budget = Budget { rows: usize::MAX, bytes: 1 << 30 };

/// What a source needs to be built again, as after a restart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recipe {
    pub(crate) connector: &'static str,
    pub(crate) arguments: Vec<String>,
    pub(crate) options: Vec<(String, String)>,
    pub(crate) format: &'static str,
    pub(crate) format_options: Vec<(String, String)>,
    pub(crate) declared: Option<SchemaRef>,
}

impl Recipe {
    pub(crate) fn files(pattern: &Path, format: &'static str) -> Self {
        let arguments = vec![pattern.to_str().unwrap().to_owned()];
        Self { connector: "files", arguments, format, ..Self::default() }
    }

    pub(crate) fn generator(kind: &str, options: &[(&str, &str)]) -> Self {
        let arguments = vec![kind.to_owned()];
        Self { connector: "generator", arguments, options: pairs(options), ..Self::default() }
    }

    pub(crate) fn with_format(mut self, options: &[(&str, &str)]) -> Self {
        self.format_options = pairs(options);
        self
    }

    pub(crate) fn declared(mut self, schema: SchemaRef) -> Self {
        self.declared = Some(schema);
        self
    }

    pub(crate) fn build(&self) -> Arc<dyn Source> {
        source(&SourceRequest {
            connector: self.connector,
            arguments: &self.arguments,
            options: &self.options,
            format: self.format,
            format_options: &self.format_options,
            declared: self.declared.clone(),
        })
        .unwrap()
    }
}

pub(crate) fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

/// Everything an engine would commit.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Taken {
    /// Rows as JSON, in order.
    pub(crate) rows: Vec<String>,
    pub(crate) rejects: Vec<Reject>,
}

/// A source with its committed offsets.
pub(crate) struct Follower {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) known: BTreeMap<String, Offset>,
    pub(crate) taken: Taken,
    /// Added to the time of day, so that files are as old as a test wants.
    pub(crate) later_us: i64,
}

impl Follower {
    pub(crate) fn new(recipe: &Recipe) -> Self {
        let source = recipe.build();
        Self { source, known: BTreeMap::new(), taken: Taken::default(), later_us: 10_000_000 }
    }

    pub(crate) fn list(&self) -> Listing {
        let known: Vec<_> = self.known.iter().map(|(s, o)| (s.clone(), o.clone())).collect();
        block_on(self.source.splits(&known, now_us() + self.later_us)).unwrap()
    }

    /// One poll: reads all that is ready; returns the problems.
    pub(crate) fn poll(&mut self, budget: Budget) -> Vec<Problem> {
        let listing = self.list();
        for split in listing.ready {
            let at = self.known.get(&split.name).cloned();
            let mut reader = block_on(self.source.open(&split, at)).unwrap();
            loop {
                let chunk = block_on(reader.next(budget)).unwrap();
                assert!(chunk.rows.as_ref().is_none_or(|r| r.num_rows() <= budget.rows), "budget");
                self.taken.rows.extend(chunk.rows.as_ref().map(lines).unwrap_or_default());
                self.taken.rejects.extend(chunk.rejects);
                self.known.insert(split.name.clone(), chunk.after);
                if chunk.end {
                    break;
                }
            }
        }
        listing.problems
    }

    pub(crate) fn take(&mut self) -> Taken {
        std::mem::take(&mut self.taken)
    }
}

/// Everything a fresh source yields.
pub(crate) fn read_all(recipe: &Recipe) -> Taken {
    let mut follower = Follower::new(recipe);
    assert_eq!(follower.poll(ALL), []);
    follower.taken
}

pub(crate) fn lines(batch: &RecordBatch) -> Vec<String> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    let text = String::from_utf8(writer.into_inner()).unwrap();
    text.lines().map(str::to_owned).collect()
}

pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

pub(crate) fn put(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

pub(crate) fn append(path: &Path, bytes: impl AsRef<[u8]>) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes.as_ref()).unwrap();
}
