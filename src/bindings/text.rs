//! Text on its way to JavaScript: without a copy where that pays.

use std::{
    ffi::{CStr, c_void},
    ptr,
    sync::{Arc, LazyLock},
};

use napi::sys;

use super::{
    turn::symbol,
    value::{Js, Value},
};
use crate::{Error, Result, error::InvalidInput, model::Text, process::MAX_OUTPUT, task};

/// Shorter texts are copied: an external string costs a finalizer.
const EXTERNAL_FROM: usize = 2048;
/// Longer texts that are not ASCII are converted on another thread.
const CONVERT_ELSEWHERE_FROM: usize = 64 * 1024;

/// A text in the form that V8 takes.
#[expect(
    clippy::rc_buffer,
    reason = "V8 shares the buffer as it is; a slice would be another copy"
)]
pub(super) enum JsText {
    /// ASCII, which is Latin-1 as it stands.
    Latin1(Arc<String>),
    /// UTF-16.
    Utf16(Arc<Vec<u16>>),
}

impl JsText {
    /// The form that V8 takes. May take long for long texts that are not ASCII.
    pub(super) fn new(text: &Text) -> Self {
        if text.is_ascii() {
            Self::Latin1(text.shared())
        } else {
            Self::Utf16(Arc::new(text.as_str().encode_utf16().collect()))
        }
    }

    /// As [`JsText::new`], without making the event loop wait.
    pub(super) async fn prepared(text: Text) -> Self {
        if text.is_ascii() || text.as_str().len() < CONVERT_ELSEWHERE_FROM {
            Self::new(&text)
        } else {
            task::blocking(move || Self::new(&text)).await
        }
    }

    /// The JavaScript string.
    ///
    /// # Errors
    /// When it is longer than V8 can hold.
    pub(super) fn into_value(self, js: Js) -> Result<Value> {
        let length = match &self {
            Self::Latin1(text) => text.len(),
            Self::Utf16(text) => text.len(),
        };
        if length > MAX_OUTPUT {
            let text = format!(
                "the text is longer than the longest JavaScript string ({MAX_OUTPUT} characters)"
            );
            return Err(Error::InvalidInput(InvalidInput::new(text)));
        }
        let value = match self {
            Self::Latin1(text) if length >= EXTERNAL_FROM => {
                external(js, &LATIN1, text, |text| text.as_ptr().cast(), length)
            }
            Self::Utf16(text) if length >= EXTERNAL_FROM => {
                external(js, &UTF16, text, |text| text.as_ptr().cast(), length)
            }
            Self::Latin1(text) => js.string(&text),
            Self::Utf16(text) => js.utf16(&text),
        };
        Ok(value)
    }
}

/// `node_api_create_external_string_latin1` and `…_utf16`. Node 20 has them, but declares them for a newer Node-API
/// than the one this addon is built for, so they are looked up by name.
type CreateExternal = unsafe extern "C" fn(
    sys::napi_env,
    *const c_void,
    usize,
    Option<unsafe extern "C" fn(sys::napi_env, *mut c_void, *mut c_void)>,
    *mut c_void,
    *mut sys::napi_value,
    *mut bool,
) -> sys::napi_status;

static LATIN1: LazyLock<Option<CreateExternal>> =
    LazyLock::new(|| find(c"node_api_create_external_string_latin1"));
static UTF16: LazyLock<Option<CreateExternal>> =
    LazyLock::new(|| find(c"node_api_create_external_string_utf16"));

fn find(name: &CStr) -> Option<CreateExternal> {
    // SAFETY: both functions are of this type.
    unsafe { symbol(name) }
}

/// A string that shares its characters with `text`, or a copy where that cannot be had.
fn external<T: Units>(
    js: Js,
    create: &LazyLock<Option<CreateExternal>>,
    text: Arc<T>,
    data: fn(&T) -> *const c_void,
    length: usize,
) -> Value {
    let Some(create) = **create else { return text.copy(js) };
    let (mut result, mut copied) = (ptr::null_mut(), false);
    let data = data(&text);
    let kept = Arc::into_raw(text);
    let hint = kept.cast_mut().cast::<c_void>();
    // SAFETY: the characters stay where they are until `release` gives the `Arc` back.
    let status = unsafe {
        create(js.0, data, length, Some(release::<T>), hint, &raw mut result, &raw mut copied)
    };
    if status == sys::Status::napi_ok {
        return Value(result);
    }
    // SAFETY: where the call fails the finalizer is never called.
    let text = unsafe { Arc::from_raw(kept) };
    text.copy(js)
}

/// The finalizer of an external string.
unsafe extern "C" fn release<T>(_env: sys::napi_env, _data: *mut c_void, hint: *mut c_void) {
    // SAFETY: the hint is the `Arc` that `external` gave away.
    drop(unsafe { Arc::from_raw(hint.cast_const().cast::<T>()) });
}

/// Characters in a form of V8.
trait Units {
    /// A string with a copy of them.
    fn copy(&self, js: Js) -> Value;
}

impl Units for String {
    fn copy(&self, js: Js) -> Value {
        js.string(self)
    }
}

impl Units for Vec<u16> {
    fn copy(&self, js: Js) -> Value {
        js.utf16(self)
    }
}
