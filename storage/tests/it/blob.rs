//! One suite for all blobs: whatever holds here is what the log may rely on.

use std::sync::Arc;

use bytes::Bytes;
use levada_storage::blob::{Blob, LocalBlob, MemoryBlob, ObjectBlob, Put, open_blob};
use levada_storage::error::{Error, ErrorKind};
use object_store::memory::InMemory;

async fn conforms(blob: Arc<dyn Blob>) {
    reads_back(blob.as_ref()).await;
    creates_once(Arc::clone(&blob)).await;
    lists_in_order(blob.as_ref()).await;
    deletes(blob.as_ref()).await;
    refuses_names(blob.as_ref()).await;
}

async fn reads_back(blob: &dyn Blob) {
    assert_eq!(blob.get("log/1").await.unwrap(), None);
    assert_eq!(blob.head("log/1").await.unwrap(), None);
    blob.put("log/1", Bytes::from_static(b"0123456789")).await.unwrap();
    assert_eq!(blob.get("log/1").await.unwrap().unwrap(), "0123456789");
    assert_eq!(blob.head("log/1").await.unwrap(), Some(10));
    assert_eq!(blob.get_range("log/1", 2..5).await.unwrap(), "234");
    assert_eq!(blob.get_range("log/1", 9..10).await.unwrap(), "9");
    assert!(blob.get_range("log/1", 4..4).await.unwrap().is_empty());
    let error = blob.get_range("log/1", 5..11).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let error = blob.get_range("log/9", 0..1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    blob.put("log/1", Bytes::from_static(b"new")).await.unwrap();
    assert_eq!(blob.get("log/1").await.unwrap().unwrap(), "new");
    let large = Bytes::from(vec![7; 40 << 20]);
    blob.put("data/large", large.clone()).await.unwrap();
    assert!(blob.get("data/large").await.unwrap().unwrap() == large);
    blob.put("data/empty", Bytes::new()).await.unwrap();
    assert_eq!(blob.get("data/empty").await.unwrap().unwrap(), "");
}

async fn creates_once(blob: Arc<dyn Blob>) {
    let put = blob.put_if_absent("log/2", Bytes::from_static(b"a")).await.unwrap();
    assert_eq!(put, Put::Created);
    let put = blob.put_if_absent("log/2", Bytes::from_static(b"b")).await.unwrap();
    assert_eq!(put, Put::Exists);
    assert_eq!(blob.get("log/2").await.unwrap().unwrap(), "a");
    for round in 0..20 {
        let name = format!("race/{round}");
        let racers = (0..4).map(|racer: usize| {
            let (blob, name) = (Arc::clone(&blob), name.clone());
            let bytes = Bytes::from(racer.to_string());
            std::thread::spawn(move || {
                let created = futures::executor::block_on(blob.put_if_absent(&name, bytes));
                created.unwrap() == Put::Created
            })
        });
        let racers: Vec<_> = racers.collect();
        let won: Vec<_> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "one winner of {name}");
        let winner = won.iter().position(|won| *won).unwrap().to_string();
        assert_eq!(blob.get(&name).await.unwrap().unwrap(), winner);
    }
}

async fn lists_in_order(blob: &dyn Blob) {
    for name in ["ls/b/2", "ls/a", "ls/b/1", "ls/c.x", "ls/b.y", "lsx"] {
        blob.put(name, Bytes::from_static(b"12")).await.unwrap();
    }
    let names = |listed: Vec<(String, u64)>| {
        assert!(listed.iter().all(|(_, length)| *length == 2));
        listed.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let all = names(blob.list("ls/", None).await.unwrap());
    assert_eq!(all, ["ls/a", "ls/b.y", "ls/b/1", "ls/b/2", "ls/c.x"]);
    let later = names(blob.list("ls/", Some("ls/b/1")).await.unwrap());
    assert_eq!(later, ["ls/b/2", "ls/c.x"]);
    assert_eq!(names(blob.list("ls/b", None).await.unwrap()), ["ls/b.y", "ls/b/1", "ls/b/2"]);
    assert_eq!(names(blob.list("ls/", Some("a")).await.unwrap()), all);
    assert!(blob.list("nothing/", None).await.unwrap().is_empty());
    assert!(blob.list("", None).await.unwrap().len() > 5);
}

async fn deletes(blob: &dyn Blob) {
    blob.put("gone", Bytes::from_static(b"x")).await.unwrap();
    blob.delete("gone").await.unwrap();
    blob.delete("gone").await.unwrap();
    assert_eq!(blob.get("gone").await.unwrap(), None);
    let put = blob.put_if_absent("gone", Bytes::from_static(b"y")).await.unwrap();
    assert_eq!(put, Put::Created);
}

async fn refuses_names(blob: &dyn Blob) {
    for name in ["../x", "/x", "a//b", ""] {
        assert!(blob.put(name, Bytes::new()).await.is_err(), "{name}");
        assert!(blob.put_if_absent(name, Bytes::new()).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn memory() {
    conforms(Arc::new(MemoryBlob::new())).await;
    conforms(open_blob("memory://").await.unwrap()).await;
}

#[tokio::test]
async fn local() {
    let dir = tempfile::tempdir().unwrap();
    conforms(Arc::new(LocalBlob::open(dir.path().join("a/b/c")).unwrap())).await;
    let url = format!("file://{}/d", dir.path().display());
    let blob = open_blob(&url).await.unwrap();
    conforms(Arc::clone(&blob)).await;
    assert_eq!(blob.location("log/1"), format!("{}/d/log/1", dir.path().display()));
}

#[tokio::test]
async fn object() {
    for prefix in ["", "some/prefix"] {
        let store = Arc::new(InMemory::new());
        let blob = ObjectBlob::new(store, prefix, "s3://bucket/some/prefix/");
        blob.probe().await.unwrap();
        assert_eq!(blob.location("log/1"), "s3://bucket/some/prefix/log/1");
        conforms(Arc::new(blob)).await;
    }
}

#[tokio::test]
async fn a_url_without_a_bucket_is_refused() {
    let error = open_blob("s3://").await.unwrap_err();
    assert!(matches!(error, Error::BadLocation { .. }), "{error}");
}
