//! `FlyMachinesAdapter`.

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::service_adapter::ServiceAdapter;
use crate::adapters::{FlyMachinesAdapter as CoreFlyMachinesAdapter, FlyMachinesAdapterConfig};

/// Renders each chunk on a fresh Fly Machine, which is deleted whatever happens.
///
/// The machine runs `config.imageRef` with `HELIOS_JOB_PAYLOAD`, which is `{ jobPath, chunkIndex }` as JSON, in its
/// environment; it renders that chunk and ends.
#[napi]
#[derive(Debug)]
pub struct FlyMachinesAdapter {
    pub(in super::super) service: ServiceAdapter,
}

#[napi]
impl FlyMachinesAdapter {
    /// Makes an adapter for the machines of `config.appName`. Nothing is sent before the first chunk.
    #[napi(constructor, ts_args_type = "config: FlyMachinesAdapterConfig")]
    pub fn new(env: Env, this: This<'_>, config: Unknown<'_>) -> napi::Result<Self> {
        let class = c"FlyMachinesAdapter";
        let service =
            ServiceAdapter::constructing(env, &this, class, &config, |config, around| {
                let config = FlyMachinesAdapterConfig {
                    api_token: config.secret(c"apiToken")?.unwrap_or_default(),
                    app_name: config.string(c"appName")?.unwrap_or_default(),
                    image_ref: config.string(c"imageRef")?.unwrap_or_default(),
                    region: config.string(c"region")?,
                    api_url: config.string(c"apiUrl")?,
                };
                Ok(CoreFlyMachinesAdapter::new(config, around))
            })?;
        Ok(Self { service })
    }

    /// Makes a machine for the chunk (`job.meta.jobDefUrl`, `job.meta.chunkIndex` or `job.meta.chunkId`), waits until
    /// it has stopped, at most `job.timeout` milliseconds (default: no limit), and deletes it. The exit code is that of
    /// its exit event.
    ///
    /// Rejects with `jobDefUrl and chunkIndex are required in job.meta for FlyMachinesAdapter`, with a `TypeError` that
    /// names the field, with what a callback throws, with `Failed to create Fly Machine: ${status} ${statusText}
    /// ${body}`, with what there is to tell of a machine that vanished or has not said how it ended, these with `retry`
    /// where another attempt may go well, with `Job was aborted`, and with `Worker job timed out after ${ms}ms`. After
    /// an abort and a timeout it settles when the machine is deleted; where Fly takes longer than `killGraceMs` (5 s)
    /// to do that, it goes on meanwhile and keeps the process alive.
    #[napi(
        enumerable = false,
        ts_args_type = "job: WorkerJob",
        ts_return_type = "Promise<WorkerResult>"
    )]
    pub fn execute<'env>(&self, job: Unknown<'env>) -> Unknown<'env> {
        self.service.execute(job)
    }
}
