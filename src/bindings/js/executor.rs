//! Executors that callers pass in.

use std::{cell::RefCell, rc::Rc};

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::{
    super::{
        abort::AbortTwin,
        classes::JobExecutor,
        convert::{JsExecution, Signal, chunk_id},
        function::function,
        pristine::instance,
        realm::Realm,
        reference::JsRef,
        value::{Thrown, Value},
    },
    UserObject,
};
use crate::{
    Error, Result,
    model::JobSpec,
    orchestrator::{
        Executor, FailureSlot, JobExecutionOptions, JobExecutor as CoreJobExecutor, JobObserver,
    },
};

/// An executor of the caller's, or ours.
#[derive(Debug)]
pub(in super::super) struct UserExecutor {
    user: UserObject,
    native: Option<CoreJobExecutor>,
}

impl UserExecutor {
    /// The executor that `value` is.
    pub(in super::super) fn shared(realm: &Rc<Realm>, value: Value) -> Result<Rc<dyn Executor>> {
        let native =
            instance::<JobExecutor>(&realm.state, value).map(|executor| executor.core.clone());
        Ok(Rc::new(Self { user: UserObject::new(realm, value)?, native }))
    }

    /// Runs the job with the signal of its manager's run in the place of the owner's.
    async fn run(&self, job: Rc<JobSpec>, options: JobExecutionOptions) -> Result<()> {
        let execution =
            options.extensions.clone().and_then(|any| any.downcast::<JsExecution>().ok());
        let Some(execution) = execution else { return Err(Error::invalid("options", "an object")) };
        let realm = &self.user.realm;
        let twin = realm.caught(AbortTwin::new(realm, options.abort.token.clone()))?;
        // One for each run: a job that is resumed reads its options again.
        drop(execution.signal.set(Signal::Twin(twin)));
        match self.native.as_ref().filter(|_| self.user.is_pristine(c"JobExecutor")) {
            Some(native) => native.execute(job, options).await,
            None => self.call(&job, &options, &execution).await,
        }
    }

    async fn call(
        &self,
        job: &JobSpec,
        options: &JobExecutionOptions,
        execution: &JsExecution,
    ) -> Result<()> {
        let realm = &self.user.realm;
        let heard = options.observer.as_ref().map(|observer| {
            Rc::new(Heard {
                realm: Rc::clone(realm),
                observer: Rc::clone(observer),
                failure: options.failure.clone(),
                told: RefCell::default(),
            })
        });
        let object = self.options_value(options, execution, heard.as_ref())?;
        let work = self.user.start(c"execute", &[realm.spec_value(job)?, object], |_, _| Ok(()))?;
        let who = || "the executor did not end".to_owned();
        let result = self.user.within(who, work, &options.abort.token, options.kill_grace).await;
        if matches!(result, Err(Error::Abandoned)) {
            return result;
        }
        let told = heard.and_then(|heard| heard.told.take()).or_else(|| options.failure.take());
        result.and(told.map_or(Ok(()), Err))
    }

    /// The options that the caller's executor gets: those of the owner, with what the manager has to say.
    fn options_value(
        &self,
        options: &JobExecutionOptions,
        execution: &JsExecution,
        heard: Option<&Rc<Heard>>,
    ) -> Result<Value> {
        let (realm, js) = (&self.user.realm, self.user.realm.state.js);
        let more = realm.parse_json("{}")?;
        let set = |name, value| realm.caught(js.set(more, name, value));
        if let Some(heard) = heard {
            set(c"onProgress", self.on_progress(heard))?;
            set(c"onChunkComplete", self.on_chunk_complete(heard))?;
        }
        if let Some(signal) = execution.signal.get() {
            set(c"signal", signal.value(realm))?;
        }
        if let Some(url) = &options.job_def_url {
            let meta = execution.meta.as_ref().map_or_else(|| js.undefined(), JsRef::get);
            set(
                c"meta",
                realm.caught(
                    realm.glue(c"replace", &[meta, js.string("jobDefUrl"), js.string(url)]),
                )?,
            )?;
        }
        if !options.completed.is_empty() {
            let ids = options.completed.iter().map(|id| js.number(id.get()));
            set(c"completedChunkIds", realm.caught(realm.new_array(ids))?)?;
        }
        realm.caught(realm.glue(c"options", &[execution.options.get(), more]))
    }

    fn on_progress(&self, heard: &Rc<Heard>) -> Value {
        let (realm, heard) = (Rc::clone(&self.user.realm), Rc::clone(heard));
        function(&self.user.realm.state, move |state, arguments| {
            let [done, total] = [arguments[0], arguments[1]]
                .map(|count| state.js.as_number(count).unwrap_or_default());
            let heard = Rc::clone(&heard);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "saturates"
            )]
            let work = async move {
                let well = heard.observer.progress(done as usize, total as usize).await;
                heard.answer(well).await
            };
            Ok(realm.promise_of_nothing(work))
        })
    }

    fn on_chunk_complete(&self, heard: &Rc<Heard>) -> Value {
        let (realm, heard) = (Rc::clone(&self.user.realm), Rc::clone(heard));
        function(&self.user.realm.state, move |_, arguments| {
            let id = chunk_id(&realm, arguments[0], "chunkId")
                .map_err(|error| Thrown(realm.error_value(&error)))?;
            let result = realm.read_result(arguments[1], true)?;
            let heard = Rc::clone(&heard);
            let work = async move {
                let well = heard.observer.chunk_complete(id, &result).await;
                heard.answer(well).await
            };
            Ok(realm.promise_of_nothing(work))
        })
    }
}

/// What a caller's executor tells of the job.
struct Heard {
    realm: Rc<Realm>,
    observer: Rc<dyn JobObserver>,
    failure: FailureSlot,
    /// What its callbacks were rejected with. It fails the job, also where the executor does not mind.
    told: RefCell<Option<Error>>,
}

impl Heard {
    /// What the executor's callback comes to: it resolves when what it told is stored.
    async fn answer(&self, well: bool) -> Result<()> {
        if well {
            return self.observer.saved().await;
        }
        let Some(error) = self.failure.take() else { return Ok(()) };
        let same = self.realm.foreign(self.realm.error_value(&error));
        *self.told.borrow_mut() = Some(error);
        Err(same)
    }
}

impl Executor for UserExecutor {
    fn execute(
        &self,
        job: Rc<JobSpec>,
        options: JobExecutionOptions,
    ) -> LocalBoxFuture<'_, Result<()>> {
        self.run(job, options).boxed_local()
    }
}
