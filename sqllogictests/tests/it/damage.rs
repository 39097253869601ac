//! Damaged files of a database: what can be derived is derived again, the rest is refused by name.

use std::fs;
use std::path::{Path, PathBuf};

use levada_sqllogictests::embedded::Embedded;

const SCHEMA: &str = "CREATE TABLE t (k int, n bigint);
    CREATE MATERIALIZED VIEW sums AS SELECT k, sum(n) AS s, count(*) AS c FROM t GROUP BY k;
    CREATE MATERIALIZED VIEW top AS SELECT max(s) AS highest FROM sums";

/// The files below a folder whose path contains `part`.
fn files(folder: &Path, part: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, part));
        } else if path.to_string_lossy().contains(part) {
            found.push(path);
        }
    }
    found
}

/// Makes a closed database, damages the files whose path contains `part`, and opens it.
async fn reopened_without(folder: &Path, part: &str) -> Result<Embedded, String> {
    let mut embedded = Embedded::open(folder).await.unwrap();
    embedded.run(SCHEMA).await.unwrap();
    embedded
        .run("INSERT INTO t SELECT i % 7, i FROM generate_series(1, 1000) AS g (i)")
        .await
        .unwrap();
    embedded.close().await.unwrap();
    let damaged = files(&folder.join("db"), part);
    assert!(!damaged.is_empty(), "there are files of {part}");
    for path in damaged {
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x55;
        bytes.truncate(bytes.len() - 3);
        fs::write(&path, bytes).unwrap();
    }
    Embedded::open(folder).await.map_err(|error| format!("{error:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_whose_files_are_damaged_is_made_anew() {
    for part in ["data/public.sums", "data/public.top", "state/"] {
        let folder = tempfile::tempdir().unwrap();
        let mut embedded = reopened_without(folder.path(), part).await.expect(part);
        for view in ["sums", "top"] {
            embedded.run(&format!("CHECK INCREMENTAL {view}")).await.unwrap();
        }
        embedded.run("INSERT INTO t VALUES (100, 1000000)").await.unwrap();
        let highest = embedded.value("SELECT highest FROM top").await;
        assert_eq!(highest.as_deref(), Some("1000000"), "{part}: views go on");
        let groups = embedded.value("SELECT count(*) FROM sums").await;
        assert_eq!(groups.as_deref(), Some("8"), "{part}");
        embedded.run("CHECK INCREMENTAL sums").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_file_is_damaged_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let error = reopened_without(folder.path(), "data/public.t-").await.err().expect("refused");
    assert!(error.contains("data/public.t-"), "{error}");
}
