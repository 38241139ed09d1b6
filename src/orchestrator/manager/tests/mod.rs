//! The manager among scripted executors, adapters, repositories and storages.

mod books;
mod controls;
mod faults;
mod files;
mod life;
mod load;
mod records;
mod resume;
mod scene;
mod uploads;
mod world;

use std::{future::ready, rc::Rc, time::Duration};

use futures_util::{FutureExt, future::LocalBoxFuture};
use serde_json::{Value, json};
use tokio::{
    task::{spawn_local, yield_now},
    time::{Instant, sleep},
};

use self::{
    scene::{Scene, Scripted},
    world::{World, is_very, thrown, value},
};
use super::*;
use crate::{
    Error,
    model::{ChunkId, JsonSpec, WorkerResult},
    orchestrator::{Error as JobError, JobObserver},
};

const HOUR: Duration = Duration::from_hours(1);

/// A job of chunks numbered from 1, with a merge command.
fn job(chunks: u32) -> JobSpec {
    let chunk = |id| json!({ "id": id, "command": format!("render {id}") });
    let chunks: Value = (1..=chunks).map(chunk).collect();
    spec(&json!({ "id": "own", "chunks": chunks, "mergeCommand": "merge" }))
}

fn spec(value: &Value) -> JobSpec {
    JsonSpec::parse(value.to_string().into()).unwrap()
}

fn record(value: &Value) -> JobStatus {
    JobStatus::parse(&value.to_string()).unwrap()
}

/// The options that a resumed job was submitted with, or the defaults.
#[expect(clippy::unnecessary_wraps, reason = "what the manager calls")]
fn same(stored: StoredOptions) -> Result<JobExecutionOptions> {
    Ok(stored.known.unwrap_or_default())
}

/// The chunks of which there is an entry in the logs, in their order.
fn logged(status: &JobStatus) -> Vec<String> {
    let logs = status.logs.as_ref().map(Logs::to_vec).unwrap_or_default();
    logs.iter().map(|entry| entry.chunk_id.unwrap().to_string()).collect()
}
