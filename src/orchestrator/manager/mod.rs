//! Runs jobs in the background and keeps their records.

mod observer;
mod run;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt,
    panic::AssertUnwindSafe,
    rc::Rc,
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::run::Run;
use super::{AbortSource, Executor, FailureSlot, JobExecutionOptions, ledger::now_ms};
use crate::{
    Error, Result,
    console::Console,
    model::{JobSpec, JobState, JobStatus, Logs},
    repository::{JobRepository, keyed_lock::KeyedLock},
    storage::ArtifactStorage,
};

/// Lets a future run on the thread of the callers.
pub trait LocalSpawner: fmt::Debug {
    /// Runs `work` to its end, and keeps the process alive until then.
    fn spawn(&self, work: LocalBoxFuture<'static, ()>);
}

/// Runs jobs in the background, each with a record in a repository.
#[derive(Clone, Debug)]
pub struct JobManager(Rc<Shared>);

/// What the jobs of a manager have in common.
#[derive(Debug)]
struct Shared {
    repository: Rc<dyn JobRepository>,
    executor: Rc<dyn Executor>,
    storage: Option<Rc<dyn ArtifactStorage>>,
    console: Rc<dyn Console>,
    spawner: Rc<dyn LocalSpawner>,
    /// Submitting, cancelling, pausing, resuming and deleting one job happen one after the other.
    controls: Rc<KeyedLock>,
    running: RefCell<HashMap<String, Rc<RunningJob>>>,
    /// What paused jobs were submitted with.
    paused: RefCell<HashMap<String, JobExecutionOptions>>,
}

/// A job between the moment it is started and the moment its last state is stored.
#[derive(Debug)]
struct RunningJob {
    id: String,
    abort: CancellationToken,
    /// What its owner wants it to be.
    wanted: Cell<Option<Stop>>,
    /// The state it ended in, if that could be stored.
    stored: Cell<Option<JobState>>,
    over: CancellationToken,
}

/// A job's place among the running ones, until this is dropped.
struct Registered {
    shared: Rc<Shared>,
    job: Rc<RunningJob>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.running.borrow_mut().remove(&self.job.id);
        self.job.over.cancel();
    }
}

/// How an owner ends a running job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Pause,
    Cancel,
}

impl Stop {
    fn state(self) -> JobState {
        match self {
            Self::Pause => JobState::Paused,
            Self::Cancel => JobState::Cancelled,
        }
    }

    /// Whether a job in `state` that nobody runs is ended by this.
    fn applies_to(self, state: Option<JobState>) -> bool {
        match self {
            Self::Pause => state == Some(JobState::Running),
            Self::Cancel => {
                matches!(state, Some(JobState::Pending | JobState::Running | JobState::Paused))
            }
        }
    }
}

impl JobManager {
    /// A manager of jobs that are kept in `repository` and run by `executor`, with their assets in `storage`.
    pub fn new(
        repository: Rc<dyn JobRepository>,
        executor: Rc<dyn Executor>,
        storage: Option<Rc<dyn ArtifactStorage>>,
        console: Rc<dyn Console>,
        spawner: Rc<dyn LocalSpawner>,
    ) -> Self {
        Self(Rc::new(Shared {
            repository,
            executor,
            storage,
            console,
            spawner,
            controls: Rc::default(),
            running: RefCell::default(),
            paused: RefCell::default(),
        }))
    }

    /// Stores a job, starts it in the background and gives its id. By then the record is there and the job has begun.
    ///
    /// # Errors
    /// When the record cannot be stored. What goes wrong later is found in the record.
    pub async fn submit_job(&self, spec: JobSpec, options: JobExecutionOptions) -> Result<String> {
        let id = Uuid::new_v4().to_string();
        let _control = self.0.controls.acquire(&id).await;
        let status = pending_status(&id, &spec);
        self.0.repository.save(&status).await?;
        self.0.start(Run::submitted(&id, spec), options).await;
        Ok(id)
    }

    /// Cancels a job that is pending, running or paused. When the future settles nothing of it runs any more.
    ///
    /// # Errors
    /// When the repository fails.
    pub async fn cancel_job(&self, id: &str) -> Result<()> {
        let _control = self.0.controls.acquire(id).await;
        self.0.stop(id, Stop::Cancel).await
    }

    /// Stops a running job so that it can be resumed. When the future settles nothing of it runs any more.
    ///
    /// # Errors
    /// When the repository fails.
    pub async fn pause_job(&self, id: &str) -> Result<()> {
        let _control = self.0.controls.acquire(id).await;
        self.0.stop(id, Stop::Pause).await
    }

    /// Goes on with a paused job; does nothing for any other. `options` gets those it was submitted with, if this
    /// manager knows them.
    ///
    /// # Errors
    /// When the repository fails, or what `options` fails with.
    pub async fn resume_job(
        &self,
        id: &str,
        options: impl FnOnce(Option<JobExecutionOptions>) -> Result<JobExecutionOptions>,
    ) -> Result<()> {
        let _control = self.0.controls.acquire(id).await;
        if self.0.running.borrow().contains_key(id) {
            return Ok(());
        }
        let Some(status) = self.0.repository.get(id).await? else { return Ok(()) };
        if status.state == Some(JobState::Paused) {
            // What the last run failed with, its end, is not the failure of the next.
            let again =
                |options| JobExecutionOptions { failure: FailureSlot::default(), ..options };
            let known = self.0.paused.borrow().get(id).cloned().map(again);
            let options = options(known)?;
            self.0.start(Run::resumed(id), options).await;
        }
        Ok(())
    }

    /// Cancels a job and removes its record and what was stored for it elsewhere.
    ///
    /// # Errors
    /// When the repository fails. Failures of the storage are only printed.
    pub async fn delete_job(&self, id: &str) -> Result<()> {
        let shared = &self.0;
        let _control = shared.controls.acquire(id).await;
        shared.stop(id, Stop::Cancel).await?;
        shared.paused.borrow_mut().remove(id);
        let Some(status) = shared.repository.get(id).await? else { return Ok(()) };
        if let Some(storage) = &shared.storage {
            let assets_url = status.spec.as_ref().and_then(|spec| spec.assets_url.as_deref());
            if let Some(url) = assets_url.filter(|url| !url.is_empty())
                && let Err(error) = storage.delete_asset_bundle(id, url).await
            {
                shared.console.failure(&format!("Failed to delete assets for job {id}:"), &error);
            }
            if let Some(url) = status.job_def_url.as_deref().filter(|url| !url.is_empty())
                && let Err(error) = storage.delete_job_spec(id, url).await
            {
                shared.console.failure(&format!("Failed to delete job spec for job {id}:"), &error);
            }
        }
        shared.repository.delete(id).await
    }
}

impl Shared {
    /// Starts a run and waits until it has begun.
    async fn start(self: &Rc<Self>, run: Run, options: JobExecutionOptions) {
        let abort = options.abort.token.child_token();
        let job = Rc::new(RunningJob {
            id: run.id().to_owned(),
            abort: abort.clone(),
            wanted: Cell::new(None),
            stored: Cell::new(None),
            over: CancellationToken::new(),
        });
        self.running.borrow_mut().insert(job.id.clone(), Rc::clone(&job));
        let (begun, has_begun) = oneshot::channel();
        let (shared, submitted_with) = (Rc::clone(self), options.clone());
        let options = JobExecutionOptions {
            abort: AbortSource { token: abort, ..options.abort.clone() },
            ..options
        };
        self.spawner.spawn(Box::pin(async move {
            let running = Registered { shared: Rc::clone(&shared), job: Rc::clone(&job) };
            let state =
                AssertUnwindSafe(run.live(&shared, &job, options, begun)).catch_unwind().await;
            let state = state.unwrap_or_else(|_| {
                shared
                    .console
                    .failure(&format!("Unhandled error in job {}:", job.id), &Error::Panic);
                None
            });
            job.stored.set(state);
            match state {
                Some(JobState::Paused) => {
                    drop(shared.paused.borrow_mut().insert(job.id.clone(), submitted_with));
                }
                Some(_) => drop(shared.paused.borrow_mut().remove(&job.id)),
                None => {}
            }
            drop(running);
        }));
        // An error means that the run ended before it began; its outcome is in the record.
        drop(has_begun.await);
    }

    /// Ends a job in the way its owner wants, and waits until it is over.
    async fn stop(&self, id: &str, stop: Stop) -> Result<()> {
        let running = self.running.borrow().get(id).cloned();
        if let Some(job) = running {
            job.wanted.set(Some(stop));
            job.abort.cancel();
            job.over.cancelled().await;
            if job.stored.get().is_some() {
                return Ok(());
            }
            // How it ended could not be stored: try once more, and say so if that fails too.
        }
        let Some(mut status) = self.repository.get(id).await? else { return Ok(()) };
        if stop.applies_to(status.state) {
            id.clone_into(&mut status.id);
            status.state = Some(stop.state());
            status.updated_at = Some(now_ms());
            self.repository.save(&status).await?;
            self.console.log(format_args!("Job {id} {}", stop.state().as_str()));
            self.paused.borrow_mut().remove(id);
        }
        Ok(())
    }
}

/// The first record of a job.
#[expect(clippy::cast_precision_loss, reason = "no job has 2^53 chunks")]
fn pending_status(id: &str, spec: &JobSpec) -> JobStatus {
    let now = now_ms();
    JobStatus {
        id: id.to_owned(),
        spec: Some(spec.clone()),
        state: Some(JobState::Pending),
        progress: Some(0.0),
        total_chunks: Some(spec.chunks.len() as f64),
        completed_chunks: Some(0.0),
        created_at: Some(now),
        updated_at: Some(now),
        total_duration_ms: Some(0.0),
        logs: Some(Logs::default()),
        ..JobStatus::default()
    }
}

#[cfg(test)]
mod tests;
