//! The data directory: who may open it, and what a kill leaves.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use levada_storage::blob::{Blob, LocalBlob, open_blob};
use levada_storage::error::{Error, ErrorKind};

use super::world::World;

fn open(path: &Path) -> Result<LocalBlob, Error> {
    LocalBlob::open(path.to_owned())
}

#[tokio::test]
async fn a_second_opening_names_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path()).unwrap();
    let error = open(dir.path()).unwrap_err();
    let text = format!("data directory \"{}\" is in use by another process", dir.path().display());
    assert_eq!((error.to_string(), error.kind()), (text, ErrorKind::Conflict));
    drop(first);
    open(dir.path()).unwrap();
}

#[tokio::test]
async fn a_directory_with_other_files_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    fs::File::create(dir.path().join("thesis.tex")).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, Error::NotADatabase { .. }), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_file_is_not_a_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::File::create(&file).unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = open(&path).unwrap_err();
        assert!(matches!(error, Error::Unreadable { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_database_is_found_again_and_staged_files_of_a_kill_are_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    for round in 0..3u64 {
        let blob: Arc<dyn Blob> = open_blob(path.to_str().unwrap()).await.unwrap();
        let mut world = World::open(&blob, round).await.unwrap();
        assert_eq!(world.numbers, (0..round * 3).collect::<Vec<_>>());
        for number in round * 3..round * 3 + 3 {
            world.add(number).await.unwrap();
        }
        world.checkpoint().await.unwrap();
        world.sweep().await.unwrap();
        fs::File::create(path.join(".tmp/99")).unwrap();
        assert!(blob.list("", None).await.unwrap().iter().all(|(name, _)| name != ".tmp/99"));
        drop(world);
        drop(blob);
    }
    open(&path).unwrap();
    assert_eq!(fs::read_dir(path.join(".tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_copy_of_the_directory_is_a_database() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let blob: Arc<dyn Blob> = Arc::new(open(&from).unwrap());
    World::open(&blob, 1).await.unwrap().add(1).await.unwrap();
    for (name, _) in blob.list("", None).await.unwrap() {
        let target = to.join(&name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(from.join(&name), target).unwrap();
    }
    let copied: Arc<dyn Blob> = Arc::new(open(&to).unwrap());
    assert_eq!(World::open(&copied, 2).await.unwrap().numbers, [1]);
}
