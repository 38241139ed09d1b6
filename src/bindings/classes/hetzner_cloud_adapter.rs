//! `HetznerCloudAdapter`.

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::service_adapter::ServiceAdapter;
use crate::adapters::{HetznerCloudAdapter as CoreHetznerCloudAdapter, HetznerCloudAdapterConfig};

/// Runs each command on a fresh server at Hetzner, which is deleted whatever happens.
///
/// cloud-init runs the command, as root, hands in its exit code and output through `config.storage` (an S3, R2 or GCS
/// storage, by signed URLs) or `config.resultUrl`, and turns the server off. Servers have the label `helios=worker`;
/// those that somebody has left are deleted when their time is over, with the first command of each adapter.
#[napi]
#[derive(Debug)]
pub struct HetznerCloudAdapter {
    pub(in super::super) service: ServiceAdapter,
}

#[napi]
impl HetznerCloudAdapter {
    /// Makes an adapter for servers of `config.serverType`. Nothing is sent before the first command.
    #[napi(constructor, ts_args_type = "config: HetznerCloudAdapterConfig")]
    pub fn new(env: Env, this: This<'_>, config: Unknown<'_>) -> napi::Result<Self> {
        let class = c"HetznerCloudAdapter";
        let service =
            ServiceAdapter::constructing(env, &this, class, &config, |config, around| {
                let defaults = HetznerCloudAdapterConfig::default();
                let config = HetznerCloudAdapterConfig {
                    api_token: config.secret(c"apiToken")?.unwrap_or_default(),
                    server_type: config.string(c"serverType")?.unwrap_or_default(),
                    image: config.string(c"image")?.unwrap_or_default(),
                    ssh_key_id: config.number(c"sshKeyId")?,
                    location: config.string(c"location")?,
                    poll_interval: config.millis(c"pollIntervalMs", defaults.poll_interval)?,
                    limit: config.millis(c"timeoutMs", defaults.limit)?,
                    api_url: config.string(c"apiUrl")?,
                    result_url: config.secret(c"resultUrl")?,
                    forward_env: config.forward_env()?,
                };
                Ok(CoreHetznerCloudAdapter::new(config, around))
            })?;
        Ok(Self { service })
    }

    /// Makes a server that runs `job.command` with `job.args`, waits until it is off, looking every
    /// `config.pollIntervalMs` milliseconds, at most `config.timeoutMs` milliseconds (and `job.timeout`, if that is
    /// shorter), and deletes it. `onStdout` hears what is being done, and at the end the output.
    ///
    /// Rejects with a `TypeError` that names the field, and with what a callback throws. Every other failure is a
    /// result with exit code 1 and the reason in `stderr`, and with `retry` where another attempt may go well: `Failed
    /// to create server: …`, `Failed to poll server status: …`, `Execution timeout exceeded`, `Job aborted before
    /// execution`, `Job aborted during execution`, and with neither storage nor `resultUrl` that nobody would know what
    /// became of the command. Where the server cannot be deleted, `Failed to clean up server: …` is added.
    #[napi(
        enumerable = false,
        ts_args_type = "job: WorkerJob",
        ts_return_type = "Promise<WorkerResult>"
    )]
    pub fn execute<'env>(&self, job: Unknown<'env>) -> Unknown<'env> {
        self.service.execute(job)
    }
}
