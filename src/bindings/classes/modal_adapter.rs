//! `ModalAdapter`.

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::service_adapter::ServiceAdapter;
use crate::adapters::{ModalAdapter as CoreModalAdapter, ModalAdapterConfig};

/// Runs each command by a request to a web function on Modal.
///
/// `config.authToken` is sent as a bearer token. The function gets the variables of `job.env` that differ from those of
/// this process, and those that `config.forwardEnv` names.
#[napi]
#[derive(Debug)]
pub struct ModalAdapter {
    pub(in super::super) service: ServiceAdapter,
}

#[napi]
impl ModalAdapter {
    /// Makes an adapter for `config.endpointUrl`. Nothing is sent before the first command.
    #[napi(constructor, ts_args_type = "config: ModalAdapterConfig")]
    pub fn new(env: Env, this: This<'_>, config: Unknown<'_>) -> napi::Result<Self> {
        let class = c"ModalAdapter";
        let service =
            ServiceAdapter::constructing(env, &this, class, &config, |config, around| {
                let config = ModalAdapterConfig {
                    endpoint_url: config.string(c"endpointUrl")?.unwrap_or_default(),
                    auth_token: config.secret(c"authToken")?,
                    forward_env: config.forward_env()?,
                };
                Ok(CoreModalAdapter::new(config, around))
            })?;
        Ok(Self { service })
    }

    /// Posts `{ jobPath, chunkIndex, command, args, env }`, as far as they are known, and waits for the answer, at most
    /// `job.timeout` milliseconds. Default: no limit.
    ///
    /// Rejects with a `TypeError` that names the field, and with what a callback throws. Every other failure is a
    /// result with exit code 1 and the reason in `stderr` behind `Execution failed: `, and with `retry` where the
    /// command itself has not failed; so are an abort (`Job aborted`) and a timeout. Both end the request at once, and
    /// the worker hears of it by `config.storage`. `onStdout` and `onStderr` are called once, at the end.
    #[napi(
        enumerable = false,
        ts_args_type = "job: WorkerJob",
        ts_return_type = "Promise<WorkerResult>"
    )]
    pub fn execute<'env>(&self, job: Unknown<'env>) -> Unknown<'env> {
        self.service.execute(job)
    }
}
