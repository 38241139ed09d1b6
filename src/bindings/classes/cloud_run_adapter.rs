//! `CloudRunAdapter`.

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::service_adapter::ServiceAdapter;
use crate::adapters::{CloudRunAdapter as CoreCloudRunAdapter, CloudRunAdapterConfig};

/// Renders each chunk by a request to a Cloud Run service, such as one with `createCloudRunServer` in it.
///
/// Each request carries an ID token for `config.serviceUrl`, from Google's application default credentials:
/// `GOOGLE_APPLICATION_CREDENTIALS` (a service account's key, impersonation), the user's own
/// `gcloud auth application-default login`, or the metadata server. It is kept until shortly before it expires.
#[napi]
#[derive(Debug)]
pub struct CloudRunAdapter {
    pub(in super::super) service: ServiceAdapter,
}

#[napi]
impl CloudRunAdapter {
    /// Makes an adapter for `config.serviceUrl`. Nothing is sent, and no credentials are looked for, before the first
    /// chunk.
    #[napi(constructor, ts_args_type = "config: CloudRunAdapterConfig")]
    pub fn new(env: Env, this: This<'_>, config: Unknown<'_>) -> napi::Result<Self> {
        let class = c"CloudRunAdapter";
        let service =
            ServiceAdapter::constructing(env, &this, class, &config, |config, around| {
                let config = CloudRunAdapterConfig {
                    service_url: config.string(c"serviceUrl")?.unwrap_or_default(),
                    job_def_url: config.string(c"jobDefUrl")?,
                    auth: !config.is_off(c"auth")?,
                };
                Ok(CoreCloudRunAdapter::new(config, around))
            })?;
        Ok(Self { service })
    }

    /// Posts `{ jobPath, chunkIndex }` (`config.jobDefUrl` or `job.meta.jobDefUrl`, `job.meta.chunkId`) and waits for the
    /// answer, at most `job.timeout` milliseconds, and never longer than 60 minutes.
    ///
    /// Rejects with `CloudRunAdapter requires job.meta.chunkId to be set`, with a `TypeError` that names the field, and
    /// with what a callback throws. Every other failure is a result with exit code 1 and the reason in `stderr`, mostly
    /// behind `Cloud Run execution failed: `, and with `retry` where the chunk itself has not failed; so are an abort and
    /// a timeout. Both end the request at once, and the worker hears of it by `config.storage`. `onStdout` and `onStderr`
    /// are called once, at the end.
    #[napi(
        enumerable = false,
        ts_args_type = "job: WorkerJob",
        ts_return_type = "Promise<WorkerResult>"
    )]
    pub fn execute<'env>(&self, job: Unknown<'env>) -> Unknown<'env> {
        self.service.execute(job)
    }
}
