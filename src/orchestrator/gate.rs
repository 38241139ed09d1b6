//! How many chunks of several jobs may run at once.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::{Rc, Weak},
};

use tokio::sync::oneshot;

/// Lets so many chunks run at once, whichever jobs they belong to. Who waits is let in by how little of his job is
/// running: a job of a thousand chunks does not keep one of two waiting.
#[derive(Clone, Debug)]
pub struct Gate(Rc<Doors>);

#[derive(Debug)]
struct Doors {
    free: Cell<usize>,
    /// Those that have somebody waiting, the one that was let in least recently first.
    waiting: RefCell<VecDeque<Weak<Queue>>>,
}

/// The chunks of one job, before a [`Gate`].
#[derive(Clone, Debug)]
pub struct Lane {
    gate: Gate,
    queue: Rc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    running: Cell<usize>,
    waiting: RefCell<VecDeque<oneshot::Sender<Permit>>>,
}

/// The right to run a chunk. Passes on when dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Gate,
    queue: Rc<Queue>,
}

impl Gate {
    /// Lets `limit` chunks run at once.
    pub fn new(limit: usize) -> Self {
        Self(Rc::new(Doors { free: Cell::new(limit), waiting: RefCell::default() }))
    }

    /// The place of another job.
    pub fn lane(&self) -> Lane {
        Lane { gate: self.clone(), queue: Rc::default() }
    }

    /// Lets those in who wait, as far as there is room.
    fn open(&self) {
        while self.0.free.get() > 0 {
            let Some(queue) = self.next() else { return };
            let next = queue.waiting.borrow_mut().pop_front();
            let Some(waiting) = next else { continue };
            if !queue.waiting.borrow().is_empty() {
                self.0.waiting.borrow_mut().push_back(Rc::downgrade(&queue));
            }
            // Whoever waits no longer is passed over here: a permit given back would open the gate from within, once for
            // each of them.
            if !waiting.is_closed() {
                drop(waiting.send(self.permit(queue)));
            }
        }
    }

    /// Takes out the queue whose turn it is.
    fn next(&self) -> Option<Rc<Queue>> {
        let mut waiting = self.0.waiting.borrow_mut();
        waiting.retain(|queue| queue.strong_count() > 0);
        let running = |queue: &Weak<Queue>| queue.upgrade().map_or(0, |queue| queue.running.get());
        // Of several equal ones the first.
        let place = (0..waiting.len()).min_by_key(|place| running(&waiting[*place]))?;
        waiting.remove(place)?.upgrade()
    }

    fn permit(&self, queue: Rc<Queue>) -> Permit {
        self.0.free.set(self.0.free.get() - 1);
        queue.running.set(queue.running.get() + 1);
        Permit { gate: self.clone(), queue }
    }
}

impl Lane {
    /// Waits until another chunk may run.
    ///
    /// # Panics
    /// Never: a lane outlives those who wait in it.
    pub async fn enter(&self) -> Permit {
        let (send, permit) = oneshot::channel();
        {
            let mut waiting = self.queue.waiting.borrow_mut();
            if waiting.is_empty() {
                self.gate.0.waiting.borrow_mut().push_back(Rc::downgrade(&self.queue));
            }
            waiting.push_back(send);
        }
        self.gate.open();
        permit.await.expect("a lane outlives those who wait in it")
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.0.free.set(self.gate.0.free.get() + 1);
        self.queue.running.set(self.queue.running.get() - 1);
        self.gate.open();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn jobs_share_the_room_evenly() {
        let gate = Gate::new(4);
        let (large, small) = (gate.lane(), gate.lane());
        let first: Vec<_> = (0..4).map(|_| large.enter().now_or_never().unwrap()).collect();
        let mut large_waits = Box::pin(large.enter());
        let mut small_waits = [Box::pin(small.enter()), Box::pin(small.enter())];
        assert!(large_waits.as_mut().now_or_never().is_none());
        for waits in &mut small_waits {
            assert!(waits.as_mut().now_or_never().is_none());
        }
        let mut first = first.into_iter();
        let mut held = Vec::new();
        for waits in &mut small_waits {
            drop(first.next());
            held.extend(waits.as_mut().now_or_never());
        }
        assert_eq!(held.len(), 2, "the job with less running goes first");
        assert!(large_waits.as_mut().now_or_never().is_none());
        drop(first.next());
        assert!(large_waits.as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn many_may_wait_no_longer() {
        let gate = Gate::new(1);
        let lane = gate.lane();
        let held = lane.enter().now_or_never().unwrap();
        for _ in 0..100_000 {
            assert!(lane.enter().now_or_never().is_none());
        }
        drop(held);
        assert!(lane.enter().now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_waits_no_longer_takes_no_room() {
        let gate = Gate::new(1);
        let lane = gate.lane();
        let held = lane.enter().now_or_never().unwrap();
        let mut gone = Box::pin(lane.enter());
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        let mut waits = Box::pin(lane.enter());
        assert!(waits.as_mut().now_or_never().is_none());
        drop(held);
        let held = waits.as_mut().now_or_never();
        assert!(held.is_some());
        drop(held);
        assert_eq!(gate.0.free.get(), 1);
        assert!(gate.lane().enter().now_or_never().is_some());
    }
}
