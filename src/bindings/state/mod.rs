//! What there is once per JavaScript environment.

mod executor;
mod keep_alive;

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    ffi::c_void,
    fmt, ptr,
    rc::Rc,
    sync::{Arc, LazyLock},
};

use async_task::Runnable;
use napi::sys;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::oneshot,
};

#[cfg(feature = "http")]
use tokio_util::sync::CancellationToken;

pub(super) use self::{
    executor::yield_to_event_loop,
    keep_alive::{KeepAlive, Spawner},
};
use super::{
    context::Current,
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
                Some(executor::turn),
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

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State")
    }
}
