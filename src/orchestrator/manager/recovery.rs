//! Going on with jobs whose manager has died.

use futures_util::future::join_all;
use tracing::debug;

use super::{JobManager, Shared, StoredOptions};
use crate::{
    Result,
    model::{JobState, JobStatus},
    orchestrator::JobExecutionOptions,
    repository::{DeadManager, Managers},
};

/// The states of jobs that somebody runs, or did when he died.
const INTERRUPTED: &[JobState] = &[JobState::Pending, JobState::Running];

impl JobManager {
    /// Goes on with all jobs that are pending or running in their records, but that no manager has which is alive. What a
    /// dead one has left running is ended first. Gives the ids of the jobs that go on here. A job for which
    /// `options` fails is left as it is, which is printed.
    ///
    /// # Errors
    /// When the repository fails, or the manager is closed.
    pub async fn recover(
        &self,
        options: impl Fn(&JobStatus, StoredOptions) -> Result<JobExecutionOptions>,
    ) -> Result<Vec<String>> {
        let shared = &self.0;
        drop(shared.opened().await?);
        let dead = match shared.repository.managers() {
            Some(managers) => managers.dead().await?,
            None => Vec::new(),
        };
        shared.end_remains(&dead).await;
        let mut recovered = Vec::new();
        for status in shared.repository.list().await? {
            let is_interrupted = status.state.is_some_and(|state| INTERRUPTED.contains(&state));
            if !is_interrupted || status.id.is_empty() {
                continue;
            }
            let id = &status.id;
            let _control = shared.controls.acquire(id).await;
            match shared.go_on(id, INTERRUPTED, |stored| options(&status, stored)).await {
                Ok(true) => recovered.push(id.clone()),
                Ok(false) => {}
                Err(error) => {
                    shared.console.failure(&format!("Job {id} was not recovered:"), &error);
                }
            }
        }
        if let Some(managers) = shared.repository.managers() {
            managers.forget(dead).await?;
        }
        Ok(recovered)
    }
}

impl Shared {
    /// Ends what dead managers have left running, and waits until it is gone.
    async fn end_remains(&self, dead: &[DeadManager]) {
        for manager in dead {
            debug!(manager = manager.name, "manager has died");
        }
        let marks = dead.iter().filter_map(|dead| dead.marks.as_deref());
        join_all(marks.map(async |marks| {
            // First those here: they might start more of the others.
            self.supervisor.end_remains(marks).await;
            self.remains.end(marks).await;
        }))
        .await;
        self.ended.borrow_mut().extend(dead.iter().map(|dead| dead.name.clone()));
    }

    /// As [`Shared::end_remains`], for the manager of a job that is about to be claimed: this one, or one that is dead.
    pub(super) async fn end_remains_of(
        &self,
        managers: &dyn Managers,
        name: Option<&str>,
        own: &str,
    ) -> Result<()> {
        let Some(name) = name.filter(|name| *name != own) else { return Ok(()) };
        if !self.ended.borrow().contains(name) {
            let mut dead = managers.dead().await?;
            dead.retain(|dead| dead.name == name);
            self.end_remains(&dead).await;
            self.ended.borrow_mut().insert(name.to_owned());
        }
        Ok(())
    }
}
