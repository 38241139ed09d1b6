//! `CloudflareSandboxAdapter`.

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::service_adapter::ServiceAdapter;
use crate::adapters::{
    CloudflareSandboxAdapter as CoreCloudflareSandboxAdapter, CloudflareSandboxAdapterConfig,
    Surroundings,
};

/// Renders each chunk in a fresh sandbox on Cloudflare, which is destroyed whatever happens.
///
/// The sandbox runs the chunk's command in `/workspace/helios`, with `HELIOS_JOB_PATH` and `HELIOS_CHUNK_INDEX` in its
/// environment, and with the job's definition as `job.json` where its URL is one of HTTP.
#[napi]
#[derive(Debug)]
pub struct CloudflareSandboxAdapter {
    pub(in super::super) service: ServiceAdapter,
}

#[napi]
impl CloudflareSandboxAdapter {
    /// Makes an adapter for the sandboxes of `config.namespace`. Nothing is sent before the first chunk.
    #[napi(constructor, ts_args_type = "config: CloudflareSandboxAdapterConfig")]
    pub fn new(env: Env, this: This<'_>, config: Unknown<'_>) -> napi::Result<Self> {
        let class = c"CloudflareSandboxAdapter";
        let service =
            ServiceAdapter::constructing(env, &this, class, &config, |config, around| {
                let around = Surroundings { storage: config.storage(c"logStorage")?, ..around };
                let defaults = CloudflareSandboxAdapterConfig::default();
                let attempts = config.number(c"maxPollAttempts")?.filter(|number| *number >= 1.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "at least 1, and saturating"
                )]
                let config = CloudflareSandboxAdapterConfig {
                    account_id: config.string(c"accountId")?.unwrap_or_default(),
                    api_token: config.secret(c"apiToken")?.unwrap_or_default(),
                    namespace: config.string(c"namespace")?.unwrap_or_default(),
                    render_command: config.string(c"renderCommand")?,
                    poll_interval: config.millis(c"pollIntervalMs", defaults.poll_interval)?,
                    max_poll_attempts: attempts
                        .map_or(defaults.max_poll_attempts, |number| number as u32),
                    api_url: config.string(c"apiUrl")?,
                };
                Ok(CoreCloudflareSandboxAdapter::new(config, around))
            })?;
        Ok(Self { service })
    }

    /// Makes a sandbox, begins the chunk's command there (`job.meta.renderCommand` or `config.renderCommand` in its
    /// place, where one is set), looks every `config.pollIntervalMs` milliseconds whether it has ended (the first time
    /// after six of these pauses, the second after two), at most `config.maxPollAttempts` times, and destroys the
    /// sandbox. The log is `stdout` of a chunk that succeeded, `stderr` of one that failed, without the codes that
    /// terminals take for colours; it also goes into `config.logStorage`, under `logs/${id}`.
    ///
    /// Rejects with `CloudflareSandboxAdapter requires job.meta.chunkId to be set`, with a `TypeError` that names the
    /// field, and with what a callback throws. Every other failure is a result with exit code 1 and the reason in
    /// `stderr`, behind `Cloudflare Sandbox execution failed: `, and with `retry` where another attempt may go well; so
    /// are an abort (`Job was cancelled`) and a timeout. After both it settles when the sandbox is destroyed; where
    /// that takes longer than `killGraceMs` (5 s), it goes on meanwhile and keeps the process alive.
    #[napi(
        enumerable = false,
        ts_args_type = "job: WorkerJob",
        ts_return_type = "Promise<WorkerResult>"
    )]
    pub fn execute<'env>(&self, job: Unknown<'env>) -> Unknown<'env> {
        self.service.execute(job)
    }
}
