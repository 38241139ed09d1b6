//! Starting and stopping jobs.

use std::{cell::Cell, panic::AssertUnwindSafe, rc::Rc};

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    LOOK_PAUSE, LOOKS_PER_REQUEST, MOST_RESUMABLE, RESUMABLE, RunningJob, Shared, StoredOptions,
    membership::Member, run::Run,
};
use crate::{
    Error, Result,
    model::{JobState, JobStatus},
    orchestrator::{AbortSource, FailureSlot, JobExecutionOptions, ledger::now_ms},
    repository::{Managers, Request, Stop},
};

impl Stop {
    /// The state it leads to.
    pub(super) fn state(self) -> JobState {
        match self {
            Self::Pause => JobState::Paused,
            Self::Cancel => JobState::Cancelled,
        }
    }

    /// The states of jobs that nobody runs in which they are ended by this.
    fn applies_to(self) -> &'static [JobState] {
        match self {
            Self::Pause => &[JobState::Running],
            Self::Cancel => &[JobState::Pending, JobState::Running, JobState::Paused],
        }
    }
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

impl Shared {
    /// Starts a run and waits until it has begun. `member` is held until it is over.
    pub(super) async fn start(
        self: &Rc<Self>,
        run: Run,
        options: JobExecutionOptions,
        member: Option<Rc<Member>>,
    ) {
        let abort = options.abort.token.child_token();
        let job = Rc::new(RunningJob {
            id: run.id().to_owned(),
            abort: abort.clone(),
            wanted: Cell::new(None),
            ending: Cell::new(false),
            stored: Cell::new(None),
            over: CancellationToken::new(),
        });
        self.not_stored.borrow_mut().shift_remove(&job.id);
        self.running.borrow_mut().insert(job.id.clone(), Rc::clone(&job));
        if let Some(stop) = member.as_ref().and_then(|member| member.asked_early(&job.id)) {
            job.stop(stop);
        }
        let (begun, has_begun) = oneshot::channel();
        let (shared, ran_with) = (Rc::clone(self), options.clone());
        let options = JobExecutionOptions {
            job_id: Some(job.id.as_str().into()),
            abort: AbortSource { token: abort, ..options.abort.clone() },
            lane: self.gate.as_ref().map(super::Gate::lane),
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
            shared.remember(&job.id, state, ran_with);
            // First, so that who waits for its end finds no trace of this manager.
            drop(member);
            drop(running);
        }));
        // An error means that the run ended before it began; its outcome is in the record.
        drop(has_begun.await);
    }

    /// Keeps the options of a job that may be resumed.
    fn remember(&self, id: &str, state: Option<JobState>, options: JobExecutionOptions) {
        // Where its end could not be stored, it is not known how the job can go on.
        let Some(state) = state else { return };
        let mut resumable = self.resumable.borrow_mut();
        resumable.shift_remove(id);
        if RESUMABLE.contains(&state) {
            // A paused job can still be aborted. Nobody listens for one that is over.
            let is_paused = state == JobState::Paused;
            let abort = if is_paused { options.abort.clone() } else { AbortSource::default() };
            // What the last run failed with, its end, is not the failure of the next.
            let failure = FailureSlot::default();
            let options = JobExecutionOptions { abort, failure, extensions: None, ..options };
            resumable.insert(id.to_owned(), options);
            if resumable.len() > MOST_RESUMABLE {
                resumable.shift_remove_index(0);
            }
        }
    }

    /// Keeps why the end of a job could not be stored, for those who wait for it.
    pub(super) fn miss(&self, id: &str, error: Error) {
        let mut not_stored = self.not_stored.borrow_mut();
        not_stored.insert(id.to_owned(), Rc::new(error));
        if not_stored.len() > MOST_RESUMABLE {
            not_stored.shift_remove_index(0);
        }
    }

    /// Goes on with a job that nobody runs and that is in one of `states`. Gives whether it does.
    pub(super) async fn go_on(
        self: &Rc<Self>,
        id: &str,
        states: &'static [JobState],
        options: impl FnOnce(StoredOptions) -> Result<JobExecutionOptions>,
    ) -> Result<bool> {
        let running = self.running.borrow().get(id).cloned();
        if let Some(job) = running {
            if !job.is_ending() {
                return Ok(false);
            }
            job.over.cancelled().await;
        }
        // Not before its turn has come: a control of the job may wait for another process.
        let _open = self.opened().await?;
        let Some(status) = self.repository.get(id).await? else { return Ok(false) };
        if !status.state.is_some_and(|state| states.contains(&state)) {
            return Ok(false);
        }
        let known = self.resumable.borrow().get(id).cloned();
        let options = options(StoredOptions { known, recorded: status.options.clone() })?;
        let member = self.member().await?;
        if let (Some(managers), Some(member)) = (self.repository.managers(), &member) {
            if self.other_manager(managers, &status).await?.is_some() {
                return Ok(false);
            }
            self.forget_asked(member, id).await;
            self.end_remains_of(managers, status.manager.as_deref(), member.name()).await?;
            if !managers.claim(id, states, member.name()).await? {
                return Ok(false);
            }
        }
        self.start(Run::resumed(id), options, member).await;
        Ok(true)
    }

    /// Ends a job in the way its owner wants, and waits until it is over.
    pub(super) async fn stop(self: &Rc<Self>, id: &str, stop: Stop) -> Result<()> {
        let running = self.running.borrow().get(id).cloned();
        if let Some(job) = running {
            job.stop(stop);
            job.over.cancelled().await;
            if job.stored.get().is_some_and(|state| !stop.applies_to().contains(&state)) {
                return Ok(());
            }
            // How it ended could not be stored: try once more, and say so if that fails too. Or it had been paused already.
        }
        for look in 0_usize.. {
            let Some(mut status) = self.repository.get(id).await? else { return Ok(()) };
            let states = stop.applies_to();
            if !status.state.is_some_and(|state| states.contains(&state)) {
                return Ok(());
            }
            if let Some(managers) = self.repository.managers() {
                if let Some(name) = self.other_manager(managers, &status).await? {
                    // Again and again: what is asked of a run that is just ending does not count for the next one.
                    if look.is_multiple_of(LOOKS_PER_REQUEST) {
                        let request = Request { id: id.to_owned(), stop };
                        managers.ask(&name, request).await?;
                    }
                    tokio::time::sleep(LOOK_PAUSE).await;
                    continue;
                }
                let member = self.member().await?;
                if let Some(member) = &member {
                    let manager = status.manager.as_deref();
                    self.end_remains_of(managers, manager, member.name()).await?;
                    if !managers.claim(id, states, member.name()).await? {
                        continue;
                    }
                    let Some(claimed) = self.repository.get(id).await? else { return Ok(()) };
                    status = claimed;
                }
            }
            return self.set_stopped(id, status, stop).await;
        }
        Ok(())
    }

    /// The manager that has the job, if it is alive and not this one.
    async fn other_manager(
        &self,
        managers: &dyn Managers,
        status: &JobStatus,
    ) -> Result<Option<String>> {
        let Some(name) = &status.manager else { return Ok(None) };
        let own = self.member.lock().await.upgrade();
        if own.is_some_and(|own| own.name() == name) {
            return Ok(None);
        }
        Ok(managers.is_alive(name).await?.then(|| name.clone()))
    }

    /// Changes the record of a job that nobody runs.
    async fn set_stopped(&self, id: &str, mut status: JobStatus, stop: Stop) -> Result<()> {
        id.clone_into(&mut status.id);
        status.state = Some(stop.state());
        let now = now_ms();
        status.updated_at = Some(now);
        status.manager = None;
        if stop == Stop::Cancel && status.started_at.is_some() {
            status.finished_at = Some(now);
        }
        self.repository.save(&status).await?;
        self.console.log(format_args!("Job {id} {}", stop.state().as_str()));
        Ok(())
    }
}

impl RunningJob {
    /// Whether it will be over soon, or is already, as far as others can see.
    fn is_ending(&self) -> bool {
        self.ending.get() || self.wanted.get().is_some()
    }

    /// Begins to end it. Who wants it to be cancelled was told that it will be.
    pub(super) fn stop(&self, stop: Stop) {
        if self.wanted.get() != Some(Stop::Cancel) {
            self.wanted.set(Some(stop));
        }
        self.abort.cancel();
    }
}
