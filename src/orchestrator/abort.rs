//! What ends a job before its time: its owner, and what goes wrong.

use std::{
    any::Any,
    cell::{Cell, OnceCell, RefCell},
    fmt,
    rc::Rc,
};

use tokio_util::sync::CancellationToken;

use crate::Error;

/// How a caller ends a job before its time.
#[derive(Clone, Default)]
pub struct AbortSource {
    /// Cancelled by the caller.
    pub token: CancellationToken,
    /// Asks the caller, for signals that only have a property.
    pub probe: Option<Rc<dyn Fn() -> bool>>,
    /// What listens to the caller, as long as there is something to end.
    pub listener: Option<Rc<dyn Any>>,
}

impl AbortSource {
    /// Whether the caller has ended the job, asking him once more.
    pub fn is_aborted(&self) -> bool {
        if !self.token.is_cancelled() && self.probe.as_ref().is_some_and(|probe| probe()) {
            self.token.cancel();
        }
        self.token.is_cancelled()
    }
}

impl fmt::Debug for AbortSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortSource").field("token", &self.token).finish_non_exhaustive()
    }
}

/// The first thing that went wrong in a job. Also filled from outside the executor, by callbacks that fail.
#[derive(Clone, Debug, Default)]
pub struct FailureSlot(Rc<FailureState>);

#[derive(Debug, Default)]
struct FailureState {
    failed: Cell<bool>,
    error: RefCell<Option<Error>>,
    stop: OnceCell<CancellationToken>,
}

impl FailureSlot {
    /// Fails the job, unless it has failed already.
    pub fn fail(&self, error: Error) {
        if !self.0.failed.replace(true) {
            *self.0.error.borrow_mut() = Some(error);
            if let Some(stop) = self.0.stop.get() {
                stop.cancel();
            }
        }
    }

    /// Whether the job has failed.
    pub fn is_failed(&self) -> bool {
        self.0.failed.get()
    }

    /// What it failed with, once.
    pub(crate) fn take(&self) -> Option<Error> {
        self.0.error.borrow_mut().take()
    }

    /// Lets a failure cancel `stop`.
    pub(crate) fn cancels(&self, stop: &CancellationToken) {
        if self.is_failed() {
            stop.cancel();
        }
        // Set twice only when one slot is used for two runs, which nobody does.
        drop(self.0.stop.set(stop.clone()));
    }
}
