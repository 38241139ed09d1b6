//! One chunk, as often as it takes and may.

use std::time::Duration;

use super::{PlannedChunk, Run, pace::Lane};
use crate::{
    Error as CrateError, Result,
    error::exact_millis,
    model::{ChunkId, RetryKind, json},
    orchestrator::{Error, Permit, RetryBackoff},
};

/// The first pause after a worker has said that it is too much, where it does not say how long.
const THROTTLED_DELAY: Duration = Duration::from_secs(1);
/// So often in a row a chunk is put off without that being a failed attempt: about a quarter of an hour.
const MOST_THROTTLED: u32 = 20;

/// A chunk's place among those that run at once: in its job, and in the manager of that.
#[derive(Debug, Default)]
pub(super) struct Place<'a> {
    lane: Option<Lane<'a>>,
    permit: Option<Permit>,
}

impl Place<'_> {
    /// The chunk is rendered, and makes room for others.
    fn leave(&mut self) {
        if let Some(lane) = self.lane.take() {
            lane.succeeded();
        }
        self.permit = None;
    }
}

/// What comes after a failed attempt.
enum Next {
    /// Another one, after a pause.
    Attempt(Duration),
    /// The same one again, after a pause: nobody got round to it.
    PutOff(Duration),
    /// Nothing: the chunk has failed.
    Nothing,
}

impl Run<'_> {
    /// Waits until a chunk may run; it keeps what it has of its place.
    pub(super) async fn enter<'a>(&'a self, place: &mut Place<'a>) {
        if place.lane.is_none() {
            place.lane = Some(self.pace.enter().await);
        }
        if let (None, Some(lane)) = (&place.permit, &self.options.lane) {
            place.permit = self.work.run_until_cancelled(lane.enter()).await;
        }
    }

    /// Renders one chunk, as often as it takes and may.
    pub(super) async fn chunk<'a>(
        &'a self,
        worker: usize,
        chunk: &PlannedChunk,
        mut place: Place<'a>,
    ) -> Result<()> {
        let (id, tries) = (chunk.id, self.options.retries + 1.0);
        let (mut attempt, mut put_off) = (1, 0);
        let of = json::display(tries);
        loop {
            self.enter(&mut place).await;
            if self.options.abort.is_aborted() {
                return Err(CrateError::Aborted);
            }
            if self.options.failure.is_failed() {
                return Ok(());
            }
            self.console.log(format_args!(
                "[Worker {worker}] Starting chunk {id} (Attempt {attempt}/{of})..."
            ));
            let rendered = match self.attempt(chunk).await {
                Ok(result) => {
                    // Others render while its file is brought.
                    if self.elsewhere(&result).is_some() {
                        place.leave();
                    }
                    self.brought(chunk, result).await
                }
                Err(error) => Err(error),
            };
            let error = match rendered {
                Ok(result) => {
                    place.leave();
                    self.complete(worker, id, &result).await;
                    return Ok(());
                }
                Err(error) => error,
            };
            if self.options.abort.is_aborted() {
                return Err(CrateError::Aborted);
            }
            // What was ended because another chunk failed did not fail itself.
            if self.work.is_cancelled() && self.adapter.ends_on_cancel() {
                return Ok(());
            }
            if let Some(observer) = &self.options.observer {
                observer.attempt_failed(id);
            }
            let announce = |how: &str, delay: Duration| {
                let ms = exact_millis(delay);
                self.console.warn(&format!(
                    "[Worker {worker}] Chunk {id} {how} (Attempt {attempt}/{of}). Retrying in {ms}ms... Error: {error}"
                ));
                delay
            };
            let delay = match self.judge(&error, id, attempt, put_off).await? {
                Next::Nothing => {
                    let head =
                        format!("[Worker {worker}] Chunk {id} failed after {attempt} attempts:");
                    self.console.error(&head, &error.to_string());
                    let source = Box::new(error);
                    return self.give_up(Error::ChunkFailed { id, attempts: attempt, source });
                }
                _ if self.options.failure.is_failed() => return Ok(()),
                Next::Attempt(delay) => {
                    let delay = announce("failed", delay);
                    (attempt, put_off) = (attempt + 1, 0);
                    delay
                }
                Next::PutOff(delay) => {
                    if let Some(lane) = place.lane.take() {
                        lane.was_too_much();
                    }
                    put_off += 1;
                    announce("was put off", delay)
                }
            };
            place.permit = None;
            if !delay.is_zero() {
                // Ended early by an abort or a failure; which one is seen at the top of the loop, or by the worker.
                self.work.run_until_cancelled(tokio::time::sleep(delay)).await;
            }
            if self.options.failure.is_failed() {
                return Ok(());
            }
        }
    }

    /// Decides what comes after a failed attempt. The owner knows best, then whoever failed.
    async fn judge(
        &self,
        error: &CrateError,
        id: ChunkId,
        attempt: u32,
        put_off: u32,
    ) -> Result<Next> {
        // What may still be running is not started once more beside itself.
        if matches!(error, CrateError::Job(Error::ChunkLeftBehind { .. })) {
            return Ok(Next::Nothing);
        }
        let own = match &self.options.retry_judge {
            Some(judge) => {
                let judged = self.bounded(judge.judge(error, id, attempt)).await;
                judged.unwrap_or(Err(CrateError::Aborted))?
            }
            None => None,
        };
        let hint = own.or_else(|| error.retry());
        let (kind, after) =
            hint.map_or((RetryKind::Transient, None), |hint| (hint.kind, hint.after));
        if kind == RetryKind::Fatal {
            return Ok(Next::Nothing);
        }
        let is_too_much = kind == RetryKind::Throttled || after.is_some();
        if is_too_much && put_off < MOST_THROTTLED {
            let usual = || RetryBackoff::default().delay(THROTTLED_DELAY, put_off + 1);
            return Ok(Next::PutOff(after.unwrap_or_else(usual)));
        }
        if f64::from(attempt) > self.options.retries {
            return Ok(Next::Nothing);
        }
        let first = self.options.retry_delay;
        let backoff = self.options.retry_backoff;
        Ok(Next::Attempt(backoff.map_or(first, |backoff| backoff.delay(first, attempt))))
    }

    /// A chunk has failed for good: the job with it, now or when the others are done.
    fn give_up(&self, error: Error) -> Result<()> {
        if self.options.fail_fast {
            return Err(error.into());
        }
        self.failed.borrow_mut().get_or_insert_with(|| error.into());
        Ok(())
    }
}
