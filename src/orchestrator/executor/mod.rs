//! Runs the chunks of one job, some at a time, and joins them.

mod bring;
mod chunk;
mod merge;
mod pace;
mod verify;

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    path::{Path, PathBuf},
    rc::Rc,
};

use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use bring::MOST_BROUGHT;
use chunk::Place;
use pace::Pace;

use super::{Error, Executor, JobExecutionOptions, OutputStream};
use crate::{
    Error as CrateError, Result,
    adapters::WorkerAdapter,
    console::Console,
    error::InvalidInput,
    model::{ChunkId, JobChunk, JobSpec, OutputTarget, Text, WorkerJob, WorkerResult},
    path,
    process::{self, Report},
    task,
};

/// Runs jobs on one worker adapter.
#[derive(Clone, Debug)]
pub struct JobExecutor {
    adapter: Rc<dyn WorkerAdapter>,
    local: Option<Rc<dyn WorkerAdapter>>,
    console: Rc<dyn Console>,
}

impl JobExecutor {
    /// An executor that runs chunks on `adapter` and tells `console` about them.
    pub fn new(adapter: Rc<dyn WorkerAdapter>, console: Rc<dyn Console>) -> Self {
        Self { adapter, local: None, console }
    }

    /// Has merge commands run by `local` where the adapter of the chunks runs none.
    #[must_use]
    pub fn with_local(self, local: Rc<dyn WorkerAdapter>) -> Self {
        Self { local: Some(local), ..self }
    }

    async fn run(&self, job: Rc<JobSpec>, options: JobExecutionOptions) -> Result<()> {
        let plan = Plan::new(&job, &options)?;
        let (console, folder) = (&*self.console, options.folder());
        console.log(format_args!(
            "Starting job execution with concurrency {}...",
            options.concurrency.asked
        ));
        console.log(format_args!("Job Directory: {folder}"));
        console.log(format_args!("Chunks: {}", job.chunks.len()));
        if options.abort.is_aborted() {
            return Err(CrateError::Aborted);
        }
        let is_unknown = options.stores_job && options.job_def_url.is_none();
        let storage = options.storage.clone().filter(|_| is_unknown && !self.adapter.is_local());
        match storage {
            Some(storage) if !plan.chunks.is_empty() => {
                self.lend(&*storage, job, plan, options).await
            }
            _ => self.render(job, plan, &options).await,
        }
    }

    /// Renders the chunks of a job and joins them.
    async fn render(
        &self,
        job: Rc<JobSpec>,
        plan: Plan,
        options: &JobExecutionOptions,
    ) -> Result<()> {
        let work = options.abort.token.child_token();
        options.failure.cancels(&work);
        let done = Cell::new(job.chunks.len() - plan.chunks.len());
        let own_id = || Uuid::new_v4().to_string().into();
        let run = Run {
            id: options.job_id.clone().unwrap_or_else(own_id),
            adapter: &*self.adapter,
            local: self.local.as_deref(),
            console: &*self.console,
            chunks: RefCell::new(plan.chunks.into_iter()),
            job: &job,
            folder: options.folder(),
            options,
            work,
            pace: Pace::new(options.concurrency.limit),
            failed: RefCell::default(),
            done,
        };
        run.chunks().await?;
        run.merge().await?;
        // What callbacks and repository failed with meanwhile.
        options.failure.take().map_or(Ok(()), Err)
    }
}

impl Executor for JobExecutor {
    fn execute(
        &self,
        job: Rc<JobSpec>,
        options: JobExecutionOptions,
    ) -> LocalBoxFuture<'_, Result<()>> {
        self.run(job, options).boxed_local()
    }
}

/// A chunk that will run.
struct PlannedChunk {
    index: usize,
    id: ChunkId,
}

/// The chunks that will run, checked before anything does.
struct Plan {
    chunks: Vec<PlannedChunk>,
}

impl Plan {
    fn new(job: &JobSpec, options: &JobExecutionOptions) -> Result<Self> {
        let completed: HashSet<u64> = options.completed.iter().map(|id| id.key()).collect();
        let mut seen = HashSet::with_capacity(job.chunks.len());
        let mut chunks = Vec::with_capacity(job.chunks.len());
        for (index, chunk) in job.chunks.iter().enumerate() {
            // JSON, which records are, has no others.
            let Some(id) = chunk.id.filter(|id| id.get().is_finite()) else {
                return Err(CrateError::invalid(format_args!("chunks[{index}].id"), "a number"));
            };
            if !seen.insert(id.key()) {
                return Err(invalid(format!("Chunk {id} appears more than once in the job")));
            }
            if !completed.contains(&id.key()) {
                let checked = process::check(chunk.command.as_deref().unwrap_or_default());
                checked.map_err(|error| invalid(format!("Chunk {id}: {error}")))?;
                chunks.push(PlannedChunk { index, id });
            }
        }
        Ok(Self { chunks })
    }
}

fn invalid(text: String) -> CrateError {
    CrateError::InvalidInput(InvalidInput::new(text))
}

/// One execution of a job.
struct Run<'a> {
    id: Rc<str>,
    adapter: &'a dyn WorkerAdapter,
    local: Option<&'a dyn WorkerAdapter>,
    console: &'a dyn Console,
    chunks: RefCell<std::vec::IntoIter<PlannedChunk>>,
    job: &'a Rc<JobSpec>,
    folder: String,
    options: &'a JobExecutionOptions,
    /// Cancelled when the job is aborted and when it fails.
    work: CancellationToken,
    pace: Pace,
    /// The first chunk that has failed for good, where the others are rendered nevertheless.
    failed: RefCell<Option<CrateError>>,
    done: Cell<usize>,
}

impl Run<'_> {
    /// Renders all chunks.
    async fn chunks(&self) -> Result<()> {
        let storage = self.options.storage.as_ref().filter(|_| !self.adapter.is_local());
        let brought = storage.map_or(0, |_| MOST_BROUGHT);
        let workers =
            self.options.concurrency.limit.saturating_add(brought).min(self.chunks.borrow().len());
        // Those beyond the limit begin when others bring files, and go by their names.
        let limit = self.options.concurrency.limit;
        let mut workers: FuturesUnordered<_> =
            (0..workers).map(|number| self.worker(number % limit + 1)).collect();
        while workers.next().await.is_some() {}
        if let Some(observer) = &self.options.observer {
            // What is not settled by then belongs to an aborted job.
            let _ = self.bounded(observer.settle()).await;
        }
        match self.options.failure.take() {
            Some(error) => Err(error),
            None if self.options.abort.is_aborted() => Err(CrateError::Aborted),
            None => self.failed.take().map_or(Ok(()), Err),
        }
    }

    /// Renders one chunk after the other until there is none left or the job has failed.
    async fn worker(&self, number: usize) {
        while !self.options.failure.is_failed() {
            // First, so that chunks begin in order.
            let mut place = Place::default();
            self.enter(&mut place).await;
            let Some(chunk) = self.chunks.borrow_mut().next() else { return };
            if let Err(error) = self.chunk(number, &chunk, place).await {
                self.options.failure.fail(error);
            }
        }
    }

    /// Renders one chunk once.
    async fn attempt(&self, chunk: &PlannedChunk) -> Result<WorkerResult> {
        let (id, options) = (chunk.id, self.options);
        let target = |stream| OutputTarget {
            sink: options.observer.as_ref().and_then(|observer| observer.output(id, stream)),
            keep: true,
        };
        let output_file = self.job.chunks[chunk.index].output_file.as_deref();
        let command = self.job.chunks[chunk.index].command.as_deref().unwrap_or_default();
        let (command, args) = process::program_of(command)?;
        let job = WorkerJob {
            command,
            args,
            cwd: Some(self.folder.clone()),
            timeout: options.chunk_timeout,
            stall_timeout: options.stall_timeout,
            cancel: self.cancel_for(self.adapter),
            kill_grace: Some(options.kill_grace),
            max_output: options.max_output,
            max_log: Some(options.max_log),
            stdout: target(OutputStream::Stdout),
            stderr: target(OutputStream::Stderr),
            output_file: output_file
                .filter(|_| self.looks_at_files() || options.stall_timeout.is_some())
                .map(|file| resolve(&self.folder, file)),
            job_id: Some(Rc::clone(&self.id)),
            chunk: Some(JobChunk { spec: Rc::clone(self.job), index: chunk.index, id }),
            chunk_id: Some(id),
            job_def_url: options.job_def_url.clone(),
            render_command: options.render_command.clone(),
            observed: options.observer.is_some() || options.storage.is_some(),
            extensions: options.extensions.clone(),
            ..WorkerJob::default()
        };
        let result = self.adapter.execute(job).await.map_err(timed_out)?;
        if result.exit_code.is_success() {
            return Ok(result);
        }
        let command = self.job.chunks[chunk.index].command.as_deref().unwrap_or_default();
        let (report, timed_out) = (self.report(command, &result), result.timed_out);
        Err(Error::ChunkExit { id, report, timed_out, retry: result.retry }.into())
    }

    /// What is told of a command that ended with an exit code other than 0.
    fn report(&self, command: &str, result: &WorkerResult) -> Box<Report> {
        let clipped = |text: &Text| text.clipped(self.options.max_log);
        Box::new(Report {
            command: command.trim().to_owned(),
            pid: result.pid,
            exit_code: Some(result.exit_code.clone()),
            signal: result.signal,
            stdout: clipped(&result.stdout),
            stderr: clipped(&result.stderr),
            activity: None,
        })
    }

    /// A failure ends the work of adapters that can be ended; the others are waited for, and hear of aborts only.
    fn cancel_for(&self, adapter: &dyn WorkerAdapter) -> CancellationToken {
        if adapter.ends_on_cancel() { self.work.clone() } else { self.options.abort.token.clone() }
    }

    /// Tells everybody that a chunk is done.
    async fn complete(&self, worker: usize, id: ChunkId, result: &WorkerResult) {
        let (done, total) = (self.done.get() + 1, self.job.chunks.len());
        self.done.set(done);
        let heard = match &self.options.observer {
            // Whoever hears of it may take his time, but not for ever after an abort.
            Some(observer) => {
                self.bounded(observer.chunk_done(id, result, done, total)).await.unwrap_or(false)
            }
            None => true,
        };
        if heard {
            self.console
                .log(format_args!("[Worker {worker}] Chunk {id} completed ({done}/{total})"));
        }
    }

    /// Waits for the caller's own code: until it is done, or until the grace after an abort.
    async fn bounded<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        task::bounded(work, &self.options.abort.token, self.options.kill_grace).await
    }
}

/// Says which option a chunk has exceeded, and what it was doing.
fn timed_out(error: CrateError) -> CrateError {
    let option = match &error {
        CrateError::Process(failure) => match failure.error {
            process::Error::TimedOut(_) => "chunkTimeout",
            process::Error::Stalled(_) => "stallTimeout",
            _ => return error,
        },
        _ => return error,
    };
    Error::ChunkTimedOut { option, source: Box::new(error) }.into()
}

/// `path.resolve(folder, file)`.
pub(super) fn resolve(folder: &str, file: &str) -> PathBuf {
    path::resolve(&Path::new(folder).join(file))
}

#[cfg(test)]
mod tests;
