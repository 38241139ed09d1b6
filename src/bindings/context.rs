//! The asynchronous context of a caller: what his `AsyncLocalStorage`, and so his tracing, finds in code that we call for
//! him later.
//!
//! Without it such code would run in the context of whatever woke us, which is none.

use std::{cell::Cell, fmt, ptr, rc::Rc};

use napi::sys;

use super::{state::State, value::Js};

/// Which of our contexts the thread is in. To enter one costs 0.4 µs, a tenth of a chunk of a quick adapter; a microtask
/// is in the context that its promise was awaited in already.
#[derive(Clone, Default)]
pub(super) struct Current(Rc<Cell<Id>>);

/// Tells contexts from each other; 0 is none of ours.
type Id = u64;

impl Current {
    /// The context that we are in.
    pub(super) fn id(&self) -> Id {
        self.0.get()
    }

    /// Does `work`, knowing that it is in the context `id`.
    pub(super) fn within<T>(&self, id: Id, work: impl FnOnce() -> T) -> T {
        let _restored = Restored { current: &self.0, before: self.0.replace(id) };
        work()
    }
}

/// The context that was current when this was made.
pub(super) struct AsyncContext {
    js: Js,
    alive: Rc<Cell<bool>>,
    current: Current,
    id: Id,
    raw: sys::napi_async_context,
}

impl AsyncContext {
    /// The context of the JavaScript that is running.
    pub(super) fn current(state: &State) -> Self {
        let (js, name) = (state.js, state.js.string("helios-infrastructure"));
        let mut raw = ptr::null_mut();
        // SAFETY: called on the thread of the environment, with a live name and out pointer.
        unsafe { sys::napi_async_init(js.0, ptr::null_mut(), name.0, &raw mut raw) };
        let id = state.contexts.replace(state.contexts.get() + 1) + 1;
        Self { js, alive: Rc::clone(&state.alive), current: state.context.clone(), id, raw }
    }

    /// Does `work` in the context.
    pub(super) fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.current.id() == self.id {
            return work();
        }
        let _scope = Scope::open(self);
        self.current.within(self.id, work)
    }
}

impl Drop for AsyncContext {
    fn drop(&mut self) {
        if self.alive.get() && !self.raw.is_null() {
            // SAFETY: called on the thread of the environment, which still exists, once.
            unsafe { sys::napi_async_destroy(self.js.0, self.raw) };
        }
    }
}

impl fmt::Debug for AsyncContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsyncContext")
    }
}

/// Says that we are in no other context any more. Also after a panic.
struct Restored<'a> {
    current: &'a Cell<Id>,
    before: Id,
}

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        self.current.set(self.before);
    }
}

/// A context that has been entered. Left also by a panic.
struct Scope {
    js: Js,
    raw: sys::napi_callback_scope,
}

impl Scope {
    fn open(context: &AsyncContext) -> Option<Self> {
        let mut raw = ptr::null_mut();
        if context.raw.is_null() {
            return None;
        }
        // SAFETY: called on the thread of the environment, with a live context and out pointer; the resource is not used.
        let status = unsafe {
            sys::napi_open_callback_scope(context.js.0, ptr::null_mut(), context.raw, &raw mut raw)
        };
        (status == sys::Status::napi_ok).then_some(Self { js: context.js, raw })
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // SAFETY: called on the thread of the environment; scopes opened since have been closed.
        unsafe { sys::napi_close_callback_scope(self.js.0, self.raw) };
    }
}
