//! What is told of a job while it runs.

use std::{fmt, sync::Arc};

use futures_util::{FutureExt, future::LocalBoxFuture};

use crate::{
    Result,
    model::{ChunkId, JobPhase, OutputSink, WorkerResult},
    stitcher::VideoProof,
};

/// The two streams of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a caller wants to hear of a job while it runs. What goes wrong in hearing it goes to the job's [`FailureSlot`](super::FailureSlot);
/// the futures then say `false`.
pub trait JobObserver: fmt::Debug {
    /// `done` of `total` chunks are done.
    fn progress(&self, done: usize, total: usize) -> LocalBoxFuture<'_, bool>;

    /// A chunk is done.
    fn chunk_complete<'a>(
        &'a self,
        id: ChunkId,
        result: &'a WorkerResult,
    ) -> LocalBoxFuture<'a, bool>;

    /// A chunk is done, and with it `done` of `total`. The worker's next step waits for this.
    fn chunk_done<'a>(
        &'a self,
        id: ChunkId,
        result: &'a WorkerResult,
        done: usize,
        total: usize,
    ) -> LocalBoxFuture<'a, bool> {
        async move { self.progress(done, total).await && self.chunk_complete(id, result).await }
            .boxed_local()
    }

    /// Another phase of the job begins.
    fn phase(&self, phase: JobPhase) {
        let _ = phase;
    }

    /// An attempt at a chunk has failed.
    fn attempt_failed(&self, id: ChunkId) {
        let _ = id;
    }

    /// Who hears what the chunk writes.
    fn output(&self, id: ChunkId, stream: OutputStream) -> Option<Arc<dyn OutputSink>>;

    /// The video is there, and whole.
    fn proven(&self, _proof: &VideoProof) {}

    /// Waits for what the others have set going.
    fn settle(&self) -> LocalBoxFuture<'_, ()>;

    /// Waits until what was heard so far is stored, where it is.
    fn saved(&self) -> LocalBoxFuture<'_, Result<()>> {
        std::future::ready(Ok(())).boxed_local()
    }
}
