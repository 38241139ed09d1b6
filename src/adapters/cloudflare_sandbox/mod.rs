//! Renders each chunk in a sandbox of its own on Cloudflare.

mod sandbox;
mod script;

use std::{
    io,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use self::sandbox::Sandbox;
use super::{
    WorkerAdapter,
    service::{Call, Endpoint, Reply, Surroundings, chunk_of, warn_of_leftover},
};
use crate::{
    Result,
    cloud::Secret,
    error::SystemError,
    model::{WorkerJob, WorkerResult},
    process,
    storage::Exclusions,
    task,
};

/// Where the API is.
const API: &str = "https://api.cloudflare.com/client/v4";
/// What the texts of failures begin with.
const PREFIX: &str = "Cloudflare Sandbox execution failed: ";
/// The file that a log is kept in.
const LOG: &str = "sandbox.log";

/// Which sandboxes render the chunks.
#[derive(Clone, Debug)]
pub struct CloudflareSandboxAdapterConfig {
    /// Whose they are.
    pub account_id: String,
    /// A token that may make and delete them.
    pub api_token: Secret,
    /// What they are made in.
    pub namespace: String,
    /// What they run in the place of the chunks' own commands.
    pub render_command: Option<String>,
    /// The pause between two looks at a sandbox; the first comes after six of them, the second after two.
    pub poll_interval: Duration,
    /// How often it is looked.
    pub max_poll_attempts: u32,
    /// Where the API is; default Cloudflare's.
    pub api_url: Option<String>,
}

impl Default for CloudflareSandboxAdapterConfig {
    fn default() -> Self {
        Self {
            account_id: String::new(),
            api_token: Secret::default(),
            namespace: String::new(),
            render_command: None,
            poll_interval: Duration::from_secs(30),
            max_poll_attempts: 60,
            api_url: None,
        }
    }
}

/// Renders each chunk in a fresh [sandbox](https://developers.cloudflare.com/sandbox/).
#[derive(Clone, Debug)]
pub struct CloudflareSandboxAdapter {
    config: CloudflareSandboxAdapterConfig,
    endpoint: Endpoint,
    around: Surroundings,
}

impl CloudflareSandboxAdapter {
    /// An adapter for one namespace. Logs go into the storage of `around`, if it has one.
    pub fn new(config: CloudflareSandboxAdapterConfig, around: Surroundings) -> Self {
        let url = config.api_url.clone().unwrap_or_else(|| API.to_owned());
        let endpoint = Endpoint::bearer(url, Some(&config.api_token));
        Self { config, endpoint, around }
    }

    async fn run(&self, job: WorkerJob) -> Result<WorkerResult> {
        let started = Instant::now();
        let chunk = chunk_of(&job, "CloudflareSandboxAdapter")?;
        let command = job.render_command.as_ref().or(self.config.render_command.as_ref());
        let words = match command {
            Some(command) => process::split(command)?,
            None => std::iter::once(&job.command).chain(&job.args).cloned().collect(),
        };
        let sandbox = Sandbox {
            endpoint: self.endpoint.clone(),
            account: self.config.account_id.clone(),
            namespace: self.config.namespace.clone(),
            start: script::start(&words, job.job_def_url.as_deref(), &chunk.to_string()),
            pause: self.config.poll_interval,
            most_looks: self.config.max_poll_attempts.max(1),
        };
        let ended = self.around.rented(&job, job.timeout, sandbox).await;
        warn_of_leftover::<Sandbox>(&*self.around.console, ended.leftover);
        let reply = match ended.call {
            Call::Answered(Ok((id, reply))) => {
                self.keep_log(&id, &reply).await;
                reply
            }
            Call::Answered(Err(failure)) => {
                Reply::failed(format!("{PREFIX}{}", failure.text), failure.retry)
            }
            Call::Aborted => Reply::failed(format!("{PREFIX}Job was cancelled"), None),
            Call::TimedOut(limit) => Reply::timed_out(limit, PREFIX),
        };
        Ok(reply.settle(&job, started).await)
    }

    /// Keeps the log of a sandbox where its owner wants it. The chunk is none the worse if that fails.
    async fn keep_log(&self, id: &str, reply: &Reply) {
        let Some(storage) = &self.around.storage else { return };
        let log = format!("{}{}", reply.stdout, reply.stderr);
        let kept = async {
            let folder = task::blocking(move || written(&log)).await;
            let folder =
                folder.map_err(|error| SystemError::new(error, "write", std::env::temp_dir()))?;
            let place = folder.path().to_string_lossy().into_owned();
            let (name, everything) = (format!("logs/{id}"), Exclusions::default());
            let cancel = CancellationToken::new();
            storage.upload_asset_bundle(&name, &place, &everything, &cancel).await.map(drop)
        };
        if let Err(error) = kept.await {
            self.around
                .console
                .warn(&format!("Warning: the log of sandbox {id} could not be kept: {error}"));
        }
    }
}

impl WorkerAdapter for CloudflareSandboxAdapter {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        self.run(job).boxed_local()
    }

    fn runs_commands(&self) -> bool {
        false
    }
}

/// A folder with a log in it, which goes when this does.
fn written(log: &str) -> io::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("helios-log-").tempdir()?;
    std::fs::write(folder.path().join(LOG), log)?;
    Ok(folder)
}
