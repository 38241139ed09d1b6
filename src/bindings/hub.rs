//! The only way from other threads to JavaScript.
//!
//! One threadsafe function per environment serves everything: a queue of messages and one wake-up for all that have
//! come since the last. napi-rs makes one such function per promise, which costs twice as much per call and cannot
//! settle several promises in one turn.

use std::{
    collections::VecDeque,
    ffi::c_void,
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, ThreadId},
};

use async_task::Runnable;
use napi::sys;

use super::{state::State, value::Js};

/// Something to do on the JavaScript thread.
pub(super) type Call = Box<dyn FnOnce(&State) + Send>;

enum Message {
    Call(Call),
    Run(Runnable),
}

/// The mailbox of an environment.
pub(super) struct Hub {
    thread: ThreadId,
    mailbox: Mutex<Mailbox>,
}

struct Mailbox {
    messages: VecDeque<Message>,
    /// A wake-up is on its way.
    woken: bool,
    wake: Wake,
}

enum Wake {
    By(sys::napi_threadsafe_function),
    /// The environment is gone.
    Never,
}

// SAFETY: a threadsafe function may be called from any thread until it is released, which `close` records under the
// same lock that callers hold.
unsafe impl Send for Hub {}
// SAFETY: as above.
unsafe impl Sync for Hub {}

impl Hub {
    /// The mailbox of the environment of this thread; does not keep the process alive.
    pub(super) fn open(js: Js) -> Arc<Self> {
        let hub = Arc::new(Self {
            thread: thread::current().id(),
            mailbox: Mutex::new(Mailbox {
                messages: VecDeque::new(),
                woken: false,
                wake: Wake::Never,
            }),
        });
        let name = js.string("helios-infrastructure");
        let mut function = ptr::null_mut();
        // SAFETY: called on the thread of the environment, with a live name and out pointer.
        let status = unsafe {
            sys::napi_create_threadsafe_function(
                js.0,
                ptr::null_mut(),
                ptr::null_mut(),
                name.0,
                0,
                1,
                ptr::null_mut(),
                None,
                ptr::null_mut(),
                Some(drain),
                &raw mut function,
            )
        };
        assert_eq!(status, sys::Status::napi_ok, "Node refused a threadsafe function");
        // SAFETY: called on the thread of the environment, with the function just made.
        unsafe { sys::napi_unref_threadsafe_function(js.0, function) };
        hub.lock().wake = Wake::By(function);
        hub
    }

    /// Does something on the JavaScript thread. Where that is gone, it is forgotten with all it holds.
    pub(super) fn post(&self, call: Call) {
        self.send(Message::Call(call));
    }

    /// Continues a task on the JavaScript thread.
    pub(super) fn run(&self, runnable: Runnable) {
        self.send(Message::Run(runnable));
    }

    /// Whether this is the thread that the messages go to.
    pub(super) fn is_here(&self) -> bool {
        thread::current().id() == self.thread
    }

    fn send(&self, message: Message) {
        let mut mailbox = self.lock();
        let Wake::By(function) = mailbox.wake else {
            drop(mailbox);
            mem::forget(message);
            return;
        };
        mailbox.messages.push_back(message);
        if !mem::replace(&mut mailbox.woken, true) {
            call(function);
        }
    }

    /// Keeps the process alive, or lets it end when nothing else does.
    pub(super) fn keep_alive(&self, js: Js, keep: bool) {
        let Wake::By(function) = self.lock().wake else { return };
        if keep {
            // SAFETY: called on the thread of the environment, with its own function.
            unsafe { sys::napi_ref_threadsafe_function(js.0, function) };
        } else {
            // SAFETY: as above.
            unsafe { sys::napi_unref_threadsafe_function(js.0, function) };
        }
    }

    /// Ends it together with its environment.
    pub(super) fn close(&self) {
        let mut mailbox = self.lock();
        let wake = mem::replace(&mut mailbox.wake, Wake::Never);
        let messages = mem::take(&mut mailbox.messages);
        drop(mailbox);
        // What they hold belongs to an environment that can no longer be entered.
        mem::forget(messages);
        if let Wake::By(function) = wake {
            // SAFETY: called on the thread of the environment; nobody calls the function any more.
            unsafe {
                sys::napi_release_threadsafe_function(
                    function,
                    sys::ThreadsafeFunctionReleaseMode::abort,
                );
            }
        }
    }

    /// The next message. When there is none, the next one that is sent wakes the JavaScript thread.
    fn next(&self) -> Option<Message> {
        let mut mailbox = self.lock();
        let message = mailbox.messages.pop_front();
        mailbox.woken = message.is_some();
        message
    }

    /// Does everything that has come, as far as the turn of the event loop allows.
    pub(super) fn drain(state: &State) {
        while let Some(message) = state.hub.next() {
            state.enter(|state| match message {
                Message::Call(call) => {
                    // A panic is a bug of ours; it must not unwind into Node.
                    drop(catch_unwind(AssertUnwindSafe(|| call(state))));
                }
                Message::Run(runnable) => state.ready(runnable),
            });
            if state.turn.is_overdue() {
                // Nobody wakes this thread meanwhile: the mailbox counts as woken.
                state.next_turn();
                return;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hub")
    }
}

/// Called by Node on the JavaScript thread, some time after somebody has sent a message.
unsafe extern "C" fn drain(
    env: sys::napi_env,
    _function: sys::napi_value,
    _context: *mut c_void,
    _data: *mut c_void,
) {
    if let Some(state) = State::existing(Js(env)) {
        Hub::drain(&state);
    }
}

/// Wakes the JavaScript thread. Called under the lock of a mailbox that has not been closed.
fn call(function: sys::napi_threadsafe_function) {
    let mode = sys::ThreadsafeFunctionCallMode::nonblocking;
    // SAFETY: the function is released only after the mailbox was closed under its lock.
    unsafe { sys::napi_call_threadsafe_function(function, ptr::null_mut(), mode) };
}
