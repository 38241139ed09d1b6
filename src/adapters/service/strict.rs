//! Services whose only success is a 2xx with the JSON of a worker; everything else is an error.

use std::time::Instant;

use super::{Call, ChunkRequest, Endpoint, Fields, Reply, Said, Surroundings, chunk_of, first_url};
use crate::{
    Result,
    adapters::Error,
    model::{WorkerJob, WorkerResult},
};

/// One such service.
#[derive(Clone, Debug)]
pub(in super::super) struct StrictService {
    /// The class of its adapter, for texts.
    pub(in super::super) adapter: &'static str,
    pub(in super::super) endpoint: Endpoint,
    pub(in super::super) job_def_url: Option<String>,
    /// What is missing where no job says where its definition is.
    pub(in super::super) no_url: &'static str,
    pub(in super::super) around: Surroundings,
}

impl StrictService {
    pub(in super::super) async fn run(&self, job: WorkerJob) -> Result<WorkerResult> {
        let started = Instant::now();
        let request = self.request(&job)?;
        let call = self.around.post(&job, Some(&request), &self.endpoint, request.body()).await;
        let reply = match call {
            Call::Answered(Ok(said)) => self.read(&said)?,
            Call::Answered(Err(error)) => {
                return Err(self.failed(format_args!("fetch failed: {error}"), Some(error.retry)));
            }
            Call::Aborted => return Err(Error::Aborted.into()),
            Call::TimedOut(limit) => return Err(Error::timed_out(limit).into()),
        };
        Ok(reply.settle(&job, started).await)
    }

    fn request(&self, job: &WorkerJob) -> Result<ChunkRequest, Error> {
        let url = first_url([job.job_def_url.as_deref(), self.job_def_url.as_deref()]);
        let missing =
            || Error::Incomplete(format!("{} requires {} to be set", self.adapter, self.no_url));
        let url = url.ok_or_else(missing)?;
        Ok(ChunkRequest::new(chunk_of(job, self.adapter)?, url))
    }

    fn read(&self, said: &Said) -> Result<Reply> {
        if !said.is_success {
            let text = format!("failed with status {}: {}", said.status, said.reason);
            return Err(self.failed(text, said.retry()));
        }
        let Some(object) = &said.object else {
            return Err(
                self.failed(format!("received invalid JSON: {}", said.is_no_object()), None)
            );
        };
        let exit_code = object.exit_code("exitCode").unwrap_or(-1);
        let text = |name| object.text(name).unwrap_or_default().to_owned();
        let duration = object.get("durationMs").and_then(serde_json::Value::as_f64);
        Ok(Reply {
            exit_code,
            stdout: text("stdout"),
            stderr: text("stderr"),
            output_url: object.output_url(),
            duration_ms: Some(duration.unwrap_or(0.0)),
            ..Reply::default()
        })
    }

    fn failed(
        &self,
        text: impl std::fmt::Display,
        retry: Option<crate::model::RetryHint>,
    ) -> crate::Error {
        Error::failed(format!("{} {text}", self.adapter), retry).into()
    }
}
