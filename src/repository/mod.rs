//! Where the records of jobs are kept.

pub(crate) mod atomic;
mod file;
pub(crate) mod keyed_lock;
mod memory;

use std::{fmt, time::Duration};

use futures_util::future::LocalBoxFuture;

pub use file::{FileJobRepository, FileJobRepositoryOptions, Listing};
pub use memory::InMemoryJobRepository;

use crate::{Result, error::SystemError, model::JobStatus};

/// Why a record could not be read or stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The disk said no.
    #[error(transparent)]
    System(SystemError),
    /// A record is not a JSON object.
    #[error(transparent)]
    Syntax(serde_json::Error),
    /// An id that is not a plain file name.
    #[error("job id {0:?} must be a plain file name")]
    InvalidId(String),
}

/// Keeps the records of jobs.
///
/// # Contract
/// - `get` and `list` give what was last saved; a job that was never saved, or was deleted, is `None` or missing.
/// - `save` replaces the whole record. It has happened when its future settles without an error.
/// - Deleting what is not there succeeds.
/// - Records given out and taken in are copies: changing one does not change what is stored.
pub trait JobRepository: fmt::Debug {
    /// Stores a record.
    fn save<'a>(&'a self, job: &'a JobStatus) -> LocalBoxFuture<'a, Result<()>>;

    /// The record of a job.
    fn get<'a>(&'a self, id: &'a str) -> LocalBoxFuture<'a, Result<Option<JobStatus>>>;

    /// All records.
    fn list(&self) -> LocalBoxFuture<'_, Result<Vec<JobStatus>>>;

    /// Removes a record.
    fn delete<'a>(&'a self, id: &'a str) -> LocalBoxFuture<'a, Result<()>>;

    /// How far apart the saves of a running job should be, when it may be behind by that much. `None` saves every
    /// change before it is reported.
    fn pace(&self) -> Option<Duration> {
        None
    }
}
