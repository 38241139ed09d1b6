//! Hears that a chunk is no longer wanted.

use std::time::Duration;

use tokio::time;

use super::job_path::JobPath;
use crate::{
    model::ChunkId,
    storage::{ArtifactStorage, DELETED},
};

/// Pause between two looks at the mark of a chunk.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks at the mark that [`ArtifactStorage::mark_cancelled`] leaves. One that is there from the beginning is about an
/// earlier attempt.
#[derive(Debug)]
pub(super) struct CancelWatch<'a> {
    storage: &'a dyn ArtifactStorage,
    url: &'a str,
    chunk: ChunkId,
    noted: Option<String>,
}

impl<'a> CancelWatch<'a> {
    /// Notes the mark of a chunk. `None` where there cannot be one: the definition is not in a storage, or its marks
    /// cannot be read, by its permissions for example. That is no reason not to render.
    pub(super) async fn begin(
        storage: Option<&'a dyn ArtifactStorage>,
        job_path: &'a str,
        chunk: ChunkId,
    ) -> Option<Self> {
        let (storage, JobPath::Storage(url)) = (storage?, JobPath::new(job_path)) else {
            return None;
        };
        let noted = storage.cancel_mark(url, chunk).await.ok()?;
        Some(Self { storage, url, chunk, noted })
    }

    /// Looks once. What cannot be read now is read the next time.
    pub(super) async fn is_cancelled(&self) -> bool {
        let mark = self.storage.cancel_mark(self.url, self.chunk).await;
        mark.is_ok_and(|mark| mark.is_some() && mark != self.noted)
    }

    /// Whether the job is gone.
    pub(super) async fn is_deleted(&self) -> bool {
        let mark = self.storage.cancel_mark(self.url, self.chunk).await;
        mark.is_ok_and(|mark| mark.as_deref() == Some(DELETED))
    }

    /// Waits until the chunk is cancelled.
    pub(super) async fn cancelled(&self) {
        loop {
            time::sleep(PAUSE).await;
            if self.is_cancelled().await {
                return;
            }
        }
    }
}
