//! Runs the futures that live on the thread of an environment.

use std::{
    cell::Cell,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    ptr,
    rc::Rc,
    sync::Arc,
};

use async_task::Runnable;
use napi::sys;
use tokio::sync::oneshot;

use super::{
    super::{context::AsyncContext, hub::Hub, value::Js},
    KeepAlive, STATES, State,
};

impl State {
    /// Does `work`, then everything that has become ready by it. All native code that JavaScript calls runs in here.
    pub(in super::super) fn enter<T>(&self, work: impl FnOnce(&Self) -> T) -> T {
        let _runtime = self.runtime.enter();
        let outermost = Entered::new(&self.entered);
        let result = work(self);
        if outermost.is_some() {
            self.run_ready();
        }
        result
    }

    /// As [`State::enter`], for what a microtask does: where the turn of the event loop has lasted too long, what became
    /// ready goes on in the next one.
    pub(in super::super) fn enter_microtask(&self, work: impl FnOnce(&Self)) {
        if !self.turn.is_overdue() {
            self.enter(work);
            return;
        }
        let outermost = Entered::new(&self.entered);
        work(self);
        drop(outermost);
        self.next_turn();
    }

    /// Goes on in the next turn of the event loop: with messages, with what is ready, and with those who wait for it.
    ///
    /// A message would not do: Node calls the function of the hub again and again as long as there are messages, all
    /// in one turn.
    pub(in super::super) fn next_turn(&self) {
        if !self.turn_asked.replace(true) {
            let arguments = [self.on_turn.get()];
            // There is no JavaScript to throw.
            drop(self.js.call(self.js.undefined(), self.set_immediate.get(), &arguments));
        }
    }

    fn begin_turn(&self) {
        self.turn_asked.set(false);
        for waiting in std::mem::take(&mut *self.waiting.borrow_mut()) {
            // Whoever waited may be gone.
            let _ = waiting.send(());
        }
        self.enter(|_| ());
        Hub::drain(self);
    }

    /// Continues a future when the native code on the stack is done.
    pub(in super::super) fn ready(&self, runnable: Runnable) {
        self.ready.borrow_mut().push_back(runnable);
    }

    fn run_ready(&self) {
        loop {
            let Some(runnable) = self.ready.borrow_mut().pop_front() else { return };
            // A panic is a bug of ours; promises turn it into a rejection before it comes here.
            self.js.scope(|| drop(catch_unwind(AssertUnwindSafe(|| runnable.run()))));
        }
    }

    /// Runs `work` on this thread to its end, in the asynchronous context of now, and keeps the process alive until then.
    pub(in super::super) fn spawn(self: &Rc<Self>, work: impl Future<Output = ()> + 'static) {
        let (kept, context) = (KeepAlive::new(self), AsyncContext::current(self));
        let hub = Arc::clone(&self.hub);
        let key = self.js.0 as usize;
        let schedule = move |runnable: Runnable| schedule(&hub, key, runnable);
        let future = async move {
            let mut work = pin!(work);
            poll_fn(|waker| context.enter(|| work.as_mut().poll(waker))).await;
            drop(kept);
        };
        let (runnable, task) = async_task::spawn_local(future, schedule);
        task.detach();
        self.enter(|state| state.ready(runnable));
    }
}

/// Native code is on the stack. Undone also when it panics.
struct Entered<'a>(&'a Cell<bool>);

impl<'a> Entered<'a> {
    /// `None` when it was there before.
    fn new(entered: &'a Cell<bool>) -> Option<Self> {
        (!entered.replace(true)).then(|| Self(entered))
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Continues a task on its thread: when the native code on the stack there is done, or by a message.
fn schedule(hub: &Hub, key: usize, runnable: Runnable) {
    if hub.is_here() {
        // At the end of a thread there is no state any more, and the hub knows it.
        let here = STATES
            .try_with(|states| {
                states.borrow().iter().find(|state| state.js.0 as usize == key).cloned()
            })
            .ok()
            .flatten();
        if let Some(state) = here.filter(|state| state.entered.get()) {
            state.ready(runnable);
            return;
        }
    }
    hub.run(runnable);
}

/// Called by Node when the turn of the event loop that was asked for has come.
pub(super) unsafe extern "C" fn turn(
    env: sys::napi_env,
    _info: sys::napi_callback_info,
) -> sys::napi_value {
    if let Some(state) = State::existing(Js(env)) {
        state.begin_turn();
    }
    ptr::null_mut()
}

/// Lets the event loop do what else it has to do.
pub(in super::super) async fn yield_to_event_loop(state: &State) {
    let (send, turn) = oneshot::channel();
    state.waiting.borrow_mut().push(send);
    state.next_turn();
    // An error means that the environment is gone, and this future with it.
    drop(turn.await);
}
