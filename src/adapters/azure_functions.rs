//! Renders each chunk by a request to a function on Azure.

use std::time::Instant;

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::{
    Error, WorkerAdapter,
    service::{Call, ChunkRequest, Endpoint, Reply, Said, Surroundings, first_url},
};
use crate::{
    Result,
    cloud::Secret,
    model::{WorkerJob, WorkerResult},
};

/// What a shell says of a program that SIGTERM has ended.
const TERMINATED: i32 = 143;

/// Which function renders the chunks.
#[derive(Clone, Debug, Default)]
pub struct AzureFunctionsAdapterConfig {
    /// Its URL.
    pub service_url: String,
    /// Its [key](https://learn.microsoft.com/azure/azure-functions/function-keys-how-to), if it wants one.
    pub function_key: Option<Secret>,
    /// Where the definition of the job is, for jobs that do not say it.
    pub job_def_url: Option<String>,
}

/// Renders each chunk by a request to a function with an
/// [HTTP trigger](https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger).
#[derive(Clone, Debug)]
pub struct AzureFunctionsAdapter {
    endpoint: Endpoint,
    job_def_url: Option<String>,
    around: Surroundings,
}

impl AzureFunctionsAdapter {
    /// An adapter for one function.
    pub fn new(config: AzureFunctionsAdapterConfig, around: Surroundings) -> Self {
        let endpoint = Endpoint::keyed(config.service_url, "x-functions-key", config.function_key);
        Self { endpoint, job_def_url: config.job_def_url, around }
    }

    async fn run(&self, job: WorkerJob) -> Result<WorkerResult> {
        let started = Instant::now();
        let places = [job.job_def_url.as_deref(), self.job_def_url.as_deref()];
        let chunk = job.chunk_id.ok_or_else(|| required("chunkId is required in job metadata"))?;
        let url = first_url(places)
            .ok_or_else(|| required("jobDefUrl is required in job metadata or adapter config"))?;
        let request = ChunkRequest::new(chunk, url);
        let call = self.around.post(&job, Some(&request), &self.endpoint, request.body()).await;
        let reply = match call {
            Call::Answered(Ok(said)) => read(said),
            Call::Answered(Err(error)) => Reply::failed(error.to_string(), Some(error.retry)),
            Call::Aborted => Reply {
                exit_code: TERMINATED,
                ..Reply::failed("Job execution aborted by signal", None)
            },
            Call::TimedOut(limit) => Reply::timed_out(limit, ""),
        };
        Ok(reply.settle(&job, started).await)
    }
}

impl WorkerAdapter for AzureFunctionsAdapter {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        self.run(job).boxed_local()
    }

    fn runs_commands(&self) -> bool {
        false
    }
}

fn required(what: &str) -> Error {
    Error::Incomplete(format!("{what} for Azure Functions execution"))
}

/// Reads an answer. What is not meant to be JSON is what the function has printed.
fn read(said: Said) -> Reply {
    if !said.is_success {
        let text = format!("HTTP Error: {}\n{}", said.status_line(), said.body);
        return Reply { exit_code: said.status.into(), ..Reply::failed(text, said.retry()) };
    }
    match (said.is_json(), said.object.is_some()) {
        (true, true) => said.into_fields(),
        (true, false) => {
            Reply::failed(format!("Failed to parse JSON response: {}", said.is_no_object()), None)
        }
        (false, _) => Reply { stdout: said.body, ..Reply::default() },
    }
}
