//! Puts what happens in a job into its ledger, and passes it on to its owner.

use std::{rc::Rc, sync::Arc};

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::{super::ledger::Ledger, LocalSpawner};
use crate::{
    Result,
    model::{ChunkId, JobStatus, LogEntry, OutputSink, WorkerResult},
    orchestrator::{FailureSlot, JobObserver, OutputStream},
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
    /// Stores what was applied to the ledger.
    async fn record(&self) -> bool {
        let recorded = self.ledger.record(&*self.spawner, &self.failure).await;
        recorded.map_err(|error| self.failure.fail(error)).is_ok()
    }
}

impl JobObserver for LedgerObserver {
    fn progress(&self, done: usize, total: usize) -> LocalBoxFuture<'_, bool> {
        self.ledger.apply(|status| set_progress(status, done, total));
        self.owner.as_ref().map_or_else(heard, |owner| owner.progress(done, total))
    }

    fn chunk_complete<'a>(
        &'a self,
        id: ChunkId,
        result: &'a WorkerResult,
    ) -> LocalBoxFuture<'a, bool> {
        self.ledger.apply(|status| add_chunk(status, id, result, self.max_log));
        async move {
            let recorded = self.record().await;
            recorded
                && self
                    .owner
                    .as_ref()
                    .map_or_else(heard, |owner| owner.chunk_complete(id, result))
                    .await
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
        self.ledger.apply(|status| {
            set_progress(status, done, total);
            add_chunk(status, id, result, self.max_log);
        });
        async move {
            let recorded = self.record().await;
            let owner = self.owner.as_ref();
            recorded
                && owner.map_or_else(heard, |owner| owner.chunk_done(id, result, done, total)).await
        }
        .boxed_local()
    }

    fn output(&self, id: ChunkId, stream: OutputStream) -> Option<Arc<dyn OutputSink>> {
        self.owner.as_ref()?.output(id, stream)
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

#[expect(clippy::cast_precision_loss, reason = "no job has 2^53 chunks")]
pub(super) fn set_progress(status: &mut JobStatus, done: usize, total: usize) {
    status.completed_chunks = Some(done as f64);
    // Math.round: halves go up.
    status.progress = Some((done as f64 / total as f64 * 100.0 + 0.5).floor())
        .filter(|progress| progress.is_finite());
}

fn add_chunk(status: &mut JobStatus, id: ChunkId, result: &WorkerResult, max_log: usize) {
    let [stdout, stderr] = [&result.stdout, &result.stderr].map(|text| text.clipped(max_log));
    let entry = LogEntry::new(id, result.duration_ms, stdout, stderr);
    status.logs.get_or_insert_default().push(entry);
    *status.total_duration_ms.get_or_insert_default() += result.duration_ms;
    if let Some(seen) = result.output {
        status.see_output(id.to_string(), seen);
    }
}
