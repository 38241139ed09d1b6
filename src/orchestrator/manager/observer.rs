//! Puts what happens in a job into its ledger, and passes it on to its owner.

use std::{rc::Rc, sync::Arc};

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::super::ledger::Ledger;
use crate::{
    Result,
    model::{ChunkId, EventKind, JobPhase, LogEntry, OutputSink, Progress, WorkerResult},
    orchestrator::{FailureSlot, JobObserver, OutputStream},
    stitcher::VideoProof,
    task::LocalSpawner,
};

/// Hears of a job for its manager.
#[derive(Debug)]
pub(super) struct LedgerObserver {
    pub(super) ledger: Rc<Ledger>,
    pub(super) spawner: Rc<dyn LocalSpawner>,
    pub(super) failure: FailureSlot,
    /// How many bytes of each stream of a chunk go into the job's logs.
    pub(super) max_log: usize,
    /// The owner's own observer.
    pub(super) owner: Option<Rc<dyn JobObserver>>,
}

impl LedgerObserver {
    /// Stores what has happened.
    async fn stored(&self) -> bool {
        self.ledger.save().await.map_err(|error| self.failure.fail(error)).is_ok()
    }

    fn note(&self, kind: EventKind) {
        self.ledger.note(kind, &*self.spawner, &self.failure);
    }

    fn chunk_event(
        &self,
        id: ChunkId,
        result: &WorkerResult,
        progress: Option<Progress>,
    ) -> EventKind {
        let [stdout, stderr] =
            [&result.stdout, &result.stderr].map(|text| text.clipped(self.max_log));
        let entry = LogEntry::new(id, result.duration_ms, stdout, stderr);
        EventKind::ChunkDone { entry: Arc::new(entry), output: result.output, progress }
    }
}

impl JobObserver for LedgerObserver {
    fn progress(&self, done: usize, total: usize) -> LocalBoxFuture<'_, bool> {
        self.ledger.happen(EventKind::Progress(Progress { done, total }));
        self.owner.as_ref().map_or_else(heard, |owner| owner.progress(done, total))
    }

    fn chunk_complete<'a>(
        &'a self,
        id: ChunkId,
        result: &'a WorkerResult,
    ) -> LocalBoxFuture<'a, bool> {
        self.ledger.happen(self.chunk_event(id, result, None));
        async move {
            let owner = self.owner.as_ref();
            self.stored().await
                && owner.map_or_else(heard, |owner| owner.chunk_complete(id, result)).await
        }
        .boxed_local()
    }

    /// The chunk is recorded whatever its owner thinks of it: it need not be rendered again.
    fn chunk_done<'a>(
        &'a self,
        id: ChunkId,
        result: &'a WorkerResult,
        done: usize,
        total: usize,
    ) -> LocalBoxFuture<'a, bool> {
        self.ledger.happen(self.chunk_event(id, result, Some(Progress { done, total })));
        async move {
            let owner = self.owner.as_ref();
            self.stored().await
                && owner.map_or_else(heard, |owner| owner.chunk_done(id, result, done, total)).await
        }
        .boxed_local()
    }

    fn phase(&self, phase: JobPhase) {
        self.note(EventKind::Phase(phase));
    }

    fn attempt_failed(&self, id: ChunkId) {
        self.note(EventKind::AttemptFailed(id));
    }

    fn output(&self, id: ChunkId, stream: OutputStream) -> Option<Arc<dyn OutputSink>> {
        self.owner.as_ref()?.output(id, stream)
    }

    fn proven(&self, proof: &VideoProof) {
        // Stored with the final state, which follows.
        self.ledger.apply(|status| status.result = Some(proof.json().into()));
        self.owner.iter().for_each(|owner| owner.proven(proof));
    }

    fn settle(&self) -> LocalBoxFuture<'_, ()> {
        self.owner
            .as_ref()
            .map_or_else(|| std::future::ready(()).boxed_local(), |owner| owner.settle())
    }

    fn saved(&self) -> LocalBoxFuture<'_, Result<()>> {
        self.ledger.save().boxed_local()
    }
}

/// Nobody but the ledger wants to hear it.
fn heard<'a>() -> LocalBoxFuture<'a, bool> {
    std::future::ready(true).boxed_local()
}
