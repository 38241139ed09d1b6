//! Renders each chunk in a Lambda function.

mod answer;
mod failure;

use std::{sync::Arc, time::Instant};

use aws_sdk_lambda::{
    Client,
    config::{self, StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig},
    primitives::Blob,
    types::InvocationType,
};
use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio::sync::OnceCell;
use tracing::debug;

use super::{
    WorkerAdapter,
    service::{Call, ChunkRequest, Reply, Surroundings, chunk_of, first_url},
};
use crate::{
    Result,
    cloud::{aws, failure::FATAL},
    error::exact_millis,
    model::{WorkerJob, WorkerResult},
};

/// Which function renders the chunks.
#[derive(Clone, Debug, Default)]
pub struct AwsLambdaAdapterConfig {
    /// Its name or ARN.
    pub function_name: String,
    /// Its region. Default: that of the environment or the profile.
    pub region: Option<String>,
    /// Where the definition of the job is, for jobs that do not say it.
    pub job_def_url: Option<String>,
    /// Where requests go. Default: to Lambda.
    pub endpoint: Option<String>,
}

/// Renders each chunk by an [invocation of a function](https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html).
#[derive(Clone, Debug)]
pub struct AwsLambdaAdapter {
    config: Arc<AwsLambdaAdapterConfig>,
    client: Arc<OnceCell<Client>>,
    around: Surroundings,
}

impl AwsLambdaAdapter {
    /// An adapter for one function. Credentials are looked for when the first chunk is rendered.
    pub fn new(config: AwsLambdaAdapterConfig, around: Surroundings) -> Self {
        Self { config: Arc::new(config), client: Arc::default(), around }
    }

    async fn run(&self, job: WorkerJob) -> Result<WorkerResult> {
        let started = Instant::now();
        let chunk = chunk_of(&job, "AwsLambdaAdapter")?;
        let url = first_url([job.job_def_url.as_deref(), self.config.job_def_url.as_deref()]);
        let reply = match url.map(|url| ChunkRequest::new(chunk, url)) {
            Some(request) => {
                let work =
                    invoke(Arc::clone(&self.config), Arc::clone(&self.client), request.body());
                match self.around.call(&job, Some(&request), job.timeout, work).await {
                    Call::Answered(reply) => reply,
                    Call::Aborted => Reply::failed("Job was aborted", None),
                    Call::TimedOut(limit) => Reply::timed_out(limit, ""),
                }
            }
            None => Reply::failed(
                "AwsLambdaAdapter requires job.meta.jobDefUrl or config.jobDefUrl to be set",
                Some(FATAL),
            ),
        };
        Ok(reply.settle(&job, started).await)
    }
}

impl WorkerAdapter for AwsLambdaAdapter {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        self.run(job).boxed_local()
    }

    fn runs_commands(&self) -> bool {
        false
    }
}

async fn invoke(
    config: Arc<AwsLambdaAdapterConfig>,
    client: Arc<OnceCell<Client>>,
    body: String,
) -> Reply {
    let client = match client.get_or_try_init(|| connect(&config)).await {
        Ok(client) => client,
        Err(NoRegion) => return Reply::failed(NO_REGION, Some(FATAL)),
    };
    let sent = client
        .invoke()
        .function_name(&config.function_name)
        .invocation_type(InvocationType::RequestResponse)
        .payload(Blob::new(body))
        .send();
    let started = Instant::now();
    let answer = sent.await;
    let ms = exact_millis(started.elapsed());
    debug!(function = config.function_name, is_answered = answer.is_ok(), %ms, "invocation ended");
    match answer {
        Ok(output) => answer::read(output),
        Err(error) => failure::read(&error),
    }
}

/// What one gets who says nowhere which region is meant.
const NO_REGION: &str =
    "Region is missing: set it in the adapter's config, in AWS_REGION or in the profile";

struct NoRegion;

/// The client of an adapter. Not made again for the next chunk.
async fn connect(config: &AwsLambdaAdapterConfig) -> std::result::Result<Client, NoRegion> {
    let shared = aws::sdk_config(config.region.clone()).await;
    if shared.region().is_none() {
        return Err(NoRegion);
    }
    // Retries and limits are those of the caller, who knows what may take a quarter of an hour.
    let mut own = config::Builder::from(&shared)
        .http_client(aws::SharedClient)
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(endpoint) = &config.endpoint {
        own = own.endpoint_url(endpoint);
    }
    Ok(Client::from_conf(own.build()))
}
