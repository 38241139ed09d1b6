//! Workers: the places where chunks can be rendered.

#[cfg(feature = "aws")]
mod aws_lambda;
#[cfg(feature = "http")]
mod azure_functions;
#[cfg(feature = "gcp")]
mod cloud_run;
#[cfg(feature = "http")]
mod cloudflare_sandbox;
#[cfg(feature = "http")]
mod cloudflare_workers;
#[cfg(feature = "http")]
mod deno_deploy;
mod docker;
mod environment;
#[cfg(feature = "http")]
mod fly_machines;
#[cfg(feature = "http")]
mod hetzner_cloud;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod local;
#[cfg(feature = "http")]
mod modal;
mod remains;
#[cfg(feature = "http")]
mod service;
#[cfg(feature = "http")]
mod vercel;

use std::fmt;
#[cfg(feature = "http")]
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

#[cfg(feature = "aws")]
pub use aws_lambda::{AwsLambdaAdapter, AwsLambdaAdapterConfig};
#[cfg(feature = "http")]
pub use azure_functions::{AzureFunctionsAdapter, AzureFunctionsAdapterConfig};
#[cfg(feature = "gcp")]
pub use cloud_run::{CloudRunAdapter, CloudRunAdapterConfig};
#[cfg(feature = "http")]
pub use cloudflare_sandbox::{CloudflareSandboxAdapter, CloudflareSandboxAdapterConfig};
#[cfg(feature = "http")]
pub use cloudflare_workers::{CloudflareWorkersAdapter, CloudflareWorkersAdapterConfig};
#[cfg(feature = "http")]
pub use deno_deploy::{DenoDeployAdapter, DenoDeployAdapterConfig};
pub use docker::{DockerAdapter, DockerAdapterOptions, DockerSurroundings};
pub use environment::ForwardEnv;
#[cfg(feature = "http")]
pub use fly_machines::{FlyMachinesAdapter, FlyMachinesAdapterConfig};
#[cfg(feature = "http")]
pub use hetzner_cloud::{HetznerCloudAdapter, HetznerCloudAdapterConfig};
#[cfg(feature = "kubernetes")]
pub use kubernetes::{KubernetesAdapter, KubernetesAdapterConfig};
pub(crate) use local::see;
pub use local::{EnvironmentSource, LocalWorkerAdapter};
#[cfg(feature = "http")]
pub use modal::{ModalAdapter, ModalAdapterConfig};
pub use remains::{EndsRemains, Remains};
#[cfg(feature = "http")]
pub use service::Surroundings;
#[cfg(feature = "http")]
pub use vercel::{VercelAdapter, VercelAdapterConfig};

use crate::{
    Result,
    model::{RetryHint, WorkerJob, WorkerResult},
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

/// Why a worker did not do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The adapter was not told everything that it needs.
    #[error("{0}")]
    Incomplete(String),
    /// The call was aborted, as `fetch` says it. JavaScript receives an `AbortError` with code 20.
    #[error("This operation was aborted")]
    Aborted,
    /// The worker could not be reached, or said no. JavaScript receives an `Error` with `retry`.
    #[error("{text}")]
    Failed {
        /// What happened.
        text: String,
        /// What to make of it.
        retry: Option<RetryHint>,
        /// Whether it took too long.
        timed_out: bool,
    },
}

impl Error {
    /// Something that went wrong.
    #[cfg(feature = "http")]
    pub(crate) fn failed(text: impl Into<String>, retry: Option<RetryHint>) -> Self {
        Self::Failed { text: text.into(), retry, timed_out: false }
    }

    /// Something that took too long.
    #[cfg(feature = "http")]
    pub(crate) fn timed_out(limit: Duration) -> Self {
        Self::Failed { text: service::timed_out(limit), retry: None, timed_out: true }
    }
}
