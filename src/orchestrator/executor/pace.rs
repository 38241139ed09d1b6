//! How many chunks of a job may run at once just now.

use std::cell::Cell;

use tokio::sync::Notify;
use tracing::debug;

/// Additive increase, multiplicative decrease, as TCP does it: half as many after a service has said that it is too much, one more
/// after each round of successes, up to what the owner asked for.
#[derive(Debug)]
pub(super) struct Pace {
    most: f64,
    limit: Cell<f64>,
    running: Cell<usize>,
    /// Counts the decreases.
    decreases: Cell<u32>,
    room: Notify,
}

impl Pace {
    /// A pace of `most` chunks at once.
    #[expect(clippy::cast_precision_loss, reason = "no job runs 2^53 chunks at once")]
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most as f64,
            limit: Cell::new(most as f64),
            running: Cell::new(0),
            decreases: Cell::new(0),
            room: Notify::new(),
        }
    }

    /// Waits until one more may run.
    pub(super) async fn enter(&self) -> Lane<'_> {
        while !self.has_room() {
            self.room.notified().await;
        }
        self.running.set(self.running.get() + 1);
        if self.has_room() {
            self.room.notify_one();
        }
        Lane { pace: self, decreases: self.decreases.get() }
    }

    #[expect(clippy::cast_precision_loss, reason = "no job runs 2^53 chunks at once")]
    fn has_room(&self) -> bool {
        (self.running.get() as f64) < self.limit.get().floor()
    }
}

/// One chunk that runs.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    pace: &'a Pace,
    decreases: u32,
}

impl Lane<'_> {
    /// The chunk is done.
    pub(super) fn succeeded(&self) {
        let limit = self.pace.limit.get();
        if limit < self.pace.most {
            self.pace.limit.set((limit + 1.0 / limit).min(self.pace.most));
            self.pace.room.notify_one();
        }
    }

    /// The service says that it was too much. All that were under way when it first said so say the same thing.
    pub(super) fn was_too_much(&self) {
        if self.decreases == self.pace.decreases.get() {
            self.pace.decreases.set(self.decreases.wrapping_add(1));
            self.pace.limit.set((self.pace.limit.get() / 2.0).max(1.0));
            debug!(chunks = self.pace.limit.get(), "fewer chunks at once");
        }
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.pace.running.set(self.pace.running.get() - 1);
        self.pace.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn enter(pace: &Pace) -> Option<Lane<'_>> {
        pace.enter().now_or_never()
    }

    fn room(pace: &Pace) -> usize {
        std::iter::from_fn(|| enter(pace)).collect::<Vec<_>>().len()
    }

    #[test]
    fn no_more_run_than_asked_for() {
        let pace = Pace::new(3);
        let lanes: Vec<_> = std::iter::from_fn(|| enter(&pace)).collect();
        assert_eq!(lanes.len(), 3);
        drop(lanes);
        assert_eq!(room(&pace), 3);
    }

    #[test]
    fn half_as_many_run_when_it_was_too_much_and_more_again_after_successes() {
        let pace = Pace::new(8);
        let lanes: Vec<_> = std::iter::from_fn(|| enter(&pace)).collect();
        lanes.iter().for_each(Lane::was_too_much);
        assert!(enter(&pace).is_none());
        drop(lanes);
        assert_eq!(room(&pace), 4, "what was under way together counts once");
        enter(&pace).unwrap().was_too_much();
        assert_eq!(room(&pace), 2);
        for _ in 0..3 {
            enter(&pace).unwrap().was_too_much();
        }
        assert_eq!(room(&pace), 1, "never none");
        enter(&pace).unwrap().succeeded();
        assert_eq!(room(&pace), 2);
        for _ in 0..100 {
            enter(&pace).unwrap().succeeded();
        }
        assert_eq!(room(&pace), 8);
    }

    #[tokio::test(flavor = "local")]
    async fn those_who_wait_go_on_when_there_is_room() {
        let pace = Pace::new(1);
        let lane = pace.enter().await;
        let (mut second, mut third) = (Box::pin(pace.enter()), Box::pin(pace.enter()));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        drop(lane);
        drop(second.await);
        drop(third.await);
    }
}
