//! Tells objects of our own classes that behave as we made them from those that somebody has changed, and finds them
//! behind proxies and heirs.

use std::{
    cell::{OnceCell, RefCell},
    ffi::CStr,
};

use napi::bindgen_prelude::{ClassInstance, FromNapiValue, MaybeTypeTag};

use super::{
    reference::JsRef,
    state::State,
    value::{JsResult, Type, Value},
};

/// The exported classes, with the methods that may be left out of the way.
const CLASSES: &[(&CStr, &[&CStr])] = &[
    (c"LocalWorkerAdapter", &[c"execute"]),
    #[cfg(feature = "aws")]
    (c"AwsLambdaAdapter", &[c"execute"]),
    #[cfg(feature = "gcp")]
    (c"CloudRunAdapter", &[c"execute"]),
    #[cfg(feature = "http")]
    (c"FlyMachinesAdapter", &[c"execute"]),
    #[cfg(feature = "http")]
    (c"HetznerCloudAdapter", &[c"execute"]),
    #[cfg(feature = "http")]
    (c"CloudflareSandboxAdapter", &[c"execute"]),
    #[cfg(feature = "http")]
    (c"AzureFunctionsAdapter", &[c"execute"]),
    #[cfg(feature = "http")]
    (c"CloudflareWorkersAdapter", &[c"execute"]),
    #[cfg(feature = "http")]
    (c"DenoDeployAdapter", &[c"execute"]),
    #[cfg(feature = "http")]
    (c"VercelAdapter", &[c"execute"]),
    #[cfg(feature = "http")]
    (c"ModalAdapter", &[c"execute"]),
    (c"DockerAdapter", &[c"execute"]),
    #[cfg(feature = "kubernetes")]
    (c"KubernetesAdapter", &[c"execute"]),
    (c"JobExecutor", &[c"execute"]),
    (c"FileJobRepository", REPOSITORY),
    (c"InMemoryJobRepository", REPOSITORY),
    (c"FfmpegStitcher", &[c"stitch"]),
    (c"LocalStorageAdapter", STORAGE),
    #[cfg(feature = "aws")]
    (c"S3StorageAdapter", STORAGE),
    #[cfg(feature = "aws")]
    (c"R2StorageAdapter", STORAGE),
    #[cfg(feature = "gcp")]
    (c"GcsStorageAdapter", STORAGE),
    (c"JobManager", &[]),
    (c"RenderExecutor", &[]),
    (c"WorkerRuntime", &[]),
];
const REPOSITORY: &[&CStr] = &[c"save", c"get", c"list", c"delete"];
const STORAGE: &[&CStr] = &[
    c"uploadAssetBundle",
    c"downloadAssetBundle",
    c"deleteAssetBundle",
    c"uploadJobSpec",
    c"downloadJobSpec",
    c"deleteJobSpec",
    c"uploadChunkOutput",
    c"downloadChunkOutput",
    c"markCancelled",
    c"cancelMark",
];

/// Classes that extend another, which Node-API cannot say.
const HEIRS: &[(&CStr, &CStr)] = &[
    #[cfg(feature = "aws")]
    (c"R2StorageAdapter", c"S3StorageAdapter"),
];

/// Methods are called on what users have of our objects: also on proxies, as state libraries make them, and on objects that
/// inherit from one. Node-API knows neither, so each object carries a way to itself. A function, because such libraries
/// hand out proxies of objects. What a method cannot be called on is, like every other mistake, a rejection.
const THIS: &str = r"
((self) => ({
  mark: (object) => void Object.defineProperty(object, self, { value: () => object, configurable: true }),
  find: (object) => object[self]?.(),
  extend: (heir, parent) => {
    Object.setPrototypeOf(heir, parent);
    Object.setPrototypeOf(heir.prototype, parent.prototype);
  },
  wrap: ({ prototype }) => {
    for (const name of Object.getOwnPropertyNames(prototype)) {
      const { value: native, ...attributes } = Object.getOwnPropertyDescriptor(prototype, name);
      if (name === 'constructor' || typeof native !== 'function') continue;
      const { [name]: value } = {
        [name](...given) {
          try {
            return Reflect.apply(native, this[self]?.() ?? this, given);
          } catch (error) {
            return Promise.reject(error);
          }
        },
      };
      Object.defineProperty(prototype, name, { ...attributes, value });
    }
  },
}))(Symbol('helios-infrastructure'))";

/// Methods as we made them. A test runner may load the addon several times into one environment, so that there may be
/// several of each.
#[derive(Default)]
pub(super) struct Pristine {
    /// What [`THIS`] gives.
    this: OnceCell<JsRef>,
    classes: RefCell<Vec<(&'static CStr, JsRef)>>,
    methods: RefCell<Vec<(&'static CStr, &'static CStr, JsRef)>>,
}

impl Pristine {
    /// Remembers the methods of the classes among `exports`.
    pub(super) fn remember(&self, state: &State, exports: Value) -> JsResult<()> {
        let js = state.js;
        if self.this.get().is_none() {
            drop(self.this.set(JsRef::new(state, js.run(THIS)?)?));
        }
        for (class, methods) in CLASSES {
            let constructor = js.get(exports, class)?;
            self.call(state, c"wrap", &[constructor])?;
            self.classes.borrow_mut().push((class, JsRef::new(state, constructor)?));
            let prototype = js.get(constructor, c"prototype")?;
            for method in *methods {
                let function = JsRef::new(state, js.get(prototype, method)?)?;
                self.methods.borrow_mut().push((class, method, function));
            }
        }
        for (heir, parent) in HEIRS {
            let classes = [js.get(exports, heir)?, js.get(exports, parent)?];
            self.call(state, c"extend", &classes)?;
        }
        Ok(())
    }

    /// Lets a new object of ours be found behind others.
    pub(super) fn mark(&self, state: &State, object: Value) -> JsResult<()> {
        self.call(state, c"mark", &[object]).map(drop)
    }

    fn call(&self, state: &State, function: &CStr, arguments: &[Value]) -> JsResult {
        let this = self.this.get().map_or_else(|| state.js.undefined(), JsRef::get);
        state.js.call(this, state.js.get(this, function)?, arguments)
    }

    /// `object instanceof class`.
    pub(super) fn is_instance(&self, state: &State, object: Value, class: &CStr) -> bool {
        let classes = self.classes.borrow();
        classes.iter().any(|(name, of)| *name == class && state.js.is_instance(object, of.get()))
    }

    /// Whether all methods of `object` are those of our `class`: neither overridden by a subclass, nor replaced on the
    /// object or on the prototype, by a spy for example.
    pub(super) fn has_own_methods(&self, state: &State, object: Value, class: &CStr) -> bool {
        let js = state.js;
        let methods = self.methods.borrow();
        CLASSES.iter().filter(|(name, _)| *name == class).flat_map(|(_, names)| *names).all(
            |name| {
                js.get(object, name).is_ok_and(|current| {
                    let own = |(of, method, function): &(&CStr, &CStr, JsRef)| {
                        *of == class && method == name && js.same(current, function.get())
                    };
                    methods.iter().any(own)
                })
            },
        )
    }
}

/// The Rust side of `object`, if it is an instance of that class or of a subclass.
pub(super) fn instance<'a, T: MaybeTypeTag + 'a>(
    state: &State,
    object: Value,
) -> Option<ClassInstance<'a, T>> {
    if state.js.type_of(object) != Type::Object {
        return None;
    }
    // SAFETY: called on the thread of the environment with a live object; the type tag is checked.
    let read = |object: Value| unsafe { ClassInstance::from_napi_value(state.js.0, object.0) }.ok();
    read(object).or_else(|| read(state.pristine.call(state, c"find", &[object]).ok()?))
}
