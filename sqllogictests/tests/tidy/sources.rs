//! Size, opening comment, name and words of every source file; and the invariants that are absences.
//!
//! Forbidden words are written in two halves here, so that this file passes its own test.

use super::{File, settle, tree};

/// Lines at which a file must be split.
const LINES_MAX: usize = 1000;

/// Names that say nothing about what a file holds.
const NAMELESS: [&str; 16] = [
    "util", "utils", "common", "misc", "manager", "helper", "helpers", "base", "core", "impl",
    "impls", "v2", "new", "old", "legacy", "mod",
];

/// Phrases that are history, or speak of the maker or his machine instead of the thing.
const PHRASES: [(&str, &str); 14] = [
    (concat!("for", " now"), "say what is, or open an issue"),
    (concat!("previous", "ly,"), "history belongs to the commit"),
    (concat!("FIX", "ME"), "open an issue"),
    (concat!("XX", "X:"), "open an issue"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/ho", "me/"), "a path of one machine"),
    (concat!("files.python", "hosted"), "a registry host"),
    (concat!("index.crates", ".io"), "a registry host"),
    (concat!("static.crates", ".io"), "a registry host"),
    (concat!("language", " model"), "who wrote it is no part of it"),
    (concat!("suba", "gent"), "who wrote it is no part of it"),
    (concat!("AI", "-generated"), "who wrote it is no part of it"),
    (concat!("Co-Authored", "-By"), "who wrote it is no part of it"),
];

/// Words that may not occur by themselves, in any case.
const WORDS: [&str; 3] = [concat!("ag", "ent"), concat!("ag", "ents"), concat!("worktree", "s")];

/// Text that code of some crates does not hold.
struct Absence {
    crates: &'static [&'static str],
    text: &'static str,
    why: &'static str,
    /// Start of the path where it may stand all the same; empty if there is no such place.
    except: &'static str,
}

/// The invariants that a search can see.
const ABSENT: [Absence; 19] = [
    absent(&["storage", "catalog", "connectors"], "datafusion::", "these crates know Arrow only"),
    absent(&["storage", "catalog", "connectors", "server"], "sqlparser", "only planner parses"),
    // The engine carries out the trees of standard statements that the planner hands it.
    absent(&["engine"], "sqlparser::parser", "only planner parses"),
    absent(&["engine"], "sqlparser::dialect", "only planner parses"),
    absent(BELOW_SERVER, "pgwire", "only server has a wire"),
    absent(BELOW_SERVER, "axum::", "only server has a wire"),
    absent(BELOW_SERVER, "rustls::", "only server has TLS"),
    // One exhaustive match gives every error its SQLSTATE, so it names the errors of all crates.
    absent(&["server"], "levada_planner", "server calls engine").but("server/src/sqlstate"),
    absent(&["server"], "levada_catalog", "server calls engine").but("server/src/sqlstate"),
    absent(&["server"], "levada_connectors", "server calls engine").but("server/src/sqlstate"),
    // What begins with SELECT there is a command tag.
    absent(ALL, "starts_with(\"SELECT", "SQL is matched by its tree only")
        .but("server/src/command/script.rs"),
    absent(ALL, "starts_with(\"select", "SQL is matched by its tree only"),
    absent(ALL, "starts_with(\"INSERT", "SQL is matched by its tree only"),
    absent(ALL, "starts_with(\"BEGIN", "SQL is matched by its tree only"),
    absent(ALL, "Regex::new", "SQL is matched by its tree only"),
    absent(ALL, "mod test_", "test code lies beside the product, not in it"),
    absent(ALL, "struct Mock", "no mock in the product"),
    absent(ALL, "struct Fake", "no fake in the product"),
    absent(ALL, "object_store::local", "it does not fsync: storage::blob"),
];

const fn absent(crates: &'static [&'static str], text: &'static str, why: &'static str) -> Absence {
    Absence { crates, text, why, except: "" }
}

impl Absence {
    const fn but(mut self, except: &'static str) -> Self {
        self.except = except;
        self
    }

    fn concerns(&self, file: &File) -> bool {
        let excepted = !self.except.is_empty() && file.path.starts_with(self.except);
        self.crates.contains(&file.top()) && !excepted
    }
}

/// Every crate of the product.
const ALL: &[&str] = &["storage", "connectors", "catalog", "planner", "engine", "server"];
/// Every crate that works without a process around it.
const BELOW_SERVER: &[&str] = &["storage", "connectors", "catalog", "planner", "engine"];

/// Where a banned call may stand: the seams that own time, chance, tasks, environment and files.
const SEAMS: [&str; 7] = [
    "storage/src/clock",
    "storage/src/rng",
    "storage/src/task",
    "storage/src/blob",
    "server/src/config",
    "connectors/src/secret",
    "connectors/src/file",
];

/// The lines of code with their numbers: without comments, up to the inline tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("mod tests {"))
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or("")))
}

fn rust_files() -> impl Iterator<Item = File> {
    tree().into_iter().filter(File::is_rust)
}

#[test]
fn files_fit_a_reader() {
    let offences: Vec<_> = rust_files()
        .filter_map(|file| {
            let lines = file.text().expect("Rust is text").lines().count();
            (lines > LINES_MAX).then(|| format!("{}: {lines} lines", file.path))
        })
        .collect();
    settle("a file has at most 1000 lines", &offences);
}

#[test]
fn every_module_opens_with_what_it_is() {
    let offences: Vec<_> = rust_files()
        .filter(|file| {
            let text = file.text().expect("Rust is text");
            let first = text.lines().find(|line| !line.is_empty() && !line.starts_with("#!"));
            !first.is_some_and(|line| line.starts_with("//! "))
        })
        .map(|file| file.path)
        .collect();
    settle("the first line of a module is its //! comment", &offences);
}

#[test]
fn names_are_nouns_of_the_docs() {
    let offences: Vec<_> = rust_files()
        .filter(|file| {
            let path = file.path.trim_end_matches(".rs");
            path.split('/').any(|part| NAMELESS.contains(&part))
        })
        .map(|file| file.path)
        .collect();
    settle("not names of files", &offences);
}

#[test]
fn words_say_what_is() {
    let mut offences = Vec::new();
    for file in tree() {
        let data = file.path.ends_with(".csv") || file.path == "Cargo.lock";
        let Some(text) = file.text().filter(|_| !data) else { continue };
        for (number, line) in text.lines().enumerate() {
            let mut offend = |what: &str, why: &str| {
                offences.push(format!("{}:{}: \"{what}\": {why}", file.path, number + 1));
            };
            for (phrase, why) in PHRASES {
                if line.contains(phrase) {
                    offend(phrase, why);
                }
            }
            let mut words = line.split(|c: char| !c.is_alphanumeric());
            if let Some(word) = words.find(|word| WORDS.contains(&&*word.to_lowercase())) {
                offend(word, "not a word of the product");
            }
            let mark = concat!("TO", "DO");
            if line.split(mark).skip(1).any(|rest| !rest.starts_with("(#")) {
                offend(mark, "an open end names its issue in brackets");
            }
        }
    }
    settle("forbidden words", &offences);
}

#[test]
fn absences_hold() {
    let mut offences = Vec::new();
    for file in tree().into_iter().filter(File::is_product) {
        let text = file.text().expect("Rust is text");
        for (number, line) in code(text) {
            for absence in ABSENT.iter().filter(|absence| absence.concerns(&file)) {
                let Absence { text, why, .. } = absence;
                if line.contains(text) {
                    offences.push(format!("{}:{number}: \"{text}\": {why}", file.path));
                }
            }
        }
    }
    settle("invariants stated as absences", &offences);
}

#[test]
fn banned_calls_stay_in_the_seams() {
    let mut offences = Vec::new();
    for file in tree().into_iter().filter(File::is_product) {
        if SEAMS.iter().any(|seam| file.path.starts_with(seam)) {
            continue;
        }
        let text = file.text().expect("Rust is text");
        let mut before = "";
        for (number, line) in code(text) {
            // The exception of unit tests, on one line or on three.
            let tests = line.contains("cfg_attr(test") || before.trim() == "test,";
            if line.contains("clippy::disallowed_methods") && !tests {
                offences.push(format!("{}:{number}: opens a banned call", file.path));
            }
            before = line;
        }
    }
    settle("time, chance, tasks, environment and files come from the seams", &offences);
}
