//! Runs jobs in the background and keeps their records.

mod control;
mod membership;
mod observer;
mod recovery;
mod run;

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    rc::Rc,
    sync::Arc,
};

use futures_util::future::join_all;
use indexmap::IndexMap;
use tokio::sync::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::{membership::Member, run::Run};
use super::{
    Error as JobError, Executor, Gate, JobExecutionOptions,
    ledger::now_ms,
    upload::{Stored, Upload},
};
use crate::{
    Result,
    adapters::Remains,
    console::Console,
    keyed_lock::KeyedLock,
    model::{JobSpec, JobState, JobStatus, Logs},
    process::Supervisor,
    repository::{JobRepository, Stop},
    storage::ArtifactStorage,
    task::LocalSpawner,
};

/// The states from which a job can go on.
const RESUMABLE: &[JobState] = &[JobState::Paused, JobState::Failed, JobState::Cancelled];
/// The options of so many jobs that may be resumed are kept, those of the last ones.
const MOST_RESUMABLE: usize = 1000;
/// How often the record of a job is looked at that runs elsewhere.
const LOOK_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
/// How often at last, when it takes long. Reading the record of a large job takes tens of milliseconds.
const LONGEST_LOOK_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);
/// After so many of these looks its manager is asked again to stop it.
const LOOKS_PER_REQUEST: usize = 10;

/// What is known of the options of a job that goes on.
#[derive(Clone, Debug, Default)]
pub struct StoredOptions {
    /// Those it was submitted or resumed with by this manager.
    pub known: Option<JobExecutionOptions>,
    /// Those in its record, as JSON.
    pub recorded: Option<Arc<str>>,
}

/// Settings of a [`JobManager`].
#[derive(Clone, Debug, Default)]
pub struct JobManagerOptions {
    /// Who watches over the processes of the jobs, and ends those that dead managers have left.
    pub supervisor: Arc<Supervisor>,
    /// Who ends what those have left elsewhere.
    pub remains: Remains,
    /// How many chunks of all jobs together may run at once. Default: as many as the jobs ask for.
    pub max_concurrency: Option<usize>,
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
    /// Watches over the processes of the jobs, those of dead managers too.
    supervisor: Arc<Supervisor>,
    /// Who sees to what dead managers have left elsewhere.
    remains: Remains,
    gate: Option<Gate>,
    /// Whether jobs are taken; who starts one holds it until it runs.
    open: RwLock<bool>,
    /// Cancelled when they are not.
    closed: CancellationToken,
    /// This manager among those that work on the repository, as long as it has jobs running.
    member: Mutex<std::rc::Weak<Member>>,
    /// The dead managers of which nothing is left running.
    ended: RefCell<HashSet<String>>,
    /// Submitting, cancelling, pausing, resuming and deleting one job happen one after the other.
    controls: Rc<KeyedLock>,
    running: RefCell<HashMap<String, Rc<RunningJob>>>,
    /// What jobs were submitted with that may be resumed, the oldest first.
    resumable: RefCell<IndexMap<String, JobExecutionOptions>>,
    /// Why the ends of jobs could not be stored. Their records say that they run, which nobody does.
    not_stored: RefCell<IndexMap<String, Rc<crate::Error>>>,
}

/// A job between the moment it is started and the moment its last state is stored.
#[derive(Debug)]
struct RunningJob {
    id: String,
    abort: CancellationToken,
    /// What its owner wants it to be.
    wanted: Cell<Option<Stop>>,
    /// Whether its last state is being stored: others may see that before the run is over.
    ending: Cell<bool>,
    /// The state it ended in, if that could be stored.
    stored: Cell<Option<JobState>>,
    over: CancellationToken,
}

impl JobManager {
    /// A manager of jobs that are kept in `repository` and run by `executor`, with their assets in `storage`.
    pub fn new(
        repository: Rc<dyn JobRepository>,
        executor: Rc<dyn Executor>,
        storage: Option<Rc<dyn ArtifactStorage>>,
        console: Rc<dyn Console>,
        spawner: Rc<dyn LocalSpawner>,
        options: JobManagerOptions,
    ) -> Self {
        Self(Rc::new(Shared {
            repository,
            executor,
            storage,
            console,
            spawner,
            supervisor: options.supervisor,
            remains: options.remains,
            gate: options.max_concurrency.map(Gate::new),
            open: RwLock::new(true),
            closed: CancellationToken::new(),
            member: Mutex::default(),
            ended: RefCell::default(),
            controls: Rc::default(),
            running: RefCell::default(),
            resumable: RefCell::default(),
            not_stored: RefCell::default(),
        }))
    }

    /// Whether the options of jobs are kept with their records.
    pub fn records_options(&self) -> bool {
        self.0.repository.managers().is_some()
    }

    /// Stores a job, starts it in the background and gives its id. By then the record is there and the job has begun.
    ///
    /// # Errors
    /// When the record cannot be stored, or the manager is closed. What goes wrong later is found in the record.
    pub async fn submit_job(&self, spec: JobSpec, options: JobExecutionOptions) -> Result<String> {
        self.admit().await?.submit_job(spec, options).await
    }

    /// Holds the manager open for a job that is about to be submitted.
    ///
    /// # Errors
    /// When the manager is closed.
    pub async fn admit(&self) -> Result<Admission<'_>> {
        Ok(Admission { shared: &self.0, _open: self.0.opened().await? })
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

    /// Goes on with a job that is paused, failed or cancelled; does nothing for any other. `options` gets what is known of
    /// those it ran with.
    ///
    /// # Errors
    /// When the repository fails, the manager is closed, or what `options` fails with.
    pub async fn resume_job(
        &self,
        id: &str,
        options: impl FnOnce(StoredOptions) -> Result<JobExecutionOptions>,
    ) -> Result<()> {
        let _control = self.0.controls.acquire(id).await;
        self.0.go_on(id, RESUMABLE, options).await.map(drop)
    }

    /// Waits until a job has completed, failed or been cancelled, and through its pauses; also when it runs in another
    /// process. Settles at once when there is no such job, and when this manager is closed.
    ///
    /// # Errors
    /// When the repository fails, when it could not store how the job ended here, or with [`crate::Error::Aborted`] once
    /// `cancel` is cancelled.
    pub async fn wait_for_job(&self, id: &str, cancel: &CancellationToken) -> Result<()> {
        let waited = cancel.run_until_cancelled(self.0.wait_for(id)).await;
        waited.unwrap_or(Err(crate::Error::Aborted))
    }

    /// Takes no more jobs, pauses those that run, and waits until their records say so.
    ///
    /// # Errors
    /// What could not be stored of the first of them; the others are paused nevertheless.
    pub async fn close(&self) -> Result<()> {
        let shared = &self.0;
        // Whoever is starting a job comes first.
        *shared.open.write().await = false;
        let ids: Vec<String> = shared.running.borrow().keys().cloned().collect();
        let paused = join_all(ids.iter().map(|id| self.pause_job(id))).await;
        shared.closed.cancel();
        paused.into_iter().collect()
    }

    /// Cancels a job and removes its record and what was stored for it elsewhere.
    ///
    /// # Errors
    /// When the repository fails. Failures of the storage are only printed.
    pub async fn delete_job(&self, id: &str) -> Result<()> {
        let shared = &self.0;
        let _control = shared.controls.acquire(id).await;
        loop {
            shared.stop(id, Stop::Cancel).await?;
            shared.resumable.borrow_mut().shift_remove(id);
            let Some(status) = shared.repository.get(id).await? else { return Ok(()) };
            if let Some(storage) = &shared.storage {
                let upload = Upload { storage: &**storage, id, console: &*shared.console };
                let assets = status.spec.as_ref().and_then(|spec| spec.assets_url.clone());
                upload.remove(&Stored { assets, definition: status.job_def_url.clone() }).await;
            }
            if shared.delete_record(id).await? {
                return Ok(());
            }
            // Somebody else goes on with it, and its record will say so.
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }
}

/// The right to start a job. As long as it is held the manager does not close.
#[derive(Debug)]
pub struct Admission<'a> {
    shared: &'a Rc<Shared>,
    _open: tokio::sync::RwLockReadGuard<'a, bool>,
}

impl Admission<'_> {
    /// As [`JobManager::submit_job`].
    ///
    /// # Errors
    /// When the record cannot be stored.
    pub async fn submit_job(&self, spec: JobSpec, options: JobExecutionOptions) -> Result<String> {
        let shared = self.shared;
        let id = Uuid::new_v4().to_string();
        let _control = shared.controls.acquire(&id).await;
        let member = shared.member().await?;
        let manager = member.as_ref().map(|member| member.name().to_owned());
        let status =
            JobStatus { manager, options: shared.recorded(&options), ..pending_status(&id, &spec) };
        shared.repository.save(&status).await?;
        shared.start(Run::submitted(&id, spec), options, member).await;
        Ok(id)
    }
}

impl Shared {
    /// Removes the record of a job that nobody runs. Gives whether that is still so.
    async fn delete_record(&self, id: &str) -> Result<bool> {
        let Some(managers) = self.repository.managers() else {
            return self.repository.delete(id).await.map(|()| true);
        };
        // Who is not known has no jobs.
        let member = self.member.lock().await.upgrade();
        managers.remove(id, member.as_ref().map_or("", |member| member.name())).await
    }

    /// What is kept of the options of a job in its record.
    fn recorded(&self, options: &JobExecutionOptions) -> Option<Arc<str>> {
        options.recorded.clone().filter(|_| self.repository.managers().is_some())
    }

    /// Holds the manager open for somebody who starts a job.
    async fn opened(&self) -> Result<tokio::sync::RwLockReadGuard<'_, bool>> {
        let open = self.open.read().await;
        if *open { Ok(open) } else { Err(JobError::ManagerClosed.into()) }
    }

    async fn wait_for(&self, id: &str) -> Result<()> {
        let mut pause = LOOK_PAUSE;
        loop {
            let running = self.running.borrow().get(id).cloned();
            if let Some(job) = running {
                job.over.cancelled().await;
            }
            let Some(status) = self.repository.get(id).await? else { return Ok(()) };
            let is_over = matches!(
                status.state,
                Some(JobState::Completed | JobState::Failed | JobState::Cancelled)
            );
            if is_over || self.closed.is_cancelled() {
                return Ok(());
            }
            let not_stored = self.not_stored.borrow().get(id).cloned();
            if let Some(source) = not_stored {
                return Err(JobError::EndNotStored { id: id.to_owned(), source }.into());
            }
            self.closed.run_until_cancelled(tokio::time::sleep(pause)).await;
            pause = (pause * 2).min(LONGEST_LOOK_PAUSE);
        }
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
