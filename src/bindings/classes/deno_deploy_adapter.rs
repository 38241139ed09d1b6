//! `DenoDeployAdapter`.

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::service_adapter::ServiceAdapter;
use crate::adapters::{DenoDeployAdapter as CoreDenoDeployAdapter, DenoDeployAdapterConfig};

/// Renders each chunk by a request to a deployment on Deno Deploy, or any other server.
///
/// `config.authToken` is sent as a bearer token.
#[napi]
#[derive(Debug)]
pub struct DenoDeployAdapter {
    pub(in super::super) service: ServiceAdapter,
}

#[napi]
impl DenoDeployAdapter {
    /// Makes an adapter for `config.serviceUrl`. Nothing is sent before the first chunk.
    #[napi(constructor, ts_args_type = "config: DenoDeployAdapterConfig")]
    pub fn new(env: Env, this: This<'_>, config: Unknown<'_>) -> napi::Result<Self> {
        let class = c"DenoDeployAdapter";
        let service =
            ServiceAdapter::constructing(env, &this, class, &config, |config, around| {
                let config = DenoDeployAdapterConfig {
                    service_url: config.string(c"serviceUrl")?.unwrap_or_default(),
                    auth_token: config.secret(c"authToken")?,
                };
                Ok(CoreDenoDeployAdapter::new(config, around))
            })?;
        Ok(Self { service })
    }

    /// Posts `{ jobPath, chunkIndex }` (`job.meta.jobDefUrl`, `job.meta.chunkId`) and waits for the answer, at most
    /// `job.timeout` milliseconds. Default: no limit. `exitCode` of the result is that of the answer, else -1;
    /// `durationMs` that of the answer, else 0.
    ///
    /// Rejects with `DenoDeployAdapter requires job.meta.jobDefUrl to be set` or `DenoDeployAdapter requires
    /// job.meta.chunkId to be set`, with a `TypeError` that names the field, with what a callback throws, with
    /// `DenoDeployAdapter fetch failed: …`, `DenoDeployAdapter failed with status ${status}: ${statusText}` and
    /// `DenoDeployAdapter received invalid JSON: …`, these with `retry` where the chunk itself has not failed, with an
    /// `AbortError`, and with `Worker job timed out after ${ms}ms`. Both end the request at once, and the worker hears
    /// of it by `config.storage`. `onStdout` and `onStderr` are called once, at the end.
    #[napi(
        enumerable = false,
        ts_args_type = "job: WorkerJob",
        ts_return_type = "Promise<WorkerResult>"
    )]
    pub fn execute<'env>(&self, job: Unknown<'env>) -> Unknown<'env> {
        self.service.execute(job)
    }
}
