//! Where the assets and the definition of a job are put for workers elsewhere.

#[cfg(any(feature = "aws", feature = "gcp"))]
mod bucket;
mod exclusions;
#[cfg(feature = "gcp")]
mod gcs;
mod local;
mod partial;
#[cfg(feature = "aws")]
mod s3;
mod store_error;
mod tree;

use std::{
    fmt,
    future::ready,
    io,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio_util::sync::CancellationToken;

#[cfg(any(feature = "aws", feature = "gcp"))]
pub use bucket::{BucketOptions, BucketStorage, Opened};
pub use exclusions::{Exclusions, IGNORE_FILE};
#[cfg(feature = "gcp")]
pub use gcs::{GcsOptions, GcsStorageAdapter};
pub use local::LocalStorageAdapter;
#[cfg(feature = "aws")]
pub use s3::{S3Options, S3StorageAdapter, r2_endpoint};
pub use store_error::StoreError;

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

/// The name of a job's definition in its folder; beside it, after the job's id, where the folder has such a file of its own.
const SPEC: &str = "job.json";
/// The folder of chunk outputs and marks in that of a job. It is no part of the bundle.
const OUTPUTS: &str = ".helios-outputs";

/// The mark of all chunks of a job that is no longer defined.
pub const DELETED: &str = "deleted";

/// The name under which the output of a chunk is kept: its number, and what kind of file it is.
fn output_name(chunk: ChunkId, file: &Path) -> String {
    let extension = file.extension().map(|extension| extension.to_string_lossy());
    extension.map_or_else(|| chunk.to_string(), |extension| format!("{chunk}.{extension}"))
}

/// The name of the mark that a chunk is cancelled.
fn mark_name(chunk: ChunkId) -> String {
    format!("{chunk}.cancelled")
}

/// `text` as the path of something below a folder.
fn relative(text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    let is_plain = |component| matches!(component, Component::Normal(_));
    let is_clean = !text.is_empty() && !text.contains(['\\', '\0']) && !text.ends_with('/');
    // `components` leaves `.` and doubled slashes out of sight.
    let is_clean = is_clean && !text.split('/').any(|part| matches!(part, "" | "." | ".."));
    (is_clean && path.components().all(is_plain)).then(|| path.to_owned())
}

/// The id under which a job was stored, by the URL of its definition: what its outputs are stored under, so that two
/// submissions of one job never meet.
pub fn stored_id(spec_url: &str) -> Option<&str> {
    let (scheme, path) = spec_url.split_once("://")?;
    let path = path.split(['?', '#']).next()?;
    // A bucket is not part of an id. Of a path, nobody here knows where the storage ends and the id begins.
    let is_bucket = matches!(scheme, "s3" | "gcs");
    let path = if is_bucket { path.split_once('/')?.1 } else { path };
    let id = path.strip_suffix("/job.json").or_else(|| path.strip_suffix(".job.json"))?;
    let id = if is_bucket { id } else { id.rsplit('/').next()? };
    (!id.is_empty()).then_some(id)
}

/// An error of the disk.
fn failed<'a>(syscall: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
    move |source| Error::System(SystemError::new(source, syscall, path))
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
    /// There is nothing at a URL of a bucket.
    #[error("Remote directory {0} does not exist or is empty")]
    NothingStored(String),
    /// A URL without a bucket, or without anything in it.
    #[error("Invalid {service} URL format: {url}")]
    Url {
        /// Whose URLs are taken.
        service: &'static str,
        /// The URL.
        url: String,
    },
    /// A URL of another bucket.
    #[error("Remote URL bucket {given} does not match adapter bucket {own}")]
    Bucket {
        /// The bucket of the URL.
        given: String,
        /// That of the storage.
        own: String,
    },
    /// A key in a bucket that is no path of a file in a folder.
    #[error("refused to fetch {0:?}: such a key can lead out of the folder")]
    Key(String),
    /// A name that a bucket cannot keep as it is.
    #[error("cannot store '{}': a bucket cannot keep that name", .0.display())]
    Name(PathBuf),
    /// Something in a bucket that is not what was stored.
    #[error("{url} is damaged: {what}")]
    Damaged {
        /// What was fetched.
        url: String,
        /// What is wrong with it.
        what: String,
    },
    /// A store on the network said no, or nothing.
    #[error(transparent)]
    Store(Box<StoreError>),
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
    /// A folder in which the storage has its own files.
    #[error("cannot store '{}': the storage keeps its own files there", .0.display())]
    OwnFolder(PathBuf),
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
    /// Whoever wanted it wants it no more.
    #[error("cancelled")]
    Cancelled,
    /// A `.heliosignore` that cannot be used.
    #[error("cannot use the {IGNORE_FILE} of the job: {0}")]
    Ignore(Box<ignore::Error>),
    /// The disk said no.
    #[error(transparent)]
    System(SystemError),
}

#[cfg(test)]
mod tests {
    use super::stored_id;

    #[test]
    fn outputs_go_where_the_definition_is() {
        for (url, id) in [
            ("s3://bucket/4f1a/job.json", Some("4f1a")),
            ("gcs://bucket/team/4f1a/job.json", Some("team/4f1a")),
            ("s3://bucket/4f1a.job.json", Some("4f1a")),
            ("local:///var/jobs/4f1a/job.json", Some("4f1a")),
            ("local:///var/jobs/4f1a.job.json", Some("4f1a")),
            ("https://host/jobs/4f1a/job.json?signature=x", Some("4f1a")),
            ("s3://bucket/job.json", None),
            ("s3://bucket", None),
            ("/var/jobs/4f1a/job.json", None),
            ("https://host/other.json", None),
        ] {
            assert_eq!(stored_id(url), id, "{url}");
        }
    }
}
