//! The global objects that a caller sees.
//!
//! jest and vitest's vm pools run tests in a context of their own, with its own console, Error, JSON and process.
//! Node-API knows only the main context, so the loader passes the caller's `globalThis` in, and an object keeps the
//! realm it was made in.

use std::{
    cell::RefCell,
    ffi::CStr,
    fmt::{self, Write},
    rc::Rc,
};

use super::{
    reference::JsRef,
    state::State,
    turn,
    value::{JsResult, Value},
};
use crate::{Error, adapters::EnvironmentSource, console::Console, process::Environment};

/// Small functions that are quicker, or only possible, in JavaScript. They make objects of the realm, with the fields in
/// the order in which people's tests print them.
const GLUE: &str = include_str!("glue.cjs");

/// The global objects of a caller.
pub(super) struct Realm {
    pub(super) state: Rc<State>,
    global: JsRef,
    stringify: JsRef,
    parse: JsRef,
    glue: JsRef,
    /// The glue of every chunk.
    log: JsRef,
    run: JsRef,
    then: JsRef,
    line: RefCell<String>,
    /// `process.env` of the main thread, whose content is that of the process itself.
    own_environment: Option<JsRef>,
}

impl Realm {
    /// The realm with the given `globalThis`.
    pub(super) fn new(state: &Rc<State>, global: Value) -> JsResult<Rc<Self>> {
        let js = state.js;
        let json = js.get(global, c"JSON")?;
        let function = js.get(global, c"Function")?;
        let make_glue = js.construct(function, &[js.string(GLUE)])?;
        let glue = js.call(js.undefined(), make_glue, &[])?;
        let own_environment = if turn::is_main_thread(js) {
            let process = js.get(js.global()?, c"process")?;
            Some(JsRef::new(state, js.get(process, c"env")?)?)
        } else {
            None
        };
        Ok(Rc::new(Self {
            state: Rc::clone(state),
            global: JsRef::new(state, global)?,
            stringify: JsRef::new(state, js.get(json, c"stringify")?)?,
            parse: JsRef::new(state, js.get(json, c"parse")?)?,
            log: JsRef::new(state, js.get(glue, c"log")?)?,
            run: JsRef::new(state, js.get(glue, c"run")?)?,
            then: JsRef::new(state, js.get(glue, c"then")?)?,
            line: RefCell::default(),
            glue: JsRef::new(state, glue)?,
            own_environment,
        }))
    }

    /// `globalThis`.
    pub(super) fn global(&self) -> Value {
        self.global.get()
    }

    /// `Promise.prototype.then`, as it was when the package was loaded.
    pub(super) fn promise_then(&self) -> Value {
        self.then.get()
    }

    /// Calls one of the [`GLUE`] functions.
    pub(super) fn glue(&self, name: &CStr, arguments: &[Value]) -> JsResult {
        let (js, glue) = (self.state.js, self.glue.get());
        js.call(glue, js.get(glue, name)?, arguments)
    }

    /// Has a caller's adapter run a chunk; one of the functions is called with what comes of it.
    pub(super) fn run_chunk(
        &self,
        adapter: Value,
        context: Value,
        index: usize,
        words: &[&str],
        [fulfilled, rejected]: [Value; 2],
        limit: Option<Value>,
    ) -> JsResult<()> {
        let js = self.state.js;
        // One string is made quicker than many.
        let separator = separator(words);
        let text = words.join(separator);
        #[expect(clippy::cast_precision_loss, reason = "no job has 2^53 chunks")]
        let index = js.number(index as f64);
        let (text, separator) = (js.string(&text), js.string(separator));
        let limit = limit.unwrap_or_else(|| js.undefined());
        let arguments = [adapter, context, index, text, separator, fulfilled, rejected, limit];
        js.call(js.undefined(), self.run.get(), &arguments).map(drop)
    }

    /// `JSON.stringify(value)`: its UTF-8, or `None` when there is no text for the value.
    pub(super) fn stringify(&self, value: Value) -> JsResult<Option<Vec<u8>>> {
        let js = self.state.js;
        Ok(js.as_utf8(js.call(js.undefined(), self.stringify.get(), &[value])?))
    }

    /// `JSON.parse(text)`.
    pub(super) fn parse(&self, text: Value) -> JsResult {
        let js = self.state.js;
        js.call(js.undefined(), self.parse.get(), &[text])
    }

    /// An `Error`.
    pub(super) fn error(&self, text: &str) -> Value {
        self.error_of(c"Error", text)
    }

    /// An error of the named class.
    pub(super) fn error_of(&self, class: &CStr, text: &str) -> Value {
        let js = self.state.js;
        let made =
            js.get(self.global(), class).and_then(|class| js.construct(class, &[js.string(text)]));
        made.unwrap_or_else(|thrown| thrown.0)
    }

    /// An array of this realm.
    pub(super) fn new_array(&self, elements: impl ExactSizeIterator<Item = Value>) -> JsResult {
        self.glue(c"copyList", &[self.state.js.array(elements)?])
    }

    /// `process.env` of the caller.
    pub(super) fn environment(&self) -> JsResult {
        let js = self.state.js;
        js.get(js.get(self.global(), c"process")?, c"env")
    }

    fn print(&self, method: &CStr, arguments: &[Value]) {
        let js = self.state.js;
        // Looked up on every call, so that spies see it. A console that throws is not worth a job.
        let printed = js
            .get(self.global(), c"console")
            .and_then(|console| js.call(console, js.get(console, method)?, arguments));
        drop(printed);
    }
}

/// A text that is in none of the words.
fn separator(words: &[&str]) -> &'static str {
    const CANDIDATES: &str = "\0\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}";
    let mut candidates = CANDIDATES.split_inclusive(|_| true);
    let free = candidates.find(|candidate| !words.iter().any(|word| word.contains(candidate)));
    free.unwrap_or("\0helios-infrastructure\0")
}

/// The console of a realm.
#[derive(Debug)]
pub(super) struct RealmConsole(pub(super) Rc<Realm>);

impl Console for RealmConsole {
    fn log(&self, text: fmt::Arguments<'_>) {
        let js = self.0.state.js;
        // Two lines per chunk: they are put together in the same place.
        let mut line = self.0.line.take();
        line.clear();
        // Writing to a string does not fail.
        let _ = line.write_fmt(text);
        let value = js.string(&line);
        self.0.line.replace(line);
        // The console is looked up on every call, so that spies see it. One that throws is not worth a job.
        drop(js.call(js.undefined(), self.0.log.get(), &[value]));
    }

    fn warn(&self, text: &str) {
        self.0.print(c"warn", &[self.0.state.js.string(text)]);
    }

    fn warn_with(&self, text: &str, message: &str) {
        let js = self.0.state.js;
        self.0.print(c"warn", &[js.string(text), js.string(message)]);
    }

    fn error(&self, text: &str, message: &str) {
        let js = self.0.state.js;
        self.0.print(c"error", &[js.string(text), js.string(message)]);
    }

    fn failure(&self, text: &str, error: &Error) {
        let error = self.0.error_value(error);
        self.0.print(c"error", &[self.0.state.js.string(text), error]);
    }
}

/// The environment of a realm: `process.env`, as it is when somebody asks.
#[derive(Debug)]
pub(super) struct RealmEnvironment(pub(super) Rc<Realm>);

impl EnvironmentSource for RealmEnvironment {
    fn snapshot(&self) -> Environment {
        let (realm, js) = (&self.0, self.0.state.js);
        let Ok(environment) = realm.environment() else { return Environment::default() };
        // Reading it through JavaScript takes a microsecond per variable. On the main thread, unless somebody has put
        // another object there, it is the environment of the process itself.
        if realm.own_environment.as_ref().is_some_and(|own| js.same(own.get(), environment)) {
            return Environment(std::env::vars_os().collect());
        }
        let variables = super::convert::read_environment(js, environment).unwrap_or_default();
        Environment(
            variables
                .into_iter()
                .filter_map(|(name, value)| Some((name.into(), value?.into())))
                .collect(),
        )
    }
}

impl fmt::Debug for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Realm")
    }
}
