//! What becomes of a failed attempt at a chunk.

use std::{fmt, time::Duration};

use futures_util::future::LocalBoxFuture;
use uuid::Uuid;

use crate::{
    Error, Result,
    model::{ChunkId, RetryHint},
};

/// How pauses between attempts grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBackoff {
    /// Each pause is so many times as long as the one before. Default 2, never below 1.
    pub factor: f64,
    /// The longest pause. Default one minute.
    pub max_delay: Duration,
    /// How much of each pause is left to chance, from 0 to 1. Default one half. Without it chunks that failed together are
    /// tried again together.
    pub jitter: f64,
}

impl Default for RetryBackoff {
    fn default() -> Self {
        Self { factor: 2.0, max_delay: Duration::from_mins(1), jitter: 0.5 }
    }
}

impl RetryBackoff {
    /// The pause after the `failures`th failure in a row; `first` is the one after the first.
    pub(super) fn delay(&self, first: Duration, failures: u32) -> Duration {
        let power = f64::from(failures.saturating_sub(1));
        let longest = self.max_delay.as_secs_f64();
        let seconds = (first.as_secs_f64() * self.factor.powf(power)).min(longest);
        Duration::from_secs_f64(seconds * (1.0 - self.jitter * chance()))
    }
}

/// A number from 0 to 1, never 1.
fn chance() -> f64 {
    let bits = u32::try_from(Uuid::new_v4().as_u128() & u128::from(u32::MAX)).unwrap_or_default();
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

/// The owner's own judgement of failures.
pub trait RetryJudge: fmt::Debug {
    /// What to make of `error`, which ended an attempt at a chunk; `None` leaves that to the adapter's hint.
    ///
    /// # Errors
    /// What the owner's code throws fails the job.
    fn judge<'a>(
        &'a self,
        error: &'a Error,
        chunk: ChunkId,
        attempt: u32,
    ) -> LocalBoxFuture<'a, Result<Option<RetryHint>>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest() {
        let backoff = RetryBackoff { jitter: 0.0, ..RetryBackoff::default() };
        let seconds = |failures| backoff.delay(Duration::from_secs(1), failures).as_secs();
        assert_eq!([1, 2, 3, 4, 6, 7, 100].map(seconds), [1, 2, 4, 8, 32, 60, 60]);
        assert_eq!(backoff.delay(Duration::ZERO, 9), Duration::ZERO);
    }

    #[test]
    fn chance_takes_away_its_part_at_most() {
        let backoff = RetryBackoff::default();
        let delays: Vec<_> = (0..100).map(|_| backoff.delay(Duration::from_secs(8), 1)).collect();
        let (least, most) = (Duration::from_secs(4), Duration::from_secs(8));
        assert!(delays.iter().all(|delay| (least..=most).contains(delay)));
        assert!(delays.iter().any(|delay| *delay != delays[0]));
    }
}
