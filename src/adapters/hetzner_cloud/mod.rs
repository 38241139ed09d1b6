//! Runs each command on a server of its own at Hetzner.

mod leftovers;
mod script;
mod server;

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use reqwest::Url;
use tokio::sync::OnceCell;
use uuid::Uuid;

use self::server::{Order, Server};
use super::{
    ForwardEnv, WorkerAdapter,
    service::{Call, Ended, Endpoint, Failure, Reply, Surroundings},
};
use crate::{
    Result,
    cloud::{Secret, failure::FATAL},
    model::{WorkerJob, WorkerResult},
    storage::Exchange,
};

/// Where the API is.
const API: &str = "https://api.hetzner.cloud/v1";
/// How much longer than its work a server may be there: it has to start, and to be deleted.
const MARGIN: Duration = Duration::from_mins(10);
/// The longest that Amazon and Google let a signed URL be valid.
const LONGEST_SIGNED: Duration = Duration::from_hours(7 * 24);
/// What success begins with.
const COMPLETED: &str = "Execution completed.\n";

/// What servers are made of.
#[derive(Clone, Debug)]
pub struct HetznerCloudAdapterConfig {
    /// A token that may make and delete servers in the project.
    pub api_token: Secret,
    /// Their type, such as `cx22`.
    pub server_type: String,
    /// The image they start with. It needs cloud-init, and curl or wget.
    pub image: String,
    /// A key that may log in.
    pub ssh_key_id: Option<f64>,
    /// Where they are; default where Hetzner likes.
    pub location: Option<String>,
    /// The pause between two looks at a server.
    pub poll_interval: Duration,
    /// The longest a command may take, with the start of its server.
    pub limit: Duration,
    /// Where the API is; default Hetzner's.
    pub api_url: Option<String>,
    /// Where servers hand in what came of their command, where there is no storage that signs URLs: takes a `PUT` of a name
    /// below it, gives the same back.
    pub result_url: Option<Secret>,
    /// Which variables commands get.
    pub forward_env: ForwardEnv,
}

impl Default for HetznerCloudAdapterConfig {
    fn default() -> Self {
        Self {
            api_token: Secret::default(),
            server_type: String::new(),
            image: String::new(),
            ssh_key_id: None,
            location: None,
            poll_interval: Duration::from_secs(5),
            limit: Duration::from_mins(5),
            api_url: None,
            result_url: None,
            forward_env: ForwardEnv::default(),
        }
    }
}

/// Runs each command on a fresh [server](https://docs.hetzner.cloud/reference/cloud#servers).
#[derive(Debug)]
pub struct HetznerCloudAdapter {
    config: HetznerCloudAdapterConfig,
    endpoint: Endpoint,
    around: Surroundings,
    /// Servers that somebody has left were looked for.
    tidied: OnceCell<()>,
}

impl HetznerCloudAdapter {
    /// An adapter for one project.
    pub fn new(config: HetznerCloudAdapterConfig, around: Surroundings) -> Self {
        let url = config.api_url.clone().unwrap_or_else(|| API.to_owned());
        let endpoint = Endpoint::bearer(url, Some(&config.api_token));
        Self { config, endpoint, around, tidied: OnceCell::new() }
    }

    async fn run(&self, mut job: WorkerJob) -> Result<WorkerResult> {
        let started = Instant::now();
        if job.cancel.is_cancelled() {
            let reply = Reply::failed("Job aborted before execution", None);
            return Ok(reply.settle(&job, started).await);
        }
        let reply = match self.order(&mut job).await {
            Ok(order) => self.rent(&job, order).await,
            Err(failure) => Reply::failed(failure.text, failure.retry),
        };
        Ok(reply.settle(&job, started).await)
    }

    async fn rent(&self, job: &WorkerJob, order: Order) -> Reply {
        self.tidied.get_or_init(|| async { self.tidy() }).await;
        let own = job.timeout.filter(|timeout| *timeout < self.config.limit);
        let server = Server {
            endpoint: self.endpoint.clone(),
            pause: self.config.poll_interval,
            steps: job.stdout.sink.clone(),
            order,
        };
        let Ended { call, leftover } =
            self.around.rented(job, Some(own.unwrap_or(self.config.limit)), server).await;
        let mut reply = match call {
            Call::Answered(Ok(reply)) => {
                Reply { stdout: format!("{COMPLETED}{}", reply.stdout), ..reply }
            }
            Call::Answered(Err(failure)) => Reply::failed(failure.text, failure.retry),
            Call::Aborted => Reply::failed("Job aborted during execution", None),
            Call::TimedOut(limit) if own.is_some() => Reply::timed_out(limit, ""),
            Call::TimedOut(_) => {
                Reply { timed_out: true, ..Reply::failed("Execution timeout exceeded", None) }
            }
        };
        if let Some(leftover) = leftover {
            reply.stderr =
                format!("{}\nFailed to clean up server: {}", reply.stderr, leftover.text);
            reply.exit_code = if reply.exit_code == 0 { 1 } else { reply.exit_code };
        }
        reply
    }

    /// Deletes what others have left, beside everything else.
    fn tidy(&self) {
        let (endpoint, console) = (self.endpoint.clone(), Rc::clone(&self.around.console));
        let tidying = tokio::spawn(async move { leftovers::delete(&endpoint).await });
        self.around.spawner.spawn(Box::pin(async move {
            // A panic in it has been told where it was, and is no harm to the command.
            let Ok(undone) = tidying.await else { return };
            if let Some(Failure { text, .. }) = undone.looked_for {
                console.warn(&format!(
                    "Warning: servers that are left could not be looked for: {text}"
                ));
            }
            if let Some((_, Failure { text, .. })) = undone.deleted.first() {
                let ids: Vec<_> = undone.deleted.iter().map(|(id, _)| id.to_string()).collect();
                let ids = ids.join(", ");
                console.warn(&format!(
                    "Warning: servers that are left could not be deleted ({ids}): {text}"
                ));
            }
        }));
    }

    /// What the API is told to make for a job.
    async fn order(&self, job: &mut WorkerJob) -> std::result::Result<Order, Failure> {
        let chunk = job.chunk_id.map_or_else(|| "job".to_owned(), |chunk| chunk.to_string());
        let chunk: String =
            chunk.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let name = format!("helios-worker-{chunk}-{}", &Uuid::new_v4().simple().to_string()[..12]);
        let expires = self.config.limit + MARGIN;
        let exchange = self.exchange(&name, expires.min(LONGEST_SIGNED)).await?;
        let environment = self.around.environment.snapshot();
        let env = self.config.forward_env.pick(std::mem::take(&mut job.env), environment);
        let script = script::script(&job.command, &job.args, &env, &exchange.put);
        if script.len() > script::MAX_SCRIPT {
            let text = format!(
                "The command is too long for Hetzner: {} bytes of user data, {} are allowed",
                script.len(),
                script::MAX_SCRIPT,
            );
            return Err(Failure { text, retry: Some(FATAL) });
        }
        Ok(Order::new(&self.config, &name, &script, expires, exchange))
    }

    /// Where the server hands in what came of its command.
    async fn exchange(
        &self,
        name: &str,
        expires: Duration,
    ) -> std::result::Result<Exchange, Failure> {
        let fatal = |text: &str| Failure { text: text.to_owned(), retry: Some(FATAL) };
        if let Some(storage) = &self.around.storage {
            let exchange = storage.exchange(name, expires).await;
            let exchange = exchange
                .map_err(|error| Failure { text: error.to_string(), retry: error.retry() })?;
            if let Some(exchange) = exchange {
                return Ok(exchange);
            }
        }
        let Some(Secret(url)) = &self.config.result_url else {
            return Err(fatal(
                "HetznerCloudAdapter cannot tell what becomes of a command without config.storage (an S3, R2 or GCS \
                 storage) or config.resultUrl",
            ));
        };
        let mut url = Url::parse(url).map_err(|_| fatal("config.resultUrl is no URL"))?;
        url.path_segments_mut()
            .map_err(|()| fatal("config.resultUrl cannot have a path"))?
            .pop_if_empty()
            .push(name);
        let url = url.to_string();
        Ok(Exchange { put: url.clone(), get: url.clone(), delete: url })
    }
}

impl WorkerAdapter for HetznerCloudAdapter {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        self.run(job).boxed_local()
    }
}
