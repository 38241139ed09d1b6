//! Tells objects of our own classes that behave as we made them from those that somebody has changed.

use std::{cell::RefCell, ffi::CStr};

use napi::bindgen_prelude::{ClassInstance, FromNapiValue, MaybeTypeTag};

use super::{
    reference::JsRef,
    state::State,
    value::{JsResult, Type, Value},
};

/// The exported classes, with the methods that may be left out of the way.
const CLASSES: &[(&CStr, &[&CStr])] = &[
    (c"LocalWorkerAdapter", &[c"execute"]),
    (c"JobExecutor", &[c"execute"]),
    (c"FileJobRepository", REPOSITORY),
    (c"InMemoryJobRepository", REPOSITORY),
    (c"FfmpegStitcher", &[c"stitch"]),
    (c"JobManager", &[]),
    (c"RenderExecutor", &[]),
];
const REPOSITORY: &[&CStr] = &[c"save", c"get", c"list", c"delete"];

/// Methods as we made them. A test runner may load the addon several times into one environment, so that there may be
/// several of each.
#[derive(Default)]
pub(super) struct Pristine {
    classes: RefCell<Vec<(&'static CStr, JsRef)>>,
    methods: RefCell<Vec<(&'static CStr, &'static CStr, JsRef)>>,
}

impl Pristine {
    /// Remembers the methods of the classes among `exports`.
    pub(super) fn remember(&self, state: &State, exports: Value) -> JsResult<()> {
        let js = state.js;
        for (class, methods) in CLASSES {
            let constructor = js.get(exports, class)?;
            self.classes.borrow_mut().push((class, JsRef::new(state, constructor)?));
            let prototype = js.get(constructor, c"prototype")?;
            for method in *methods {
                let function = JsRef::new(state, js.get(prototype, method)?)?;
                self.methods.borrow_mut().push((class, method, function));
            }
        }
        Ok(())
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
    unsafe { ClassInstance::<T>::from_napi_value(state.js.0, object.0) }.ok()
}
