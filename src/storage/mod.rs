//! Where the assets and the definition of a job are put for workers elsewhere.

use std::fmt;

use futures_util::future::LocalBoxFuture;

use crate::{Result, model::JobSpec};

/// Keeps the files that workers elsewhere need.
///
/// # Contract
/// - What `upload_*` returns is a URL that workers are given, and that the matching `delete_*` takes.
/// - Deleting what is not there succeeds.
pub trait ArtifactStorage: fmt::Debug {
    /// Stores the folder of a job; gives its URL.
    fn upload_asset_bundle<'a>(
        &'a self,
        job_id: &'a str,
        local_dir: &'a str,
    ) -> LocalBoxFuture<'a, Result<String>>;

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

    /// Removes what `upload_job_spec` stored.
    fn delete_job_spec<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>>;
}
