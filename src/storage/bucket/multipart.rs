//! Objects that are stored in pieces.

use std::fmt;

use object_store::{MultipartUpload, PutPayload};
use tokio::{runtime::Handle, sync::OwnedSemaphorePermit, task::JoinSet};

use super::{super::Error, error::failed, parallel::one};

/// How many pieces of an object are on their way at once.
const CONCURRENCY: usize = 4;

/// An object that is not whole yet. Unless it is completed the store is told to forget its pieces, which cost money.
pub(super) struct Multipart {
    upload: Option<Box<dyn MultipartUpload>>,
    sending: JoinSet<Result<(), Error>>,
    url: String,
}

impl Multipart {
    pub(super) fn new(upload: Box<dyn MultipartUpload>, url: String) -> Self {
        Self { upload: Some(upload), sending: JoinSet::new(), url }
    }

    /// Sends the next piece, which has `room` in memory. Gives the failure of an earlier one, if there was any.
    pub(super) async fn send(
        &mut self,
        piece: PutPayload,
        room: OwnedSemaphorePermit,
    ) -> Result<(), Error> {
        let Some(upload) = &mut self.upload else { return Ok(()) };
        let (sent, url) = (upload.put_part(piece), self.url.clone());
        self.sending.spawn(async move {
            let sent = sent.await.map_err(failed("write", url));
            drop(room);
            sent
        });
        while self.sending.len() >= CONCURRENCY {
            one(&mut self.sending).await?;
        }
        Ok(())
    }

    /// Makes an object of the pieces, unless what came before has failed.
    pub(super) async fn end(mut self, before: Result<(), Error>) -> Result<(), Error> {
        let outcome = match before {
            Ok(()) => self.complete().await,
            failed => failed,
        };
        if outcome.is_err()
            && let Some(mut upload) = self.upload.take()
        {
            abandon(&mut self.sending, &mut *upload).await;
        }
        self.upload = None;
        outcome
    }

    async fn complete(&mut self) -> Result<(), Error> {
        while !self.sending.is_empty() {
            one(&mut self.sending).await?;
        }
        let Some(upload) = &mut self.upload else { return Ok(()) };
        upload.complete().await.map(drop).map_err(failed("write", self.url.clone()))
    }
}

/// Has the store forget the pieces.
async fn abandon(sending: &mut JoinSet<Result<(), Error>>, upload: &mut dyn MultipartUpload) {
    // A piece that arrives later would stay.
    sending.shutdown().await;
    // Best effort: the failure that is told is the one that led here.
    drop(upload.abort().await);
}

impl Drop for Multipart {
    fn drop(&mut self) {
        let Some(mut upload) = self.upload.take() else { return };
        let mut sending = std::mem::take(&mut self.sending);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { abandon(&mut sending, &mut *upload).await });
        }
    }
}

impl fmt::Debug for Multipart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Multipart").field("url", &self.url).finish_non_exhaustive()
    }
}
