//! Keeps the files of jobs in a folder that all workers can reach.

mod copy;
mod files;
mod place;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::place::{Folder, beside, is_missing, url};
use super::{
    ArtifactStorage, DELETED, Error, Exclusions, OUTPUTS, SPEC, failed, mark_name, output_name,
    partial::Partial, relative, tree::Tree,
};
use crate::{
    Result,
    files::atomic::{self, Durability},
    model::{ChunkId, JobSpec, JsonSpec, decode_utf8, json},
    task,
};

/// Keeps each job in a folder of its own below one that all workers can reach, such as a network share.
///
/// Files are copied by the file system's own means, without reading them where it can do so. What is being written has
/// another name until it is whole.
#[derive(Clone, Debug)]
pub struct LocalStorageAdapter(Folder);

impl LocalStorageAdapter {
    /// A storage in `folder`, which is made when something is stored. A relative one stays relative.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self(Folder(path_clean::clean(folder)))
    }

    /// Works in the folder, on a thread that may wait for its disk: a network share may be slow, or hang.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T, Error> + Send + 'static,
    ) -> Result<T> {
        let folder = self.0.clone();
        Ok(task::blocking(move || work(&folder)).await?)
    }
}

impl ArtifactStorage for LocalStorageAdapter {
    fn upload_asset_bundle<'a>(
        &'a self,
        job_id: &'a str,
        local_dir: &'a str,
        exclusions: &'a Exclusions,
        cancel: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<String>> {
        let (id, source) = (job_id.to_owned(), PathBuf::from(local_dir));
        let (exclusions, cancel) = (exclusions.clone(), cancel.clone());
        self.with(move |folder| {
            let place = folder.place(&id)?;
            files::upload(&source, &exclusions, &place, &folder.0, &cancel)?;
            Ok(url(&place))
        })
        .boxed_local()
    }

    fn download_asset_bundle<'a>(
        &'a self,
        _job_id: &'a str,
        url: &'a str,
        target_dir: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        let (url, target) = (url.to_owned(), PathBuf::from(target_dir));
        async move {
            // Who waits no more wants it no more.
            let cancel = CancellationToken::new();
            let _guard = cancel.clone().drop_guard();
            self.with(move |folder| files::download(&folder.locate(&url)?, &target, &cancel)).await
        }
        .boxed_local()
    }

    fn delete_asset_bundle<'a>(
        &'a self,
        _job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        let url = url.to_owned();
        self.with(move |folder| {
            let place = folder.locate(&url)?;
            files::remove_folder(&place)?;
            files::forget_own(&place);
            Ok(())
        })
        .boxed_local()
    }

    fn upload_job_spec<'a>(
        &'a self,
        job_id: &'a str,
        spec: &'a JobSpec,
    ) -> LocalBoxFuture<'a, Result<String>> {
        let id = job_id.to_owned();
        async move {
            let text = spec.json()?;
            let write = move |folder: &Folder| {
                let place = folder.place(&id)?;
                let other = beside(&place);
                let path = if other.exists() { other } else { place.join(SPEC) };
                let write = |out: &mut dyn Write| json::indent(text.as_bytes(), 0, out);
                atomic::replace(&path, Durability::Cached, write).map_err(Error::System)?;
                Ok(url(&path))
            };
            self.with(write).await
        }
        .boxed_local()
    }

    fn download_job_spec<'a>(
        &'a self,
        _job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<JobSpec>> {
        let url = url.to_owned();
        async move {
            let read = move |folder: &Folder| {
                let path = folder.locate(&url)?;
                std::fs::read(&path).map_err(failed("open", &path))
            };
            JsonSpec::parse(decode_utf8(self.with(read).await?).into())
        }
        .boxed_local()
    }

    fn delete_job_spec<'a>(
        &'a self,
        _job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        let url = url.to_owned();
        self.with(move |folder| {
            let path = folder.locate(&url)?;
            files::remove_definition(&path, folder.outputs(&path)?.as_deref())
        })
        .boxed_local()
    }

    fn upload_chunk_output<'a>(
        &'a self,
        job_id: &'a str,
        chunk: ChunkId,
        local_file: &'a str,
    ) -> LocalBoxFuture<'a, Result<String>> {
        let (id, file) = (job_id.to_owned(), PathBuf::from(local_file));
        self.with(move |folder| {
            let outputs = folder.place(&id)?.join(OUTPUTS);
            folder.keeps(&outputs)?;
            let target = outputs.join(output_name(chunk, &file));
            copy::file(&file, &target)?;
            Ok(url(&target))
        })
        .boxed_local()
    }

    fn download_chunk_output<'a>(
        &'a self,
        _job_id: &'a str,
        url: &'a str,
        local_file: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        let (url, target) = (url.to_owned(), PathBuf::from(local_file));
        self.with(move |folder| copy::file(&folder.locate(&url)?, &target)).boxed_local()
    }

    fn mark_cancelled<'a>(
        &'a self,
        spec_url: &'a str,
        chunk: ChunkId,
    ) -> LocalBoxFuture<'a, Result<()>> {
        let url = spec_url.to_owned();
        self.with(move |folder| {
            let Some(outputs) = folder.outputs(&folder.locate(&url)?)? else { return Ok(()) };
            let (path, mark) = (outputs.join(mark_name(chunk)), Uuid::new_v4().to_string());
            let write = |out: &mut dyn Write| out.write_all(mark.as_bytes());
            atomic::replace(&path, Durability::Cached, write).map_err(Error::System)?;
            Ok(())
        })
        .boxed_local()
    }

    fn cancel_mark<'a>(
        &'a self,
        spec_url: &'a str,
        chunk: ChunkId,
    ) -> LocalBoxFuture<'a, Result<Option<String>>> {
        let url = spec_url.to_owned();
        self.with(move |folder| {
            let spec = folder.locate(&url)?;
            let Some(outputs) = folder.outputs(&spec)? else { return Ok(None) };
            let path = outputs.join(mark_name(chunk));
            match std::fs::read_to_string(&path) {
                Ok(mark) => Ok(Some(mark)),
                Err(error) if is_missing(&error) => match spec.try_exists() {
                    Ok(exists) => Ok((!exists).then(|| DELETED.to_owned())),
                    Err(error) => Err(failed("stat", &spec)(error)),
                },
                Err(error) => Err(failed("open", &path)(error)),
            }
        })
        .boxed_local()
    }
}

#[cfg(test)]
mod tests;
