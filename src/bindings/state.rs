//! What there is once per JavaScript environment, and the executor of the futures that live in it.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    ffi::c_void,
    fmt,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    ptr,
    rc::{Rc, Weak},
    sync::{Arc, LazyLock},
};

use async_task::Runnable;
use futures_util::future::LocalBoxFuture;
use napi::sys;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::oneshot,
};

#[cfg(feature = "http")]
use tokio_util::sync::CancellationToken;

use super::{
    context::{AsyncContext, Current},
    hub::Hub,
    pristine::Pristine,
    promise::ListenerPool,
    realm::Realm,
    reference::JsRef,
    turn::Turn,
    value::{Js, Value},
};
use crate::{
    adapters::Remains,
    process::{Guardian, Supervisor},
    task::LocalSpawner,
};

/// More threads than this have nothing to do: they start processes and wait.
const MAX_WORKERS: usize = 4;

/// Runs everything that waits for the world, for all environments of the process. Never shut down: Node's exit ends it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).clamp(2, MAX_WORKERS);
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("helios")
        .enable_all()
        .build();
    runtime.expect("the system refuses threads to this process")
});

/// Ends what the environments of the process leave behind.
static GUARDIAN: LazyLock<Arc<Guardian>> = LazyLock::new(Arc::default);

thread_local! {
    /// One, or a few where a test runner loads the addon several times: looked up for every callback.
    static STATES: RefCell<Vec<Rc<State>>> = RefCell::default();
}

/// One JavaScript environment: the main thread's, or a worker thread's.
pub(super) struct State {
    pub(super) js: Js,
    pub(super) hub: Arc<Hub>,
    /// Watches over the processes that are started from here.
    pub(super) supervisor: Arc<Supervisor>,
    /// The adapters made here that see to what dead processes have left elsewhere.
    pub(super) remains: Remains,
    /// Cancelled when the environment ends.
    #[cfg(feature = "http")]
    pub(super) closing: CancellationToken,
    /// Whether the environment still exists.
    pub(super) alive: Rc<Cell<bool>>,
    pub(super) pristine: Pristine,
    pub(super) listeners: ListenerPool,
    pub(super) turn: Turn,
    pub(super) context: Current,
    /// How many contexts there have been.
    pub(super) contexts: Cell<u64>,
    realm: RefCell<Option<Rc<Realm>>>,
    runtime: Handle,
    /// Futures that can go on.
    ready: RefCell<VecDeque<Runnable>>,
    /// `setImmediate` as it was when the addon was loaded: test runners replace it.
    set_immediate: JsRef,
    on_turn: JsRef,
    turn_asked: Cell<bool>,
    /// Those who let the event loop go.
    waiting: RefCell<Vec<oneshot::Sender<()>>>,
    /// Whether native code is on the stack that will see to `ready`.
    entered: Cell<bool>,
    /// Work that keeps the process alive.
    pending: Cell<usize>,
    /// What is left to do when the environment ends, by the number of its guard.
    ends: RefCell<HashMap<u64, Box<dyn FnOnce()>>>,
    guards: Cell<u64>,
}

impl State {
    /// The state of an environment, made when it is asked for the first time.
    pub(super) fn of(js: Js) -> Rc<Self> {
        Self::existing(js).unwrap_or_else(|| Self::create(js))
    }

    /// The state of an environment, if it has one and still exists.
    pub(super) fn existing(js: Js) -> Option<Rc<Self>> {
        STATES.with_borrow(|states| states.iter().find(|state| state.js == js).cloned())
    }

    fn create(js: Js) -> Rc<Self> {
        let alive = Rc::new(Cell::new(true));
        let keep = |value| {
            JsRef::with(js, &alive, value).unwrap_or_else(|_| unreachable!("functions can be kept"))
        };
        let mut on_turn = ptr::null_mut();
        // SAFETY: called on the thread of the environment, with a live out pointer.
        unsafe {
            sys::napi_create_function(
                js.0,
                ptr::null(),
                0,
                Some(turn),
                ptr::null_mut(),
                &raw mut on_turn,
            )
        };
        let set_immediate = js.global().and_then(|global| js.get(global, c"setImmediate"));
        let state = Rc::new(Self {
            js,
            hub: Hub::open(js),
            supervisor: Arc::new(Supervisor::new(Arc::clone(&GUARDIAN))),
            remains: Remains::default(),
            #[cfg(feature = "http")]
            closing: CancellationToken::new(),
            pristine: Pristine::default(),
            listeners: ListenerPool::default(),
            turn: Turn::new(js),
            context: Current::default(),
            contexts: Cell::new(0),
            realm: RefCell::default(),
            runtime: RUNTIME.handle().clone(),
            ready: RefCell::default(),
            set_immediate: keep(set_immediate.unwrap_or_else(|thrown| thrown.0)),
            on_turn: keep(Value(on_turn)),
            turn_asked: Cell::new(false),
            waiting: RefCell::default(),
            entered: Cell::new(false),
            pending: Cell::new(0),
            ends: RefCell::default(),
            guards: Cell::new(0),
            alive,
        });
        STATES.with_borrow_mut(|states| states.push(Rc::clone(&state)));
        // After the hub was opened: hooks run in reverse order, and this one has to close the hub's function before
        // Node does.
        // SAFETY: called on the thread of the environment; the hook only uses the pointer as a key.
        unsafe { sys::napi_add_env_cleanup_hook(js.0, Some(end), js.0.cast()) };
        state
    }

    /// The realm that the package was last loaded into: the main one, or that of a test runner's sandbox.
    pub(super) fn realm(&self) -> Rc<Realm> {
        let realm = self.realm.borrow().clone();
        realm.expect("the loader passes the realm in before anything can be called")
    }

    /// Makes `realm` the current one.
    pub(super) fn set_realm(&self, realm: Rc<Realm>) {
        *self.realm.borrow_mut() = Some(realm);
    }

    /// Does `work`, then everything that has become ready by it. All native code that JavaScript calls runs in here.
    pub(super) fn enter<T>(&self, work: impl FnOnce(&Self) -> T) -> T {
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
    pub(super) fn enter_microtask(&self, work: impl FnOnce(&Self)) {
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
    pub(super) fn next_turn(&self) {
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
    pub(super) fn ready(&self, runnable: Runnable) {
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
    pub(super) fn spawn(self: &Rc<Self>, work: impl Future<Output = ()> + 'static) {
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
unsafe extern "C" fn turn(env: sys::napi_env, _info: sys::napi_callback_info) -> sys::napi_value {
    if let Some(state) = State::existing(Js(env)) {
        state.begin_turn();
    }
    ptr::null_mut()
}

/// Ends everything of an environment that is about to go.
unsafe extern "C" fn end(env: *mut c_void) {
    let js = Js(env.cast());
    let Some(state) = State::existing(js) else { return };
    STATES.with_borrow_mut(|states| states.retain(|state| state.js != js));
    state.alive.set(false);
    state.hub.close();
    state.supervisor.shutdown();
    #[cfg(feature = "http")]
    state.closing.cancel();
    state.ends.take().into_values().for_each(|last| last());
    // State and realm hold each other.
    drop(state.realm.borrow_mut().take());
    // Futures that were ready hold values of the environment: they are forgotten, like those that wait.
    std::mem::forget(std::mem::take(&mut *state.ready.borrow_mut()));
}

/// Lets the event loop do what else it has to do.
pub(super) async fn yield_to_event_loop(state: &State) {
    let (send, turn) = oneshot::channel();
    state.waiting.borrow_mut().push(send);
    state.next_turn();
    // An error means that the environment is gone, and this future with it.
    drop(turn.await);
}

/// Keeps the process alive.
pub(super) struct KeepAlive(Rc<State>);

impl KeepAlive {
    pub(super) fn new(state: &Rc<State>) -> Self {
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
pub(super) struct Spawner(pub(super) Rc<State>);

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

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State")
    }
}
