//! Renders one chunk of a job in a folder of the worker.

use std::rc::Rc;

use super::Error;
use crate::{
    Result,
    adapters::WorkerAdapter,
    model::{ChunkId, JobSpec, WorkerJob, WorkerResult},
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
        let chunk = job.chunks.iter().find(|chunk| chunk.id == Some(chunk_id));
        let chunk = chunk.ok_or_else(|| Error::ChunkNotFound(chunk_id.to_string()))?;
        let mut words = process::split(chunk.command.as_deref().unwrap_or_default())?.into_iter();
        let command = words.next().unwrap_or_default();
        let cwd = Some(self.workspace_dir.clone());
        self.adapter
            .execute(WorkerJob { command, args: words.collect(), cwd, ..WorkerJob::default() })
            .await
    }
}
