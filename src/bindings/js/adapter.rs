//! Worker adapters that callers pass in.

use std::{ffi::CStr, pin::pin, rc::Rc, time::Duration};

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::{
    super::{
        abort::AbortTwin,
        classes,
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
    Error, Result,
    adapters::WorkerAdapter,
    model::{WorkerJob, WorkerResult},
    orchestrator::Error as JobError,
    process::{self, KILL_GRACE},
};

/// An adapter of the caller's, or one of ours.
#[derive(Debug)]
pub(in super::super) struct UserWorkerAdapter {
    user: UserObject,
    native: Option<(&'static CStr, Rc<dyn WorkerAdapter>)>,
}

/// The adapter of ours that `value` is or inherits from, with its class.
fn native_adapter(state: &State, value: Value) -> Option<(&'static CStr, Rc<dyn WorkerAdapter>)> {
    if let Some(adapter) = instance::<classes::LocalWorkerAdapter>(state, value) {
        return Some((c"LocalWorkerAdapter", Rc::new(adapter.core.clone())));
    }
    macro_rules! services {
        ($($(#[$condition:meta])? $name:literal $class:ident),+ $(,)?) => {
            $(
                $(#[$condition])?
                if let Some(adapter) = instance::<classes::$class>(state, value) {
                    return Some(($name, Rc::clone(&adapter.service.core)));
                }
            )+
        };
    }
    services!(
        #[cfg(feature = "aws")]
        c"AwsLambdaAdapter" AwsLambdaAdapter,
        #[cfg(feature = "gcp")]
        c"CloudRunAdapter" CloudRunAdapter,
        #[cfg(feature = "http")]
        c"FlyMachinesAdapter" FlyMachinesAdapter,
        #[cfg(feature = "http")]
        c"HetznerCloudAdapter" HetznerCloudAdapter,
        #[cfg(feature = "http")]
        c"CloudflareSandboxAdapter" CloudflareSandboxAdapter,
        #[cfg(feature = "http")]
        c"AzureFunctionsAdapter" AzureFunctionsAdapter,
        #[cfg(feature = "http")]
        c"CloudflareWorkersAdapter" CloudflareWorkersAdapter,
        #[cfg(feature = "http")]
        c"DenoDeployAdapter" DenoDeployAdapter,
        #[cfg(feature = "http")]
        c"VercelAdapter" VercelAdapter,
        #[cfg(feature = "http")]
        c"ModalAdapter" ModalAdapter,
        c"DockerAdapter" DockerAdapter,
        #[cfg(feature = "kubernetes")]
        c"KubernetesAdapter" KubernetesAdapter,
    );
    None
}

impl UserWorkerAdapter {
    /// The adapter that `value` is.
    pub(in super::super) fn shared(
        realm: &Rc<Realm>,
        value: Value,
    ) -> Result<Rc<dyn WorkerAdapter>> {
        let native = native_adapter(&realm.state, value);
        Ok(Rc::new(Self { user: UserObject::new(realm, value)?, native }))
    }

    /// The adapter of ours that this is, if it behaves like one.
    fn native(&self) -> Option<&dyn WorkerAdapter> {
        let (class, native) = self.native.as_ref()?;
        self.user.is_pristine(class).then_some(&**native)
    }

    async fn call(&self, job: WorkerJob) -> Result<WorkerResult> {
        match job.timeout {
            Some(timeout) if job.chunk.is_some() => self.call_within(job, timeout).await,
            _ => self.call_and_wait(&job, None).await,
        }
    }

    /// Ends a chunk that takes longer than `timeout`, by a signal of its own. One that goes on nevertheless may not be
    /// tried again, as two attempts would run at once.
    async fn call_within(&self, mut job: WorkerJob, timeout: Duration) -> Result<WorkerResult> {
        let realm = &self.user.realm;
        job.cancel = job.cancel.child_token();
        let limit = realm.caught(AbortTwin::new(realm, job.cancel.clone()))?;
        let mut work = pin!(self.call_and_wait(&job, Some(&limit)));
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(timeout) => {}
        }
        let was_aborted = job.cancel.is_cancelled();
        job.cancel.cancel();
        match work.await {
            result if was_aborted => result,
            Err(Error::Abandoned) => {
                let grace = job.kill_grace.unwrap_or(KILL_GRACE);
                Err(JobError::ChunkLeftBehind { timeout, grace }.into())
            }
            // What came too late does not count.
            _ => Err(process::Error::TimedOut(timeout).into()),
        }
    }

    async fn call_and_wait(
        &self,
        job: &WorkerJob,
        limit: Option<&AbortTwin>,
    ) -> Result<WorkerResult> {
        let work = self.start(job, limit)?;
        let who = || match &job.chunk {
            Some(chunk) => format!("the adapter did not end chunk {}", chunk.id),
            None => "the adapter did not end the command".to_owned(),
        };
        let grace = job.kill_grace.unwrap_or(KILL_GRACE);
        self.user.within(who, work, &job.cancel, grace).await
    }

    /// Calls the caller's `execute`; gives what will come of it.
    fn start(
        &self,
        job: &WorkerJob,
        limit: Option<&AbortTwin>,
    ) -> Result<Settled<Result<WorkerResult>>> {
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
            let limit = limit.map(|limit| limit.signal.get());
            return realm.caught(realm.settle_with(read, |fulfilled, rejected| {
                let settle = [fulfilled, rejected];
                realm.run_chunk(adapter, context, chunk.index, &words, settle, limit)
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
        self.native().is_some_and(WorkerAdapter::ends_on_cancel)
    }

    fn runs_commands(&self) -> bool {
        // Also where somebody watches it, or has made something more of it.
        self.native.as_ref().is_none_or(|(_, native)| native.runs_commands())
    }

    fn is_local(&self) -> bool {
        self.native().is_some_and(WorkerAdapter::is_local)
    }
}
