//! Workers: the places where chunks can be rendered.

#[cfg(feature = "aws")]
mod aws_lambda;
#[cfg(feature = "gcp")]
mod cloud_run;
mod local;
#[cfg(feature = "http")]
mod service;

use std::fmt;

use futures_util::future::LocalBoxFuture;

#[cfg(feature = "aws")]
pub use aws_lambda::{AwsLambdaAdapter, AwsLambdaAdapterConfig};
#[cfg(feature = "gcp")]
pub use cloud_run::{CloudRunAdapter, CloudRunAdapterConfig};
pub(crate) use local::see;
pub use local::{EnvironmentSource, LocalWorkerAdapter};
#[cfg(feature = "http")]
pub use service::Surroundings;

use crate::{
    Result,
    model::{WorkerJob, WorkerResult},
};

/// Runs commands somewhere.
///
/// # Contract
/// - A command that ran gives a result, whatever its exit code; an error means that it could not be run or was ended.
/// - Once `job.cancel` is cancelled the future settles soon, and when it has settled nothing of the command runs any
///   more, unless [`WorkerAdapter::ends_on_cancel`] says that this cannot be promised.
/// - Output reaches the sinks of the job before the future settles.
pub trait WorkerAdapter: fmt::Debug {
    /// Runs one command.
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>>;

    /// Whether cancelling a job ends its work. Adapters of the user's may not listen.
    fn ends_on_cancel(&self) -> bool {
        true
    }

    /// Whether it runs any command, and not only renders chunks.
    fn runs_commands(&self) -> bool {
        true
    }

    /// Whether files written by its commands are on this machine, under the names the commands used.
    fn is_local(&self) -> bool {
        false
    }
}

/// Why a chunk could not be sent to a worker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An adapter that renders chunks was not told which.
    #[error("{adapter} requires job.meta.chunkId to be set")]
    NoChunk {
        /// The adapter.
        adapter: &'static str,
    },
}
