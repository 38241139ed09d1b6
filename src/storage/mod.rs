//! Where the assets and the definition of a job are put for workers elsewhere.

#[cfg(any(feature = "aws", feature = "gcp"))]
mod bucket;
mod error;
mod exclusions;
#[cfg(feature = "gcp")]
mod gcs;
mod local;
mod names;
mod partial;
#[cfg(feature = "aws")]
mod s3;
mod store_error;
mod tree;

use std::{fmt, future::ready, time::Duration};

use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio_util::sync::CancellationToken;

#[cfg(any(feature = "aws", feature = "gcp"))]
pub use bucket::{BucketOptions, BucketStorage, Opened};
pub use error::Error;
pub use exclusions::{Exclusions, IGNORE_FILE};
#[cfg(feature = "gcp")]
pub use gcs::{GcsOptions, GcsStorageAdapter};
pub use local::LocalStorageAdapter;
pub use names::{DELETED, output_id, stored_id};
#[cfg(feature = "aws")]
pub use s3::{S3Options, S3StorageAdapter, r2_endpoint};
pub use store_error::StoreError;

use self::{
    error::failed,
    names::{OUTPUTS, SPEC, mark_name, output_name, relative},
};
use crate::{
    Result,
    model::{ChunkId, JobSpec},
};

/// Keeps the files that workers elsewhere need.
///
/// # Contract
/// - What `upload_*` returns is a URL that workers are given, and that the matching `download_*` and `delete_*` take.
/// - What is downloaded is what was uploaded: files in folders, hidden and empty ones too.
/// - Definition, bundle, outputs and marks of a job go with the definition and the bundle: who deletes the one or the other
///   that is left leaves nothing.
/// - Nothing outside of a job's own place is read, written or removed, whatever ids and URLs say.
/// - An upload or download that fails leaves no half files. Deleting what is not there succeeds.
pub trait ArtifactStorage: fmt::Debug {
    /// Stores the folder of a job, without what is excluded; gives its URL. Ends with [`crate::Error::Aborted`] once
    /// `cancel` is cancelled, where the storage can.
    fn upload_asset_bundle<'a>(
        &'a self,
        job_id: &'a str,
        local_dir: &'a str,
        exclusions: &'a Exclusions,
        cancel: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<String>>;

    /// Brings what `upload_asset_bundle` stored into a folder.
    fn download_asset_bundle<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
        target_dir: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>>;

    /// Removes what `upload_asset_bundle` stored.
    fn delete_asset_bundle<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>>;

    /// Stores the definition of a job; gives its URL.
    fn upload_job_spec<'a>(
        &'a self,
        job_id: &'a str,
        spec: &'a JobSpec,
    ) -> LocalBoxFuture<'a, Result<String>>;

    /// Reads what `upload_job_spec` stored.
    fn download_job_spec<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<JobSpec>>;

    /// Removes what `upload_job_spec` stored.
    fn delete_job_spec<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>>;

    /// Stores the file of a chunk; gives its URL.
    fn upload_chunk_output<'a>(
        &'a self,
        job_id: &'a str,
        chunk: ChunkId,
        local_file: &'a str,
    ) -> LocalBoxFuture<'a, Result<String>>;

    /// Brings what `upload_chunk_output` stored into a file.
    fn download_chunk_output<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
        local_file: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>>;

    /// Whether it can keep the files of chunks. Storages of the user's need not.
    fn keeps_outputs(&self) -> bool {
        true
    }

    /// Tells the workers that render a chunk of the job defined at `spec_url` to stop. The mark goes with the definition.
    /// Default: there is no way to.
    fn mark_cancelled<'a>(
        &'a self,
        spec_url: &'a str,
        chunk: ChunkId,
    ) -> LocalBoxFuture<'a, Result<()>> {
        let _ = (spec_url, chunk);
        ready(Ok(())).boxed_local()
    }

    /// URLs with which a machine without credentials may leave something called `name`, for `expires`. Default: there are
    /// none.
    fn exchange<'a>(
        &'a self,
        name: &'a str,
        expires: Duration,
    ) -> LocalBoxFuture<'a, Result<Option<Exchange>>> {
        let _ = (name, expires);
        ready(Ok(None)).boxed_local()
    }

    /// The mark that [`ArtifactStorage::mark_cancelled`] left last, if there is one: each is different, so that a worker
    /// sees whether its chunk was cancelled since it began. A job whose definition is gone is marked as [`DELETED`].
    fn cancel_mark<'a>(
        &'a self,
        spec_url: &'a str,
        chunk: ChunkId,
    ) -> LocalBoxFuture<'a, Result<Option<String>>> {
        let _ = (spec_url, chunk);
        ready(Ok(None)).boxed_local()
    }
}

/// Signed URLs of one object. Whoever has them needs no credentials: they are secrets.
pub struct Exchange {
    /// Takes it with a `PUT`.
    pub put: String,
    /// Gives it with a `GET`.
    pub get: String,
    /// Removes it with a `DELETE`.
    pub delete: String,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}
