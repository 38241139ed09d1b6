//! `JobManager`.

use std::rc::Rc;

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::{
    super::{
        convert::JsExecution,
        js::{UserExecutor, UserRepository, UserStorage},
        realm::{Realm, RealmConsole},
        reference::JsRef,
        state::{Spawner, yield_to_event_loop},
        value::Value,
    },
    answer, argument, constructing, string, thrown,
};
use crate::{
    Result,
    orchestrator::{JobExecutionOptions, JobManager as CoreJobManager},
};

/// Runs jobs in the background and keeps their records in a repository.
///
/// All changes of one job go through one queue: no update is lost, and what the owner asked for last is what the
/// record says in the end.
#[napi]
#[derive(Debug)]
pub struct JobManager {
    core: CoreJobManager,
    repository: Rc<UserRepository>,
    realm: Rc<Realm>,
}

#[napi]
impl JobManager {
    /// Makes a manager of the jobs in `repository`, which are run by `executor`. With `storage`, a job that has a
    /// `jobDir` has its assets and its definition uploaded before it runs.
    #[napi(
        constructor,
        ts_args_type = "repository: JobRepository, executor: JobExecutor, storage?: ArtifactStorage"
    )]
    pub fn new(
        env: Env,
        this: This<'_>,
        repository: Unknown<'_>,
        executor: Unknown<'_>,
        storage: Unknown<'_>,
    ) -> napi::Result<Self> {
        let realm = constructing(env, &this, c"JobManager")?;
        Self::make(&realm, argument(&repository), argument(&executor), argument(&storage))
            .map_err(|error| thrown(&realm, &error))
    }

    fn make(realm: &Rc<Realm>, repository: Value, executor: Value, storage: Value) -> Result<Self> {
        let repository = UserRepository::shared(realm, repository)?;
        let executor = UserExecutor::shared(realm, executor)?;
        let storage = if realm.state.js.is_nothing(storage) {
            None
        } else {
            Some(UserStorage::shared(realm, storage)?)
        };
        let console = Rc::new(RealmConsole(Rc::clone(realm)));
        let spawner = Rc::new(Spawner(Rc::clone(&realm.state)));
        let core =
            CoreJobManager::new(Rc::clone(&repository) as _, executor, storage, console, spawner);
        Ok(Self { core, repository, realm: Rc::clone(realm) })
    }

    /// Stores a job, starts it in the background and gives its id: a random UUID. Rejects when the first record cannot
    /// be stored; what goes wrong later is in the record. The job keeps Node running until it ends.
    #[napi(
        enumerable = false,
        ts_args_type = "jobSpec: JobSpec, options?: JobExecutionOptions",
        ts_return_type = "Promise<string>"
    )]
    pub fn submit_job<'env>(
        &self,
        job_spec: Unknown<'env>,
        options: Unknown<'env>,
    ) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let spec = realm.read_spec(argument(&job_spec), "jobSpec")?;
            let options = realm.read_options(argument(&options), false)?;
            let core = self.core.clone();
            let state = Rc::clone(&realm.state);
            let work = async move {
                if state.turn.is_overdue() {
                    // A job of thousands of chunks takes milliseconds to read, and as long to write.
                    yield_to_event_loop(&state).await;
                }
                core.submit_job(spec, options).await
            };
            Ok(realm.promise(work, |realm, id| Ok(realm.state.js.string(&id))))
        })
    }

    /// The record of a job, or undefined. While the job runs it may be behind, by 100 ms for small
    /// jobs and by ten times as long as a save takes for large ones.
    #[napi(
        enumerable = false,
        ts_args_type = "id: string",
        ts_return_type = "Promise<JobStatus | undefined>"
    )]
    pub fn get_job<'env>(&self, id: Unknown<'env>) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let record = self.repository.ask(c"get", &[argument(&id)])?;
            Ok(realm.promise(record, |_, record| Ok(record.get())))
        })
    }

    /// The records of all jobs.
    #[napi(enumerable = false, ts_return_type = "Promise<Array<JobStatus>>")]
    pub fn list_jobs<'env>(&self) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let records = self.repository.ask(c"list", &[])?;
            Ok(realm.promise(records, |_, records| Ok(records.get())))
        })
    }

    /// Cancels a job that is pending, running or paused; does nothing for any other. When the promise resolves nothing
    /// of the job runs any more and its record says `cancelled`.
    #[napi(enumerable = false, ts_args_type = "id: string", ts_return_type = "Promise<void>")]
    pub fn cancel_job<'env>(&self, id: Unknown<'env>) -> Unknown<'env> {
        self.control(&id, async |core, id| core.cancel_job(&id).await)
    }

    /// Stops a running job so that it can be resumed; does nothing for any other. When the promise resolves nothing of
    /// the job runs any more and its record says `paused`.
    #[napi(enumerable = false, ts_args_type = "id: string", ts_return_type = "Promise<void>")]
    pub fn pause_job<'env>(&self, id: Unknown<'env>) -> Unknown<'env> {
        self.control(&id, async |core, id| core.pause_job(&id).await)
    }

    /// Goes on with a paused job; does nothing for any other. Chunks that are done are not rendered again, unless their
    /// file has vanished or changed since. The options are those of `submitJob`, each replaced where `options` has
    /// another.
    #[napi(
        enumerable = false,
        ts_args_type = "id: string, options?: JobExecutionOptions",
        ts_return_type = "Promise<void>"
    )]
    pub fn resume_job<'env>(&self, id: Unknown<'env>, options: Unknown<'env>) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let id = string(realm, &id, "id")?;
            let fresh = resumable(realm, argument(&options))?;
            let core = self.core.clone();
            let work = async move { core.resume_job(&id, fresh).await };
            Ok(realm.promise_of_nothing(work))
        })
    }

    /// Cancels a job, removes what was uploaded for it and deletes its record.
    #[napi(enumerable = false, ts_args_type = "id: string", ts_return_type = "Promise<void>")]
    pub fn delete_job<'env>(&self, id: Unknown<'env>) -> Unknown<'env> {
        self.control(&id, async |core, id| core.delete_job(&id).await)
    }

    fn control<'env>(
        &self,
        id: &Unknown<'env>,
        work: impl AsyncFnOnce(CoreJobManager, String) -> Result<()> + 'static,
    ) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let id = string(realm, id, "id")?;
            let core = self.core.clone();
            let work = async move { work(core, id).await };
            Ok(realm.promise_of_nothing(work))
        })
    }
}

/// The options of a job that goes on: those it was submitted with, each replaced where `fresh` has another.
fn resumable(
    realm: &Rc<Realm>,
    fresh: Value,
) -> Result<impl FnOnce(Option<JobExecutionOptions>) -> Result<JobExecutionOptions> + use<>> {
    // Wrong options are refused before anything is looked up.
    realm.read_options(fresh, false)?;
    let (realm, fresh) = (Rc::clone(realm), realm.caught(JsRef::new(&realm.state, fresh))?);
    Ok(move |known: Option<JobExecutionOptions>| {
        let known = known.and_then(|options| options.extensions?.downcast::<JsExecution>().ok());
        let old =
            known.map_or_else(|| realm.state.js.undefined(), |execution| execution.options.get());
        let options = realm.caught(realm.glue(c"options", &[old, fresh.get()]))?;
        realm.read_options(options, false)
    })
}
