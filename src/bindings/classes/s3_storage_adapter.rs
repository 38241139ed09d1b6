//! `S3StorageAdapter`.

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::{bucket_methods::bucket_methods, storage::Storage};
use crate::storage::S3StorageAdapter as CoreS3StorageAdapter;

/// Keeps what workers need in a bucket of S3, or of a service that speaks its language.
///
/// URLs are `s3://${bucket}/${jobId}`. Files are sent and fetched 16 at a time (`concurrency`), in pieces above 16 MiB; every
/// request is signed with the SHA-256 of what it sends, and objects carry that of their file, by which downloads are checked.
/// Requests are made up to three times (`maxAttempts`). Links are followed inside of a bundle; empty folders are not kept,
/// and of permissions only whether a file may be run.
#[napi]
#[derive(Debug)]
pub struct S3StorageAdapter {
    pub(in super::super) storage: Storage,
}

#[napi]
impl S3StorageAdapter {
    /// Makes a storage in `options.bucket`, which must exist. `options` are those of the S3 client of the AWS SDK: `region`,
    /// `endpoint`, `forcePathStyle`, `credentials` and `maxAttempts` count, others are ignored. Region and credentials are
    /// found where the SDK finds them if they are not given.
    #[napi(constructor, ts_args_type = "options: S3StorageAdapterOptions")]
    pub fn new(env: Env, this: This<'_>, options: Unknown<'_>) -> napi::Result<Self> {
        let class = c"S3StorageAdapter";
        let storage = Storage::constructing(env, &this, class, &options, |realm, options| {
            let (connect, options) = realm.read_s3_options(options)?;
            Ok(CoreS3StorageAdapter::new(connect, options))
        })?;
        Ok(Self { storage })
    }
}

bucket_methods!(S3StorageAdapter);
