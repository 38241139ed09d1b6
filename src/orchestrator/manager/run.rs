//! One run of a job, from its record to its record.

use std::{collections::HashSet, pin::pin, rc::Rc, task::Poll};

use tokio::sync::oneshot;
use tracing::debug;

use super::{
    super::{
        Error as JobError,
        executor::resolve,
        ledger::{Ledger, now_ms},
        upload::{Stored, Upload},
    },
    RunningJob, Shared,
    observer::LedgerObserver,
};
use crate::{
    Error, Result,
    adapters::see,
    model::{ChunkId, JobPhase, JobSpec, JobState, JobStatus},
    orchestrator::JobExecutionOptions,
    task,
};

/// A run that is about to begin.
pub(super) struct Run {
    id: String,
    /// The job as it was submitted; a resumed one is in its record.
    submitted: Option<JobSpec>,
}

impl Run {
    /// The first run of a job.
    pub(super) fn submitted(id: &str, spec: JobSpec) -> Self {
        Self { id: id.to_owned(), submitted: Some(spec) }
    }

    /// Another run of a job.
    pub(super) fn resumed(id: &str) -> Self {
        Self { id: id.to_owned(), submitted: None }
    }

    /// The job's id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Runs the job to the end of this run; gives the state it ended in, if that could be stored. `begun` is told when
    /// the record is about to say `running`.
    pub(super) async fn live(
        self,
        shared: &Rc<Shared>,
        job: &RunningJob,
        options: JobExecutionOptions,
        begun: oneshot::Sender<()>,
    ) -> Option<JobState> {
        let what = if self.submitted.is_some() { "in" } else { "resuming" };
        let unhandled = |error: &Error| {
            shared.console.failure(&format!("Unhandled error {what} job {}:", self.id), error);
        };
        let status = match shared.repository.get(&self.id).await {
            Ok(Some(status)) => status,
            Ok(None) => return None,
            Err(error) => {
                unhandled(&error);
                job.ending.set(true);
                if !self.give_up(shared, &error, &options).await {
                    shared.miss(&self.id, error);
                }
                return None;
            }
        };
        debug!(job = self.id, "job begins, or goes on");
        let ledger = Ledger::new(Rc::clone(&shared.repository), status, &*shared.spawner);
        let outcome = self.work(shared, job, &ledger, options, begun).await;
        let state = match (job.wanted.get(), &outcome) {
            (Some(stop), _) => stop.state(),
            (None, Ok(())) => JobState::Completed,
            (None, Err(error)) if error.is_abort() => JobState::Cancelled,
            (None, Err(_)) => JobState::Failed,
        };
        debug!(job = self.id, state = state.as_str(), "job is over");
        let error = outcome.err().filter(|_| state == JobState::Failed);
        job.ending.set(true);
        match self.finish(shared, &ledger, state, error.as_ref()).await {
            Ok(stored) => stored.then_some(state),
            Err(error) => {
                unhandled(&error);
                fail(&ledger, &error);
                if ledger.save().await.is_err() {
                    shared.miss(&self.id, error);
                }
                ledger.close();
                None
            }
        }
    }

    async fn work(
        &self,
        shared: &Rc<Shared>,
        job: &RunningJob,
        ledger: &Rc<Ledger>,
        mut options: JobExecutionOptions,
        begun: oneshot::Sender<()>,
    ) -> Result<()> {
        let spec = self.submitted.clone().or_else(|| ledger.read(|status| status.spec.clone()));
        let mut spec = spec
            .ok_or_else(|| Error::invalid(format_args!("spec of job {}", self.id), "an object"))?;
        if self.submitted.is_none() {
            self.take_up(ledger, &mut options).await;
        }
        if options.abort.is_aborted() {
            return Err(Error::Aborted);
        }
        let stored = |ledger: &Ledger| ledger.read(|status| status.job_def_url.clone());
        let is_stored = stored(ledger).is_some();
        let uploads = shared.storage.is_some() && options.job_dir.is_some() && !is_stored;
        ledger.apply(|status| {
            status.state = Some(JobState::Running);
            status.started_at.get_or_insert_with(now_ms);
            (status.error, status.finished_at) = (None, None);
            status.phase = Some(if uploads { JobPhase::Uploading } else { JobPhase::Rendering });
        });
        if self.submitted.is_none() && ledger.is_journaled() {
            // Should this process die now, others have to see that the job was resumed. One that is new is pending for them.
            ledger.save().await?;
        }
        save_and_tell(ledger, begun).await?;
        if uploads {
            spec = self.upload(shared, ledger, spec, &options).await?;
        }
        options.job_def_url = stored(ledger).or(options.job_def_url);
        // What is in the storage of the manager stays there until the job is deleted.
        options.stores_job = shared.storage.is_none();
        options.storage = options.storage.or_else(|| shared.storage.clone());
        if job.abort.is_cancelled() {
            return Err(Error::Aborted);
        }
        options.see_outputs = true;
        options.observer = Some(Rc::new(LedgerObserver {
            ledger: Rc::clone(ledger),
            spawner: Rc::clone(&shared.spawner),
            failure: options.failure.clone(),
            max_log: options.max_log,
            owner: options.observer.take(),
        }));
        shared.executor.execute(Rc::new(spec), options).await
    }

    /// Finds out what is left to do of a job that ran before.
    async fn take_up(&self, ledger: &Ledger, options: &mut JobExecutionOptions) {
        let (done, gone) =
            ledger.read(|status| (status.completed_ids(), files_to_look_at(status, options)));
        let gone = task::blocking(move || {
            gone.into_iter().filter(|file| !file.is_unchanged()).collect::<Vec<_>>()
        })
        .await;
        let gone: HashSet<u64> = gone.iter().map(|file| file.chunk.key()).collect();
        let done: Vec<ChunkId> = done.into_iter().filter(|id| !gone.contains(&id.key())).collect();
        if !gone.is_empty() {
            ledger.apply(|status| forget(status, &gone, done.len()));
        }
        options.completed.extend(done);
    }

    /// Stores assets and definition of the job; gives the job as it was stored.
    async fn upload(
        &self,
        shared: &Shared,
        ledger: &Rc<Ledger>,
        spec: JobSpec,
        options: &JobExecutionOptions,
    ) -> Result<JobSpec> {
        let Some(storage) = &shared.storage else { return Ok(spec) };
        let upload = Upload { storage: &**storage, id: &self.id, console: &*shared.console };
        let stored = |spec: &JobSpec, urls: Stored| {
            ledger.apply(|status| {
                status.spec = Some(spec.clone());
                if urls.definition.is_some() {
                    status.job_def_url = urls.definition;
                    status.phase = Some(JobPhase::Rendering);
                }
            });
        };
        let spec = upload.put(spec, options, stored).await?;
        ledger.save().await?;
        Ok(spec)
    }

    /// Stores how the run ended, unless the record is gone; prints it. Gives whether it was stored.
    async fn finish(
        &self,
        shared: &Shared,
        ledger: &Rc<Ledger>,
        state: JobState,
        error: Option<&Error>,
    ) -> Result<bool> {
        // A callback that was left behind after an abort may have left a save behind.
        ledger.written().await;
        // Users edit records: what they changed besides is kept.
        let Some(record) = shared.repository.get(&self.id).await? else {
            ledger.close();
            return Ok(false);
        };
        ledger.apply(|status| {
            status.rest = record.rest;
            status.state = Some(state);
            status.manager = None;
            if state == JobState::Completed {
                (status.progress, status.phase) = (Some(100.0), None);
            }
            if state != JobState::Paused && status.started_at.is_some() {
                status.finished_at = Some(now_ms());
            }
        });
        if let Some(error) = error {
            fail(ledger, error);
            let (text, error) = match error {
                Error::Job(JobError::Upload { source }) => {
                    ("failed to upload assets/spec", &**source)
                }
                other => ("failed", other),
            };
            shared.console.failure(&format!("Job {} {text}:", self.id), error);
        }
        ledger.save().await?;
        ledger.close();
        if matches!(state, JobState::Paused | JobState::Cancelled) {
            shared.console.log(format_args!("Job {} {}", self.id, state.as_str()));
        }
        Ok(true)
    }

    /// Stores that a job failed whose record could not even be read. Gives whether it could.
    async fn give_up(&self, shared: &Shared, error: &Error, options: &JobExecutionOptions) -> bool {
        let Some(spec) = &self.submitted else { return false };
        let recorded = shared.recorded(options);
        let status = JobStatus { options: recorded, ..super::pending_status(&self.id, spec) };
        let ledger = Ledger::new(Rc::clone(&shared.repository), status, &*shared.spawner);
        fail(&ledger, error);
        // The cause has been printed; a repository that cannot store this either has nothing new to say.
        ledger.save().await.is_ok()
    }
}

fn fail(ledger: &Ledger, error: &Error) {
    ledger.apply(|status| {
        status.state = Some(JobState::Failed);
        status.error = Some(error.to_string());
    });
}

/// Starts to store the record, tells so, and waits until it is stored.
async fn save_and_tell(ledger: &Rc<Ledger>, begun: oneshot::Sender<()>) -> Result<()> {
    let mut save = pin!(ledger.save());
    let first = std::future::poll_fn(|context| Poll::Ready(save.as_mut().poll(context))).await;
    // Nobody may be waiting for it any more.
    let _ = begun.send(());
    match first {
        Poll::Ready(saved) => saved,
        Poll::Pending => save.await,
    }
}

/// A chunk's file and what was seen of it when the chunk ended.
struct SeenFile {
    chunk: ChunkId,
    path: std::path::PathBuf,
    seen: crate::model::FileSeen,
}

impl SeenFile {
    fn is_unchanged(&self) -> bool {
        see(&self.path) == Some(self.seen)
    }
}

fn files_to_look_at(status: &JobStatus, options: &JobExecutionOptions) -> Vec<SeenFile> {
    let (Some(outputs), Some(spec)) = (&status.outputs, &status.spec) else { return Vec::new() };
    let folder = options.folder();
    let file = |chunk: &crate::model::Chunk| {
        let id = chunk.id?;
        let seen = *outputs.get(&id.to_string())?;
        Some(SeenFile { chunk: id, path: resolve(&folder, chunk.output_file.as_deref()?), seen })
    };
    spec.chunks.iter().filter_map(file).collect()
}

/// Takes chunks back that have to be rendered again.
fn forget(status: &mut JobStatus, gone: &HashSet<u64>, done: usize) {
    if let Some(logs) = status.logs.take() {
        let is_gone = |id: &Option<ChunkId>| id.is_some_and(|id| gone.contains(&id.key()));
        let (gone, kept): (Vec<_>, Vec<_>) =
            logs.to_vec().into_iter().partition(|entry| is_gone(&entry.chunk_id));
        if let Some(total) = &mut status.total_duration_ms {
            *total -= gone.iter().map(|entry| entry.duration_ms).sum::<f64>();
        }
        status.logs = Some(kept.into_iter().collect());
    }
    if let Some(outputs) = &mut status.outputs {
        outputs.retain(|id, _| id.parse().is_ok_and(|id| !gone.contains(&ChunkId::new(id).key())));
    }
    let total = status.spec.as_ref().map_or(0, |spec| spec.chunks.len());
    status.set_progress(done, total);
}
