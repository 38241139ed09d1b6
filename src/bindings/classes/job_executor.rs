//! `JobExecutor`.

use std::rc::Rc;

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::{
    super::{
        js::UserWorkerAdapter,
        realm::{Realm, RealmConsole},
    },
    answer, argument, constructing, local_adapter, thrown,
};
use crate::orchestrator::{Executor, JobExecutor as CoreJobExecutor};

/// Runs the chunks of one job on a worker adapter, some at a time, and joins them.
#[napi]
#[derive(Debug)]
pub struct JobExecutor {
    pub(in super::super) core: CoreJobExecutor,
    realm: Rc<Realm>,
}

#[napi]
impl JobExecutor {
    /// Makes an executor that runs chunks on `adapter`.
    #[napi(constructor, ts_args_type = "adapter: WorkerAdapter")]
    pub fn new(env: Env, this: This<'_>, adapter: Unknown<'_>) -> napi::Result<Self> {
        let realm = constructing(env, &this, c"JobExecutor")?;
        let adapter = UserWorkerAdapter::shared(&realm, argument(&adapter))
            .map_err(|error| thrown(&realm, &error))?;
        let core = CoreJobExecutor::new(adapter, Rc::new(RealmConsole(Rc::clone(&realm))))
            .with_local(Rc::new(local_adapter(&realm)));
        Ok(Self { core, realm })
    }

    /// Runs the chunks that are not in `options.completedChunkIds`, then the merge.
    ///
    /// Rejects with `Chunk ${id} failed after ${n} attempts: …` when a chunk fails for good, with an `AbortError` when
    /// `options.signal` aborts, with what a callback, the stitcher or the merge adapter throws, and with a `TypeError`
    /// that names the field when job or options are wrong. By then nothing of the job runs any more.
    #[napi(
        enumerable = false,
        ts_args_type = "job: JobSpec, options?: JobExecutionOptions",
        ts_return_type = "Promise<void>"
    )]
    pub fn execute<'env>(&self, job: Unknown<'env>, options: Unknown<'env>) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let job = Rc::new(realm.read_spec(argument(&job), "job")?);
            let options = realm.read_options(argument(&options), true)?;
            let core = self.core.clone();
            let work = async move { core.execute(job, options).await };
            Ok(realm.promise_of_nothing(work))
        })
    }
}
