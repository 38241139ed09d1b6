//! `LocalStorageAdapter`.

use napi::{Env, Unknown, bindgen_prelude::This};
use napi_derive::napi;

use super::storage::Storage;
use crate::{Error, storage::LocalStorageAdapter as CoreLocalStorageAdapter};

/// Keeps what workers need in a folder that all of them can reach, such as a network share.
///
/// URLs are `local://` and a path below `storageDir`. Ids may have folders in them (`logs/a`) and never lead out of it; nor
/// do URLs. Files are copied 16 at a time, by the file system's own means where it has some, and appear when they are
/// whole. Links are followed inside of a bundle.
#[napi]
#[derive(Debug)]
pub struct LocalStorageAdapter {
    pub(in super::super) storage: Storage,
}

#[napi]
impl LocalStorageAdapter {
    /// Makes a storage in `options.storageDir`, which is made when something is stored.
    #[napi(constructor, ts_args_type = "options: LocalStorageAdapterOptions")]
    pub fn new(env: Env, this: This<'_>, options: Unknown<'_>) -> napi::Result<Self> {
        let class = c"LocalStorageAdapter";
        let storage = Storage::constructing(env, &this, class, &options, |realm, options| {
            let js = realm.state.js;
            if !js.is_object(options) {
                return Err(Error::invalid("options", "an object"));
            }
            let folder = realm.caught(js.get(options, c"storageDir"))?;
            let folder = js.as_string(folder);
            let folder = folder.ok_or_else(|| Error::invalid("options.storageDir", "a string"))?;
            Ok(CoreLocalStorageAdapter::new(folder))
        })?;
        Ok(Self { storage })
    }

    /// Copies a folder into the one of the job, which may hold files already; gives its URL. Rejects with
    /// `Local directory ${dir} does not exist`, or when a link leads out of the folder or something in it is no file.
    #[napi(
        enumerable = false,
        ts_args_type = "jobId: string, localDir: string",
        ts_return_type = "Promise<string>"
    )]
    pub fn upload_asset_bundle<'env>(
        &self,
        job_id: Unknown<'env>,
        local_dir: Unknown<'env>,
    ) -> Unknown<'env> {
        self.storage.upload_asset_bundle([&job_id, &local_dir])
    }

    /// Copies what `uploadAssetBundle` stored into a folder, which is made. Rejects with
    /// `Remote directory ${dir} does not exist`, and then leaves no files that it brought.
    #[napi(
        enumerable = false,
        ts_args_type = "jobId: string, remoteUrl: string, targetDir: string",
        ts_return_type = "Promise<void>"
    )]
    pub fn download_asset_bundle<'env>(
        &self,
        job_id: Unknown<'env>,
        remote_url: Unknown<'env>,
        target_dir: Unknown<'env>,
    ) -> Unknown<'env> {
        self.storage.download_asset_bundle([&job_id, &remote_url, &target_dir])
    }

    /// Removes the folder of a job, if it is there.
    #[napi(
        enumerable = false,
        ts_args_type = "jobId: string, remoteUrl: string",
        ts_return_type = "Promise<void>"
    )]
    pub fn delete_asset_bundle<'env>(
        &self,
        job_id: Unknown<'env>,
        remote_url: Unknown<'env>,
    ) -> Unknown<'env> {
        self.storage.delete_asset_bundle([&job_id, &remote_url])
    }

    /// Writes the definition of a job to `job.json` in its folder, or to `${jobId}.job.json` beside it where the bundle has
    /// a file of that name itself; gives its URL.
    #[napi(
        enumerable = false,
        ts_args_type = "jobId: string, spec: JobSpec",
        ts_return_type = "Promise<string>"
    )]
    pub fn upload_job_spec<'env>(
        &self,
        job_id: Unknown<'env>,
        spec: Unknown<'env>,
    ) -> Unknown<'env> {
        self.storage.upload_job_spec([&job_id, &spec])
    }

    /// Reads what `uploadJobSpec` stored.
    #[napi(
        enumerable = false,
        ts_args_type = "jobId: string, remoteUrl: string",
        ts_return_type = "Promise<JobSpec>"
    )]
    pub fn download_job_spec<'env>(
        &self,
        job_id: Unknown<'env>,
        remote_url: Unknown<'env>,
    ) -> Unknown<'env> {
        self.storage.download_job_spec([&job_id, &remote_url])
    }

    /// Removes what `uploadJobSpec` stored, if it is there.
    #[napi(
        enumerable = false,
        ts_args_type = "jobId: string, remoteUrl: string",
        ts_return_type = "Promise<void>"
    )]
    pub fn delete_job_spec<'env>(
        &self,
        job_id: Unknown<'env>,
        remote_url: Unknown<'env>,
    ) -> Unknown<'env> {
        self.storage.delete_job_spec([&job_id, &remote_url])
    }

    /// Stores the file of a chunk; gives its URL.
    #[napi(
        enumerable = false,
        ts_args_type = "jobId: string, chunkId: number, localFile: string",
        ts_return_type = "Promise<string>"
    )]
    pub fn upload_chunk_output<'env>(
        &self,
        job_id: Unknown<'env>,
        chunk_id: Unknown<'env>,
        local_file: Unknown<'env>,
    ) -> Unknown<'env> {
        self.storage.upload_chunk_output([&job_id, &chunk_id, &local_file])
    }

    /// Brings the file of a chunk to a path, whose folder is made.
    #[napi(
        enumerable = false,
        ts_args_type = "jobId: string, remoteUrl: string, localFile: string",
        ts_return_type = "Promise<void>"
    )]
    pub fn download_chunk_output<'env>(
        &self,
        job_id: Unknown<'env>,
        remote_url: Unknown<'env>,
        local_file: Unknown<'env>,
    ) -> Unknown<'env> {
        self.storage.download_chunk_output([&job_id, &remote_url, &local_file])
    }

    /// Tells the workers that render a chunk of the job defined at `specUrl` to stop. The mark goes with the definition.
    #[napi(
        enumerable = false,
        ts_args_type = "specUrl: string, chunkId: number",
        ts_return_type = "Promise<void>"
    )]
    pub fn mark_cancelled<'env>(
        &self,
        spec_url: Unknown<'env>,
        chunk_id: Unknown<'env>,
    ) -> Unknown<'env> {
        self.storage.mark_cancelled([&spec_url, &chunk_id])
    }

    /// The mark that `markCancelled` left last, if there is one; each is different. `'deleted'` where there is no definition.
    #[napi(
        enumerable = false,
        ts_args_type = "specUrl: string, chunkId: number",
        ts_return_type = "Promise<string | undefined>"
    )]
    pub fn cancel_mark<'env>(
        &self,
        spec_url: Unknown<'env>,
        chunk_id: Unknown<'env>,
    ) -> Unknown<'env> {
        self.storage.cancel_mark([&spec_url, &chunk_id])
    }
}
