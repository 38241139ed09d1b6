//! `RenderExecutor`.

use std::rc::Rc;

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::{
    super::{convert::chunk_id, realm::Realm},
    answer, argument, constructing, local_adapter, thrown,
};
use crate::{Error, worker::RenderExecutor as CoreRenderExecutor};

/// Runs single chunks of jobs in one folder: what a worker does with the part of a job that it was given.
#[napi]
#[derive(Debug)]
pub struct RenderExecutor {
    core: CoreRenderExecutor,
    realm: Rc<Realm>,
}

#[napi]
impl RenderExecutor {
    /// Makes an executor that runs commands in `workspaceDir`.
    #[napi(constructor, ts_args_type = "workspaceDir: string")]
    pub fn new(env: Env, this: This<'_>, workspace_dir: Unknown<'_>) -> napi::Result<Self> {
        let realm = constructing(env, &this, c"RenderExecutor")?;
        let folder = realm.state.js.as_string(argument(&workspace_dir));
        let folder =
            folder.ok_or_else(|| thrown(&realm, &Error::invalid("workspaceDir", "a string")))?;
        Ok(Self { core: CoreRenderExecutor::new(folder, Rc::new(local_adapter(&realm))), realm })
    }

    /// Runs the command of the chunk with the given id. Rejects with `Chunk with ID ${id} not found in job spec`, or when
    /// the command cannot be started; a command that ran and failed gives a result.
    #[napi(
        enumerable = false,
        ts_args_type = "jobSpec: JobSpec, chunkId: number",
        ts_return_type = "Promise<WorkerResult>"
    )]
    pub fn execute_chunk<'env>(
        &self,
        job_spec: Unknown<'env>,
        chunk: Unknown<'env>,
    ) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let job = realm.read_spec(argument(&job_spec), "jobSpec")?;
            let id = chunk_id(realm, argument(&chunk), "chunkId")?;
            let (core, of) = (self.core.clone(), Rc::clone(realm));
            let work = async move {
                let result = core.execute_chunk(&job, id).await?;
                of.result_value(&result).await
            };
            Ok(realm.promise(work, |_, result| Ok(result.get())))
        })
    }
}
