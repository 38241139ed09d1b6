//! What all storages have in common: their methods, for the classes that are exported.

use std::{ffi::CStr, rc::Rc};

use napi::{Env, Unknown, bindgen_prelude::This};
use tokio_util::sync::CancellationToken;

use super::{
    super::{convert::chunk_id, realm::Realm, value::Value},
    answer, argument, constructing, string, thrown,
};
use crate::{
    Result,
    storage::{ArtifactStorage, Exclusions},
};

/// A storage, and the realm it was made in.
#[derive(Debug)]
pub(in super::super) struct Storage {
    pub(in super::super) core: Rc<dyn ArtifactStorage>,
    realm: Rc<Realm>,
}

impl Storage {
    /// The storage of an object that is being constructed with `options`.
    pub(super) fn constructing<T: ArtifactStorage + 'static>(
        env: Env,
        this: &This<'_>,
        class: &CStr,
        options: &Unknown<'_>,
        make: impl FnOnce(&Rc<Realm>, Value) -> Result<T>,
    ) -> napi::Result<Self> {
        let realm = constructing(env, this, class)?;
        match make(&realm, argument(options)) {
            Ok(core) => Ok(Self { core: Rc::new(core), realm }),
            Err(error) => Err(thrown(&realm, &error)),
        }
    }

    pub(super) fn upload_asset_bundle<'env>(
        &self,
        [job_id, dir]: [&Unknown<'env>; 2],
    ) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let (job_id, dir) = (string(realm, job_id, "jobId")?, string(realm, dir, "localDir")?);
            let core = Rc::clone(&self.core);
            let work = async move {
                core.upload_asset_bundle(
                    &job_id,
                    &dir,
                    &Exclusions::default(),
                    &CancellationToken::new(),
                )
                .await
            };
            Ok(realm.promise(work, |realm, url| Ok(realm.state.js.string(&url))))
        })
    }

    pub(super) fn download_asset_bundle<'env>(
        &self,
        arguments: [&Unknown<'env>; 3],
    ) -> Unknown<'env> {
        let names = ["jobId", "remoteUrl", "targetDir"];
        self.act(arguments, names, async |core, [job_id, url, dir]| {
            core.download_asset_bundle(&job_id, &url, &dir).await
        })
    }

    pub(super) fn delete_asset_bundle<'env>(
        &self,
        arguments: [&Unknown<'env>; 2],
    ) -> Unknown<'env> {
        self.act(arguments, ["jobId", "remoteUrl"], async |core, [job_id, url]| {
            core.delete_asset_bundle(&job_id, &url).await
        })
    }

    pub(super) fn upload_job_spec<'env>(
        &self,
        [job_id, spec]: [&Unknown<'env>; 2],
    ) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let job_id = string(realm, job_id, "jobId")?;
            let spec = realm.read_stored_spec(argument(spec))?;
            let core = Rc::clone(&self.core);
            let work = async move { core.upload_job_spec(&job_id, &spec).await };
            Ok(realm.promise(work, |realm, url| Ok(realm.state.js.string(&url))))
        })
    }

    pub(super) fn download_job_spec<'env>(
        &self,
        [job_id, url]: [&Unknown<'env>; 2],
    ) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let job_id = string(realm, job_id, "jobId")?;
            let url = string(realm, url, "remoteUrl")?;
            let core = Rc::clone(&self.core);
            let work = async move { core.download_job_spec(&job_id, &url).await?.json() };
            Ok(realm.promise(work, |realm, json| realm.parse(realm.state.js.string(&json))))
        })
    }

    pub(super) fn delete_job_spec<'env>(&self, arguments: [&Unknown<'env>; 2]) -> Unknown<'env> {
        self.act(arguments, ["jobId", "remoteUrl"], async |core, [job_id, url]| {
            core.delete_job_spec(&job_id, &url).await
        })
    }

    pub(super) fn upload_chunk_output<'env>(
        &self,
        [job_id, chunk, file]: [&Unknown<'env>; 3],
    ) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let (job_id, file) =
                (string(realm, job_id, "jobId")?, string(realm, file, "localFile")?);
            let chunk = chunk_id(realm, argument(chunk), "chunkId")?;
            let core = Rc::clone(&self.core);
            let work = async move { core.upload_chunk_output(&job_id, chunk, &file).await };
            Ok(realm.promise(work, |realm, url| Ok(realm.state.js.string(&url))))
        })
    }

    pub(super) fn download_chunk_output<'env>(
        &self,
        arguments: [&Unknown<'env>; 3],
    ) -> Unknown<'env> {
        let names = ["jobId", "remoteUrl", "localFile"];
        self.act(arguments, names, async |core, [job_id, url, file]| {
            core.download_chunk_output(&job_id, &url, &file).await
        })
    }

    pub(super) fn mark_cancelled<'env>(&self, [url, chunk]: [&Unknown<'env>; 2]) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let url = string(realm, url, "specUrl")?;
            let chunk = chunk_id(realm, argument(chunk), "chunkId")?;
            let core = Rc::clone(&self.core);
            Ok(realm.promise_of_nothing(async move { core.mark_cancelled(&url, chunk).await }))
        })
    }

    pub(super) fn cancel_mark<'env>(&self, [url, chunk]: [&Unknown<'env>; 2]) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let url = string(realm, url, "specUrl")?;
            let chunk = chunk_id(realm, argument(chunk), "chunkId")?;
            let core = Rc::clone(&self.core);
            let work = async move { core.cancel_mark(&url, chunk).await };
            Ok(realm.promise(work, |realm, mark: Option<String>| {
                let js = realm.state.js;
                Ok(mark.map_or_else(|| js.undefined(), |mark| js.string(&mark)))
            }))
        })
    }

    /// A method that takes strings and gives nothing.
    fn act<'env, const N: usize>(
        &self,
        arguments: [&Unknown<'env>; N],
        names: [&'static str; N],
        work: impl AsyncFnOnce(Rc<dyn ArtifactStorage>, [String; N]) -> Result<()> + 'static,
    ) -> Unknown<'env> {
        answer(&self.realm, |realm| {
            let mut texts = [const { String::new() }; N];
            for (text, (value, name)) in texts.iter_mut().zip(arguments.into_iter().zip(names)) {
                *text = string(realm, value, name)?;
            }
            let core = Rc::clone(&self.core);
            Ok(realm.promise_of_nothing(async move { work(core, texts).await }))
        })
    }
}
