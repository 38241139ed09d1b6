//! Runs each command by a request to a function on Modal.

use std::{collections::BTreeMap, time::Instant};

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::{
    ForwardEnv, WorkerAdapter,
    service::{Call, ChunkRequest, Endpoint, Reply, Said, Surroundings},
};
use crate::{
    Result,
    cloud::Secret,
    model::{WorkerJob, WorkerResult, json},
};

/// What the texts of failures begin with.
const PREFIX: &str = "Execution failed: ";

/// Which function runs the commands.
#[derive(Clone, Debug, Default)]
pub struct ModalAdapterConfig {
    /// Its URL.
    pub endpoint_url: String,
    /// Its bearer token, if it wants one.
    pub auth_token: Option<Secret>,
    /// Which variables it gets.
    pub forward_env: ForwardEnv,
}

/// Runs each command by a request to a [web function](https://modal.com/docs/guide/webhooks).
#[derive(Clone, Debug)]
pub struct ModalAdapter {
    endpoint: Endpoint,
    forward_env: ForwardEnv,
    around: Surroundings,
}

impl ModalAdapter {
    /// An adapter for one function.
    pub fn new(config: ModalAdapterConfig, around: Surroundings) -> Self {
        let endpoint = Endpoint::bearer(config.endpoint_url, config.auth_token.as_ref());
        Self { endpoint, forward_env: config.forward_env, around }
    }

    async fn run(&self, mut job: WorkerJob) -> Result<WorkerResult> {
        let started = Instant::now();
        let environment = self.around.environment.snapshot();
        let env = self.forward_env.pick(std::mem::take(&mut job.env), environment);
        let body = body(&job, &env);
        let chunk = job.chunk_id.zip(job.job_def_url.as_deref());
        let request = chunk.map(|(chunk, url)| ChunkRequest::new(chunk, url));
        let reply = match self.around.post(&job, request.as_ref(), &self.endpoint, body).await {
            Call::Answered(Ok(said)) => read(said),
            Call::Answered(Err(error)) => {
                Reply::failed(format!("{PREFIX}{error}"), Some(error.retry))
            }
            Call::Aborted => Reply::failed("Job aborted", None),
            Call::TimedOut(limit) => Reply::timed_out(limit, PREFIX),
        };
        Ok(reply.settle(&job, started).await)
    }
}

impl WorkerAdapter for ModalAdapter {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        self.run(job).boxed_local()
    }
}

/// The whole job, as far as it is known.
fn body(job: &WorkerJob, env: &BTreeMap<String, String>) -> String {
    let array = |items: &[String]| {
        items.iter().map(|item| json::string(item)).collect::<Vec<_>>().join(",")
    };
    let variable = |(name, value): (&String, &String)| {
        format!("{}:{}", json::string(name), json::string(value))
    };
    let env: Vec<_> = env.iter().map(variable).collect();
    let fields = [
        ("jobPath", job.job_def_url.as_deref().map(json::string)),
        ("chunkIndex", job.chunk_id.map(|chunk| json::number(chunk.get()))),
        ("command", Some(json::string(&job.command))),
        ("args", Some(format!("[{}]", array(&job.args)))),
        ("env", (!env.is_empty()).then(|| format!("{{{}}}", env.join(",")))),
    ];
    let fields =
        fields.into_iter().filter_map(|(name, value)| Some(format!("\"{name}\":{}", value?)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

/// Reads an answer.
fn read(said: Said) -> Reply {
    if !said.is_success {
        let text = format!("{PREFIX}HTTP error! status: {}", said.status);
        return Reply::failed(text, said.retry());
    }
    if said.object.is_none() {
        return Reply::failed(format!("{PREFIX}{}", said.is_no_object()), None);
    }
    said.into_fields()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ChunkId;

    #[test]
    fn body_has_what_is_known() {
        let mut job = WorkerJob {
            command: "render".into(),
            args: vec!["a \"b\"".into(), "c".into()],
            ..WorkerJob::default()
        };
        let mut env = BTreeMap::new();
        assert_eq!(body(&job, &env), r#"{"command":"render","args":["a \"b\"","c"]}"#);
        env.insert("A".to_owned(), "1".to_owned());
        (job.chunk_id, job.job_def_url) = (Some(ChunkId::new(0.0)), Some("s3://b/j".into()));
        assert_eq!(
            body(&job, &env),
            r#"{"jobPath":"s3://b/j","chunkIndex":0,"command":"render","args":["a \"b\"","c"],"env":{"A":"1"}}"#,
        );
    }
}
