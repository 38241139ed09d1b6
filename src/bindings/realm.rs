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
const GLUE: &str = r"
'use strict';
const clone = (value, seen = new Map()) => {
  if (typeof value !== 'object' || value === null) return value;
  if (seen.has(value)) return seen.get(value);
  const prototype = Object.getPrototypeOf(value);
  if (!Array.isArray(value) && prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    try {
      return structuredClone(value);
    } catch {
      return value;
    }
  }
  const copy = Array.isArray(value) ? [] : {};
  seen.set(value, copy);
  for (const key of Object.keys(value)) {
    Object.defineProperty(copy, key, { value: clone(value[key], seen), writable: true, enumerable: true, configurable: true });
  }
  return copy;
};
const { then } = Promise.prototype;
const signals = new WeakMap();
const present = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
return {
  then,
  clone: (value) => clone(value),
  log: (text) => { console.log(text); },
  listen: (signal, listener) => {
    if (typeof signal.addEventListener !== 'function') return false;
    let shared = signals.get(signal);
    if (shared === undefined) {
      const listeners = new Set();
      shared = { listeners, fire: () => { for (const one of [...listeners]) one(); } };
      signal.addEventListener('abort', shared.fire);
      signals.set(signal, shared);
    }
    shared.listeners.add(listener);
    return true;
  },
  unlisten: (signal, listener) => {
    const { listeners, fire } = signals.get(signal);
    listeners.delete(listener);
    if (listeners.size > 0) return;
    signals.delete(signal);
    if (typeof signal.removeEventListener === 'function') signal.removeEventListener('abort', fire);
  },
  context: (chunks, cwd, meta, jobDefUrl, signal, onStdout, onStderr, timeout, maxOutputBytes) => ({
    chunks, cwd, signal, onStdout, onStderr, limits: present({ timeout, maxOutputBytes }),
    meta: meta === undefined && jobDefUrl === undefined ? undefined : { ...meta, ...present({ jobDefUrl }) },
  }),
  run: (adapter, context, index, words, separator, fulfilled, rejected, limit) => {
    const args = words.split(separator);
    const command = args.shift();
    const { chunks, cwd, meta, signal, onStdout, onStderr, limits } = context;
    const chunk = chunks[index];
    const answer = adapter.execute({
      command, args, cwd, env: process.env,
      meta: meta === undefined ? { chunkId: chunk.id, ...chunk } : { ...meta, chunkId: chunk.id, ...chunk },
      signal: limit ?? signal,
      onStdout: onStdout && ((data) => onStdout(chunk.id, data)),
      onStderr: onStderr && ((data) => onStderr(chunk.id, data)),
      ...limits,
    });
    then.call(Promise.resolve(answer), fulfilled, rejected);
  },
  command: (command, args, cwd, signal) => ({ command, args, cwd, env: process.env, signal }),
  plainCommand: (command, args) => ({ command, args }),
  result: (exitCode, stdout, stderr, durationMs, signal, outputUrl, retry, timedOut) => ({
    exitCode, stdout, stderr, durationMs,
    ...signal && { signal }, ...outputUrl && { outputUrl }, ...retry && { retry }, ...timedOut && { timedOut },
  }),
  answer: (statusCode, body) => ({ statusCode, body }),
  request: (signal, redirect) => present({ signal, redirect }),
  hint: (kind, afterMs) => (afterMs === undefined ? { kind } : { kind, afterMs }),
  progress: (phase, done, total) => ({ phase, done, total }),
  about: (chunkId, attempt) => ({ chunkId, attempt }),
  rules: (list) => {
    const among = (value, wanted) => wanted === undefined || [wanted].flat().includes(value);
    const says = (error, text) => {
      if (text === undefined) return true;
      const said = [error?.message ?? String(error), error?.stdout, error?.stderr].filter(Boolean);
      return said.some((one) => (typeof text === 'string' ? String(one).includes(text) : String(one).search(text) >= 0));
    };
    const rules = list.map((rule) => ({ ...rule }));
    return (error) =>
      rules.find(({ exitCode, signal, text }) =>
        among(error?.exitCode, exitCode) && among(error?.signal, signal) && says(error, text));
  },
  failure: (error, command, pid, exitCode, signal, timedOut, stdout, stderr) => {
    Object.assign(error, present({ command, pid, exitCode, signal, timedOut }));
    for (const [name, value] of Object.entries({ stdout, stderr })) {
      Object.defineProperty(error, name, { value, writable: true, configurable: true });
    }
  },
  status: (rest, fields, spec, logs) => {
    const { id, ...others } = fields;
    return { ...rest, ...present({ id, spec }), ...others, ...present({ logs }) };
  },
  record: (record) => JSON.stringify({
    id: typeof record.id === 'string' ? record.id : undefined,
    state: record.state, progress: record.progress, totalChunks: record.totalChunks,
    completedChunks: record.completedChunks, createdAt: record.createdAt, updatedAt: record.updatedAt,
    error: record.error, metrics: record.metrics && { totalDurationMs: record.metrics.totalDurationMs },
    meta: record.meta && { jobDefUrl: record.meta.jobDefUrl }, outputs: record.outputs, attempts: record.attempts,
    phase: record.phase, startedAt: record.startedAt, finishedAt: record.finishedAt,
    logs: Array.isArray(record.logs)
      ? record.logs.filter(Boolean).map(({ chunkId, durationMs, stdout, stderr }) => ({ chunkId, durationMs, stdout, stderr }))
      : undefined,
  }),
  inner: (record, name, fields) => ({ ...record[name], ...fields }),
  recorded: (options, jobDir, submittedInName, submittedIn) => {
    const plain = {};
    for (const name of [
      'concurrency', 'merge', 'skipMerge', 'retries', 'retryDelay', 'retryBackoff', 'failFast', 'chunkTimeout', 'stallTimeout',
      'killGraceMs', 'maxLogBytes', 'maxOutputBytes', 'outputFile', 'completedChunkIds', 'verifyChunks', 'meta',
      'uploadAssets',
    ]) plain[name] = options[name];
    const { retryOn } = options;
    if (Array.isArray(retryOn) && retryOn.every((rule) => typeof (rule?.text ?? '') === 'string')) plain.retryOn = retryOn;
    const needed = ['stitcher', 'mergeAdapter', 'storage'].filter((name) => options[name] !== undefined && options[name] !== null);
    Object.assign(plain, { jobDir, [submittedInName]: submittedIn, needed: needed.length > 0 ? needed : undefined });
    const value = (_, one) => (typeof one === 'number' && !Number.isFinite(one) ? String(one) : one);
    try {
      return JSON.stringify(plain, value);
    } catch {
      return JSON.stringify({ ...plain, meta: undefined }, value);
    }
  },
  missing: (options) => options.needed?.find?.((name) => options[name] === undefined || options[name] === null),
  options: (options, more) => ({ ...options, ...present(more ?? {}) }),
  rope: () => {
    let text = '';
    return {
      add: (piece) => { text += piece; },
      text: () => text,
      ends: (max) => {
        const left = text.length - max;
        return left > 0 ? `${text.slice(0, max / 2)}\n[${left} characters left out]\n${text.slice(-max / 2)}` : text;
      },
    };
  },
  chunks: (list) => {
    const ids = new Float64Array(list.length);
    const frames = new Float64Array(list.length);
    const commands = [];
    const files = [];
    for (let index = 0; index < list.length; index += 1) {
      const chunk = list[index];
      if (typeof chunk !== 'object' || chunk === null) return undefined;
      const { id, command, outputFile, frameCount } = chunk;
      if (typeof id !== 'number' || typeof command !== 'string') return undefined;
      ids[index] = id;
      frames[index] = typeof frameCount === 'number' ? frameCount : NaN;
      commands.push(command);
      if (typeof outputFile === 'string') files.push(outputFile);
      else if (outputFile !== undefined) return undefined;
    }
    return { ids, frames, commands: commands.join('\0'), files: files.join('\0'), named: files.length };
  },
  copyList: (list) => Array.from(list),
  replace: (object, name, value) => ({ ...object, [name]: value }),
  append: (list, more) => { for (const item of more) list.push(item); },
};
";

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
