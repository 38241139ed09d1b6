//! JavaScript functions made of Rust closures.

use std::{
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
};

use napi::sys;

use super::{
    state::State,
    value::{Js, JsResult, Value},
};

/// More arguments than any function here takes.
const MAX_ARGUMENTS: usize = 4;

type Body = Box<dyn Fn(&State, &[Value]) -> JsResult>;

/// A function that calls `body`. What `body` fails with is thrown.
pub(super) fn function(
    state: &State,
    body: impl Fn(&State, &[Value]) -> JsResult + 'static,
) -> Value {
    let js = state.js;
    let body: *mut Body = Box::into_raw(Box::new(Box::new(body)));
    let (mut function, data) = (ptr::null_mut(), body.cast::<c_void>());
    // SAFETY: called on the thread of the environment, with a live out pointer; the body lives as long as the function.
    unsafe { sys::napi_create_function(js.0, ptr::null(), 0, Some(call), data, &raw mut function) };
    // SAFETY: as above; the finalizer runs when nobody can call the function any more.
    unsafe {
        sys::napi_add_finalizer(
            js.0,
            function,
            data,
            Some(release),
            ptr::null_mut(),
            ptr::null_mut(),
        )
    };
    Value(function)
}

unsafe extern "C" fn call(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let Some(state) = State::existing(Js(env)) else { return ptr::null_mut() };
    let (mut arguments, mut count, mut data) =
        ([ptr::null_mut(); MAX_ARGUMENTS], MAX_ARGUMENTS, ptr::null_mut());
    // SAFETY: the info is that of this call; Node fills missing arguments with undefined.
    unsafe {
        sys::napi_get_cb_info(
            env,
            info,
            &raw mut count,
            arguments.as_mut_ptr(),
            ptr::null_mut(),
            &raw mut data,
        );
    }
    // SAFETY: the data is the body that `function` gave away; the finalizer has not run, or nobody could call.
    let body = unsafe { &*data.cast::<Body>() };
    let result =
        state.enter(|state| catch_unwind(AssertUnwindSafe(|| body(state, &arguments.map(Value)))));
    match result {
        Ok(Ok(value)) => value.0,
        Ok(Err(thrown)) => {
            // SAFETY: called on the thread of the environment, with a live value.
            unsafe { sys::napi_throw(env, thrown.0.0) };
            ptr::null_mut()
        }
        // A panic is a bug of ours; it must not unwind into Node.
        Err(_) => ptr::null_mut(),
    }
}

unsafe extern "C" fn release(_env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: the data is the body that `function` gave away, and this is its only finalizer.
    drop(unsafe { Box::from_raw(data.cast::<Body>()) });
}
