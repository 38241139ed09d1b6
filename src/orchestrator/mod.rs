//! Runs jobs: the executor one after its own options, the manager many in the background.

mod executor;
mod ledger;
mod manager;
mod options;

use std::{fmt, rc::Rc};

use futures_util::future::LocalBoxFuture;

pub use executor::JobExecutor;
pub use manager::{JobManager, LocalSpawner};
pub use options::{
    AbortSource, Concurrency, FailureSlot, JobExecutionOptions, JobObserver, OutputStream,
};

use crate::{
    Result,
    model::{ChunkId, JobSpec},
};

/// Runs one job to its end.
///
/// # Contract
/// - Chunks listed in `options.completed` do not run.
/// - `options.observer` hears of every chunk before the future settles.
/// - Once `options.abort` says so the future settles with an error for which [`crate::Error::is_abort`] holds.
pub trait Executor: fmt::Debug {
    /// Runs the job.
    fn execute(
        &self,
        job: Rc<JobSpec>,
        options: JobExecutionOptions,
    ) -> LocalBoxFuture<'_, Result<()>>;
}

/// Why a job failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A chunk's command ended with an exit code other than 0.
    #[error("Chunk {id} failed with exit code {code}: {stderr}")]
    ChunkExit {
        /// The chunk.
        id: ChunkId,
        /// The exit code.
        code: String,
        /// What the command wrote to standard error.
        stderr: String,
    },
    /// A chunk failed as often as it may.
    #[error("Chunk {id} failed after {attempts} attempts: {source}")]
    ChunkFailed {
        /// The chunk.
        id: ChunkId,
        /// How often it was tried.
        attempts: u32,
        /// Why the last attempt failed.
        source: Box<crate::Error>,
    },
    /// The merge command ended with an exit code other than 0.
    #[error("Merge failed with exit code {code}: {stderr}")]
    MergeExit {
        /// The exit code.
        code: String,
        /// What the command wrote to standard error.
        stderr: String,
    },
    /// The assets or the definition of a job could not be stored.
    #[error("Asset/Spec upload failed: {source}")]
    Upload {
        /// Why.
        source: Box<crate::Error>,
    },
}
