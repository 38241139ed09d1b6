//! Promises, made and awaited.

use std::{
    cell::{Cell, RefCell},
    ffi::c_void,
    panic::AssertUnwindSafe,
    pin::Pin,
    ptr,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use futures_util::FutureExt;
use napi::sys;

use super::{
    realm::Realm,
    reference::JsRef,
    state::State,
    value::{Js, JsResult, Type, Value},
};
use crate::{Error, Result};

/// A promise that is not settled yet.
struct Deferred {
    js: Js,
    raw: sys::napi_deferred,
}

impl Deferred {
    /// A promise and the way to settle it.
    fn new(js: Js) -> (Self, Value) {
        let (mut raw, mut promise) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: called on the thread of the environment, with live out pointers.
        unsafe { sys::napi_create_promise(js.0, &raw mut raw, &raw mut promise) };
        (Self { js, raw }, Value(promise))
    }

    fn settle(self, outcome: Result<Value, Value>) {
        match outcome {
            // SAFETY: called on the thread of the environment; `self` goes, so that nobody settles it twice.
            Ok(value) => unsafe { sys::napi_resolve_deferred(self.js.0, self.raw, value.0) },
            // SAFETY: as above.
            Err(error) => unsafe { sys::napi_reject_deferred(self.js.0, self.raw, error.0) },
        };
    }
}

impl Realm {
    /// A promise for what `work` comes to. Errors, panics and what `convert` throws reject it.
    pub(super) fn promise<T: 'static>(
        self: &Rc<Self>,
        work: impl Future<Output = Result<T>> + 'static,
        convert: impl FnOnce(&Self, T) -> JsResult + 'static,
    ) -> Value {
        let (deferred, promise) = Deferred::new(self.state.js);
        let realm = Rc::clone(self);
        self.state.spawn(async move {
            let outcome = AssertUnwindSafe(work).catch_unwind().await;
            let settled = match outcome {
                Ok(Ok(value)) => convert(&realm, value).map_err(|thrown| thrown.0),
                Ok(Err(error)) => Err(realm.error_value(&error)),
                Err(_panic) => Err(realm.error_value(&Error::Panic)),
            };
            deferred.settle(settled);
        });
        promise
    }

    /// A promise for the end of `work`.
    pub(super) fn promise_of_nothing(
        self: &Rc<Self>,
        work: impl Future<Output = Result<()>> + 'static,
    ) -> Value {
        self.promise(work, |realm, ()| Ok(realm.state.js.undefined()))
    }

    /// A promise that is settled already.
    pub(super) fn settled(&self, outcome: Result<Value>) -> Value {
        let (deferred, promise) = Deferred::new(self.state.js);
        deferred.settle(outcome.map_err(|error| self.error_value(&error)));
        promise
    }

    /// What `value` comes to when it is awaited: a promise or thenable is waited for, anything else is the result.
    /// `extract` runs in the very callback that gives the result, while its values are valid.
    pub(super) fn settle<T: 'static>(
        &self,
        value: Value,
        extract: impl FnOnce(&State, Result<Value, Value>) -> T + 'static,
    ) -> JsResult<Settled<T>> {
        self.settle_with(extract, |fulfilled, rejected| self.attach(value, fulfilled, rejected))
    }

    /// As [`Realm::settle`], for what `start` makes and attaches two functions to.
    pub(super) fn settle_with<T: 'static>(
        &self,
        extract: impl FnOnce(&State, Result<Value, Value>) -> T + 'static,
        start: impl FnOnce(Value, Value) -> JsResult<()>,
    ) -> JsResult<Settled<T>> {
        let settled = Settled { shared: Rc::default() };
        let shared = Rc::clone(&settled.shared);
        let listener = move |state: &State, outcome: Result<Value, Value>| {
            let result = extract(state, outcome);
            let waker = {
                let mut shared = shared.borrow_mut();
                shared.result = Some(result);
                shared.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        };
        self.listen(listener, start)?;
        Ok(settled)
    }

    /// Calls `listener` with what `value` comes to.
    pub(super) fn then(
        &self,
        value: Value,
        listener: impl FnOnce(&State, Result<Value, Value>) + 'static,
    ) -> JsResult<()> {
        self.listen(listener, |fulfilled, rejected| self.attach(value, fulfilled, rejected))
    }

    fn listen(
        &self,
        listener: impl FnOnce(&State, Result<Value, Value>) + 'static,
        start: impl FnOnce(Value, Value) -> JsResult<()>,
    ) -> JsResult<()> {
        let pair = self.state.listeners.take(&self.state)?;
        *pair.listener.borrow_mut() = Some(Box::new(listener));
        pair.context.set(self.state.context.id());
        let started = start(pair.fulfilled.get(), pair.rejected.get());
        if started.is_err() {
            // Neither function was attached to anything.
            drop(pair.listener.take());
            self.state.listeners.free.borrow_mut().push(pair);
        }
        started
    }

    fn attach(&self, value: Value, fulfilled: Value, rejected: Value) -> JsResult<()> {
        let js = self.state.js;
        let promise = if js.is_promise(value) { value } else { self.resolve(value)? };
        // The built-in one: a `then` of the promise's own could call several times, or attach and throw.
        js.call(promise, self.promise_then(), &[fulfilled, rejected]).map(drop)
    }

    fn resolve(&self, value: Value) -> JsResult {
        let js = self.state.js;
        let constructor = js.get(self.global(), c"Promise")?;
        let resolve = js.get(constructor, c"resolve")?;
        js.call(constructor, resolve, &[value])
    }
}

/// A promise of JavaScript as a future.
pub(super) struct Settled<T> {
    shared: Rc<RefCell<Shared<T>>>,
}

struct Shared<T> {
    result: Option<T>,
    waker: Option<Waker>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { result: None, waker: None }
    }
}

impl<T> Future for Settled<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut shared = self.shared.borrow_mut();
        if let Some(result) = shared.result.take() {
            return Poll::Ready(result);
        }
        shared.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

type Listener = Box<dyn FnOnce(&State, Result<Value, Value>)>;

/// Pairs of functions for `then`, used again and again: making a function costs more than calling one. There are as
/// many as promises were ever awaited at once.
#[derive(Default)]
pub(super) struct ListenerPool {
    free: RefCell<Vec<Rc<Pair>>>,
}

struct Pair {
    listener: RefCell<Option<Listener>>,
    /// The context that the promise was awaited in, and that the functions are called in.
    context: Cell<u64>,
    fulfilled: JsRef,
    rejected: JsRef,
}

/// What the functions of a pair carry: the pair, once it exists.
struct Slot {
    pair: Cell<*const Pair>,
}

impl ListenerPool {
    fn take(&self, state: &State) -> JsResult<Rc<Pair>> {
        if let Some(pair) = self.free.borrow_mut().pop() {
            return Ok(pair);
        }
        // Slot and pair live as long as the environment: the functions may be called at any time.
        let slot: &'static Slot = Box::leak(Box::new(Slot { pair: Cell::new(ptr::null()) }));
        let data = ptr::from_ref(slot).cast_mut().cast::<c_void>();
        let function = |callback: sys::napi_callback| {
            let mut function = ptr::null_mut();
            // SAFETY: called on the thread of the environment, with a callback and data that live for ever.
            unsafe {
                sys::napi_create_function(
                    state.js.0,
                    ptr::null(),
                    0,
                    callback,
                    data,
                    &raw mut function,
                )
            };
            JsRef::new(state, Value(function))
        };
        let pair = Rc::new(Pair {
            listener: RefCell::default(),
            context: Cell::default(),
            fulfilled: function(Some(fulfilled))?,
            rejected: function(Some(rejected))?,
        });
        slot.pair.set(Rc::into_raw(Rc::clone(&pair)));
        Ok(pair)
    }
}

unsafe extern "C" fn fulfilled(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    // SAFETY: Node passes the info of this very call.
    unsafe { fire(Js(env), info, Ok) };
    ptr::null_mut()
}

unsafe extern "C" fn rejected(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    // SAFETY: Node passes the info of this very call.
    unsafe { fire(Js(env), info, Err) };
    ptr::null_mut()
}

/// Calls the listener of a pair, once, and gives the pair back.
unsafe fn fire(js: Js, info: sys::napi_callback_info, outcome: fn(Value) -> Result<Value, Value>) {
    let Some(state) = State::existing(js) else { return };
    let (mut value, mut count, mut data) = (ptr::null_mut(), 1, ptr::null_mut());
    // SAFETY: the info is that of this call; all out pointers are live.
    unsafe {
        sys::napi_get_cb_info(
            js.0,
            info,
            &raw mut count,
            &raw mut value,
            ptr::null_mut(),
            &raw mut data,
        );
    }
    // SAFETY: the data is the slot that `take` leaked.
    let slot = unsafe { &*data.cast::<Slot>() };
    // SAFETY: `take` set the pair and keeps it for ever, before either function could be called.
    let pair = unsafe { &*slot.pair.get() };
    let Some(listener) = pair.listener.borrow_mut().take() else { return };
    // SAFETY: the pointer came from `Rc::into_raw`; the count goes up for the `Rc` that is made of it.
    unsafe { Rc::increment_strong_count(slot.pair.get()) };
    // SAFETY: as above.
    let free = unsafe { Rc::from_raw(slot.pair.get()) };
    state.listeners.free.borrow_mut().push(free);
    let (state, context) = (&state, pair.context.get());
    state.context.within(context, || {
        state.enter_microtask(|state| {
            // A panic is a bug of ours; it must not unwind into Node.
            drop(std::panic::catch_unwind(AssertUnwindSafe(|| {
                listener(state, outcome(Value(value)));
            })));
        });
    });
}

/// Whether the value has to be waited for.
pub(super) fn is_thenable(js: Js, value: Value) -> bool {
    js.is_promise(value)
        || (js.is_object(value)
            && js.get(value, c"then").is_ok_and(|then| js.type_of(then) == Type::Function))
}
