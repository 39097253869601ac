//! Pages that must exist, links that must resolve, topics every construct must have.

use std::fs;
use std::path::Path;

use super::{root, settle, tree};

/// Bytes above which a binary file has no place in the tree.
const BINARY_BYTES_MAX: usize = 100 * 1024;

/// The pages a reader is promised by the README.
const PAGES: [&str; 21] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE",
    "docs/README.md",
    "docs/sql/sources.md",
    "docs/sql/tables.md",
    "docs/sql/materialized-views.md",
    "docs/sql/pipelines.md",
    "docs/sql/sinks.md",
    "docs/sql/explain.md",
    "docs/sql/copy.md",
    "docs/sql/system.md",
    "docs/connectors/files.md",
    "docs/connectors/generator.md",
    "docs/operations/serve.md",
    "docs/operations/storage.md",
    "docs/operations/errors.md",
    "examples/flights/README.md",
    "bench/README.md",
];

/// Modules of `planner/incremental` that every topic exercises.
const EVERYWHERE: [&str; 5] = ["hoist", "order", "relation", "ties", "values"];

/// Modules of `connectors` that are no connector.
const FRAMEWORK: [&str; 14] = [
    "lib",
    "error",
    "option",
    "registry",
    "source",
    "sink",
    "record",
    "supervise",
    "schema",
    "format",
    "egress",
    "secret",
    "envelope",
    "problem",
];

/// The targets of the Markdown links of a page: `](target)` outside of code.
fn links(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // Every other part between back-ticks is code.
        for prose in line.split('`').step_by(2) {
            for rest in prose.split("](").skip(1) {
                let end = rest.find(')').unwrap_or(rest.len());
                targets.push(rest.get(..end).unwrap_or("").to_owned());
            }
        }
    }
    targets
}

/// The anchor GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c),
            _ => None,
        })
        .collect()
}

#[test]
fn promised_pages_exist() {
    let missing = PAGES.iter().filter(|page| !root().join(page).exists());
    let missing: Vec<_> = missing.map(|page| (*page).to_owned()).collect();
    settle("promised pages", &missing);
}

#[test]
fn links_resolve() {
    let mut offences = Vec::new();
    for file in tree().into_iter().filter(|file| file.path.ends_with(".md")) {
        let folder = root().join(&file.path);
        let folder = folder.parent().expect("a file lies in a folder");
        for target in links(file.text().expect("a page is text")) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, fragment) = target.split_once('#').unwrap_or((&target, ""));
            let page = if path.is_empty() { root().join(&file.path) } else { folder.join(path) };
            let text = fs::read_to_string(&page).unwrap_or_default();
            let known = |line: &str| line.starts_with('#') && anchor(line) == fragment;
            if !page.exists() {
                offences.push(format!("{}: {target} does not exist", file.path));
            } else if !fragment.is_empty() && !text.lines().any(known) {
                offences.push(format!("{}: {target} names no heading", file.path));
            }
        }
    }
    settle("links", &offences);
}

#[test]
fn every_connector_has_a_page() {
    let mut missing = Vec::new();
    let folder = root().join("connectors/src");
    for entry in fs::read_dir(&folder).expect("connectors has sources") {
        let path = entry.expect("the entry is readable").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if FRAMEWORK.contains(&name.as_str()) {
            continue;
        }
        let docs = root().join("docs/connectors");
        let exists = [name.clone(), format!("{name}s")]
            .iter()
            .any(|page| docs.join(page).with_extension("md").exists());
        if !exists {
            missing.push(format!("connectors/src/{name}: no docs/connectors/{name}.md"));
        }
    }
    settle("a page per connector", &missing);
}

#[test]
fn every_incremental_construct_has_a_topic() {
    let constructs = root().join("planner/src/incremental");
    let topics = root().join("sqllogictests/slt");
    let Ok(entries) = fs::read_dir(&constructs) else { return };
    let mut missing = Vec::new();
    for entry in entries {
        let path = entry.expect("the entry is readable").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !EVERYWHERE.contains(&name.as_str()) && !topics.join(&name).is_dir() {
            missing.push(format!("{name}: no sqllogictests/slt/{name}"));
        }
    }
    settle("a test topic per incremental construct", &missing);
}

#[test]
fn expectations_hold_no_internal_error() {
    let offences: Vec<_> = tree()
        .into_iter()
        .filter(|file| Path::new(&file.path).extension().is_some_and(|e| e == "slt"))
        .filter(|file| file.text().is_some_and(|text| text.contains("XX000")))
        .map(|file| file.path)
        .collect();
    settle("an internal error is a bug, not an expectation", &offences);
}

#[test]
fn no_large_binary_lies_in_the_tree() {
    let offences: Vec<_> = tree()
        .into_iter()
        .filter(|file| file.text().is_none() && file.bytes.len() > BINARY_BYTES_MAX)
        .map(|file| format!("{}: {} bytes", file.path, file.bytes.len()))
        .collect();
    settle("binaries of more than 100 KiB", &offences);
}
