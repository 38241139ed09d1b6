//! `GcsStorageAdapter`.

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::{bucket_methods::bucket_methods, storage::Storage};
use crate::storage::GcsStorageAdapter as CoreGcsStorageAdapter;

/// Keeps what workers need in a bucket of Google Cloud Storage, through its XML API.
///
/// URLs are `gcs://${bucket}/${jobId}`. Files are sent and fetched 16 at a time (`concurrency`), in pieces above 16 MiB;
/// objects carry the SHA-256 of their file, by which downloads are checked. Requests are made up to three times
/// (`maxAttempts`). Links are followed inside of a bundle; empty folders are not kept, and of permissions only whether a
/// file may be run.
#[napi]
#[derive(Debug)]
pub struct GcsStorageAdapter {
    pub(in super::super) storage: Storage,
}

#[napi]
impl GcsStorageAdapter {
    /// Makes a storage in `options.bucket`, which must exist. `options` are those of `@google-cloud/storage`: `keyFilename`,
    /// `credentials` and `apiEndpoint` count, others are ignored. Without a key it is whoever this machine is to Google. The
    /// variable `STORAGE_EMULATOR_HOST` stands in for `apiEndpoint`; an `http:` endpoint, as emulators have, is sent a
    /// token only where a key is given, or with `useAuthWithCustomEndpoint`.
    #[napi(constructor, ts_args_type = "options: GcsStorageAdapterOptions")]
    pub fn new(env: Env, this: This<'_>, options: Unknown<'_>) -> napi::Result<Self> {
        let class = c"GcsStorageAdapter";
        let storage = Storage::constructing(env, &this, class, &options, |realm, options| {
            let (connect, options) = realm.read_gcs_options(options)?;
            Ok(CoreGcsStorageAdapter::new(connect, options))
        })?;
        Ok(Self { storage })
    }
}

bucket_methods!(GcsStorageAdapter);
