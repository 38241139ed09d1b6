//! What runs inside a worker: one chunk of a job that is defined elsewhere, and the answer about it.

mod answer;
mod cancel_watch;
mod job_path;
mod outputs;
mod render_executor;
mod run_folder;
mod runtime;
mod service;
#[cfg(test)]
mod testing;

pub use answer::{Answer, AnswerForm};
pub use job_path::SpecClient;
pub use render_executor::RenderExecutor;
pub use runtime::{ChunkRun, Placement, WorkerRuntime};
pub use service::ChunkService;

/// Why a worker could not run a chunk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The job has no such chunk.
    #[error("Chunk with ID {0} not found in job spec")]
    ChunkNotFound(String),
    /// Whoever has the definition does not give it.
    #[error("Failed to fetch job spec: {0}")]
    NotFetched(String),
    /// What is said to define a job does not.
    #[error("Invalid JobSpec: missing chunks array")]
    NoChunks,
    /// The assets are in a storage, and there is none.
    #[error(
        "Worker was not configured with an ArtifactStorage adapter, but the job requires remote assets."
    )]
    NoStorage,
    /// The definition is in a storage, and there is none.
    #[error(
        "Worker was not configured with an ArtifactStorage adapter, but the job spec is in one: {0}"
    )]
    NoStorageForSpec(String),
    /// The time that whoever runs the worker gives it is nearly over.
    #[error("Chunk {0} was ended because the time limit of its worker was near")]
    OutOfTime(String),
}
