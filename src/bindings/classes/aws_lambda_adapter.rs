//! `AwsLambdaAdapter`.

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::service_adapter::ServiceAdapter;
use crate::adapters::{AwsLambdaAdapter as CoreAwsLambdaAdapter, AwsLambdaAdapterConfig};

/// Renders each chunk by an invocation of a Lambda function, such as one with `createAwsHandler` in it.
///
/// Credentials, and the region where `config.region` is not set, are those of AWS's default chain: environment, profiles,
/// SSO, containers, instances. The endpoint may also be given by `AWS_ENDPOINT_URL_LAMBDA` or `AWS_ENDPOINT_URL`.
#[napi]
#[derive(Debug)]
pub struct AwsLambdaAdapter {
    pub(in super::super) service: ServiceAdapter,
}

#[napi]
impl AwsLambdaAdapter {
    /// Makes an adapter for `config.functionName`. Nothing is sent, and no credentials are looked for, before the first
    /// chunk.
    #[napi(constructor, ts_args_type = "config: AwsLambdaAdapterConfig")]
    pub fn new(env: Env, this: This<'_>, config: Unknown<'_>) -> napi::Result<Self> {
        let class = c"AwsLambdaAdapter";
        let service =
            ServiceAdapter::constructing(env, &this, class, &config, |config, around| {
                let config = AwsLambdaAdapterConfig {
                    function_name: config.string(c"functionName")?.unwrap_or_default(),
                    region: config.string(c"region")?,
                    job_def_url: config.string(c"jobDefUrl")?,
                    endpoint: config.string(c"endpoint")?,
                };
                Ok(CoreAwsLambdaAdapter::new(config, around))
            })?;
        Ok(Self { service })
    }

    /// Invokes the function with `{ jobPath, chunkIndex }` (`job.meta.jobDefUrl` or `config.jobDefUrl`, `job.meta.chunkId`)
    /// and waits for its answer, at most `job.timeout` milliseconds. Default: no limit of its own; Lambda's is 15 minutes.
    ///
    /// Rejects with `AwsLambdaAdapter requires job.meta.chunkId to be set`, with a `TypeError` that names the field, and
    /// with what a callback throws. Every other failure is a result with exit code 1 and the reason in `stderr`, and with
    /// `retry` where the chunk itself has not failed; so are an abort (`Job was aborted`) and a timeout
    /// (`Worker job timed out after ${ms}ms`). Both end the request at once, not the function: it hears of it by
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
