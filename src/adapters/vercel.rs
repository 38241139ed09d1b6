//! Renders each chunk by a request to a function on Vercel.

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::{
    WorkerAdapter,
    service::{Endpoint, StrictService, Surroundings},
};
use crate::{
    Result,
    cloud::Secret,
    model::{WorkerJob, WorkerResult},
};

/// Which function renders the chunks.
#[derive(Clone, Debug, Default)]
pub struct VercelAdapterConfig {
    /// Its URL.
    pub service_url: String,
    /// Its bearer token, if it wants one.
    pub auth_token: Option<Secret>,
    /// Where the definition of the job is, for jobs that do not say it.
    pub job_def_url: Option<String>,
}

/// Renders each chunk by a request to a [Vercel function](https://vercel.com/docs/functions).
#[derive(Clone, Debug)]
pub struct VercelAdapter(StrictService);

impl VercelAdapter {
    /// An adapter for one function.
    pub fn new(config: VercelAdapterConfig, around: Surroundings) -> Self {
        Self(StrictService {
            adapter: "VercelAdapter",
            endpoint: Endpoint::bearer(config.service_url, config.auth_token.as_ref()),
            job_def_url: config.job_def_url,
            no_url: "job.meta.jobDefUrl or config.jobDefUrl",
            around,
        })
    }
}

impl WorkerAdapter for VercelAdapter {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        self.0.run(job).boxed_local()
    }

    fn runs_commands(&self) -> bool {
        false
    }
}
