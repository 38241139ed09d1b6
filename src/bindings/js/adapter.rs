//! Worker adapters that callers pass in.

use std::rc::Rc;

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::{
    super::{
        classes::LocalWorkerAdapter,
        convert::JsExecution,
        pristine::instance,
        promise::Settled,
        realm::Realm,
        state::State,
        value::{Thrown, Value},
    },
    UserObject,
};
use crate::{
    Result,
    adapters::{LocalWorkerAdapter as CoreLocalWorkerAdapter, WorkerAdapter},
    model::{WorkerJob, WorkerResult},
    process::KILL_GRACE,
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
        let work = self.start(&job)?;
        let who = || match &job.chunk {
            Some(chunk) => format!("the adapter did not end chunk {}", chunk.id),
            None => "the adapter did not end the command".to_owned(),
        };
        let grace = job.kill_grace.unwrap_or(KILL_GRACE);
        self.user.within(who, work, &job.cancel, grace).await
    }

    /// Calls the caller's `execute`; gives what will come of it.
    fn start(&self, job: &WorkerJob) -> Result<Settled<Result<WorkerResult>>> {
        let (realm, js, observed) = (&self.user.realm, self.user.realm.state.js, job.observed);
        let reader = Rc::clone(realm);
        let read = move |_: &State, outcome: std::result::Result<Value, Value>| {
            let read =
                outcome.map_err(Thrown).and_then(|result| reader.read_result(result, observed));
            reader.caught(read)
        };
        let execution = job.extensions.as_ref().and_then(|any| any.downcast_ref::<JsExecution>());
        if let (Some(execution), Some(chunk)) = (execution, &job.chunk) {
            let context = execution.context(realm, job, &chunk.spec)?;
            let mut words = vec![job.command.as_str()];
            words.extend(job.args.iter().map(String::as_str));
            let adapter = self.user.object.get();
            return realm.caught(realm.settle_with(read, |fulfilled, rejected| {
                realm.run_chunk(adapter, context, chunk.index, &words, [fulfilled, rejected])
            }));
        }
        let command = js.string(&job.command);
        let args =
            realm.caught(realm.new_array(job.args.iter().map(|argument| js.string(argument))))?;
        let object = match execution {
            // The merge of a job.
            Some(execution) => {
                let cwd = job.cwd.as_deref().map_or_else(|| js.undefined(), |cwd| js.string(cwd));
                let signal = execution.signal_value(realm);
                realm.glue(c"command", &[command, args, cwd, signal])
            }
            // A command of ours, such as the stitcher's.
            None => realm.glue(c"plainCommand", &[command, args]),
        };
        let answer = self.user.call(c"execute", &[realm.caught(object)?])?;
        realm.caught(realm.settle(answer, read))
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
