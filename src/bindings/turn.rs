//! How long the event loop has been at its current turn.
//!
//! Promises that settle without leaving the thread, such as reads of cached files or the chunks of a quick adapter,
//! follow each other as microtasks: the event loop sees none of its other work until the last of them is done. Those
//! who can go on later look here and do.

use std::{ffi::CStr, ptr};

use napi::sys;

use super::value::Js;

/// A turn that has lasted so long should end.
const LIMIT_MS: u64 = 3;

/// The clocks of libuv: the one that stands still during a turn, and the one that runs.
#[derive(Debug)]
pub(super) struct Turn(Option<Clocks>);

#[derive(Debug)]
struct Clocks {
    event_loop: *mut sys::uv_loop_s,
    now: unsafe extern "C" fn(*const sys::uv_loop_s) -> u64,
    hrtime: unsafe extern "C" fn() -> u64,
}

impl Turn {
    /// The clocks of an environment; where they cannot be had no turn ever lasts too long.
    pub(super) fn new(js: Js) -> Self {
        let clocks = |event_loop| {
            // SAFETY: libuv's functions, which Node exports, have had these types since their beginning.
            let now = unsafe { symbol(c"uv_now") }?;
            // SAFETY: as above.
            let hrtime = unsafe { symbol(c"uv_hrtime") }?;
            Some(Clocks { event_loop, now, hrtime })
        };
        Self(event_loop(js).and_then(clocks))
    }

    /// Whether the event loop should be let go.
    pub(super) fn is_overdue(&self) -> bool {
        self.0.as_ref().is_some_and(|clocks| {
            // SAFETY: this is the thread of the loop, which lives as long as the environment.
            let started = unsafe { (clocks.now)(clocks.event_loop) };
            // SAFETY: a plain reading of a clock.
            let now = unsafe { (clocks.hrtime)() } / 1_000_000;
            now.saturating_sub(started) >= LIMIT_MS
        })
    }
}

/// Whether this is the main thread of the process, which has libuv's default loop. Where Node does not export that (Windows),
/// none is.
pub(super) fn is_main_thread(js: Js) -> bool {
    // SAFETY: libuv has had this function with this type since its beginning.
    let default_loop =
        unsafe { symbol::<unsafe extern "C" fn() -> *mut sys::uv_loop_s>(c"uv_default_loop") };
    // SAFETY: Node's main thread has made that loop long ago.
    default_loop.is_some_and(|default_loop| event_loop(js) == Some(unsafe { default_loop() }))
}

fn event_loop(js: Js) -> Option<*mut sys::uv_loop_s> {
    let mut event_loop = ptr::null_mut();
    // SAFETY: called on the thread of the environment, with a live out pointer.
    let status = unsafe { sys::napi_get_uv_event_loop(js.0, &raw mut event_loop) };
    (status == sys::Status::napi_ok).then_some(event_loop)
}

/// A function that Node exports besides Node-API.
///
/// # Safety
/// The function of that name, where there is one, must be of type `T`.
#[cfg(unix)]
pub(super) unsafe fn symbol<T: Copy>(name: &CStr) -> Option<T> {
    let process = libloading::os::unix::Library::this();
    // SAFETY: as the caller promises.
    unsafe { process.get::<T>(name.to_bytes_with_nul()) }.ok().map(|symbol| *symbol)
}

/// A function that Node exports besides Node-API.
///
/// # Safety
/// The function of that name, where there is one, must be of type `T`.
#[cfg(not(unix))]
pub(super) unsafe fn symbol<T: Copy>(_name: &CStr) -> Option<T> {
    None
}
