//! `VercelAdapter`.

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::service_adapter::ServiceAdapter;
use crate::adapters::{VercelAdapter as CoreVercelAdapter, VercelAdapterConfig};

/// Renders each chunk by a request to a Vercel function.
///
/// `config.authToken` is sent as a bearer token.
#[napi]
#[derive(Debug)]
pub struct VercelAdapter {
    pub(in super::super) service: ServiceAdapter,
}

#[napi]
impl VercelAdapter {
    /// Makes an adapter for `config.serviceUrl`. Nothing is sent before the first chunk.
    #[napi(constructor, ts_args_type = "config: VercelAdapterConfig")]
    pub fn new(env: Env, this: This<'_>, config: Unknown<'_>) -> napi::Result<Self> {
        let class = c"VercelAdapter";
        let service =
            ServiceAdapter::constructing(env, &this, class, &config, |config, around| {
                let config = VercelAdapterConfig {
                    service_url: config.string(c"serviceUrl")?.unwrap_or_default(),
                    auth_token: config.secret(c"authToken")?,
                    job_def_url: config.string(c"jobDefUrl")?,
                };
                Ok(CoreVercelAdapter::new(config, around))
            })?;
        Ok(Self { service })
    }

    /// Posts `{ jobPath, chunkIndex }` (`job.meta.jobDefUrl` or `config.jobDefUrl`, `job.meta.chunkId`) and waits for
    /// the answer, at most `job.timeout` milliseconds. Default: no limit. `exitCode` of the result is that of the
    /// answer, else -1; `durationMs` that of the answer, else 0.
    ///
    /// Rejects with `VercelAdapter requires job.meta.jobDefUrl or config.jobDefUrl to be set` or `VercelAdapter
    /// requires job.meta.chunkId to be set`, with a `TypeError` that names the field, with what a callback throws, with
    /// `VercelAdapter fetch failed: …`, `VercelAdapter failed with status ${status}: ${statusText}` and `VercelAdapter
    /// received invalid JSON: …`, these with `retry` where the chunk itself has not failed, with an `AbortError`, and
    /// with `Worker job timed out after ${ms}ms`. Both end the request at once, and the worker hears of it by
    /// `config.storage`. `onStdout` and `onStderr` are called once, at the end.
    #[napi(
        enumerable = false,
        ts_args_type = "job: WorkerJob",
        ts_return_type = "Promise<WorkerResult>"
    )]
    pub fn execute<'env>(&self, job: Unknown<'env>) -> Unknown<'env> {
        self.service.execute(job)
    }
}
