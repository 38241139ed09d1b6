//! Renders each chunk on a machine of its own on Fly.io.

mod machine;
mod seen;

use std::{sync::Mutex, time::Instant};

use futures_util::{FutureExt, future::LocalBoxFuture};
use serde_json::{Value, json};
use uuid::Uuid;

use self::machine::Machine;
use super::{
    Error, WorkerAdapter,
    service::{Call, ChunkRequest, Endpoint, Surroundings, first_url, warn_of_leftover},
};
use crate::{
    Result,
    cloud::Secret,
    model::{WorkerJob, WorkerResult},
};

/// Where the API is.
const API: &str = "https://api.machines.dev/v1";

/// What machines are made of.
#[derive(Clone, Debug, Default)]
pub struct FlyMachinesAdapterConfig {
    /// A token that may make machines in the app.
    pub api_token: Secret,
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
            // Nobody else's: by it the machine is found where its id has not come.
            "name": format!("helios-worker-{}", Uuid::new_v4().simple()),
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
