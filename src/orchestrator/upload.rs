//! Puts what workers elsewhere need of a job into a storage, and removes it.

use std::path::{Path, PathBuf};

use super::{Error, JobExecutionOptions, executor::resolve};
use crate::{
    Error as CrateError, Result,
    console::Console,
    error::exact_millis,
    model::JobSpec,
    path,
    storage::{ArtifactStorage, Exclusions},
    task,
};

/// What of a job is in a storage, by its URLs.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    /// Its assets.
    pub(super) assets: Option<String>,
    /// Its definition.
    pub(super) definition: Option<String>,
}

/// One job and the storage it goes to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Upload<'a> {
    /// Where it goes.
    pub(super) storage: &'a dyn ArtifactStorage,
    /// What it is stored under.
    pub(super) id: &'a str,
    /// Who hears of what goes wrong besides.
    pub(super) console: &'a dyn Console,
}

impl Upload<'_> {
    /// Stores the folder of the job, if it has one to be stored, and then its definition, which names the folder's URL. Gives
    /// the definition. `stored` hears of each URL when something is there.
    ///
    /// # Errors
    /// [`Error::Upload`]; an abort is one.
    pub(super) async fn put(
        &self,
        spec: JobSpec,
        options: &JobExecutionOptions,
        mut stored: impl FnMut(&JobSpec, Stored),
    ) -> Result<JobSpec> {
        let abort = &options.abort.token;
        let uploaded = async {
            let mut spec = spec;
            let mut urls = Stored::default();
            if let Some(folder) = options.job_dir.as_deref().filter(|_| options.upload_assets) {
                let exclusions = exclusions(folder, &spec, options).await?;
                let bundle = self.storage.upload_asset_bundle(self.id, folder, &exclusions, abort);
                let url = task::bounded(bundle, abort, options.kill_grace).await;
                let url = url.unwrap_or(Err(CrateError::Abandoned))?;
                // A storage of the user's need not have anything to say.
                if !url.is_empty() {
                    spec = spec.with_assets_at(url.clone());
                    urls.assets = Some(url);
                    stored(&spec, urls.clone());
                }
            }
            if abort.is_cancelled() {
                return Err(CrateError::Aborted);
            }
            let definition = self.storage.upload_job_spec(self.id, &spec);
            let url = task::bounded(definition, abort, options.kill_grace).await;
            let url = url.unwrap_or(Err(CrateError::Abandoned))?;
            urls.definition = Some(url).filter(|url| !url.is_empty());
            stored(&spec, urls);
            Ok(spec)
        };
        match uploaded.await {
            Err(CrateError::Abandoned) => {
                self.warn_of_abandoned("upload", options);
                Err(CrateError::Abandoned)
            }
            Err(_) if abort.is_cancelled() => Err(CrateError::Aborted),
            Err(error) => Err(Error::Upload { source: Box::new(error) }.into()),
            Ok(spec) => Ok(spec),
        }
    }

    /// [`Upload::remove`] for a run, whose abort it outlives by its grace only.
    pub(super) async fn remove_after(&self, stored: &Stored, options: &JobExecutionOptions) {
        let removed = task::bounded(self.remove(stored), &options.abort.token, options.kill_grace);
        if removed.await.is_none() {
            self.warn_of_abandoned("deletion of the upload", options);
        }
    }

    fn warn_of_abandoned(&self, work: &str, options: &JobExecutionOptions) {
        let (id, ms) = (self.id, exact_millis(options.kill_grace));
        self.console.warn(&format!("Warning: the {work} of job {id} did not end within {ms}ms of the abort; it is left behind."));
    }

    /// Removes what is stored of the job. Failures are only printed.
    pub(super) async fn remove(&self, stored: &Stored) {
        let (storage, id) = (self.storage, self.id);
        if let Some(url) = stored.assets.as_deref().filter(|url| !url.is_empty())
            && let Err(error) = storage.delete_asset_bundle(id, url).await
        {
            self.console.failure(&format!("Failed to delete assets for job {id}:"), &error);
        }
        if let Some(url) = stored.definition.as_deref().filter(|url| !url.is_empty())
            && let Err(error) = storage.delete_job_spec(id, url).await
        {
            self.console.failure(&format!("Failed to delete job spec for job {id}:"), &error);
        }
    }
}

/// What of the folder of a job stays at home: beside what always does, what an earlier run has rendered.
async fn exclusions(
    folder: &str,
    spec: &JobSpec,
    options: &JobExecutionOptions,
) -> Result<Exclusions> {
    let root = path::resolve(Path::new(folder));
    let outputs = spec.chunks.iter().filter_map(|chunk| chunk.output_file.as_deref());
    let rendered = outputs.chain(options.output_file.as_deref());
    let inside = |file: &str| Some(resolve(folder, file).strip_prefix(&root).ok()?.to_owned());
    let rendered: Vec<PathBuf> = rendered.filter_map(inside).collect();
    Ok(task::blocking(move || Exclusions::of_job(&root, rendered)).await?)
}
