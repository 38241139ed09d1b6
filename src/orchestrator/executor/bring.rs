//! Brings the files here that workers elsewhere have rendered.

use std::rc::Rc;

use uuid::Uuid;

use super::{JobExecutor, Plan, PlannedChunk, Run, resolve};
use crate::{
    Error as CrateError, Result,
    adapters::see,
    model::{JobPhase, JobSpec, WorkerResult},
    orchestrator::{
        Error, JobExecutionOptions,
        upload::{Stored, Upload},
    },
    storage::{ArtifactStorage, output_id},
    task,
};

/// So many files are brought, beside the chunks that are rendered meanwhile.
pub(super) const MOST_BROUGHT: usize = 16;

impl JobExecutor {
    /// Runs a job whose workers are elsewhere, and that nobody has told them of: what they need is in the storage meanwhile.
    pub(super) async fn lend(
        &self,
        storage: &dyn ArtifactStorage,
        job: Rc<JobSpec>,
        plan: Plan,
        mut options: JobExecutionOptions,
    ) -> Result<()> {
        // Two runs of one job never meet.
        let id = Uuid::new_v4().to_string();
        let upload = Upload { storage, id: &id, console: &*self.console };
        let tell = |phase| {
            if let Some(observer) = &options.observer {
                observer.phase(phase);
            }
        };
        tell(JobPhase::Uploading);
        let mut stored = Stored::default();
        let put = upload.put((*job).clone(), &options, |_, urls| stored = urls).await;
        tell(JobPhase::Rendering);
        let outcome = match put {
            Ok(spec) => {
                options.job_def_url.clone_from(&stored.definition);
                self.render(Rc::new(spec), plan, &options).await
            }
            Err(error) => Err(error),
        };
        upload.remove_after(&stored, &options).await;
        outcome
    }
}

impl Run<'_> {
    /// The storage in which a worker elsewhere has left the file of a chunk, and its URL there.
    pub(super) fn elsewhere<'a>(
        &'a self,
        result: &'a WorkerResult,
    ) -> Option<(&'a dyn ArtifactStorage, &'a str)> {
        self.options.storage.as_deref().zip(result.output_url.as_deref())
    }

    /// Brings the file of a chunk here, if it is elsewhere, and looks at it.
    pub(super) async fn brought(
        &self,
        chunk: &PlannedChunk,
        mut result: WorkerResult,
    ) -> Result<WorkerResult> {
        let file = self.job.chunks[chunk.index].output_file.as_deref();
        let (Some((storage, url)), Some(file)) = (self.elsewhere(&result), file) else {
            return self.verified(chunk, result, self.adapter.is_local()).await;
        };
        let path = resolve(&self.folder, file);
        let id = output_id(self.options.job_def_url.as_deref(), self.job)?;
        let local = path.to_string_lossy();
        let brought = storage.download_chunk_output(&id, url, &local);
        match self.work.run_until_cancelled(brought).await {
            None => return Err(CrateError::Aborted),
            Some(Err(error)) if error.is_abort() => return Err(error),
            Some(Err(error)) => {
                return Err(Error::ChunkNotBrought { source: Box::new(error) }.into());
            }
            Some(Ok(())) => {}
        }
        result.output = task::blocking(move || see(&path)).await;
        self.verified(chunk, result, true).await
    }
}
