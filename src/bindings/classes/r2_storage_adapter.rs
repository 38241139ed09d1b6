//! `R2StorageAdapter`.

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::{bucket_methods::bucket_methods, storage::Storage};
use crate::storage::S3StorageAdapter as CoreS3StorageAdapter;

/// Keeps what workers need in a bucket of Cloudflare R2: an `S3StorageAdapter` with the endpoint of an account.
#[napi]
#[derive(Debug)]
pub struct R2StorageAdapter {
    pub(in super::super) storage: Storage,
}

#[napi]
impl R2StorageAdapter {
    /// Makes a storage in `options.bucket` of the account `options.accountId`, with a key of R2's. `endpoint` replaces
    /// `https://${accountId}.r2.cloudflarestorage.com`.
    #[napi(constructor, ts_args_type = "options: R2StorageAdapterOptions")]
    pub fn new(env: Env, this: This<'_>, options: Unknown<'_>) -> napi::Result<Self> {
        let class = c"R2StorageAdapter";
        let storage = Storage::constructing(env, &this, class, &options, |realm, options| {
            let (connect, options) = realm.read_r2_options(options)?;
            Ok(CoreS3StorageAdapter::new(connect, options))
        })?;
        Ok(Self { storage })
    }
}

bucket_methods!(R2StorageAdapter);
