//! Values that are kept beyond the callback that gave them.

use std::{
    cell::Cell,
    fmt,
    mem::ManuallyDrop,
    ptr,
    rc::Rc,
    sync::Arc,
    thread::{self, ThreadId},
};

use napi::sys;

use super::{
    hub::Hub,
    state::State,
    value::{Js, JsResult, Value},
};

/// A JavaScript value that is kept alive.
pub(super) struct JsRef {
    js: Js,
    raw: sys::napi_ref,
    /// Whether the value is the only element of the array that is kept: Node-API has references to objects only.
    boxed: bool,
    /// Whether the environment still exists. Its end takes all references with it.
    alive: Rc<Cell<bool>>,
}

impl JsRef {
    /// Keeps `value` alive.
    pub(super) fn new(state: &State, value: Value) -> JsResult<Self> {
        Self::with(state.js, &state.alive, value)
    }

    /// As [`JsRef::new`], before there is a state.
    pub(super) fn with(js: Js, alive: &Rc<Cell<bool>>, value: Value) -> JsResult<Self> {
        let boxed = !js.is_object(value);
        let target = if boxed { js.array([value].into_iter())? } else { value };
        let mut raw = ptr::null_mut();
        // SAFETY: called on the thread of the environment, with a live object and out pointer. A failure leaves null,
        // which is never used.
        unsafe { sys::napi_create_reference(js.0, target.0, 1, &raw mut raw) };
        Ok(Self { js, raw, boxed, alive: Rc::clone(alive) })
    }

    /// The value.
    pub(super) fn get(&self) -> Value {
        let mut value = ptr::null_mut();
        // SAFETY: `JsRef` is not `Send`, so this is the thread of the environment; the reference was made above and is
        // deleted only in `drop`.
        unsafe { sys::napi_get_reference_value(self.js.0, self.raw, &raw mut value) };
        if self.boxed {
            self.js.element(Value(value), 0).unwrap_or(Value(value))
        } else {
            Value(value)
        }
    }
}

impl Drop for JsRef {
    fn drop(&mut self) {
        if self.alive.get() && !self.raw.is_null() {
            // SAFETY: this is the thread of the environment, which still exists, and nobody else has the reference.
            unsafe { sys::napi_delete_reference(self.js.0, self.raw) };
        }
    }
}

impl fmt::Debug for JsRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JsRef")
    }
}

/// Something of the JavaScript thread on its way through other threads. It can be looked at, and is dropped, on its own
/// thread only.
pub(super) struct JsBound<T: 'static> {
    value: ManuallyDrop<T>,
    thread: ThreadId,
    hub: Arc<Hub>,
}

// SAFETY: the value is reachable on its own thread only (`get`), and dropped there only (`drop`).
unsafe impl<T> Send for JsBound<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for JsBound<T> {}

impl<T> JsBound<T> {
    /// Binds `value` to this thread.
    pub(super) fn new(state: &State, value: T) -> Self {
        Self {
            value: ManuallyDrop::new(value),
            thread: thread::current().id(),
            hub: Arc::clone(&state.hub),
        }
    }

    /// The value.
    ///
    /// # Panics
    /// On any other thread than its own.
    pub(super) fn get(&self) -> &T {
        assert_eq!(
            thread::current().id(),
            self.thread,
            "a value of the JavaScript thread was used on another thread"
        );
        &self.value
    }
}

impl<T> Drop for JsBound<T> {
    fn drop(&mut self) {
        // SAFETY: the value is not used again.
        let value = unsafe { ManuallyDrop::take(&mut self.value) };
        if thread::current().id() == self.thread {
            drop(value);
        } else {
            let parcel = Parcel(value);
            // Where the environment is gone the hub forgets the parcel, and with it references nobody may delete.
            self.hub.post(Box::new(move |_| drop(parcel)));
        }
    }
}

impl<T> fmt::Debug for JsBound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JsBound")
    }
}

/// A value on its way home.
struct Parcel<T>(T);

// SAFETY: it is only moved here; it is opened on the thread that drains the hub, which is its own.
unsafe impl<T> Send for Parcel<T> {}
