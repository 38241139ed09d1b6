//! Errors on their way between the core and JavaScript.

use std::{any::Any, rc::Rc};

use super::{
    realm::Realm,
    reference::JsRef,
    value::{JsResult, Thrown, Type, Value},
};
use crate::{
    Error, adapters,
    error::{Foreign, SystemError},
    model::{ExitCode, RetryHint},
    process::{self, Report},
    storage::{self, StoreError},
};

/// A value that JavaScript code threw.
#[derive(Debug)]
struct JsError {
    value: JsRef,
    message: String,
    abort: bool,
    retry: Option<RetryHint>,
}

impl Foreign for JsError {
    fn message(&self) -> String {
        self.message.clone()
    }

    fn is_abort(&self) -> bool {
        self.abort
    }

    fn retry(&self) -> Option<RetryHint> {
        self.retry
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Realm {
    /// A thrown value as an error of the core, which gives that very value back.
    pub(super) fn foreign(&self, value: Value) -> Error {
        let js = self.state.js;
        let is_error = self.is_error(value);
        // `String(value)` also has a text for symbols, which conversion to a string refuses.
        let string = |value| {
            let function = js.get(self.global(), c"String")?;
            js.to_text(js.call(js.undefined(), function, &[value])?)
        };
        let text = |value| string(value).unwrap_or_else(|_| "a value without a text".to_owned());
        let message = match js.get(value, c"message") {
            Ok(message) if is_error => text(message),
            _ => text(value),
        };
        let named_abort = || {
            js.get(value, c"name")
                .ok()
                .and_then(|name| js.as_string(name))
                .is_some_and(|name| name == "AbortError")
        };
        let abort = js.is_object(value) && named_abort();
        let hint = || self.read_hint(js.get(value, c"retry")?);
        // A getter that throws has nothing to say.
        let retry = if js.is_object(value) { hint().unwrap_or_default() } else { None };
        match JsRef::new(&self.state, value) {
            Ok(value) => Error::Foreign(Rc::new(JsError { value, message, abort, retry })),
            Err(thrown) => self.foreign(thrown.0),
        }
    }

    /// `value instanceof Error`, for errors of any realm.
    fn is_error(&self, value: Value) -> bool {
        let js = self.state.js;
        let is_instance = |global: Value| {
            js.get(global, c"Error").is_ok_and(|class| js.is_instance(value, class))
        };
        // A DOMException, such as the reason of an aborted signal, is an Error only by its prototype.
        js.is_error(value) || is_instance(self.global()) || js.global().is_ok_and(is_instance)
    }

    /// The result of running JavaScript code, with what was thrown as an error of the core.
    pub(super) fn caught<T>(&self, result: JsResult<T>) -> Result<T, Error> {
        result.map_err(|Thrown(value)| self.foreign(value))
    }

    /// What JavaScript receives for an error of the core.
    pub(super) fn error_value(&self, error: &Error) -> Value {
        let js = self.state.js;
        match error {
            Error::Foreign(foreign) => match foreign.as_any().downcast_ref::<JsError>() {
                Some(error) => error.value.get(),
                None => self.error(&foreign.message()),
            },
            Error::Aborted | Error::Abandoned => {
                let value = self.error(&error.to_string());
                self.decorate(value, |realm| {
                    js.set(value, c"name", realm.state.js.string("AbortError"))
                });
                value
            }
            Error::Adapter(adapters::Error::Aborted) => {
                let value = self.error(&error.to_string());
                self.decorate(value, |_| {
                    js.set(value, c"name", js.string("AbortError"))?;
                    js.set(value, c"code", js.number(20.0))
                });
                value
            }
            Error::InvalidInput(invalid) => {
                let value = self.error_of(c"TypeError", &invalid.to_string());
                if let Some(code) = invalid.code {
                    self.decorate(value, |_| js.set(value, c"code", js.string(code)));
                }
                value
            }
            Error::Syntax(_) | Error::SyntaxIn { .. } => {
                self.error_of(c"SyntaxError", &error.to_string())
            }
            Error::System(system) => self.system_error(system),
            other => {
                let value = self.error(&other.to_string());
                self.decorate(value, |realm| match (other, other.report()) {
                    (_, Some(report)) => realm.report_fields(value, report, other.is_timeout()),
                    (Error::Adapter(adapters::Error::Failed { retry, timed_out, .. }), None) => {
                        if *timed_out {
                            js.set(value, c"timedOut", js.boolean(true)?)?;
                        }
                        let hint = retry.map(|retry| realm.hint_value(retry)).transpose()?;
                        hint.map_or(Ok(()), |hint| js.set(value, c"retry", hint))
                    }
                    (_, None) if other.is_timeout() => {
                        js.set(value, c"timedOut", js.boolean(true)?)
                    }
                    (Error::Process(failure), None) => realm.spawn_fields(value, &failure.error),
                    (Error::Storage(storage::Error::Store(error)), None) => {
                        realm.store_fields(value, error)
                    }
                    _ => Ok(()),
                });
                value
            }
        }
    }

    /// What Node's `spawn` tells of a program that cannot be started.
    fn spawn_fields(&self, error: Value, cause: &process::Error) -> JsResult<()> {
        let js = self.state.js;
        let process::Error::Spawn { source, program, args } = cause else { return Ok(()) };
        js.set(error, c"errno", js.number(f64::from(crate::error::errno(source))))?;
        js.set(error, c"code", js.string(crate::error::code(source)))?;
        js.set(error, c"syscall", js.string(&format!("spawn {program}")))?;
        js.set(error, c"path", js.string(program))?;
        js.set(error, c"spawnargs", js.array(args.iter().map(|argument| js.string(argument)))?)
    }

    /// What a store on the network has answered.
    fn store_fields(&self, error: Value, cause: &StoreError) -> JsResult<()> {
        let js = self.state.js;
        if let Some(code) = &cause.code {
            js.set(error, c"code", js.string(code))?;
        }
        cause.status.map_or(Ok(()), |status| js.set(error, c"status", js.number(status.into())))
    }

    /// What is known of a command that failed. Its output does not show where the error is printed: it may be long.
    fn report_fields(&self, error: Value, report: &Report, timed_out: bool) -> JsResult<()> {
        let js = self.state.js;
        let exit_code = match &report.exit_code {
            Some(ExitCode::Code(code)) => js.number(f64::from(*code)),
            Some(ExitCode::Odd(text)) => js.string(text),
            None => js.undefined(),
        };
        let facts = [
            error,
            js.string(&report.command),
            report.pid.map_or_else(|| js.undefined(), |pid| js.number(f64::from(pid))),
            exit_code,
            report.signal.map_or_else(|| js.undefined(), |signal| js.string(signal)),
            if timed_out { js.boolean(true)? } else { js.undefined() },
            js.string(report.stdout.as_str()),
            js.string(report.stderr.as_str()),
        ];
        self.glue(c"failure", &facts).map(drop)
    }

    fn system_error(&self, system: &SystemError) -> Value {
        let js = self.state.js;
        let value = self.error(&system.to_string());
        self.decorate(value, |_| {
            js.set(value, c"errno", js.number(f64::from(system.errno())))?;
            js.set(value, c"code", js.string(system.code()))?;
            js.set(value, c"syscall", js.string(system.syscall))?;
            js.set(value, c"path", js.string(&system.path))
        });
        value
    }

    /// Adds fields to an error that was just made.
    fn decorate(&self, value: Value, add: impl FnOnce(&Self) -> JsResult<()>) {
        // Setting fields of a fresh error fails only when somebody has put setters on Error.prototype; the error
        // itself is what matters then.
        if self.state.js.type_of(value) == Type::Object {
            drop(add(self));
        }
    }
}
