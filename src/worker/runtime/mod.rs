//! One chunk from the path of its job's definition to the URL of its output.

use std::{
    cell::Cell,
    future::pending,
    path::{Path, PathBuf},
    pin::pin,
    rc::Rc,
    time::Duration,
};

use futures_util::FutureExt;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    Error, RenderExecutor, SpecClient, cancel_watch::CancelWatch, job_path::JobPath,
    outputs::Outputs, render_executor::find, run_folder::RunFolder,
};
use crate::{
    Result,
    adapters::{WorkerAdapter, see},
    model::{Chunk, ChunkId, FileSeen, JobSpec, Text, WorkerJob, WorkerResult},
    process::KILL_GRACE,
    storage::{ArtifactStorage, output_id},
    task,
};

/// How long a storage may take to end a download once a run is over, at most as long as a command: some cannot be told to.
const STORAGE_GRACE: Duration = Duration::from_secs(1);
/// How long the log of a chunk may take; half as long as the end of its command once the time of the worker is over.
const LOG_LIMIT: Duration = Duration::from_secs(10);

/// Where assets are put and commands run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In the workspace itself.
    Workspace,
    /// With assets, in a folder below the workspace, which is there for one run; else in the workspace itself.
    FolderPerRun,
}

/// One chunk to run.
#[derive(Debug)]
pub struct ChunkRun {
    /// Where the definition of the job is: an `http(s)` URL, one of the storage, or a file.
    pub job_path: String,
    /// The chunk.
    pub chunk_id: ChunkId,
    /// Ends the run before its time.
    pub cancel: CancellationToken,
    /// When the run has to be over.
    pub deadline: Option<Instant>,
    /// How long the command may take to end by itself once it was told to.
    pub kill_grace: Duration,
    /// How many bytes of each stream are kept in the result, beginning and end; default all.
    pub max_output: Option<usize>,
}

impl ChunkRun {
    /// The chunk of the job at `job_path`, without limits.
    pub fn new(job_path: String, chunk_id: ChunkId) -> Self {
        Self {
            job_path,
            chunk_id,
            cancel: CancellationToken::new(),
            deadline: None,
            kill_grace: KILL_GRACE,
            max_output: None,
        }
    }
}

/// Runs single chunks of jobs that are defined elsewhere.
#[derive(Debug)]
pub struct WorkerRuntime {
    workspace: PathBuf,
    placement: Placement,
    storage: Option<Rc<dyn ArtifactStorage>>,
    adapter: Rc<dyn WorkerAdapter>,
    client: Rc<dyn SpecClient>,
    /// Whether what dead runs have left was removed.
    swept: Cell<bool>,
}

impl WorkerRuntime {
    /// A runtime that works in `workspace`, with assets and outputs in `storage`.
    pub fn new(
        workspace: impl Into<PathBuf>,
        placement: Placement,
        storage: Option<Rc<dyn ArtifactStorage>>,
        adapter: Rc<dyn WorkerAdapter>,
        client: Rc<dyn SpecClient>,
    ) -> Self {
        let workspace = workspace.into();
        Self { workspace, placement, storage, adapter, client, swept: Cell::new(false) }
    }

    /// Runs a chunk: reads the definition, brings the assets, runs the command, stores what it wrote.
    ///
    /// # Errors
    /// When one of these steps fails; a command that ran and failed gives a result. [`crate::Error::Aborted`] when the run
    /// was cancelled, also by a mark in the storage; [`Error::OutOfTime`] at its deadline.
    ///
    /// # Cancellation
    /// By `run.cancel`. Dropped, it ends the command without waiting for that, and removes the folder of the run.
    pub async fn run(&self, run: &ChunkRun) -> Result<WorkerResult> {
        debug!(chunk = %run.chunk_id, "chunk is taken on");
        let ending = Ending {
            cancel: run.cancel.child_token(),
            out_of_time: Cell::new(false),
            grace: STORAGE_GRACE.min(run.kill_grace),
        };
        let _ends_if_dropped = ending.cancel.clone().drop_guard();
        let watch = CancelWatch::begin(self.storage.as_deref(), &run.job_path, run.chunk_id);
        let watch = ending.step(watch.map(Ok));
        let work = async {
            let watch = watch.await?;
            let work = self.work(run, &ending, watch.as_ref());
            tokio::select! {
                biased;
                outcome = work => outcome,
                never = cancel_when_marked(watch.as_ref(), &ending) => match never {},
            }
        };
        let mut work = pin!(work);
        let outcome = tokio::select! {
            biased;
            outcome = &mut work => outcome,
            () = at(run.deadline) => {
                ending.out_of_time.set(true);
                ending.cancel.cancel();
                work.await
            }
        };
        outcome.map_err(|error| {
            if ending.out_of_time.get() {
                Error::OutOfTime(run.chunk_id.to_string()).into()
            } else if ending.cancel.is_cancelled() {
                crate::Error::Aborted
            } else {
                error
            }
        })
    }

    async fn work(
        &self,
        run: &ChunkRun,
        ending: &Ending,
        watch: Option<&CancelWatch<'_>>,
    ) -> Result<WorkerResult> {
        if self.placement == Placement::FolderPerRun && !self.swept.replace(true) {
            let sweep = RunFolder::sweep(self.workspace.clone());
            ending.step(sweep.map(Ok)).await?;
        }
        let path = JobPath::new(&run.job_path);
        let spec = path.read(self.storage.as_deref(), &*self.client, &ending.cancel);
        let spec = ending.step(spec).await?;
        let Some(url) = spec.assets_url.as_deref().filter(|url| !url.is_empty()) else {
            return self.render(run, &spec, &self.workspace, ending, watch).await;
        };
        let storage = self.storage.as_deref().ok_or(Error::NoStorage)?;
        let folder = match self.placement {
            Placement::FolderPerRun => Some(RunFolder::create(self.workspace.clone()).await?),
            Placement::Workspace => None,
        };
        let outcome = async {
            let place = folder.as_ref().map_or(&*self.workspace, RunFolder::path);
            let (id, target) = (spec.id()?, place.to_string_lossy());
            ending.step(storage.download_asset_bundle(&id, url, &target)).await?;
            self.render(run, &spec, place, ending, watch).await
        };
        let outcome = outcome.await;
        if let Some(folder) = folder {
            folder.remove().await;
        }
        outcome
    }

    /// Runs the command in `place` and stores what comes of it.
    async fn render(
        &self,
        run: &ChunkRun,
        spec: &JobSpec,
        place: &Path,
        ending: &Ending,
        watch: Option<&CancelWatch<'_>>,
    ) -> Result<WorkerResult> {
        let chunk = find(spec, run.chunk_id)?;
        let outputs = self.outputs(run, spec)?;
        ending.heed(watch).await?;
        let before = seen(place, chunk).await;
        let limits = WorkerJob {
            cancel: ending.cancel.clone(),
            kill_grace: Some(run.kill_grace),
            max_output: run.max_output,
            observed: true,
            ..WorkerJob::default()
        };
        let executor =
            RenderExecutor::new(place.to_string_lossy().into_owned(), Rc::clone(&self.adapter));
        let outcome = executor.execute(chunk, limits).await;
        let Some(outputs) = outputs else { return outcome };
        let (file, said) = (chunk.output_file.as_deref(), said(&outcome));
        if ending.out_of_time.get() {
            outputs.log(file, &said, run.kill_grace / 2).await;
        } else {
            // The log of a chunk that nobody wants would be left when its job is gone.
            ending.step(outputs.log(file, &said, LOG_LIMIT).map(Ok)).await?;
        }
        let mut result = outcome?;
        if let Some(file) = file.map(|file| place.join(file))
            && result.exit_code.is_success()
            && is_written(file.clone(), before).await
        {
            ending.heed(watch).await?;
            result.output_url = Some(ending.step(outputs.store(&file)).await?);
        }
        // What came into the storage while the job was deleted would stay there for ever.
        if let Some(watch) = watch
            && ending.step(watch.is_deleted().map(Ok)).await?
        {
            drop(outputs.storage.delete_job_spec(&outputs.id, &run.job_path).await);
            ending.cancel.cancel();
            return Err(crate::Error::Aborted);
        }
        Ok(result)
    }

    /// Where the chunk's output goes, if it can be kept.
    fn outputs(&self, run: &ChunkRun, spec: &JobSpec) -> Result<Option<Outputs<'_>>> {
        let Some(storage) = self.storage.as_deref().filter(|storage| storage.keeps_outputs())
        else {
            return Ok(None);
        };
        let id = output_id(Some(&run.job_path), spec)?;
        // There is no place for what belongs to no job.
        Ok((!id.is_empty()).then_some(Outputs { storage, id, chunk: run.chunk_id }))
    }
}

/// What ends a run before its time.
#[derive(Debug)]
struct Ending {
    cancel: CancellationToken,
    /// Whether it was the deadline.
    out_of_time: Cell<bool>,
    /// How long steps that cannot be told to end are waited for.
    grace: Duration,
}

impl Ending {
    /// A step that is not worth anything any more when the run is over.
    async fn step<T>(&self, step: impl Future<Output = Result<T>>) -> Result<T> {
        if self.cancel.is_cancelled() {
            return Err(crate::Error::Aborted);
        }
        let done = task::bounded(step, &self.cancel, self.grace).await;
        done.unwrap_or(Err(crate::Error::Abandoned))
    }

    /// Between two steps: whether the run goes on.
    async fn heed(&self, watch: Option<&CancelWatch<'_>>) -> Result<()> {
        if let Some(watch) = watch
            && self.step(watch.is_cancelled().map(Ok)).await?
        {
            self.cancel.cancel();
        }
        if self.cancel.is_cancelled() { Err(crate::Error::Aborted) } else { Ok(()) }
    }
}

/// Cancels a run when its chunk is marked.
async fn cancel_when_marked(
    watch: Option<&CancelWatch<'_>>,
    ending: &Ending,
) -> std::convert::Infallible {
    if let Some(watch) = watch {
        watch.cancelled().await;
        ending.cancel.cancel();
    }
    pending().await
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// What there is of a chunk's file before its command runs: what an earlier one has left is none of this one's.
async fn seen(place: &Path, chunk: &Chunk) -> Option<FileSeen> {
    let file = place.join(chunk.output_file.as_deref()?);
    task::blocking(move || see(&file)).await
}

/// Whether a command has written something to its file.
async fn is_written(file: PathBuf, before: Option<FileSeen>) -> bool {
    let is_new = move |now: FileSeen| now.size > 0 && Some(now) != before;
    task::blocking(move || file.is_file() && see(&file).is_some_and(is_new)).await
}

/// What a command said, whatever became of it.
fn said(outcome: &Result<WorkerResult>) -> Vec<&Text> {
    match outcome {
        Ok(result) => vec![&result.stdout, &result.stderr],
        Err(error) => {
            error.report().map(|report| vec![&report.stdout, &report.stderr]).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests;
