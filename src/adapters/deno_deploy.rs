//! Renders each chunk by a request to a deployment on Deno.

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

/// Which deployment renders the chunks.
#[derive(Clone, Debug, Default)]
pub struct DenoDeployAdapterConfig {
    /// Its URL.
    pub service_url: String,
    /// Its bearer token, if it wants one.
    pub auth_token: Option<Secret>,
}

/// Renders each chunk by a request to a [Deno Deploy](https://docs.deno.com/deploy/).
#[derive(Clone, Debug)]
pub struct DenoDeployAdapter(StrictService);

impl DenoDeployAdapter {
    /// An adapter for one deployment.
    pub fn new(config: DenoDeployAdapterConfig, around: Surroundings) -> Self {
        Self(StrictService {
            adapter: "DenoDeployAdapter",
            endpoint: Endpoint::bearer(config.service_url, config.auth_token.as_ref()),
            job_def_url: None,
            no_url: "job.meta.jobDefUrl",
            around,
        })
    }
}

impl WorkerAdapter for DenoDeployAdapter {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        self.0.run(job).boxed_local()
    }

    fn runs_commands(&self) -> bool {
        false
    }
}
