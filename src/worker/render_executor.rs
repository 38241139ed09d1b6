//! Renders one chunk of a job in a folder of the worker.

use std::rc::Rc;

use super::Error;
use crate::{
    Result,
    adapters::WorkerAdapter,
    model::{Chunk, ChunkId, JobSpec, WorkerJob, WorkerResult},
    process,
};

/// Runs the commands of chunks in one folder.
#[derive(Clone, Debug)]
pub struct RenderExecutor {
    workspace_dir: String,
    adapter: Rc<dyn WorkerAdapter>,
}

impl RenderExecutor {
    /// An executor for `workspace_dir`, with the environment that `adapter` inherits.
    pub fn new(workspace_dir: String, adapter: Rc<dyn WorkerAdapter>) -> Self {
        Self { workspace_dir, adapter }
    }

    /// Runs the command of the chunk with the given id.
    ///
    /// # Errors
    /// When the job has no such chunk, its command is empty, or it cannot be started.
    pub async fn execute_chunk(&self, job: &JobSpec, chunk_id: ChunkId) -> Result<WorkerResult> {
        self.execute(find(job, chunk_id)?, WorkerJob::default()).await
    }

    /// Runs the command of a chunk; `limits` has everything but what to run.
    pub(super) async fn execute(&self, chunk: &Chunk, limits: WorkerJob) -> Result<WorkerResult> {
        let (command, args) = process::program_of(chunk.command.as_deref().unwrap_or_default())?;
        let cwd = Some(self.workspace_dir.clone());
        let job = WorkerJob { command, args, cwd, ..limits };
        self.adapter.execute(job).await
    }
}

/// The chunk of a job with the given id.
pub(super) fn find(job: &JobSpec, chunk_id: ChunkId) -> Result<&Chunk, Error> {
    let chunk = job.chunks.iter().find(|chunk| chunk.id == Some(chunk_id));
    chunk.ok_or_else(|| Error::ChunkNotFound(chunk_id.to_string()))
}
