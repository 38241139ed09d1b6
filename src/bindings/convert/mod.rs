//! What travels, between its JavaScript and its Rust form.

#[cfg(any(feature = "aws", feature = "gcp"))]
mod buckets;
mod chunk_job;
mod execution;
mod options;
mod result;
mod resumed;
mod retry;
mod spec;
mod status;
mod stitcher;
mod worker;
mod worker_job;

pub(super) use execution::{JsExecution, Signal};
pub(super) use spec::chunk_id;
pub(super) use status::foreign;
pub(super) use worker_job::{DirectJob, read_environment};

use std::time::Duration;

use super::value::{Js, JsResult, Type, Value};
use crate::{Error, Result};

/// Longer times are as good as none: Node's own timers end at 2^31 ms.
const LONGEST_MS: f64 = 1e15;

/// A time in milliseconds; what is no positive number is no time.
pub(super) fn duration(ms: f64) -> Option<Duration> {
    (ms > 0.0).then(|| Duration::from_secs_f64(ms.min(LONGEST_MS) / 1000.0))
}

/// A number of bytes; what is negative or no number is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative; saturates"
)]
fn bytes(number: f64) -> Option<usize> {
    (number >= 0.0).then_some(number as usize)
}

/// `object[name]` as a string, if it is there.
fn optional_string(
    js: Js,
    object: Value,
    name: &std::ffi::CStr,
    path: &str,
) -> JsResult<Result<Option<String>>> {
    let Some(value) = js.get_some(object, name)? else { return Ok(Ok(None)) };
    let name = name.to_string_lossy();
    Ok(js
        .as_string(value)
        .map(Some)
        .ok_or_else(|| Error::invalid(format_args!("{path}.{name}"), "a string")))
}

/// That `value` is an object that can have fields.
fn require_object(js: Js, value: Value, path: &str) -> Result<()> {
    match js.type_of(value) {
        Type::Object | Type::Function => Ok(()),
        _ => Err(Error::invalid(path, "an object")),
    }
}
