//! Going on with jobs whose manager has died.

use std::collections::HashSet;

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
        let mut dead = match shared.repository.managers() {
            Some(managers) => managers.dead().await?,
            None => Vec::new(),
        };
        let lasting = shared.end_remains(&dead).await;
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
            // Those of whom something may still be running are found again the next time.
            dead.retain(|dead| !lasting.contains(&dead.name));
            managers.forget(dead).await?;
        }
        Ok(recovered)
    }
}

impl Shared {
    /// Ends what dead managers have left running, and waits until it is gone. Gives the names of those of whom something is
    /// not. That is only told: a process that was killed, and hangs in the system, will do no more work.
    async fn end_remains(&self, dead: &[DeadManager]) -> HashSet<String> {
        for manager in dead {
            debug!(manager = manager.name, "manager has died");
        }
        let marked = dead.iter().filter_map(|dead| Some((&dead.name, dead.marks.as_deref()?)));
        let left = join_all(marked.map(async |(name, marks)| {
            let is_gone = self.end_marked(marks).await;
            (!is_gone).then(|| name.clone())
        }))
        .await;
        self.ended.borrow_mut().extend(dead.iter().map(|dead| dead.name.clone()));
        left.into_iter().flatten().collect()
    }

    /// Ends what carries these marks, wherever it is; gives whether it is gone.
    async fn end_marked(&self, marks: &str) -> bool {
        // First those here: they might start more of the others.
        let left = self.supervisor.end_remains(marks).await;
        if !left.is_empty() {
            let left = left.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            self.console.warn(&format!(
                "Warning: what a process that has died was running could not be ended (process {left})."
            ));
        }
        self.remains.end(marks).await && left.is_empty()
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
