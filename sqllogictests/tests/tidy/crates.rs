//! Who may depend on whom.
//!
//! ```text
//! server -> engine -> planner -> { catalog, connectors } -> storage
//! ```
//! An upper crate may name any crate below it. `server` calls `engine`; of the others it names the errors,
//! to give each its SQLSTATE, and the seams (clock, tasks) of `storage`. Nothing depends on `server`.

use std::collections::BTreeMap;
use std::fs;

use super::{root, settle};

/// Each crate of the product and the crates it may name.
const DIRECTION: [(&str, &[&str]); 6] = [
    ("storage", &[]),
    ("connectors", &["storage"]),
    ("catalog", &["storage"]),
    ("planner", &["catalog", "connectors", "storage"]),
    ("engine", &["planner", "catalog", "connectors", "storage"]),
    ("server", &["engine", "planner", "catalog", "connectors", "storage"]),
];

/// Outside crates that belong to some crates only.
const OWNED: [(&str, &[&str]); 8] = [
    ("pgwire", &["server"]),
    ("axum", &["server"]),
    ("rustls", &["server"]),
    ("postgres-types", &["server"]),
    ("clap", &["server", "bench"]),
    ("datafusion", &["planner", "engine", "server", "sqllogictests", "bench"]),
    ("sqllogictest", &["sqllogictests"]),
    ("tokio-postgres", &["server", "sqllogictests"]),
];

/// Dependencies of one manifest: section, crate, the rest of the line.
struct Manifest {
    text: String,
    dependencies: Vec<(String, String, String)>,
}

fn manifest(folder: &str) -> Manifest {
    let path = root().join(folder).join("Cargo.toml");
    let text = fs::read_to_string(&path).expect("every crate has a manifest");
    let mut section = String::new();
    let mut dependencies = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if section.ends_with("dependencies")
            && !line.starts_with('#')
            && let Some((name, value)) = line.split_once('=')
        {
            let name = name.trim();
            let (crate_name, rest) = match name.strip_suffix(".workspace") {
                Some(short) => (short, format!("workspace = {}", value.trim())),
                None => (name, value.trim().to_owned()),
            };
            dependencies.push((section.clone(), crate_name.to_owned(), rest));
        }
    }
    Manifest { text, dependencies }
}

/// The folders of all members.
fn members() -> Vec<String> {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace has a manifest");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("members = ["))
        .expect("the members stand on one line");
    let inner = line.trim_end_matches(']');
    inner.split(',').map(|member| member.trim().trim_matches('"').to_owned()).collect()
}

#[test]
fn crates_depend_downwards_only() {
    let allowed: BTreeMap<_, _> = DIRECTION.into_iter().collect();
    let mut offences = Vec::new();
    for member in members() {
        for (section, name, _) in manifest(&member).dependencies {
            let Some(other) = name.strip_prefix("levada-") else { continue };
            let development = section.starts_with("dev-") || !allowed.contains_key(&*member);
            let permitted = allowed.get(&*member).is_some_and(|names| names.contains(&other));
            if other == "sqllogictests" || !(development || permitted) {
                offences.push(format!("{member} names {name} in [{section}]"));
            }
        }
    }
    settle("dependency direction", &offences);
}

#[test]
fn outside_crates_stay_with_their_owner() {
    let owners: BTreeMap<_, _> = OWNED.into_iter().collect();
    let mut offences = Vec::new();
    for member in members() {
        for (section, name, _) in manifest(&member).dependencies {
            if let Some(owners) = owners.get(&*name)
                && !section.starts_with("dev-")
                && !owners.contains(&&*member)
            {
                offences.push(format!("{member} names {name}, which belongs to {owners:?}"));
            }
        }
    }
    settle("owned crates", &offences);
}

#[test]
fn versions_stand_in_the_workspace_only() {
    let mut offences = Vec::new();
    for member in members() {
        let manifest = manifest(&member);
        for (_, name, rest) in &manifest.dependencies {
            if !rest.contains("workspace = true") {
                offences.push(format!("{member}: {name} = {rest}"));
            }
        }
        for line in ["version.workspace = true", "license.workspace = true"] {
            if !manifest.text.contains(line) {
                offences.push(format!("{member}: no line \"{line}\""));
            }
        }
        if !manifest.text.contains("[lints]\nworkspace = true") {
            offences.push(format!("{member}: the workspace lints are off"));
        }
        if !manifest.text.contains(&format!("name = \"levada-{member}\"")) {
            offences.push(format!("{member}: the package is not named levada-{member}"));
        }
    }
    settle("one place for versions and lints", &offences);
}
