//! `LocalWorkerAdapter`.

use std::rc::Rc;

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;
use tokio::time::{Instant, timeout_at};

use super::{
    super::{
        convert::DirectJob,
        realm::Realm,
        reference::JsRef,
        text::JsText,
        value::{Thrown, Value},
    },
    answer, argument, constructing, local_adapter,
};
use crate::{
    Error, Result,
    adapters::{LocalWorkerAdapter as CoreLocalWorkerAdapter, WorkerAdapter},
    process::MAX_LOG,
};

/// Runs commands as child processes on this machine, each in a process group of its own, without a shell.
///
/// Standard input is empty. What the child leaves running when it succeeds is left alone; output still counts for
/// 250 ms after its end.
#[napi]
#[derive(Debug)]
pub struct LocalWorkerAdapter {
    pub(in super::super) core: CoreLocalWorkerAdapter,
    realm: Rc<Realm>,
}

#[napi]
impl LocalWorkerAdapter {
    /// Makes an adapter whose children inherit `process.env` as it is when each of them starts.
    #[napi(constructor)]
    pub fn new(env: Env, this: This<'_>) -> napi::Result<Self> {
        let realm = constructing(env, &this, c"LocalWorkerAdapter")?;
        Ok(Self { core: local_adapter(&realm), realm })
    }

    /// Runs one command and gives its exit code (-1 when a signal ended it) and output.
    ///
    /// Rejects with `Worker job timed out after ${ms}ms` after `job.timeout`, with `Job was aborted` when `job.signal`
    /// aborts — in both cases when the whole process group is gone, after SIGTERM and, 5 s later, SIGKILL — and as
    /// Node's `spawn` does when the command cannot be started.
    #[napi(
        enumerable = false,
        ts_args_type = "job: WorkerJob",
        ts_return_type = "Promise<WorkerResult>"
    )]
    pub fn execute<'env>(&self, job: Unknown<'env>) -> Unknown<'env> {
        answer(&self.realm, |realm| execute(realm, &self.core, argument(&job)))
    }
}

fn execute(realm: &Rc<Realm>, adapter: &CoreLocalWorkerAdapter, job: Value) -> Result<Value> {
    let DirectJob { job, failure, listeners, ropes, listener } =
        realm.read_worker_job(job, true)?;
    let adapter = adapter.clone();
    let (cancel, timeout, heard) = (job.cancel.clone(), job.timeout, Rc::clone(realm));
    let work = async move {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let outcome = adapter.execute(job).await;
        if outcome.is_ok() {
            // What callbacks returned is waited for no longer than the command itself would have been.
            let settled = cancel.run_until_cancelled(listeners.settle());
            match deadline {
                Some(deadline) => drop(timeout_at(deadline, settled).await),
                None => drop(settled.await),
            }
        }
        drop(listener);
        if let Some(error) = failure.take() {
            return Err(error);
        }
        let result = outcome.map_err(|error| with_heard(&heard, error, &ropes))?;
        let stdout = JsText::prepared(result.stdout.clone()).await;
        let stderr = JsText::prepared(result.stderr.clone()).await;
        Ok((result, [stdout, stderr], ropes))
    };
    Ok(realm.promise(work, |realm, (result, texts, ropes)| {
        let js = realm.state.js;
        let mut output = texts.into_iter().zip(ropes).map(|(text, rope)| match rope {
            // What a callback has heard is put together in JavaScript already.
            Some(rope) => {
                js.get(rope.get(), c"text").and_then(|text| js.call(rope.get(), text, &[]))
            }
            None => text.into_value(js).map_err(|error| Thrown(realm.error_value(&error))),
        });
        let (stdout, stderr) = (output.next(), output.next());
        let nothing = || Ok(js.undefined());
        realm.new_result(&result, stdout.unwrap_or_else(nothing)?, stderr.unwrap_or_else(nothing)?)
    }))
}

/// Adds what callbacks have heard to what is known of a command that failed.
fn with_heard(realm: &Realm, error: Error, ropes: &[Option<Rc<JsRef>>; 2]) -> Error {
    let js = realm.state.js;
    let Error::Process(mut failure) = error else { return error };
    if let Some(report) = &mut failure.report {
        for (rope, text) in ropes.iter().zip([&mut report.stdout, &mut report.stderr]) {
            let Some(rope) = rope.as_deref().map(JsRef::get) else { continue };
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let max = js.number(MAX_LOG as f64);
            let ends = js.get(rope, c"ends").and_then(|ends| js.call(rope, ends, &[max]));
            // Functions of ours do not throw.
            *text = ends.and_then(|ends| js.to_text(ends)).unwrap_or_default().into();
        }
    }
    Error::Process(failure)
}
