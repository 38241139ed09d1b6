//! Renders each chunk on a machine of its own on Fly.io.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Error, WorkerAdapter,
    service::{
        Call, ChunkRequest, Endpoint, Failure, Rental, Reply, Said, Surroundings, first_url, poll,
        warn_of_leftover,
    },
};
use crate::{
    Result,
    model::{WorkerJob, WorkerResult},
};

/// Where the API is.
const API: &str = "https://api.machines.dev/v1";
/// The pause between two looks at a machine.
const PAUSE: Duration = Duration::from_secs(2);
/// How long the API itself waits for a machine, in seconds; it allows 60.
const WAIT: &str = "30";

/// What machines are made of.
#[derive(Clone, Debug, Default)]
pub struct FlyMachinesAdapterConfig {
    /// A token that may make machines in the app.
    pub api_token: String,
    /// The app they belong to.
    pub app_name: String,
    /// The image they run.
    pub image_ref: String,
    /// Where they run; default where the platform likes.
    pub region: Option<String>,
    /// Where the API is; default Fly's.
    pub api_url: Option<String>,
}

/// Renders each chunk on a fresh [Fly Machine](https://fly.io/docs/machines/api/machines-resource/).
#[derive(Clone, Debug)]
pub struct FlyMachinesAdapter {
    config: FlyMachinesAdapterConfig,
    endpoint: Endpoint,
    around: Surroundings,
}

impl FlyMachinesAdapter {
    /// An adapter for one app.
    pub fn new(config: FlyMachinesAdapterConfig, around: Surroundings) -> Self {
        let url = config.api_url.clone().unwrap_or_else(|| API.to_owned());
        let endpoint = Endpoint::bearer(url, Some(&config.api_token));
        Self { config, endpoint, around }
    }

    async fn run(&self, job: WorkerJob) -> Result<WorkerResult> {
        let started = Instant::now();
        if job.cancel.is_cancelled() {
            return Err(aborted());
        }
        let machine = Machine {
            app: self.config.app_name.clone(),
            endpoint: self.endpoint.clone(),
            order: self.order(&job)?,
            last: Mutex::default(),
        };
        let ended = self.around.rented(&job, job.timeout, machine).await;
        warn_of_leftover::<Machine>(&*self.around.console, ended.leftover);
        let reply = match ended.call {
            Call::Answered(Ok(reply)) => reply,
            Call::Answered(Err(failure)) => {
                return Err(Error::failed(failure.text, failure.retry).into());
            }
            Call::Aborted => return Err(aborted()),
            Call::TimedOut(limit) => return Err(Error::timed_out(limit).into()),
        };
        Ok(reply.settle(&job, started).await)
    }

    /// What the API is told to make.
    fn order(&self, job: &WorkerJob) -> Result<Value, Error> {
        let chunk = job.chunk_index.or(job.chunk_id);
        let url = first_url([job.job_def_url.as_deref(), None]);
        let (Some(chunk), Some(url)) = (chunk, url) else {
            let text = "jobDefUrl and chunkIndex are required in job.meta for FlyMachinesAdapter";
            return Err(Error::Incomplete(text.to_owned()));
        };
        let mut order = json!({
            "config": {
                "image": self.config.image_ref,
                "env": { "HELIOS_JOB_PAYLOAD": ChunkRequest::new(chunk, url).body() },
                "auto_destroy": true,
                // A chunk that fails is tried again by its job, on a fresh machine.
                "restart": { "policy": "no" },
            },
        });
        if let Some(region) = &self.config.region {
            order["region"] = region.as_str().into();
        }
        Ok(order)
    }
}

impl WorkerAdapter for FlyMachinesAdapter {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        self.run(job).boxed_local()
    }

    fn runs_commands(&self) -> bool {
        false
    }
}

fn aborted() -> crate::Error {
    Error::failed("Job was aborted", None).into()
}

/// A machine for one chunk.
struct Machine {
    endpoint: Endpoint,
    app: String,
    order: Value,
    /// What happened to it last, as far as it was seen.
    last: Mutex<Option<String>>,
}

impl Machine {
    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Said, Failure> {
        let path = [&["apps", &*self.app, "machines"], path].concat();
        Ok(self.endpoint.ask(method, &path, query, body).await?)
    }

    /// Looks whether it has ended, when the API says that it may be worth it.
    async fn look(&self, made: &Made) -> Result<Option<Reply>, Failure> {
        let mut query = vec![("state", "stopped"), ("timeout", WAIT)];
        query.extend(made.instance_id.as_deref().map(|id| ("instance_id", id)));
        // Whatever it answers: the state tells.
        drop(self.ask(Method::GET, &[&made.id, "wait"], &query, None).await);
        let said = self.ask(Method::GET, &[&made.id], &[], None).await?;
        if said.status == 404 {
            return Err(self.vanished(&made.id));
        }
        if !said.is_success {
            let text = format!("Failed to poll Fly Machine: {} {}", said.status_line(), said.body);
            return Err(Failure::answered(text, &said));
        }
        let unread = |why| Failure::passing(format!("Failed to poll Fly Machine: {why}"));
        let seen: Seen = said.parse().map_err(unread)?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen.last());
        seen.outcome(&made.id)
    }

    /// One that is not there. Right after it was made it may only be about to appear.
    fn vanished(&self, id: &str) -> Failure {
        let text = format!("Fly Machine {id} has vanished");
        match &*self.last.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(last) => Failure::lasting(format!("{text} ({last})")),
            None => Failure::passing(text),
        }
    }
}

impl Rental for Machine {
    type Outcome = Reply;
    type Thing = Made;

    const WHAT: &'static str = "Fly Machine";

    async fn rent(&self) -> Result<Made, Failure> {
        const FAILED: &str = "Failed to create Fly Machine: ";
        let asked = self.ask(Method::POST, &[], &[], Some(&self.order)).await;
        let said = asked.map_err(|failure| failure.during(FAILED))?;
        if !said.is_success {
            let text = format!("{FAILED}{} {}", said.status_line(), said.body);
            return Err(Failure::answered(text, &said));
        }
        said.parse().map_err(|why| Failure::lasting(format!("{FAILED}{why}")))
    }

    async fn work(&self, made: &Made) -> Result<Reply, Failure> {
        poll(|_| PAUSE, || self.look(made)).await
    }

    async fn give_back(&self, made: &Made) -> Result<(), Failure> {
        self.ask(Method::DELETE, &[&made.id], &[("force", "true")], None).await?.removed()
    }
}

/// A machine that was made.
#[derive(Debug, Deserialize)]
struct Made {
    id: String,
    /// Which of its lives it is in.
    #[serde(default)]
    instance_id: Option<String>,
}

/// What there is to see of a machine, as far as it matters.
#[derive(Debug, Deserialize)]
struct Seen {
    state: String,
    #[serde(default)]
    events: Vec<Event>,
}

/// What has happened to a machine; the newest comes first.
#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    request: Value,
}

impl Seen {
    /// Its state, and what happened last.
    fn last(&self) -> String {
        let event = self
            .events
            .first()
            .map(|event| format!(", last event: {} {}", event.kind, event.status));
        format!("state: {}{}", self.state, event.unwrap_or_default())
    }

    /// What came of it, if it has ended.
    fn outcome(&self, id: &str) -> Result<Option<Reply>, Failure> {
        if !matches!(&*self.state, "stopped" | "destroying" | "destroyed" | "failed") {
            return Ok(None);
        }
        let exit = self.events.iter().filter(|event| event.kind == "exit").find_map(Event::exit);
        let Some((exit_code, out_of_memory)) = exit else {
            // The event may come a moment later than the state.
            let text = format!("Fly Machine {id} has not said how it ended ({})", self.last());
            return Err(Failure::passing(text));
        };
        let stderr = if out_of_memory {
            format!("Machine {id} ran out of memory.\n")
        } else {
            String::new()
        };
        Ok(Some(Reply {
            exit_code,
            stdout: format!("Machine {id} executed."),
            stderr,
            ..Reply::default()
        }))
    }
}

impl Event {
    /// The exit code, and whether the memory was too small.
    fn exit(&self) -> Option<(i32, bool)> {
        let exit = [&self.request["exit_event"], &self.request["MonitorEvent"]["exit_event"]]
            .into_iter()
            .find(|exit| exit.is_object())?;
        let code = exit["exit_code"].as_i64().and_then(|code| i32::try_from(code).ok())?;
        Some((code, exit["oom_killed"] == true))
    }
}
