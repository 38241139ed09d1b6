//! The core's traits for objects that callers pass in: their own, ours, or ours changed by them.
//!
//! What an object is gets decided each time one of its methods is about to be called, so that spies and overridden
//! methods are seen whenever they appear.

mod adapter;
#[cfg(feature = "aws")]
mod credentials;
mod executor;
mod fetch;
mod repository;
mod stitcher;
mod storage;

pub(super) use adapter::UserWorkerAdapter;
#[cfg(feature = "aws")]
pub(super) use credentials::JsCredentials;
pub(super) use executor::UserExecutor;
pub(super) use fetch::RealmFetch;
pub(super) use repository::{MemoryRepository, UserRepository};
pub(super) use stitcher::UserStitcher;
pub(super) use storage::UserStorage;

use std::{ffi::CStr, rc::Rc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    promise::Settled,
    realm::{Realm, RealmConsole},
    reference::JsRef,
    value::{JsResult, Thrown, Type, Value},
};
use crate::{Error, Result, console::Console, error::exact_millis, task};

/// An object that a caller passed in.
#[derive(Debug)]
pub(super) struct UserObject {
    pub(super) realm: Rc<Realm>,
    pub(super) object: JsRef,
}

impl UserObject {
    /// Keeps `value`.
    pub(super) fn new(realm: &Rc<Realm>, value: Value) -> Result<Self> {
        Ok(Self { realm: Rc::clone(realm), object: realm.caught(JsRef::new(&realm.state, value))? })
    }

    /// Whether it is still one of ours as we made it.
    pub(super) fn is_pristine(&self, class: &CStr) -> bool {
        let state = &self.realm.state;
        state.pristine.has_own_methods(state, self.object.get(), class)
    }

    /// Waits for work of the caller's own: until it is done, or until `grace` after `cancel`. Then it is left behind, with
    /// a warning that says that `who` did not end.
    pub(super) async fn within<T>(
        &self,
        who: impl FnOnce() -> String,
        work: impl Future<Output = Result<T>>,
        cancel: &CancellationToken,
        grace: Duration,
    ) -> Result<T> {
        if let Some(result) = task::bounded(work, cancel, grace).await {
            return result;
        }
        RealmConsole(Rc::clone(&self.realm)).warn(&format!(
            "Warning: {} within {}ms of the abort; its result will be ignored.",
            who(),
            exact_millis(grace)
        ));
        Err(Error::Abandoned)
    }

    /// Calls a method, looked up now, and waits for its answer, which may be a promise, a plain value or a throw.
    /// `extract` reads the answer while its values are valid.
    pub(super) async fn invoke<T: 'static>(
        &self,
        method: &CStr,
        arguments: &[Value],
        extract: impl FnOnce(&Rc<Realm>, Value) -> JsResult<T> + 'static,
    ) -> Result<T> {
        self.start(method, arguments, extract)?.await
    }

    /// As [`UserObject::invoke`], for arguments that are valid now and not later.
    pub(super) fn start<T: 'static, E: FnOnce(&Rc<Realm>, Value) -> JsResult<T> + 'static>(
        &self,
        method: &CStr,
        arguments: &[Value],
        extract: E,
    ) -> Result<Settled<Result<T>>> {
        let (realm, answer) = (&self.realm, self.call(method, arguments)?);
        let reader = Rc::clone(realm);
        let settled = realm.settle(answer, move |_, outcome| {
            let read = outcome.map_err(Thrown).and_then(|value| extract(&reader, value));
            reader.caught(read)
        });
        realm.caught(settled)
    }

    /// Calls a method, looked up now; gives its answer as it is.
    pub(super) fn call(&self, method: &CStr, arguments: &[Value]) -> Result<Value> {
        let (realm, js, object) = (&self.realm, self.realm.state.js, self.object.get());
        let name = method.to_string_lossy();
        if js.is_nothing(object) {
            let what = if js.type_of(object) == Type::Null { "null" } else { "undefined" };
            let text = format!("Cannot read properties of {what} (reading '{name}')");
            return Err(realm.foreign(realm.error_of(c"TypeError", &text)));
        }
        let function = realm.caught(js.get(object, method))?;
        if js.type_of(function) != Type::Function {
            return Err(Error::invalid(name, "a function"));
        }
        realm.caught(js.call(object, function, arguments))
    }
}
