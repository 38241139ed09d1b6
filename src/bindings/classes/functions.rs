//! The functions and constants that the package exports.

use napi::{Env, JsValue, Unknown, bindgen_prelude::Object};
use napi_derive::napi;

use super::{
    super::{
        log,
        realm::{Realm, RealmConsole},
        state::State,
        value::{Js, Value},
    },
    answer, argument, realm,
};
use crate::{Error, console::Console, governance};

/// The version of this package.
#[napi]
pub const INFRASTRUCTURE_VERSION: &str = crate::VERSION;

/// Prints `Infrastructure initialized`.
#[napi]
pub fn init_infrastructure(env: Env) {
    RealmConsole(realm(env)).log(format_args!("Infrastructure initialized"));
}

/// Sets every dependency of `packages/*` below `rootDir` on another package of the workspace to `^` and that package's
/// version. Peer dependencies stay; only files that change are written, each atomically. Rejects when a package.json
/// is broken or cannot be read or written.
#[napi(ts_args_type = "options: SyncOptions", ts_return_type = "Promise<void>")]
pub fn sync_workspace_dependencies(env: Env, options: Unknown<'_>) -> Unknown<'_> {
    answer(&realm(env), |realm| {
        let (js, options) = (realm.state.js, argument(&options));
        if !js.is_object(options) {
            return Err(Error::invalid("options", "an object"));
        }
        let root = realm.caught(js.get(options, c"rootDir"))?;
        let root =
            js.as_string(root).ok_or_else(|| Error::invalid("options.rootDir", "a string"))?;
        let work = async move { Ok(governance::sync_workspace_dependencies(root.into()).await?) };
        Ok(realm.promise_of_nothing(work))
    })
}

/// Called by the loader with the `globalThis` that it was loaded into.
#[napi(skip_typescript)]
pub fn enter_realm(env: Env, global: Unknown<'_>) -> napi::Result<()> {
    let state = State::of(Js(env.raw()));
    let made = Realm::new(&state, argument(&global));
    let made = made.map_err(|_| napi::Error::from_reason("the loader passed no globalThis"))?;
    state.set_realm(made);
    log::begin();
    Ok(())
}

/// Remembers our methods as they are before anybody can change them.
#[napi(module_exports)]
pub fn remember_methods(exports: Object<'_>, env: Env) -> napi::Result<()> {
    let state = State::of(Js(env.raw()));
    let remembered = state.pristine.remember(&state, Value(exports.raw()));
    remembered.map_err(|_| napi::Error::from_reason("an exported class is missing"))
}
