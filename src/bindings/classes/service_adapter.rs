//! What adapters have in common whose chunks are rendered by others, for the classes that are exported.

#[cfg(feature = "http")]
use std::time::Duration;
use std::{ffi::CStr, rc::Rc};

use napi::{Env, Unknown, bindgen_prelude::This};

#[cfg(feature = "http")]
use super::super::{
    convert::duration,
    js::UserStorage,
    realm::{RealmConsole, RealmEnvironment},
    state::Spawner,
};
use super::{
    super::{
        convert::DirectJob,
        realm::Realm,
        text::JsText,
        value::{Thrown, Type, Value},
    },
    answer, argument, constructing, thrown,
};
use crate::{
    Error, Result,
    adapters::{ForwardEnv, WorkerAdapter},
};
#[cfg(feature = "http")]
use crate::{adapters::Surroundings, cloud::Secret, storage::ArtifactStorage};

/// An adapter, and the realm it was made in.
#[derive(Debug)]
pub(in super::super) struct ServiceAdapter {
    pub(in super::super) core: Rc<dyn WorkerAdapter>,
    realm: Rc<Realm>,
}

impl ServiceAdapter {
    /// The adapter of an object that is being constructed with `config`, which talks to a service.
    #[cfg(feature = "http")]
    pub(super) fn constructing<T: WorkerAdapter + 'static>(
        env: Env,
        this: &This<'_>,
        class: &CStr,
        config: &Unknown<'_>,
        make: impl FnOnce(&Config<'_>, Surroundings) -> Result<T>,
    ) -> napi::Result<Self> {
        let make = |config: &Config<'_>| make(config, config.surroundings()?);
        Self::constructing_alone(env, this, class, ("config", config), make)
    }

    /// The adapter of an object that is being constructed with a config of that name.
    pub(super) fn constructing_alone<T: WorkerAdapter + 'static>(
        env: Env,
        this: &This<'_>,
        class: &CStr,
        (name, config): (&str, &Unknown<'_>),
        make: impl FnOnce(&Config<'_>) -> Result<T>,
    ) -> napi::Result<Self> {
        let realm = constructing(env, this, class)?;
        let config = Config::new(&realm, name, argument(config));
        match config.and_then(|config| make(&config)) {
            Ok(core) => Ok(Self { core: Rc::new(core), realm }),
            Err(error) => Err(thrown(&realm, &error)),
        }
    }

    /// Renders a chunk that a caller hands over himself.
    pub(super) fn execute<'env>(&self, job: Unknown<'env>) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let DirectJob { job, failure, listeners, listener, .. } =
                realm.read_service_job(argument(&job), self.core.runs_commands())?;
            let (adapter, cancel) = (Rc::clone(&self.core), job.cancel.clone());
            let work = async move {
                let outcome = adapter.execute(job).await;
                // What callbacks returned; after an abort nobody waits for it.
                let _ = cancel.run_until_cancelled(listeners.settle()).await;
                drop(listener);
                if let Some(error) = failure.take() {
                    return Err(error);
                }
                let result = outcome?;
                let stdout = JsText::prepared(result.stdout.clone()).await;
                let stderr = JsText::prepared(result.stderr.clone()).await;
                Ok((result, stdout, stderr))
            };
            Ok(realm.promise(work, |realm, (result, stdout, stderr)| {
                let value = |text: JsText| {
                    let value = text.into_value(realm.state.js);
                    value.map_err(|error| Thrown(realm.error_value(&error)))
                };
                realm.new_result(&result, value(stdout)?, value(stderr)?)
            }))
        })
    }
}

/// The config of an adapter: what is `undefined` or `null` is not there, what is of another type an error that names it.
pub(super) struct Config<'a> {
    pub(super) realm: &'a Rc<Realm>,
    object: Value,
}

impl<'a> Config<'a> {
    fn new(realm: &'a Rc<Realm>, name: &str, object: Value) -> Result<Self> {
        if !realm.state.js.is_object(object) {
            return Err(Error::invalid(name, "an object"));
        }
        Ok(Self { realm, object })
    }

    /// A string that says something.
    pub(super) fn string(&self, name: &CStr) -> Result<Option<String>> {
        let text = self.of_type(name, "a string", |value| self.realm.state.js.as_string(value))?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// A string that says something, and is not shown.
    #[cfg(feature = "http")]
    pub(super) fn secret(&self, name: &CStr) -> Result<Option<Secret>> {
        Ok(self.string(name)?.map(Secret))
    }

    fn of_type<T>(
        &self,
        name: &CStr,
        what: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let value = self.realm.caught(self.realm.state.js.get_some(self.object, name))?;
        let wrong = || Error::invalid(name.to_string_lossy(), what);
        value.map(|value| read(value).ok_or_else(wrong)).transpose()
    }

    /// Whether `name` is `false`.
    pub(super) fn is_off(&self, name: &CStr) -> Result<bool> {
        let js = self.realm.state.js;
        let boolean = |value| (js.type_of(value) == Type::Boolean).then(|| js.truthy(value));
        Ok(self.of_type(name, "a boolean", boolean)? == Some(false))
    }

    /// A number.
    #[cfg(feature = "http")]
    pub(super) fn number(&self, name: &CStr) -> Result<Option<f64>> {
        self.of_type(name, "a number", |value| self.realm.state.js.as_number(value))
    }

    /// A number of milliseconds above 0.
    #[cfg(feature = "http")]
    pub(super) fn millis(&self, name: &CStr, default: Duration) -> Result<Duration> {
        Ok(self.number(name)?.and_then(duration).unwrap_or(default))
    }

    /// A storage.
    #[cfg(feature = "http")]
    pub(super) fn storage(&self, name: &CStr) -> Result<Option<Rc<dyn ArtifactStorage>>> {
        let realm = self.realm;
        let storage = realm.caught(realm.state.js.get_some(self.object, name))?;
        storage.map(|storage| UserStorage::shared(realm, storage)).transpose()
    }

    /// What JSON makes of a value.
    #[cfg(feature = "kubernetes")]
    pub(super) fn json(&self, name: &CStr) -> Result<Option<serde_json::Value>> {
        let (realm, js) = (self.realm, self.realm.state.js);
        let Some(value) = realm.caught(js.get_some(self.object, name))? else { return Ok(None) };
        let wrong = |_| Error::invalid(name.to_string_lossy(), "a value that JSON can hold");
        let Some(text) = realm.caught(realm.stringify(value)).map_err(wrong)? else {
            return Ok(None);
        };
        serde_json::from_slice(&text).map(Some).map_err(Error::Syntax)
    }

    /// `forwardEnv`: names of variables, or `true` for all.
    pub(super) fn forward_env(&self) -> Result<ForwardEnv> {
        let (realm, js) = (self.realm, self.realm.state.js);
        let Some(value) = realm.caught(js.get_some(self.object, c"forwardEnv"))? else {
            return Ok(ForwardEnv::default());
        };
        if js.type_of(value) == Type::Boolean {
            return Ok(if js.truthy(value) { ForwardEnv::All } else { ForwardEnv::default() });
        }
        self.list(value, || Error::invalid("forwardEnv", "an array of strings, or true"))
            .map(ForwardEnv::Named)
    }

    /// An array of strings; empty where there is none.
    pub(super) fn strings(&self, name: &CStr) -> Result<Vec<String>> {
        let list = self.realm.caught(self.realm.state.js.get_some(self.object, name))?;
        let wrong = || Error::invalid(name.to_string_lossy(), "an array of strings");
        list.map_or_else(|| Ok(Vec::new()), |list| self.list(list, wrong))
    }

    fn list(&self, value: Value, wrong: impl Fn() -> Error) -> Result<Vec<String>> {
        let (realm, js) = (self.realm, self.realm.state.js);
        if !js.is_array(value) {
            return Err(wrong());
        }
        let text = |index| js.as_string(realm.caught(js.element(value, index))?).ok_or_else(&wrong);
        (0..realm.caught(js.len(value))?).map(text).collect()
    }

    #[cfg(feature = "http")]
    fn surroundings(&self) -> Result<Surroundings> {
        let realm = self.realm;
        Ok(Surroundings {
            storage: self.storage(c"storage")?,
            console: Rc::new(RealmConsole(Rc::clone(realm))),
            environment: Rc::new(RealmEnvironment(Rc::clone(realm))),
            spawner: Rc::new(Spawner(Rc::clone(&realm.state))),
            closing: realm.state.closing.clone(),
        })
    }
}
