//! The place that everything passes which happens to a manager's jobs: where it is noted, held or made to fail.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    fmt,
};

use tokio::sync::Notify;

use super::*;
use crate::error::Foreign;

#[derive(Debug)]
struct Thrown(&'static str);

impl Foreign for Thrown {
    fn message(&self) -> String {
        self.0.to_owned()
    }
    fn is_abort(&self) -> bool {
        self.0 == "AbortError"
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A value that somebody may throw, and that must come out as the same.
pub(super) fn value(text: &'static str) -> Rc<dyn Foreign> {
    Rc::new(Thrown(text))
}

pub(super) fn thrown(value: &Rc<dyn Foreign>) -> Error {
    Error::Foreign(Rc::clone(value))
}

pub(super) fn is_very(error: &Error, value: &Rc<dyn Foreign>) -> bool {
    matches!(error, Error::Foreign(foreign) if Rc::ptr_eq(foreign, value))
}

/// What the next that pass a point fail with.
struct Fault {
    point: &'static str,
    times: usize,
    value: Rc<dyn Foreign>,
}

/// The place that everything passes.
#[derive(Default)]
pub(super) struct World {
    /// What has passed, in order: `get`, `save running 1` (with the number of chunks done), `chunk 2`, `merge`…
    pub(super) events: RefCell<Vec<String>>,
    held: RefCell<Option<&'static str>>,
    /// Whether what is to be held is there.
    pub(super) holding: Cell<bool>,
    released: CancellationToken,
    faults: RefCell<Vec<Fault>>,
    pub(super) stirred: Notify,
    pub(super) overlapped: Cell<bool>,
    /// How long is waited for anything, where it is not an eternity of paused time.
    patience: Option<Duration>,
}

impl World {
    /// A world in which nothing is waited for longer than `patience`.
    pub(super) fn with(patience: Option<Duration>) -> Self {
        Self { patience, ..Self::default() }
    }

    pub(super) async fn pass(&self, point: String) -> Result<()> {
        self.stirred.notify_waiters();
        self.events.borrow_mut().push(point.clone());
        if self.held.borrow_mut().take_if(|held| point.starts_with(*held)).is_some() {
            self.holding.set(true);
            self.released.cancelled().await;
        }
        let mut faults = self.faults.borrow_mut();
        let is_due = |fault: &&mut Fault| fault.times > 0 && point.starts_with(fault.point);
        faults.iter_mut().find(is_due).map_or(Ok(()), |fault| {
            fault.times -= 1;
            Err(thrown(&fault.value))
        })
    }

    /// Holds the next that passes a point of this name, until [`World::release`].
    pub(super) fn hold(&self, point: &'static str) {
        *self.held.borrow_mut() = Some(point);
    }

    pub(super) fn release(&self) {
        *self.held.borrow_mut() = None;
        self.released.cancel();
    }

    /// Lets the next `times` that pass a point of this name fail.
    pub(super) fn fail(&self, point: &'static str, times: usize, value: &Rc<dyn Foreign>) {
        self.faults.borrow_mut().push(Fault { point, times, value: Rc::clone(value) });
    }

    /// Waits until it is so, looking whenever something happens.
    pub(super) async fn until(&self, is_so: impl Fn() -> bool) {
        let so = async {
            loop {
                let stirred = self.stirred.notified();
                if is_so() {
                    return;
                }
                stirred.await;
            }
        };
        let in_time = tokio::time::timeout(self.patience.unwrap_or(HOUR * 10), so).await.is_ok();
        assert!(in_time, "it never came to be; what happened: {:#?}", self.events.borrow());
    }

    pub(super) async fn until_held(&self) {
        self.until(|| self.holding.get()).await;
    }

    /// What has passed of a kind.
    pub(super) fn passed(&self, kind: &str) -> Vec<String> {
        self.events.borrow().iter().filter(|event| event.starts_with(kind)).cloned().collect()
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&*self.events.borrow()).finish()
    }
}
