//! The methods of the storages in buckets: Node-API needs each class to have its own.

/// Gives a class with a field `storage` the methods of a storage.
macro_rules! bucket_methods {
    ($class:ident) => {
        #[napi]
        impl $class {
            /// Stores the files of a folder below the key of the job, which may hold some already; gives its URL. With
            /// `dedupe` what was stored before is replaced. Rejects with `Local directory ${dir} does not exist`, when a
            /// link leads out of the folder or something in it is no file, and with an error that names bucket and key,
            /// with the store's `code` and `status`.
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

            /// Brings what `uploadAssetBundle` stored into a folder, which is made. Rejects with
            /// `Remote directory ${url} does not exist or is empty`, or when something is not what was stored; then it
            /// leaves no files that it brought.
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

            /// Removes everything below the key of a job, if there is anything.
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

            /// Stores the definition of a job as `${jobId}/job.json`, or as `${jobId}.job.json` where the bundle has a file
            /// of that name itself; gives its URL.
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

            /// Removes what `uploadJobSpec` stored, if it is there, with the outputs of chunks and the marks.
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

            /// Tells the workers that render a chunk of the job defined at `specUrl` to stop. The mark goes with the
            /// definition.
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
    };
}

pub(super) use bucket_methods;
