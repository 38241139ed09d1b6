//! Runs jobs: the executor one after its own options, the manager many in the background.

mod abort;
mod executor;
mod gate;
mod ledger;
mod manager;
mod observer;
mod options;
mod retry;
mod upload;

use std::{fmt, rc::Rc, time::Duration};

use futures_util::future::LocalBoxFuture;

pub use abort::{AbortSource, FailureSlot};
pub use executor::JobExecutor;
pub use gate::{Gate, Lane, Permit};
pub use manager::{Admission, JobManager, JobManagerOptions, StoredOptions};
pub use observer::{JobObserver, OutputStream};
pub use options::{Concurrency, JobExecutionOptions, VerifyChunks};
pub use retry::{RetryBackoff, RetryJudge};

pub use crate::task::LocalSpawner;

use crate::{
    Result,
    error::exact_millis,
    model::{ChunkId, JobSpec, RetryHint},
    process::Report,
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
    #[error("Chunk {id} failed with exit code {}: {}", report.code(), report.stderr.as_str())]
    ChunkExit {
        /// The chunk.
        id: ChunkId,
        /// How it ended, and what it wrote.
        report: Box<Report>,
        /// Whether its adapter says that it took too long.
        timed_out: bool,
        /// What its adapter makes of it.
        retry: Option<RetryHint>,
    },
    /// A chunk's command succeeded, and its file does not hold what it should.
    #[error("the command succeeded, but {source}")]
    ChunkFile {
        /// What is wrong with the file.
        source: Box<crate::Error>,
        /// What the command wrote.
        report: Box<Report>,
    },
    /// A chunk took longer than the job's owner allows.
    #[error("{source} ({option}): {}", doing(source))]
    ChunkTimedOut {
        /// The option that says how long it may take.
        option: &'static str,
        /// What its adapter says.
        source: Box<crate::Error>,
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
    /// A chunk took too long and could not be ended.
    #[error(
        "Worker job timed out after {}ms (chunkTimeout), and its adapter did not end it within {}ms of that",
        exact_millis(*timeout), exact_millis(*grace)
    )]
    ChunkLeftBehind {
        /// How long it may take.
        timeout: Duration,
        /// How long its adapter was waited for.
        grace: Duration,
    },
    /// The merge command ended with an exit code other than 0.
    #[error("Merge failed with exit code {}: {}", report.code(), report.stderr.as_str())]
    MergeExit {
        /// How it ended, and what it wrote.
        report: Box<Report>,
    },
    /// The manager takes no more jobs.
    #[error("JobManager is closed")]
    ManagerClosed,
    /// The merge command succeeded, and the video is not there.
    #[error("Merge failed: the command succeeded, but {source}")]
    MergeFile {
        /// What is wrong with the file.
        source: Box<crate::Error>,
        /// What the command wrote.
        report: Box<Report>,
    },
    /// A job has ended, but how it did could not be stored.
    #[error("the end of job {id} could not be stored: {source}")]
    EndNotStored {
        /// The job.
        id: String,
        /// Why.
        source: Rc<crate::Error>,
    },
    /// The file of a chunk that was rendered elsewhere could not be brought here.
    #[error("the file of the chunk could not be fetched from the storage: {source}")]
    ChunkNotBrought {
        /// Why.
        source: Box<crate::Error>,
    },
    /// The assets or the definition of a job could not be stored.
    #[error("Asset/Spec upload failed: {source}")]
    Upload {
        /// Why.
        source: Box<crate::Error>,
    },
}

impl Error {
    /// What is known of the command that failed, if one did.
    pub fn report(&self) -> Option<&Report> {
        match self {
            Self::ChunkExit { report, .. }
            | Self::ChunkFile { report, .. }
            | Self::MergeExit { report }
            | Self::MergeFile { report, .. } => Some(report),
            Self::ChunkTimedOut { source, .. }
            | Self::ChunkFailed { source, .. }
            | Self::ChunkNotBrought { source }
            | Self::Upload { source } => source.report(),
            Self::ChunkLeftBehind { .. } | Self::ManagerClosed | Self::EndNotStored { .. } => None,
        }
    }

    /// Whether a command took too long.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::ChunkExit { timed_out, .. } => *timed_out,
            Self::ChunkTimedOut { .. } | Self::ChunkLeftBehind { .. } => true,
            Self::ChunkFailed { source, .. } => source.is_timeout(),
            Self::ChunkFile { .. }
            | Self::MergeExit { .. }
            | Self::MergeFile { .. }
            | Self::ChunkNotBrought { .. }
            | Self::Upload { .. }
            | Self::ManagerClosed
            | Self::EndNotStored { .. } => false,
        }
    }
}

/// What a command was doing when it had taken too long.
fn doing(error: &crate::Error) -> String {
    error.report().map(Report::doing).unwrap_or_default()
}
