//! Commands for workers, as callers write them.

use std::{any::Any, ffi::CStr, rc::Rc, time::Duration};

use super::super::{
    callback::Listeners,
    realm::Realm,
    reference::JsRef,
    sink::JsSink,
    value::{Js, JsResult, Type, Value},
};
use crate::{
    Error, Result,
    error::InvalidInput,
    model::{OutputTarget, WorkerJob},
    orchestrator::FailureSlot,
    process::MAX_OUTPUT,
};

/// A command that a caller hands to an adapter himself.
pub(in super::super) struct DirectJob {
    /// The command.
    pub(in super::super) job: WorkerJob,
    /// What its callbacks failed with.
    pub(in super::super) failure: FailureSlot,
    /// Promises that the callbacks returned.
    pub(in super::super) listeners: Rc<Listeners>,
    /// Keeps the texts that callbacks were given, so that they are in memory once: stdout, stderr.
    pub(in super::super) ropes: [Option<Rc<JsRef>>; 2],
    /// Listens to its signal as long as it runs.
    pub(in super::super) listener: Option<Rc<dyn Any>>,
}

impl Realm {
    /// Reads a `WorkerJob`. With `ropes` what callbacks hear is put together in JavaScript already.
    pub(in super::super) fn read_worker_job(
        self: &Rc<Self>,
        value: Value,
        ropes: bool,
    ) -> Result<DirectJob> {
        let js = self.state.js;
        super::require_object(js, value, "job")?;
        let command = self.caught(js.get(value, c"command"))?;
        let command =
            js.as_string(command).ok_or_else(|| Error::invalid("job.command", "a string"))?;
        if command.is_empty() {
            let text = "The argument 'file' cannot be empty. Received ''";
            return Err(Error::InvalidInput(InvalidInput::bad_value(text)));
        }
        without_nul(&command, "job.command")?;
        let (timeout, max_output) = self.read_limits(value)?;
        let abort = self.read_signal(value, "job")?;
        let cwd = self.caught(super::optional_string(js, value, c"cwd", "job"))??;
        cwd.as_deref().map_or(Ok(()), |cwd| without_nul(cwd, "job.cwd"))?;
        let failure = FailureSlot::default();
        failure.cancels(&abort.token);
        let listeners = Listeners::new(self, failure.clone());
        let whole = ropes && max_output.is_none();
        let (stdout, stdout_rope) = self.target(value, c"onStdout", &listeners, whole)?;
        let (stderr, stderr_rope) = self.target(value, c"onStderr", &listeners, whole)?;
        let job = WorkerJob {
            command,
            args: self.read_args(value)?,
            cwd,
            env: self.read_env(value)?,
            timeout,
            cancel: abort.token,
            stdout,
            stderr,
            max_output,
            observed: true,
            ..WorkerJob::default()
        };
        Ok(DirectJob {
            job,
            failure,
            listeners,
            ropes: [stdout_rope, stderr_rope],
            listener: abort.listener,
        })
    }

    /// How long it may take, and how much of its output the result may hold.
    pub(super) fn read_limits(&self, job: Value) -> Result<(Option<Duration>, Option<usize>)> {
        let js = self.state.js;
        let timeout = match self.caught(js.get_some(job, c"timeout"))? {
            Some(timeout) => js
                .as_number(timeout)
                .ok_or_else(|| Error::invalid("job.timeout", "a number of milliseconds"))?,
            None => 0.0,
        };
        let max_output = match self.caught(js.get_some(job, c"maxOutputBytes"))? {
            Some(max) => super::bytes(js.as_number(max).unwrap_or(f64::NAN))
                .map(Some)
                .ok_or_else(|| Error::invalid("job.maxOutputBytes", "a number of bytes"))?,
            None => None,
        };
        Ok((super::duration(timeout), max_output.filter(|max| *max < MAX_OUTPUT)))
    }

    pub(super) fn read_args(&self, job: Value) -> Result<Vec<String>> {
        let js = self.state.js;
        let Some(list) = self.caught(js.get_some(job, c"args"))? else { return Ok(Vec::new()) };
        if !js.is_array(list) {
            return Err(Error::invalid("job.args", "an array"));
        }
        let argument = |index| {
            let path = format!("job.args[{index}]");
            let value = self.caught(js.element(list, index))?;
            if !matches!(js.type_of(value), Type::String | Type::Number | Type::Boolean) {
                return Err(Error::invalid(path, "a string"));
            }
            let text = self.caught(js.to_text(value))?;
            without_nul(&text, &path).map(|()| text)
        };
        (0..self.caught(js.len(list))?).map(argument).collect()
    }

    fn read_env(&self, job: Value) -> Result<Vec<(String, Option<String>)>> {
        let js = self.state.js;
        let Some(object) = self.caught(js.get_some(job, c"env"))? else { return Ok(Vec::new()) };
        super::require_object(js, object, "job.env")?;
        let variables = self.caught(read_environment(js, object))?;
        for (name, value) in &variables {
            without_nul(name, "job.env")?;
            without_nul(value.as_deref().unwrap_or_default(), &format!("job.env['{name}']"))?;
        }
        Ok(variables)
    }

    /// Where a stream goes: to the callback, if there is one, and, when all of it is wanted, into a JavaScript string that
    /// shares the pieces which the callback gets.
    pub(super) fn target(
        self: &Rc<Self>,
        job: Value,
        name: &CStr,
        listeners: &Rc<Listeners>,
        whole: bool,
    ) -> Result<(OutputTarget, Option<Rc<JsRef>>)> {
        let js = self.state.js;
        let Some(function) = self.caught(js.get_some(job, name))? else {
            return Ok((OutputTarget::default(), None));
        };
        if js.type_of(function) != Type::Function {
            return Err(Error::invalid(
                format_args!("job.{}", name.to_string_lossy()),
                "a function",
            ));
        }
        let keep = |value| JsRef::new(&self.state, value);
        let rope = if whole {
            Some(Rc::new(self.caught(self.glue(c"rope", &[]).and_then(keep))?))
        } else {
            None
        };
        let (object, function) = (self.caught(keep(job))?, self.caught(keep(function))?);
        let (listeners, pieces) = (Rc::clone(listeners), rope.clone());
        let sink = JsSink::shared(&self.state, move |state, text| {
            if let Some(rope) = pieces.as_deref().map(JsRef::get) {
                // Adding to a string fails only when it gets too long; the reader sees to that.
                drop(state.js.get(rope, c"add").and_then(|add| state.js.call(rope, add, &[text])));
            }
            listeners.call(object.get(), function.get(), &[text]);
        });
        Ok((OutputTarget { sink: Some(sink), keep: rope.is_none() }, rope))
    }
}

/// The variables of an object such as `process.env`; undefined ones are to be unset.
pub(in super::super) fn read_environment(
    js: Js,
    object: Value,
) -> JsResult<Vec<(String, Option<String>)>> {
    let keys = js.keys(object)?;
    let length = js.len(keys)?;
    let mut variables = Vec::with_capacity(length as usize);
    for index in 0..length {
        let key = js.element(keys, index)?;
        let value = js.get_by(object, key)?;
        let text =
            if js.type_of(value) == Type::Undefined { None } else { Some(js.to_text(value)?) };
        variables.push((js.to_text(key)?, text));
    }
    Ok(variables)
}

/// No program can be given a text with a NUL in it.
fn without_nul(text: &str, path: &str) -> Result<()> {
    if text.contains('\0') {
        let text =
            format!("The argument '{path}' must be a string without null bytes. Received {text:?}");
        return Err(Error::InvalidInput(InvalidInput::bad_value(text)));
    }
    Ok(())
}
