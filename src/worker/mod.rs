//! What runs inside a worker.

mod render_executor;

pub use render_executor::RenderExecutor;

/// Why a worker could not run a chunk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The job has no such chunk.
    #[error("Chunk with ID {0} not found in job spec")]
    ChunkNotFound(String),
}
