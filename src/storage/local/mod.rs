//! Keeps the files of jobs in a folder that all workers can reach.

mod copy;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    ArtifactStorage, DELETED, Error, Exclusions, OUTPUTS, SPEC, failed, mark_name, output_name,
    partial::Partial, relative, tree::Tree,
};
use crate::{
    Result,
    model::{ChunkId, JobSpec, JsonSpec, json},
    path,
    repository::atomic::{self, Durability},
    task,
};

/// What its URLs begin with.
const SCHEME: &str = "local://";

/// Keeps each job in a folder of its own below one that all workers can reach, such as a network share.
///
/// Files are copied by the file system's own means, without reading them where it can do so. What is being written has
/// another name until it is whole.
#[derive(Clone, Debug)]
pub struct LocalStorageAdapter {
    folder: PathBuf,
}

impl LocalStorageAdapter {
    /// A storage in `folder`, which is made when something is stored. A relative one stays relative.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self { folder: path_clean::clean(folder) }
    }

    /// The folder of a job.
    fn place(&self, job_id: &str) -> Result<PathBuf, Error> {
        let place = relative(job_id).map(|id| self.folder.join(id));
        let place = place.ok_or_else(|| Error::InvalidId(job_id.to_owned()))?;
        self.keeps(&place)?;
        Ok(place)
    }

    /// What a URL of ours means: always something below the folder.
    fn locate(&self, url: &str) -> Result<PathBuf, Error> {
        let path = url.strip_prefix(SCHEME).ok_or_else(|| Error::Scheme(url.to_owned()))?;
        let located = path::resolve(Path::new(path));
        let root = path::resolve(&self.folder);
        if located == root || !located.starts_with(&root) {
            return Err(Error::Traversal(url.to_owned()));
        }
        if is_inside(&located, &root) { Ok(located) } else { Err(Error::Traversal(url.to_owned())) }
    }

    /// Checks that nothing at `path`, a path below the folder, is elsewhere.
    fn keeps(&self, path: &Path) -> Result<(), Error> {
        let is_inside = is_inside(&path::resolve(path), &path::resolve(&self.folder));
        if is_inside { Ok(()) } else { Err(Error::Traversal(url(path))) }
    }

    /// The folder of the outputs of the job defined in a file. All of the storage is no job.
    fn outputs(&self, spec: &Path) -> Result<Option<PathBuf>, Error> {
        let root = path::resolve(&self.folder);
        let outputs = outputs(spec).filter(|outputs| outputs.parent() != Some(&root));
        if let Some(outputs) = &outputs {
            self.keeps(outputs)?;
        }
        Ok(outputs)
    }
}

/// Whether what is, or would be, at `path` is in `root`, which it begins with: a link in there may lead out of it.
fn is_inside(path: &Path, root: &Path) -> bool {
    let Ok(real_root) = root.canonicalize() else { return true };
    for above in path.ancestors().take_while(|above| *above != root) {
        match above.canonicalize() {
            Ok(real) => return real.starts_with(&real_root),
            // It leads somewhere, if only to what is not there yet.
            Err(_) if above.is_symlink() => return false,
            Err(_) => {}
        }
    }
    true
}

fn url(path: &Path) -> String {
    format!("{SCHEME}{}", path.to_string_lossy())
}

/// Where the definition is of a job whose folder has a file of that name itself.
fn beside(place: &Path) -> PathBuf {
    let mut name = place.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(SPEC);
    place.with_file_name(name)
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn upload(
    folder: &Path,
    exclusions: &Exclusions,
    place: &Path,
    storage: &Path,
    cancel: &CancellationToken,
) -> Result<(), Error> {
    if !folder.is_dir() {
        return Err(Error::NoLocalFolder(folder.to_owned()));
    }
    let mut tree = Tree::read(folder, exclusions)?;
    // A storage in the folder of the job does not keep itself.
    if let Ok(inside) = path::resolve(storage).strip_prefix(path::resolve(folder)) {
        tree.leave_out(inside);
    }
    let (own, other) = (place.join(SPEC), beside(place));
    if tree.has_file(SPEC) {
        // From now on the job's definition is beside the folder: what is in it is the user's own.
        if !other.exists() {
            match std::fs::rename(&own, &other) {
                Err(error) if is_missing(&error) => {
                    let parent = other.parent().unwrap_or(place);
                    std::fs::create_dir_all(parent).map_err(failed("mkdir", parent))?;
                    std::fs::write(&other, "").map_err(failed("open", &other))?;
                }
                moved => moved.map_err(failed("rename", &own))?,
            }
        }
    }
    // What is in the folder of a job already is no link of ours.
    if let Some(link) =
        tree.folders.iter().map(|folder| place.join(folder)).find(|to| to.is_symlink())
    {
        return Err(Error::Traversal(url(&link)));
    }
    copy::tree(&tree, folder, place, cancel).inspect_err(|_| forget_own(place))
}

/// Removes what says that a bundle has a `job.json` of its own, where there is no such bundle and no definition.
fn forget_own(place: &Path) {
    let mark = beside(place);
    let is_mark = mark.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0);
    if is_mark && !place.join(SPEC).exists() {
        // It tells nobody anything.
        drop(std::fs::remove_file(mark));
    }
}

fn download(source: &Path, target: &Path, cancel: &CancellationToken) -> Result<(), Error> {
    if !source.is_dir() {
        return Err(Error::NoRemoteFolder(source.to_owned()));
    }
    let mut tree = Tree::read(source, &Exclusions::default())?;
    tree.leave_out(Path::new(OUTPUTS));
    if !beside(source).exists() {
        tree.leave_out(Path::new(SPEC));
    }
    copy::tree(&tree, source, target, cancel)
}

fn remove_folder(folder: &Path) -> Result<(), Error> {
    path::gone(std::fs::remove_dir_all(folder)).map_err(failed("rmdir", folder))
}

/// Removes a definition and what goes with it, but not the bundle.
fn remove_definition(spec: &Path, outputs: Option<&Path>) -> Result<(), Error> {
    path::gone(std::fs::remove_file(spec)).map_err(failed("unlink", spec))?;
    if let Some(outputs) = outputs {
        remove_folder(outputs)?;
        if let Some(place) = outputs.parent() {
            // Where there is a bundle, this fails.
            drop(std::fs::remove_dir(place));
        }
    }
    Ok(())
}

/// The folder of the outputs of the job defined in a file.
fn outputs(spec: &Path) -> Option<PathBuf> {
    let name = spec.file_name()?.to_str()?;
    let place = match name.strip_suffix(SPEC)? {
        "" => spec.parent()?.to_owned(),
        id => spec.with_file_name(id.strip_suffix('.')?),
    };
    Some(place.join(OUTPUTS))
}

impl ArtifactStorage for LocalStorageAdapter {
    fn upload_asset_bundle<'a>(
        &'a self,
        job_id: &'a str,
        local_dir: &'a str,
        exclusions: &'a Exclusions,
        cancel: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<String>> {
        async move {
            let (place, folder) = (self.place(job_id)?, PathBuf::from(local_dir));
            let (url, storage, exclusions) = (url(&place), self.folder.clone(), exclusions.clone());
            let cancelled = cancel.clone();
            task::blocking(move || upload(&folder, &exclusions, &place, &storage, &cancelled))
                .await?;
            Ok(url)
        }
        .boxed_local()
    }

    fn download_asset_bundle<'a>(
        &'a self,
        _job_id: &'a str,
        url: &'a str,
        target_dir: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        async move {
            let (source, target) = (self.locate(url)?, PathBuf::from(target_dir));
            // Who waits no more wants it no more.
            let cancel = CancellationToken::new();
            let _guard = cancel.clone().drop_guard();
            Ok(task::blocking(move || download(&source, &target, &cancel)).await?)
        }
        .boxed_local()
    }

    fn delete_asset_bundle<'a>(
        &'a self,
        _job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        async move {
            let place = self.locate(url)?;
            let removed = task::blocking(move || {
                remove_folder(&place)?;
                forget_own(&place);
                Ok::<_, Error>(())
            });
            Ok(removed.await?)
        }
        .boxed_local()
    }

    fn upload_job_spec<'a>(
        &'a self,
        job_id: &'a str,
        spec: &'a JobSpec,
    ) -> LocalBoxFuture<'a, Result<String>> {
        async move {
            let (place, text) = (self.place(job_id)?, spec.json()?);
            let path = task::blocking(move || {
                let other = beside(&place);
                let path = if other.exists() { other } else { place.join(SPEC) };
                let written = atomic::replace(&path, Durability::Cached, |out| {
                    json::indent(text.as_bytes(), 0, out)
                });
                written.map(|_| path).map_err(Error::System)
            });
            Ok(url(&path.await?))
        }
        .boxed_local()
    }

    fn download_job_spec<'a>(
        &'a self,
        _job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<JobSpec>> {
        async move {
            let path = self.locate(url)?;
            let text = task::blocking(move || {
                std::fs::read(&path).map_err(|error| failed("open", &path)(error))
            });
            JsonSpec::parse(crate::model::decode_utf8(text.await?).into())
        }
        .boxed_local()
    }

    fn delete_job_spec<'a>(
        &'a self,
        _job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        async move {
            let path = self.locate(url)?;
            let outputs = self.outputs(&path)?;
            Ok(task::blocking(move || remove_definition(&path, outputs.as_deref())).await?)
        }
        .boxed_local()
    }

    fn upload_chunk_output<'a>(
        &'a self,
        job_id: &'a str,
        chunk: ChunkId,
        local_file: &'a str,
    ) -> LocalBoxFuture<'a, Result<String>> {
        async move {
            let file = PathBuf::from(local_file);
            let outputs = self.place(job_id)?.join(OUTPUTS);
            self.keeps(&outputs)?;
            let target = outputs.join(output_name(chunk, &file));
            let url = url(&target);
            task::blocking(move || copy::file(&file, &target)).await?;
            Ok(url)
        }
        .boxed_local()
    }

    fn download_chunk_output<'a>(
        &'a self,
        _job_id: &'a str,
        url: &'a str,
        local_file: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        async move {
            let (source, target) = (self.locate(url)?, PathBuf::from(local_file));
            Ok(task::blocking(move || copy::file(&source, &target)).await?)
        }
        .boxed_local()
    }

    fn mark_cancelled<'a>(
        &'a self,
        spec_url: &'a str,
        chunk: ChunkId,
    ) -> LocalBoxFuture<'a, Result<()>> {
        async move {
            let Some(outputs) = self.outputs(&self.locate(spec_url)?)? else { return Ok(()) };
            let path = outputs.join(mark_name(chunk));
            let written = task::blocking(move || {
                let mark = Uuid::new_v4().to_string();
                let write = |out: &mut dyn Write| out.write_all(mark.as_bytes());
                let written = atomic::replace(&path, Durability::Cached, write);
                written.map(drop).map_err(Error::System)
            });
            Ok(written.await?)
        }
        .boxed_local()
    }

    fn cancel_mark<'a>(
        &'a self,
        spec_url: &'a str,
        chunk: ChunkId,
    ) -> LocalBoxFuture<'a, Result<Option<String>>> {
        async move {
            let spec = self.locate(spec_url)?;
            let Some(outputs) = self.outputs(&spec)? else { return Ok(None) };
            let path = outputs.join(mark_name(chunk));
            let read = task::blocking(move || match std::fs::read_to_string(&path) {
                Ok(mark) => Ok(Some(mark)),
                Err(error) if is_missing(&error) => match spec.try_exists() {
                    Ok(exists) => Ok((!exists).then(|| DELETED.to_owned())),
                    Err(error) => Err(failed("stat", &spec)(error)),
                },
                Err(error) => Err(failed("open", &path)(error)),
            });
            Ok(read.await?)
        }
        .boxed_local()
    }
}

#[cfg(test)]
mod tests;
