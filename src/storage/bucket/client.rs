//! The requests that a storage makes, with errors that name the object.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};
use object_store::{
    Attributes, GetOptions, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, path::Path, signer::Signer,
};
use reqwest::Method;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    super::{Error, Exchange},
    Opened,
    error::{failed, is_missing},
    keys::Keys,
    multipart::Multipart,
    source::Properties,
};

/// How much of large files is in memory at once, in [`UNIT`]s: 32 MiB.
const ROOM: u32 = 32 * 1024;
/// What memory is counted in.
const UNIT: u64 = 1024;

/// A bucket that can be reached.
#[derive(Debug)]
pub(super) struct Client {
    store: Arc<dyn ObjectStore>,
    signer: Option<Arc<dyn Signer>>,
    pub(super) keys: Keys,
    /// How many objects are on their way at once.
    pub(super) concurrency: usize,
    room: Arc<Semaphore>,
}

impl Client {
    pub(super) fn new(opened: Opened, keys: Keys, concurrency: usize) -> Self {
        let Opened { store, signer } = opened;
        Self { store, signer, keys, concurrency, room: Arc::new(Semaphore::new(ROOM as usize)) }
    }

    /// Waits until `bytes` more of large files may be in memory.
    pub(super) async fn room(&self, bytes: u64) -> OwnedSemaphorePermit {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(ROOM).min(ROOM);
        let room = Arc::clone(&self.room).acquire_many_owned(units).await;
        room.unwrap_or_else(|_| unreachable!("the semaphore is never closed"))
    }

    fn failed(&self, action: &'static str, key: &str) -> impl FnOnce(object_store::Error) -> Error {
        failed(action, self.keys.url(key))
    }

    /// Whether there is an object. Who may not look is told that there is none: where listing a bucket is not allowed, S3
    /// refuses to say that something is missing.
    pub(super) async fn has(&self, key: &str) -> Result<bool, Error> {
        match self.store.head(&path(key)?).await {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) || is_refused(&error) => Ok(false),
            Err(error) => Err(self.failed("read", key)(error)),
        }
    }

    /// As [`Client::has`], but who may not look is not told that there is none.
    pub(super) async fn has_surely(&self, key: &str) -> Result<bool, Error> {
        match self.store.head(&path(key)?).await {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(self.failed("read", key)(error)),
        }
    }

    /// Whether there is an object of no bytes. Who may not look is told that there is none.
    pub(super) async fn is_empty(&self, key: &str) -> Result<bool, Error> {
        match self.store.head(&path(key)?).await {
            Ok(object) => Ok(object.size == 0),
            Err(error) if is_missing(&error) || is_refused(&error) => Ok(false),
            Err(error) => Err(self.failed("read", key)(error)),
        }
    }

    /// Whether there is an object of that size, and as far as its metadata says, of that content.
    pub(super) async fn holds(&self, key: &str, size: u64, sha256: &str) -> Result<bool, Error> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.store.get_opts(&path(key)?, options).await {
            Ok(object) => {
                let said = Properties::read(&object.attributes).sha256;
                Ok(object.meta.size == size && said.as_deref() == Some(sha256))
            }
            Err(error) if is_missing(&error) || is_refused(&error) => Ok(false),
            Err(error) => Err(self.failed("read", key)(error)),
        }
    }

    /// An object, from its beginning.
    pub(super) async fn get(&self, key: &str) -> Result<Option<GetResult>, Error> {
        match self.store.get_opts(&path(key)?, GetOptions::default()).await {
            Ok(result) => Ok(Some(result)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(self.failed("read", key)(error)),
        }
    }

    /// A small object.
    pub(super) async fn read(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let Some(result) = self.get(key).await? else { return Ok(None) };
        result.bytes().await.map(Some).map_err(self.failed("read", key))
    }

    /// As [`Client::read`]. Who may not look is told that there is none, as by [`Client::has`].
    pub(super) async fn hint(&self, key: &str) -> Result<Option<Bytes>, Error> {
        match self.store.get_opts(&path(key)?, GetOptions::default()).await {
            Ok(result) => result.bytes().await.map(Some).map_err(self.failed("read", key)),
            Err(error) if is_missing(&error) || is_refused(&error) => Ok(None),
            Err(error) => Err(self.failed("read", key)(error)),
        }
    }

    /// As [`Client::read`], for what must be there.
    pub(super) async fn require(&self, key: &str) -> Result<Bytes, Error> {
        match self.store.get_opts(&path(key)?, GetOptions::default()).await {
            Ok(result) => result.bytes().await.map_err(self.failed("read", key)),
            Err(error) => Err(self.failed("read", key)(error)),
        }
    }

    /// What of an object that is being read failed.
    pub(super) fn broken(&self, key: &str, error: object_store::Error) -> Error {
        self.failed("read", key)(error)
    }

    /// Stores an object in one piece.
    pub(super) async fn put(
        &self,
        key: &str,
        payload: PutPayload,
        attributes: Attributes,
    ) -> Result<(), Error> {
        let options = PutOptions { attributes, ..PutOptions::default() };
        let put = self.store.put_opts(&path(key)?, payload, options).await;
        put.map(drop).map_err(self.failed("write", key))
    }

    /// Begins to store an object in several pieces.
    pub(super) async fn begin(
        &self,
        key: &str,
        attributes: Attributes,
    ) -> Result<Multipart, Error> {
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let upload = self.store.put_multipart_opts(&path(key)?, options).await;
        upload
            .map(|upload| Multipart::new(upload, self.keys.url(key)))
            .map_err(self.failed("write", key))
    }

    /// Copies an object within the bucket. Gives whether there is one, for who may look.
    pub(super) async fn copy(&self, from: &str, to: &str) -> Result<bool, Error> {
        match self.store.copy(&path(from)?, &path(to)?).await {
            Ok(()) => Ok(true),
            Err(error) if is_missing(&error) || is_refused(&error) => Ok(false),
            Err(error) => Err(self.failed("copy", from)(error)),
        }
    }

    /// Removes an object, if it is there.
    pub(super) async fn delete(&self, key: &str) -> Result<(), Error> {
        match self.store.delete(&path(key)?).await {
            Err(error) if !is_missing(&error) => Err(self.failed("delete", key)(error)),
            _ => Ok(()),
        }
    }

    /// Everything below a place, which is not told of: `a` has neither `a` nor `ab`.
    pub(super) async fn list(&self, place: &str) -> Result<Vec<ObjectMeta>, Error> {
        let prefix = path(place)?;
        let listed: Result<Vec<_>, _> = self.store.list(Some(&prefix)).try_collect().await;
        listed.map_err(|error| match error {
            // The text of the cause has the key.
            object_store::Error::InvalidPath { source } => Error::Key(source.to_string()),
            error => self.failed("list", place)(error),
        })
    }

    /// URLs for one object, if there is somebody to sign them.
    pub(super) async fn exchange(
        &self,
        key: &str,
        expires: Duration,
    ) -> Result<Option<Exchange>, Error> {
        let Some(signer) = &self.signer else { return Ok(None) };
        let (path, methods) = (path(key)?, [Method::PUT, Method::GET, Method::DELETE]);
        let signed = try_join_all(methods.map(|method| signer.signed_url(method, &path, expires)));
        let signed = signed.await.map_err(self.failed("sign", key))?;
        let [put, get, delete] = [0, 1, 2].map(|index: usize| signed[index].to_string());
        Ok(Some(Exchange { put, get, delete }))
    }

    /// Removes objects, in batches where the store has them.
    pub(super) async fn delete_all(&self, place: &str, keys: Vec<Path>) -> Result<(), Error> {
        let keys = stream::iter(keys.into_iter().map(Ok)).boxed();
        let mut deleted = self.store.delete_stream(keys);
        while let Some(one) = deleted.next().await {
            match one {
                Err(error) if !is_missing(&error) => {
                    return Err(self.failed("delete", place)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn is_refused(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::PermissionDenied { .. })
}

/// A key as it is: object_store would encode what it thinks unusual.
fn path(key: &str) -> Result<Path, Error> {
    Path::parse(key).map_err(|_| Error::Name(key.into()))
}
