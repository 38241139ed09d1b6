//! Why something could not be stored or fetched.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{IGNORE_FILE, StoreError};
use crate::error::SystemError;

/// An error of the disk.
pub(super) fn failed<'a>(
    syscall: &'static str,
    path: &'a Path,
) -> impl Fn(io::Error) -> Error + 'a {
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
