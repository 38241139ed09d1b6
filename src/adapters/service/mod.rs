//! What adapters share that have a service render their chunks.

mod endpoint;
mod poll;
mod rental;
mod reply;
mod said;
mod strict;

use std::{rc::Rc, time::Duration};

use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

pub(super) use endpoint::Endpoint;
pub(super) use poll::{Failure, poll};
pub(super) use rental::{Ended, NotRented, Rental, warn_of_leftover};
pub(super) use reply::{Fields, Reply};
#[cfg(feature = "aws")]
pub(super) use reply::{json_object, parse};
pub(super) use said::Said;
pub(super) use strict::StrictService;

use super::{EnvironmentSource, Error};
use crate::{
    cloud::http,
    console::Console,
    error::exact_millis,
    model::{ChunkId, OutputTarget, Text, WorkerJob, WorkerResult, json},
    process::KILL_GRACE,
    storage::ArtifactStorage,
    task::LocalSpawner,
};

/// What such an adapter has around it.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Where workers look for marks that their chunk is no longer wanted; `None`: they do not.
    pub storage: Option<Rc<dyn ArtifactStorage>>,
    /// Hears warnings.
    pub console: Rc<dyn Console>,
    /// The variables of this process.
    pub environment: Rc<dyn EnvironmentSource>,
    /// Keeps the process alive for what has to be cleaned up.
    pub spawner: Rc<dyn LocalSpawner>,
    /// Ends all calls, when there is nobody any more who waits for them.
    pub closing: CancellationToken,
}

/// A chunk as services are told of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ChunkRequest {
    pub(super) chunk: ChunkId,
    /// Where the definition of the job is.
    pub(super) job_path: String,
}

impl ChunkRequest {
    /// The chunk of a job that is defined at `url`.
    pub(super) fn new(chunk: ChunkId, url: &str) -> Self {
        Self { chunk, job_path: url.to_owned() }
    }

    /// The body that workers expect.
    pub(super) fn body(&self) -> String {
        let (path, index) = (json::string(&self.job_path), json::number(self.chunk.get()));
        format!(r#"{{"jobPath":{path},"chunkIndex":{index}}}"#)
    }
}

/// One word for a POSIX shell, whatever is in it.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The chunk that a job renders.
pub(super) fn chunk_of(job: &WorkerJob, adapter: &'static str) -> Result<ChunkId, Error> {
    let missing = || Error::Incomplete(format!("{adapter} requires job.meta.chunkId to be set"));
    job.chunk_id.ok_or_else(missing)
}

/// The first of the places where the definition of a job may be that says something.
pub(super) fn first_url(places: [Option<&str>; 2]) -> Option<&str> {
    places.into_iter().flatten().find(|url| !url.is_empty())
}

/// What is said of a call that was not waited for any longer.
pub(super) fn timed_out(limit: Duration) -> String {
    format!("Worker job timed out after {}ms", exact_millis(limit))
}

/// How a call ended.
pub(super) enum Call<T> {
    /// With an answer, or with the news that there is none.
    Answered(T),
    /// It was aborted.
    Aborted,
    /// It took longer than this.
    TimedOut(Duration),
}

impl Surroundings {
    /// Has `work` done on the runtime for as long as `job` wants it, at most for `limit`. Afterwards nothing of it goes on
    /// here; its worker is told by a mark.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        job: &WorkerJob,
        request: Option<&ChunkRequest>,
        limit: Option<Duration>,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Call<T> {
        if job.cancel.is_cancelled() {
            return Call::Aborted;
        }
        let stop = self.stop(&job.cancel, limit);
        let bounded = async move {
            tokio::select! {
                biased;
                stopped = stop => stopped,
                reply = work => Call::Answered(reply),
            }
        };
        // A panic in a task is a bug of ours and goes on in the caller.
        let call = AbortOnDropHandle::new(tokio::spawn(bounded)).await;
        let call = call.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        if !matches!(call, Call::Answered(_))
            && let Some(request) = request
        {
            self.mark_cancelled(job, request).await;
        }
        call
    }

    /// When a call ends that nobody answers.
    pub(super) fn stop<T>(
        &self,
        cancel: &CancellationToken,
        limit: Option<Duration>,
    ) -> impl Future<Output = Call<T>> + Send + use<T> {
        let (cancel, closing) = (cancel.clone(), self.closing.clone());
        async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => Call::Aborted,
                () = closing.cancelled() => Call::Aborted,
                limit = over(limit) => Call::TimedOut(limit),
            }
        }
    }

    /// Has an `endpoint` do what `body` says, for as long as `job` wants it.
    pub(super) async fn post(
        &self,
        job: &WorkerJob,
        request: Option<&ChunkRequest>,
        endpoint: &Endpoint,
        body: String,
    ) -> Call<Result<Said, http::Error>> {
        let endpoint = endpoint.clone();
        let work = async move { endpoint.post(body).await.map(Said::from) };
        self.call(job, request, job.timeout, work).await
    }

    /// Tells the worker that nobody wants its chunk any more. It is a matter of money, not of correctness: what goes wrong
    /// is only said.
    async fn mark_cancelled(&self, job: &WorkerJob, request: &ChunkRequest) {
        let Some(storage) = &self.storage else { return };
        let limit = job.kill_grace.unwrap_or(KILL_GRACE);
        let marked = storage.mark_cancelled(&request.job_path, request.chunk);
        let problem = match tokio::time::timeout(limit, marked).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {}ms", exact_millis(limit)),
        };
        self.console.warn(&format!(
            "Warning: chunk {} could not be marked as cancelled: {problem}",
            request.chunk
        ));
    }
}

async fn over(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            tokio::time::sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

/// Says what came to those who listen, who hear it only now.
pub(super) async fn tell(job: &WorkerJob, result: &WorkerResult) {
    for (target, text) in [(&job.stdout, &result.stdout), (&job.stderr, &result.stderr)] {
        tell_one(target, text, &job.cancel).await;
    }
}

/// Says what came to one who listens.
pub(super) async fn tell_one(target: &OutputTarget, text: &Text, cancel: &CancellationToken) {
    let Some(sink) = target.sink.as_deref().filter(|_| !text.as_str().is_empty()) else { return };
    // Whoever listens may take his time, but not for ever after an abort.
    let _ = cancel.run_until_cancelled(sink.write(text.as_str().as_bytes())).await;
    sink.flush();
}

#[cfg(test)]
mod tests;
