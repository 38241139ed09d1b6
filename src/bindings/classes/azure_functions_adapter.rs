//! `AzureFunctionsAdapter`.

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::service_adapter::ServiceAdapter;
use crate::adapters::{
    AzureFunctionsAdapter as CoreAzureFunctionsAdapter, AzureFunctionsAdapterConfig,
};

/// Renders each chunk by a request to a function of Azure Functions with an HTTP trigger.
///
/// `config.functionKey` goes into the header `x-functions-key`.
#[napi]
#[derive(Debug)]
pub struct AzureFunctionsAdapter {
    pub(in super::super) service: ServiceAdapter,
}

#[napi]
impl AzureFunctionsAdapter {
    /// Makes an adapter for `config.serviceUrl`. Nothing is sent before the first chunk.
    #[napi(constructor, ts_args_type = "config: AzureFunctionsAdapterConfig")]
    pub fn new(env: Env, this: This<'_>, config: Unknown<'_>) -> napi::Result<Self> {
        let class = c"AzureFunctionsAdapter";
        let service =
            ServiceAdapter::constructing(env, &this, class, &config, |config, around| {
                let config = AzureFunctionsAdapterConfig {
                    service_url: config.string(c"serviceUrl")?.unwrap_or_default(),
                    function_key: config.secret(c"functionKey")?,
                    job_def_url: config.string(c"jobDefUrl")?,
                };
                Ok(CoreAzureFunctionsAdapter::new(config, around))
            })?;
        Ok(Self { service })
    }

    /// Posts `{ jobPath, chunkIndex }` (`job.meta.jobDefUrl` or `config.jobDefUrl`, `job.meta.chunkId`) and waits for
    /// the answer, at most `job.timeout` milliseconds. Default: no limit. An answer that is no JSON by its type is the
    /// chunk's output.
    ///
    /// Rejects with `chunkId is required in job metadata for Azure Functions execution`, with `jobDefUrl is required in
    /// job metadata or adapter config for Azure Functions execution`, with a `TypeError` that names the field, and with
    /// what a callback throws. Every other failure is a result: the HTTP status as exit code and `HTTP Error: ${status}
    /// ${statusText}` and the body in `stderr`, else exit code 1 and the reason, and `retry` where the chunk itself has
    /// not failed. An abort has exit code 143 (`Job execution aborted by signal`), a timeout 1. Both end the request at
    /// once, and the worker hears of it by `config.storage`. `onStdout` and `onStderr` are called once, at the end.
    #[napi(
        enumerable = false,
        ts_args_type = "job: WorkerJob",
        ts_return_type = "Promise<WorkerResult>"
    )]
    pub fn execute<'env>(&self, job: Unknown<'env>) -> Unknown<'env> {
        self.service.execute(job)
    }
}
