//! Renders each chunk by a request to a service on Cloud Run.

mod answer;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use reqwest::StatusCode;

use super::{
    WorkerAdapter,
    service::{Call, ChunkRequest, Endpoint, Reply, Surroundings, chunk_of, first_url},
};
use crate::{
    Result,
    cloud::{
        Secret,
        failure::FATAL,
        google::{self, IdTokens},
        http::{self, Answer},
    },
    model::{RetryHint, WorkerJob, WorkerResult},
};

/// The longest that [Cloud Run lets a request take](https://cloud.google.com/run/docs/configuring/request-timeout).
const LIMIT: Duration = Duration::from_hours(1);
/// What the texts of failures begin with.
const PREFIX: &str = "Cloud Run execution failed: ";

/// Which service renders the chunks.
#[derive(Clone, Debug)]
pub struct CloudRunAdapterConfig {
    /// Its URL, which is also what its tokens are made out for.
    pub service_url: String,
    /// Where the definition of the job is, for jobs of all owners.
    pub job_def_url: Option<String>,
    /// Whether it wants to know who calls.
    pub auth: bool,
}

/// Renders each chunk by a request to a [Cloud Run](https://cloud.google.com/run/docs/triggering/https-request) service.
#[derive(Clone, Debug)]
pub struct CloudRunAdapter {
    config: Arc<CloudRunAdapterConfig>,
    tokens: Arc<IdTokens>,
    around: Surroundings,
}

impl CloudRunAdapter {
    /// An adapter for one service. Credentials are looked for when the first chunk is rendered.
    pub fn new(config: CloudRunAdapterConfig, around: Surroundings) -> Self {
        let tokens = Arc::new(IdTokens::new(config.service_url.clone()));
        Self { config: Arc::new(config), tokens, around }
    }

    async fn run(&self, job: WorkerJob) -> Result<WorkerResult> {
        let started = Instant::now();
        let chunk = chunk_of(&job, "CloudRunAdapter")?;
        let url = first_url([self.config.job_def_url.as_deref(), job.job_def_url.as_deref()]);
        let reply = match url.map(|url| ChunkRequest::new(chunk, url)) {
            Some(request) => {
                let work =
                    render(Arc::clone(&self.config), Arc::clone(&self.tokens), request.body());
                let limit = job.timeout.map_or(LIMIT, |timeout| timeout.min(LIMIT));
                match self.around.call(&job, Some(&request), Some(limit), work).await {
                    Call::Answered(reply) => reply,
                    Call::Aborted => Reply::failed(format!("{PREFIX}Job was aborted"), None),
                    Call::TimedOut(limit) => Reply::timed_out(limit, PREFIX),
                }
            }
            None => Reply::failed(
                "CloudRunAdapter requires jobDefUrl (in config or job.meta)",
                Some(FATAL),
            ),
        };
        Ok(reply.settle(&job, started).await)
    }
}

impl WorkerAdapter for CloudRunAdapter {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        self.run(job).boxed_local()
    }

    fn runs_commands(&self) -> bool {
        false
    }
}

async fn render(config: Arc<CloudRunAdapterConfig>, tokens: Arc<IdTokens>, body: String) -> Reply {
    match ask(&config, &tokens, body).await {
        Ok(answer) => answer::read(answer),
        Err(error) => Reply::failed(format!("{PREFIX}{error}"), Some(error.retry())),
    }
}

async fn ask(
    config: &CloudRunAdapterConfig,
    tokens: &IdTokens,
    body: String,
) -> std::result::Result<Answer, Error> {
    if !config.auth {
        return post(config, None, body).await;
    }
    let issued = tokens.token().await?;
    let answer = post(config, Some(&issued.token), body.clone()).await?;
    if answer.status != StatusCode::UNAUTHORIZED {
        return Ok(answer);
    }
    // Keys may have been changed meanwhile, or clocks differ.
    tokens.refused(&issued);
    let issued = tokens.token().await?;
    post(config, Some(&issued.token), body).await
}

async fn post(
    config: &CloudRunAdapterConfig,
    token: Option<&Secret>,
    body: String,
) -> std::result::Result<Answer, Error> {
    Ok(Endpoint::bearer(config.service_url.clone(), token).post(body).await?)
}

/// Why the service did not answer.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// There is nothing to show it who calls.
    #[error(transparent)]
    Token(#[from] google::Error),
    /// It cannot be reached, or went away.
    #[error(transparent)]
    Http(#[from] http::Error),
}

impl Error {
    fn retry(&self) -> RetryHint {
        match self {
            Self::Token(error) => error.retry,
            Self::Http(error) => error.retry,
        }
    }
}
