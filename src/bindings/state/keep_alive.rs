//! What keeps the process alive, and what is done when its environment ends.

use std::{
    any::Any,
    fmt,
    rc::{Rc, Weak},
};

use futures_util::future::LocalBoxFuture;

use super::State;
use crate::task::LocalSpawner;

/// Keeps the process alive.
pub(in super::super) struct KeepAlive(Rc<State>);

impl KeepAlive {
    pub(in super::super) fn new(state: &Rc<State>) -> Self {
        if state.pending.replace(state.pending.get() + 1) == 0 {
            state.hub.keep_alive(state.js, true);
        }
        Self(Rc::clone(state))
    }
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        let pending = self.0.pending.get() - 1;
        self.0.pending.set(pending);
        if pending == 0 {
            self.0.hub.keep_alive(self.0.js, false);
        }
    }
}

/// Lets the manager's jobs run on the JavaScript thread.
#[derive(Clone)]
pub(in super::super) struct Spawner(pub(in super::super) Rc<State>);

impl LocalSpawner for Spawner {
    fn spawn(&self, work: LocalBoxFuture<'static, ()>) {
        self.0.spawn(work);
    }

    fn at_end(&self, last: Box<dyn FnOnce()>) -> Box<dyn Any> {
        let state = &self.0;
        let number = state.guards.replace(state.guards.get() + 1);
        state.ends.borrow_mut().insert(number, last);
        Box::new(AtEnd { state: Rc::downgrade(state), number })
    }
}

/// Something is to be done when the environment ends, until this is dropped.
struct AtEnd {
    state: Weak<State>,
    number: u64,
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let Some(state) = self.state.upgrade() {
            state.ends.borrow_mut().remove(&self.number);
        }
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spawner")
    }
}
