//! Renders each chunk by a request to a Worker on Cloudflare.

use std::time::Instant;

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::{
    WorkerAdapter,
    service::{
        Call, ChunkRequest, Endpoint, Fields, Reply, Said, Surroundings, chunk_of, first_url,
    },
};
use crate::{
    Result,
    cloud::{Secret, failure::FATAL},
    model::{WorkerJob, WorkerResult},
};

/// What the texts of failures begin with.
const PREFIX: &str = "Cloudflare Workers execution failed: ";

/// Which Worker renders the chunks.
#[derive(Clone, Debug, Default)]
pub struct CloudflareWorkersAdapterConfig {
    /// Its URL.
    pub service_url: String,
    /// Its bearer token, if it wants one.
    pub auth_token: Option<Secret>,
    /// Where the definition of the job is, for jobs of all owners.
    pub job_def_url: Option<String>,
}

/// Renders each chunk by a request to a
/// [Worker](https://developers.cloudflare.com/workers/runtime-apis/handlers/fetch/), which may have a container do the work.
#[derive(Clone, Debug)]
pub struct CloudflareWorkersAdapter {
    endpoint: Endpoint,
    job_def_url: Option<String>,
    around: Surroundings,
}

impl CloudflareWorkersAdapter {
    /// An adapter for one Worker.
    pub fn new(config: CloudflareWorkersAdapterConfig, around: Surroundings) -> Self {
        let endpoint = Endpoint::bearer(config.service_url, config.auth_token.as_ref());
        Self { endpoint, job_def_url: config.job_def_url, around }
    }

    async fn run(&self, job: WorkerJob) -> Result<WorkerResult> {
        let started = Instant::now();
        let chunk = chunk_of(&job, "CloudflareWorkersAdapter")?;
        let url = first_url([self.job_def_url.as_deref(), job.job_def_url.as_deref()]);
        let reply = match url.map(|url| ChunkRequest::new(chunk, url)) {
            Some(request) => {
                let body = request.body();
                match self.around.post(&job, Some(&request), &self.endpoint, body).await {
                    Call::Answered(Ok(said)) => read(said),
                    Call::Answered(Err(error)) => {
                        Reply::failed(format!("{PREFIX}{error}"), Some(error.retry))
                    }
                    Call::Aborted => Reply::failed(format!("{PREFIX}Job was cancelled"), None),
                    Call::TimedOut(limit) => Reply::timed_out(limit, PREFIX),
                }
            }
            None => Reply::failed(
                "CloudflareWorkersAdapter requires jobDefUrl (in config or job.meta)",
                Some(FATAL),
            ),
        };
        Ok(reply.settle(&job, started).await)
    }
}

impl WorkerAdapter for CloudflareWorkersAdapter {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        self.run(job).boxed_local()
    }

    fn runs_commands(&self) -> bool {
        false
    }
}

/// Reads an answer. What is not meant to be JSON is what the Worker has printed.
fn read(said: Said) -> Reply {
    let (is_success, retry) = (said.is_success, said.retry());
    let error = format!("HTTP Error {}: {}", said.status, said.reason);
    let told = said.object.as_ref().and_then(|object| object.exit_code("exitCode"));
    let (reply, told) = match (said.is_json(), said.object.is_some()) {
        (true, true) => (said.into_fields(), told),
        (true, false) => {
            return Reply::failed(format!("{PREFIX}{}", said.is_no_object()), retry);
        }
        (false, _) => (Reply { stdout: said.body, ..Reply::default() }, None),
    };
    if is_success {
        return reply;
    }
    let exit_code = told.filter(|code| *code != 0).unwrap_or(1);
    Reply { exit_code, retry, ..reply }.or_stderr(error)
}
