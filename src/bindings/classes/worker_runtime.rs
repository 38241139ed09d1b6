//! `WorkerRuntime`.

use std::rc::Rc;

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::{
    super::{convert::chunk_id, js::RealmFetch, realm::Realm, value::Value},
    answer, argument, constructing, local_adapter, string, thrown,
};
use crate::{
    Error, Result,
    worker::{ChunkRun, Placement, WorkerRuntime as CoreWorkerRuntime},
};

/// Runs single chunks of jobs that are defined elsewhere: what a worker does with the part of a job that it was given.
#[napi]
#[derive(Debug)]
pub struct WorkerRuntime {
    core: Rc<CoreWorkerRuntime>,
    realm: Rc<Realm>,
}

#[napi]
impl WorkerRuntime {
    /// Makes a runtime that puts assets into `config.workspaceDir` and runs commands there. Throws a `TypeError` without
    /// one.
    #[napi(constructor, ts_args_type = "config: WorkerRuntimeConfig")]
    pub fn new(env: Env, this: This<'_>, config: Unknown<'_>) -> napi::Result<Self> {
        let realm = constructing(env, &this, c"WorkerRuntime")?;
        match make(&realm, argument(&config)) {
            Ok(core) => Ok(Self { core: Rc::new(core), realm }),
            Err(error) => Err(thrown(&realm, &error)),
        }
    }

    /// Runs the chunk with the given id of the job defined at `jobPath`: an `http(s)` URL, which is fetched, a URL of the
    /// storage (`s3://`, `gcs://`, `local://`), or a file. With `assetsUrl` the assets are brought first. What the
    /// command wrote to the chunk's `outputFile` is stored afterwards, if the storage keeps outputs, and is at `outputUrl`
    /// of the result; its output beside that as `<chunk>.log`.
    ///
    /// A command that ran and failed gives a result. Rejects with `Failed to fetch job spec: ${statusText}`, as Node does
    /// for a file that cannot be read, with `Invalid JobSpec: missing chunks array`, `Chunk with ID ${id} not found in job
    /// spec`, what the storage rejects with, and an `AbortError` when the chunk is marked as cancelled in the storage.
    #[napi(
        enumerable = false,
        ts_args_type = "jobPath: string, chunkId: number",
        ts_return_type = "Promise<WorkerResult>"
    )]
    pub fn run<'env>(&self, job_path: Unknown<'env>, chunk: Unknown<'env>) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let path = string(realm, &job_path, "jobPath")?;
            let run = ChunkRun::new(path, chunk_id(realm, argument(&chunk), "chunkId")?);
            let (core, of) = (Rc::clone(&self.core), Rc::clone(realm));
            let work = async move {
                let result = core.run(&run).await?;
                of.result_value(&result).await
            };
            Ok(realm.promise(work, |_, result| Ok(result.get())))
        })
    }
}

fn make(realm: &Rc<Realm>, config: Value) -> Result<CoreWorkerRuntime> {
    let config = realm.read_worker_config(config)?;
    let needed = || Error::invalid("config.workspaceDir", "a string");
    Ok(CoreWorkerRuntime::new(
        config.workspace.ok_or_else(needed)?,
        Placement::Workspace,
        config.storage,
        Rc::new(local_adapter(realm)),
        RealmFetch::plain(realm),
    ))
}
