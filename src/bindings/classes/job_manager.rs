//! `JobManager`.

use std::rc::Rc;

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::{
    super::{
        js::{UserExecutor, UserRepository, UserStorage},
        realm::{Realm, RealmConsole},
        reference::JsRef,
        state::{Spawner, yield_to_event_loop},
        value::Value,
    },
    answer, argument, constructing, string, thrown,
};
use crate::{Error, Result, orchestrator::JobManager as CoreJobManager};

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
        ts_args_type = "repository: JobRepository, executor: JobExecutor, storage?: ArtifactStorage, options?: JobManagerOptions"
    )]
    pub fn new(
        env: Env,
        this: This<'_>,
        repository: Unknown<'_>,
        executor: Unknown<'_>,
        storage: Unknown<'_>,
        options: Unknown<'_>,
    ) -> napi::Result<Self> {
        let realm = constructing(env, &this, c"JobManager")?;
        let arguments = [&repository, &executor, &storage, &options].map(argument);
        Self::make(&realm, arguments).map_err(|error| thrown(&realm, &error))
    }

    fn make(
        realm: &Rc<Realm>,
        [repository, executor, storage, options]: [Value; 4],
    ) -> Result<Self> {
        let repository = UserRepository::shared(realm, repository)?;
        let executor = UserExecutor::shared(realm, executor)?;
        let storage = if realm.state.js.is_nothing(storage) {
            None
        } else {
            Some(UserStorage::shared(realm, storage)?)
        };
        let console = Rc::new(RealmConsole(Rc::clone(realm)));
        let spawner = Rc::new(Spawner(Rc::clone(&realm.state)));
        let options = realm.read_manager_options(options)?;
        let shared = Rc::clone(&repository) as _;
        let core = CoreJobManager::new(shared, executor, storage, console, spawner, options);
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
            let mut options = realm.read_options(argument(&options), false)?;
            let core = self.core.clone();
            if core.records_options() {
                options.recorded = realm.recorded_options(&options)?;
            }
            let state = Rc::clone(&realm.state);
            let work = async move {
                // At once: a close that is called after this waits for the job.
                let admission = core.admit().await?;
                if state.turn.is_overdue() {
                    // A job of thousands of chunks takes milliseconds to read, and as long to write.
                    yield_to_event_loop(&state).await;
                }
                admission.submit_job(spec, options).await
            };
            Ok(realm.promise(work, |realm, id| Ok(realm.state.js.string(&id))))
        })
    }

    /// The record of a job, or undefined. With a `FileJobRepository` it holds all that was reported of a running job. Rejects
    /// as the repository does.
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

    /// The records of all jobs, in the order of the repository. Rejects as that does.
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

    /// Goes on with a job that is paused, failed or cancelled; does nothing for any other. Chunks that are done are not
    /// rendered again, unless their file has vanished or changed since; where none is left, it goes on with the merge. The
    /// options are those of `submitJob`, each replaced where `options` has another. In another process those count that a
    /// `FileJobRepository` has kept: all but callbacks, `signal`, functions, `stitcher`, `mergeAdapter` and `storage`. Rejects
    /// with a `TypeError` when the job had one of the last three and `options` has none.
    #[napi(
        enumerable = false,
        ts_args_type = "id: string, options?: JobExecutionOptions",
        ts_return_type = "Promise<void>"
    )]
    pub fn resume_job<'env>(&self, id: Unknown<'env>, options: Unknown<'env>) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let id = string(realm, &id, "id")?;
            let fresh = fresh_options(realm, argument(&options))?;
            let (core, of) = (self.core.clone(), Rc::clone(realm));
            let work = async move {
                core.resume_job(&id, |stored| of.resumed_options(&stored, &fresh)).await
            };
            Ok(realm.promise_of_nothing(work))
        })
    }

    /// Goes on with all jobs that are `pending` or `running` in their records although nobody runs them, as after a crash, and
    /// gives their ids. What the dead process has left running is ended first. The options of each are those that a
    /// `FileJobRepository` has kept, as with `resumeJob`, each replaced where `options` has another. A job for which they do
    /// not suffice stays as it is, and is named with `console.error`. Jobs that another manager runs, also in another process,
    /// are left alone where the repository is a `FileJobRepository`; in any other, this must be the only manager.
    #[napi(
        enumerable = false,
        ts_args_type = "options?: JobExecutionOptions",
        ts_return_type = "Promise<Array<string>>"
    )]
    pub fn recover<'env>(&self, options: Unknown<'env>) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let fresh = fresh_options(realm, argument(&options))?;
            let (core, of) = (self.core.clone(), Rc::clone(realm));
            let work =
                async move { core.recover(|_, stored| of.resumed_options(&stored, &fresh)).await };
            Ok(realm.promise(work, |realm, ids| {
                let js = realm.state.js;
                realm.new_array(ids.iter().map(|id| js.string(id)))
            }))
        })
    }

    /// Waits until a job is `completed`, `failed` or `cancelled`, through its pauses, and gives its record; also when it runs
    /// in another process, which is looked at every 100 ms. Gives undefined when there is no such job, and the record
    /// as it is when this manager is closed. Rejects with an `AbortError` when `signal` aborts, and when the end of the job
    /// could not be stored.
    #[napi(
        enumerable = false,
        ts_args_type = "id: string, options?: { signal?: AbortSignal }",
        ts_return_type = "Promise<JobStatus | undefined>"
    )]
    pub fn wait_for_job<'env>(&self, id: Unknown<'env>, options: Unknown<'env>) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let id = string(realm, &id, "id")?;
            let abort = realm.read_abort(argument(&options))?;
            let (core, repository) = (self.core.clone(), Rc::clone(&self.repository));
            let of = Rc::clone(realm);
            let work = async move {
                if abort.is_aborted() {
                    return Err(Error::Aborted);
                }
                core.wait_for_job(&id, &abort.token).await?;
                repository.ask(c"get", &[of.state.js.string(&id)])?.await
            };
            Ok(realm.promise(work, |_, record| Ok(record.get())))
        })
    }

    /// Takes no more jobs, pauses those that run, and resolves when their records say so and nothing of them runs any more:
    /// what a handler of SIGTERM calls. `submitJob`, `resumeJob` and `recover` reject from now on.
    #[napi(enumerable = false, ts_return_type = "Promise<void>")]
    pub fn close<'env>(&self) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let core = self.core.clone();
            Ok(realm.promise_of_nothing(async move { core.close().await }))
        })
    }

    /// Cancels a job, removes what was uploaded for it and deletes its record. What the storage cannot remove is named with
    /// `console.error`. Rejects when the record cannot be deleted.
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

/// Options that will replace others. Wrong ones are refused before anything is looked up.
fn fresh_options(realm: &Rc<Realm>, options: Value) -> Result<JsRef> {
    realm.read_options(options, false)?;
    realm.caught(JsRef::new(&realm.state, options))
}
