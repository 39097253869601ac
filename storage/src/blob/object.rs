//! Objects in S3, Google Cloud Storage, Azure or any `object_store` backend.
//!
//! The store's answer is the durability; its conditional put (`PutMode::Create`) the exclusiveness. The
//! client retries by itself, so an exclusive put may find its own earlier attempt and say that the object
//! exists, and a timeout leaves the outcome open: any failure of an exclusive put is [`Put::Unknown`].

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, WriteMultipart};

use super::{Blob, Put, check_name};
use crate::error::{Error, Result};
use crate::rng::Rng;

/// Larger objects are sent in parts of this size.
const PART_BYTES: usize = 16 << 20;

/// A prefix of a bucket.
#[derive(Debug)]
pub struct ObjectBlob {
    store: Arc<dyn ObjectStore>,
    /// The prefix inside the bucket: empty or ending with `/`.
    prefix: String,
    /// What users call the root, without a slash at the end.
    url: String,
}

impl ObjectBlob {
    /// The objects of `store` below `prefix`; `url` is the root's name for people.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str, url: &str) -> Self {
        let prefix = match prefix.trim_matches('/') {
            "" => String::new(),
            inner => format!("{inner}/"),
        };
        Self { store, prefix, url: url.trim_end_matches('/').to_owned() }
    }

    /// The root that an `s3://`, `gs://` or `az://` URL names, with credentials of the environment.
    ///
    /// # Errors
    /// [`Error::BadLocation`] or [`Error::ObjectStore`] when no client can be made of it.
    pub fn from_env(url: &str) -> Result<Self> {
        let bad = |detail| Error::BadLocation { url: url.to_owned(), detail };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("this is not a URL"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(bad("the bucket is missing"));
        }
        let failed = |source| Error::store("open", url, source);
        let store: Arc<dyn ObjectStore> = match scheme {
            "gs" => {
                let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
                Arc::new(builder.build().map_err(failed)?)
            }
            "az" | "azure" => {
                let builder = MicrosoftAzureBuilder::from_env().with_container_name(bucket);
                Arc::new(builder.build().map_err(failed)?)
            }
            "abfs" | "abfss" => {
                Arc::new(MicrosoftAzureBuilder::from_env().with_url(url).build().map_err(failed)?)
            }
            _ => {
                let builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
                Arc::new(builder.build().map_err(failed)?)
            }
        };
        Ok(Self::new(store, prefix, url))
    }

    /// Checks what a root needs: of two racing creates exactly one wins, and a write is readable and
    /// listed at once.
    ///
    /// # Errors
    /// [`Error::UnfitStore`] names the missing property; [`Error::ObjectStore`] when the store does not
    /// answer.
    pub async fn probe(&self) -> Result<()> {
        let name = format!("probe/{}", Rng::from_os().ulid(0));
        let unfit = |detail| Error::UnfitStore { location: self.url.clone(), detail };
        let race = futures::join!(
            self.create(&name, Bytes::from_static(b"first")),
            self.create(&name, Bytes::from_static(b"second")),
        );
        let winner: &[u8] = match race {
            (Ok(()), Err(object_store::Error::AlreadyExists { .. })) => b"first",
            (Err(object_store::Error::AlreadyExists { .. }), Ok(())) => b"second",
            (Ok(()), Ok(())) => return Err(unfit("two racing creates of one object both won")),
            (Err(source), _) | (_, Err(source)) => {
                return Err(Error::store("create", &name, source));
            }
        };
        if self.get(&name).await?.is_none_or(|bytes| bytes != winner) {
            return Err(unfit("a new object cannot be read at once"));
        }
        if self.list("probe/", None).await?.iter().all(|(listed, _)| *listed != name) {
            return Err(unfit("a new object is not listed at once"));
        }
        self.delete(&name).await
    }

    fn path(&self, path: &str) -> Result<Path> {
        check_name(path)?;
        Ok(Path::from(format!("{}{path}", self.prefix)))
    }

    async fn create(&self, path: &str, bytes: Bytes) -> object_store::Result<()> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let location = Path::from(format!("{}{path}", self.prefix));
        self.store.put_opts(&location, PutPayload::from_bytes(bytes), options).await.map(|_| ())
    }
}

#[async_trait]
impl Blob for ObjectBlob {
    async fn put(&self, path: &str, bytes: Bytes) -> Result<()> {
        let location = self.path(path)?;
        let failed = |source| Error::store("write", path, source);
        if bytes.len() <= PART_BYTES {
            let payload = PutPayload::from_bytes(bytes);
            return self.store.put(&location, payload).await.map(|_| ()).map_err(failed);
        }
        let upload = self.store.put_multipart(&location).await.map_err(failed)?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        for start in (0..bytes.len()).step_by(PART_BYTES) {
            writer.wait_for_capacity(4).await.map_err(failed)?;
            writer.put(bytes.slice(start..bytes.len().min(start + PART_BYTES)));
        }
        writer.finish().await.map(|_| ()).map_err(failed)
    }

    async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<Put> {
        check_name(path)?;
        match self.create(path, bytes).await {
            Ok(()) => Ok(Put::Created),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Put::Exists),
            Err(error) => {
                tracing::warn!(object = path, %error, "exclusive put has no clear answer");
                Ok(Put::Unknown)
            }
        }
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>> {
        let found = match self.store.get(&self.path(path)?).await {
            Ok(found) => found.bytes().await,
            Err(error) => Err(error),
        };
        match found {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(Error::store("read", path, source)),
        }
    }

    async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let short = || Error::corrupt(path, "the object is shorter than its references say");
        let wanted = range.end - range.start;
        match self.store.get_range(&self.path(path)?, range.clone()).await {
            Ok(bytes) if bytes.len() as u64 == wanted => Ok(bytes),
            Ok(_) => Err(short()),
            Err(object_store::Error::NotFound { .. }) => Err(Error::missing(path)),
            // A range behind the end is refused in a different way by each store.
            Err(source) => match self.head(path).await? {
                Some(length) if length < range.end => Err(short()),
                _ => Err(Error::store("read", path, source)),
            },
        }
    }

    async fn head(&self, path: &str) -> Result<Option<u64>> {
        match self.store.head(&self.path(path)?).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(Error::store("read", path, source)),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<(String, u64)>> {
        // Stores list by whole directories; the rest of the prefix is applied here.
        let dir = prefix.rsplit_once('/').map_or("", |(dir, _)| dir);
        let root = Path::from(format!("{}{dir}", self.prefix));
        let failed = |source| Error::store("list", prefix, source);
        let found: Vec<_> = match after.filter(|after| *after > prefix) {
            Some(after) => {
                let offset = Path::from(format!("{}{after}", self.prefix));
                let listed = self.store.list_with_offset(Some(&root), &offset);
                listed.try_collect().await.map_err(failed)?
            }
            None => self.store.list(Some(&root)).try_collect().await.map_err(failed)?,
        };
        let mut names: Vec<_> = found
            .into_iter()
            .filter_map(|meta| {
                let name = meta.location.as_ref().strip_prefix(self.prefix.as_str())?;
                let wanted = name.starts_with(prefix) && after.is_none_or(|after| name > after);
                wanted.then(|| (name.to_owned(), meta.size))
            })
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    async fn delete(&self, path: &str) -> Result<()> {
        match self.store.delete(&self.path(path)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(Error::store("delete", path, source)),
        }
    }

    fn location(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }
}
