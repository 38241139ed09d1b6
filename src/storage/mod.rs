//! Where the assets and the definition of a job are put for workers elsewhere.

mod local;

use std::{fmt, path::PathBuf};

use futures_util::future::LocalBoxFuture;

pub use local::LocalStorageAdapter;

use crate::{
    Result,
    error::SystemError,
    model::{ChunkId, JobSpec},
};

/// Keeps the files that workers elsewhere need.
///
/// # Contract
/// - What `upload_*` returns is a URL that workers are given, and that the matching `download_*` and `delete_*` take.
/// - What is downloaded is what was uploaded: files in folders, hidden and empty ones too.
/// - Nothing outside of a job's own place is read, written or removed, whatever ids and URLs say.
/// - An upload or download that fails leaves no half files. Deleting what is not there succeeds.
pub trait ArtifactStorage: fmt::Debug {
    /// Stores the folder of a job; gives its URL.
    fn upload_asset_bundle<'a>(
        &'a self,
        job_id: &'a str,
        local_dir: &'a str,
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
}

/// Why something could not be stored or fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no folder to store.
    #[error("Local directory {} does not exist", .0.display())]
    NoLocalFolder(PathBuf),
    /// There is nothing at a URL.
    #[error("Remote directory {} does not exist", .0.display())]
    NoRemoteFolder(PathBuf),
    /// A URL of another storage.
    #[error("Unsupported remote URL scheme: {0}")]
    Scheme(String),
    /// A URL that leads out of the storage.
    #[error("Invalid remote URL: Path traversal detected in {0}")]
    Traversal(String),
    /// An id that leads out of the storage, or to all of it.
    #[error("job id {0:?} must be a relative path without '..'")]
    InvalidId(String),
    /// A link in a folder that does not stay in it.
    #[error("cannot store '{}': it is a link to '{}', which is not in '{}'", link.display(), target.display(), folder.display())]
    LinkOutside {
        /// The link.
        link: PathBuf,
        /// Where it leads.
        target: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// A link that leads to a folder it is in.
    #[error("cannot store '{}': it is a link to a folder that it is in", .0.display())]
    LinkLoop(PathBuf),
    /// Something in a folder that is neither file nor folder.
    #[error("cannot store '{}': it is neither a file nor a folder", .0.display())]
    NoFile(PathBuf),
    /// A file that did not come over as it was.
    #[error("'{}' changed while it was copied: {copied} of {size} bytes", file.display())]
    Changed {
        /// The file.
        file: PathBuf,
        /// How many bytes were copied.
        copied: u64,
        /// How many it had.
        size: u64,
    },
    /// The disk said no.
    #[error(transparent)]
    System(SystemError),
}
