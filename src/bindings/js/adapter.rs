//! Worker adapters that callers pass in.

use std::rc::Rc;

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::{
    super::{
        classes::LocalWorkerAdapter,
        convert::JsExecution,
        function::function,
        pristine::instance,
        realm::{Realm, RealmConsole},
        value::Value,
    },
    UserObject,
};
use crate::{
    Error, Result,
    adapters::{LocalWorkerAdapter as CoreLocalWorkerAdapter, WorkerAdapter},
    console::Console,
    model::{JobChunk, WorkerJob, WorkerResult},
    orchestrator::OutputStream,
    process::KILL_GRACE,
    task,
};

/// An adapter of the caller's, or one of ours.
#[derive(Debug)]
pub(in super::super) struct UserWorkerAdapter {
    user: UserObject,
    native: Option<CoreLocalWorkerAdapter>,
}

impl UserWorkerAdapter {
    /// The adapter that `value` is.
    pub(in super::super) fn shared(
        realm: &Rc<Realm>,
        value: Value,
    ) -> Result<Rc<dyn WorkerAdapter>> {
        let native =
            instance::<LocalWorkerAdapter>(&realm.state, value).map(|adapter| adapter.core.clone());
        Ok(Rc::new(Self { user: UserObject::new(realm, value)?, native }))
    }

    fn native(&self) -> Option<&CoreLocalWorkerAdapter> {
        self.native.as_ref().filter(|_| self.user.is_pristine(c"LocalWorkerAdapter"))
    }

    async fn call(&self, job: WorkerJob) -> Result<WorkerResult> {
        let realm = &self.user.realm;
        let observed = job.observed;
        let object = self.job_value(&job)?;
        let work = self.user.start(c"execute", &[object], move |realm, result| {
            realm.read_result(result, observed)
        })?;
        let grace = job.kill_grace.unwrap_or(KILL_GRACE);
        if let Some(result) = task::bounded(work, &job.cancel, grace).await {
            return result;
        }
        let what = job
            .chunk
            .map_or_else(|| "the command".to_owned(), |chunk| format!("chunk {}", chunk.id));
        RealmConsole(Rc::clone(realm)).warn(&format!(
            "Warning: the adapter did not end {what} within {}ms of the abort; its result will be ignored.",
            grace.as_millis()
        ));
        Err(Error::Abandoned)
    }

    /// The object that the caller's adapter gets.
    fn job_value(&self, job: &WorkerJob) -> Result<Value> {
        let (realm, js) = (&self.user.realm, self.user.realm.state.js);
        let command = js.string(&job.command);
        let args = realm.caught(js.array(job.args.iter().map(|argument| js.string(argument))))?;
        let Some(execution) =
            job.extensions.as_ref().and_then(|any| any.downcast_ref::<JsExecution>())
        else {
            return realm.caught(realm.glue(c"plainCommand", &[command, args]));
        };
        let cwd = job.cwd.as_deref().map_or_else(|| js.undefined(), |cwd| js.string(cwd));
        let env = realm.caught(realm.environment())?;
        let signal =
            execution.signal.get().map_or_else(|| js.undefined(), |signal| signal.value(realm));
        let Some(chunk) = &job.chunk else {
            return realm.caught(realm.glue(c"command", &[command, args, cwd, env, signal]));
        };
        let chunks = execution.chunks(realm, &chunk.spec)?;
        let object = u32::try_from(chunk.index)
            .map_or_else(|_| Ok(js.undefined()), |index| js.element(chunks, index));
        let meta = execution.meta.as_ref().map_or_else(|| js.undefined(), |meta| meta.get());
        let url = job.job_def_url.as_deref().map_or_else(|| js.undefined(), |url| js.string(url));
        let stdout = self.listener(execution, chunk, OutputStream::Stdout)?;
        let stderr = self.listener(execution, chunk, OutputStream::Stderr)?;
        let object = realm.caught(object)?;
        realm.caught(
            realm.glue(
                c"job",
                &[command, args, cwd, env, object, meta, url, signal, stdout, stderr],
            ),
        )
    }

    /// The function for the output of a chunk, or undefined when nobody wants to hear it.
    fn listener(
        &self,
        execution: &JsExecution,
        chunk: &JobChunk,
        stream: OutputStream,
    ) -> Result<Value> {
        let (realm, js) = (&self.user.realm, self.user.realm.state.js);
        let Some(listener) = execution.callbacks.output_listener(chunk.id, stream) else {
            return Ok(js.undefined());
        };
        realm.caught(function(&realm.state, move |state, arguments| {
            listener(arguments[0]);
            Ok(state.js.undefined())
        }))
    }
}

impl WorkerAdapter for UserWorkerAdapter {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        match self.native() {
            Some(native) => native.execute(job),
            None => self.call(job).boxed_local(),
        }
    }

    fn ends_on_cancel(&self) -> bool {
        self.native().is_some()
    }

    fn is_local(&self) -> bool {
        self.native().is_some()
    }
}
