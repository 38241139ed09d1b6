//! `CloudflareWorkersAdapter`.

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::service_adapter::ServiceAdapter;
use crate::adapters::{
    CloudflareWorkersAdapter as CoreCloudflareWorkersAdapter, CloudflareWorkersAdapterConfig,
};

/// Renders each chunk by a request to a Cloudflare Worker, which has a container or another service do the work.
///
/// `config.authToken` is sent as a bearer token.
#[napi]
#[derive(Debug)]
pub struct CloudflareWorkersAdapter {
    pub(in super::super) service: ServiceAdapter,
}

#[napi]
impl CloudflareWorkersAdapter {
    /// Makes an adapter for `config.serviceUrl`. Nothing is sent before the first chunk.
    #[napi(constructor, ts_args_type = "config: CloudflareWorkersAdapterConfig")]
    pub fn new(env: Env, this: This<'_>, config: Unknown<'_>) -> napi::Result<Self> {
        let class = c"CloudflareWorkersAdapter";
        let service =
            ServiceAdapter::constructing(env, &this, class, &config, |config, around| {
                let config = CloudflareWorkersAdapterConfig {
                    service_url: config.string(c"serviceUrl")?.unwrap_or_default(),
                    auth_token: config.secret(c"authToken")?,
                    job_def_url: config.string(c"jobDefUrl")?,
                };
                Ok(CoreCloudflareWorkersAdapter::new(config, around))
            })?;
        Ok(Self { service })
    }

    /// Posts `{ jobPath, chunkIndex }` (`config.jobDefUrl` or `job.meta.jobDefUrl`, `job.meta.chunkId`) and waits for
    /// the answer, at most `job.timeout` milliseconds. Default: no limit. An answer that is no JSON by its type is the
    /// chunk's output.
    ///
    /// Rejects with `CloudflareWorkersAdapter requires job.meta.chunkId to be set`, with a `TypeError` that names the
    /// field, and with what a callback throws. Every other failure is a result: the worker's own exit code or 1, its
    /// `stderr` or `HTTP Error ${status}: ${statusText}`; without an answer of the worker the reason behind `Cloudflare
    /// Workers execution failed: `; and `retry` where the chunk itself has not failed. So are an abort (`Job was
    /// cancelled`) and a timeout. Both end the request at once, and the worker hears of it by `config.storage`.
    /// `onStdout` and `onStderr` are called once, at the end.
    #[napi(
        enumerable = false,
        ts_args_type = "job: WorkerJob",
        ts_return_type = "Promise<WorkerResult>"
    )]
    pub fn execute<'env>(&self, job: Unknown<'env>) -> Unknown<'env> {
        self.service.execute(job)
    }
}
