//! What a caller asks for when he has a job run.

use std::{
    any::Any,
    cell::{Cell, OnceCell, RefCell},
    fmt,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio_util::sync::CancellationToken;

use super::{Lane, RetryBackoff, RetryJudge};
use crate::{
    Error, Result,
    adapters::WorkerAdapter,
    model::{ChunkId, JobPhase, OutputSink, WorkerResult, json},
    process::{KILL_GRACE, MAX_LOG},
    stitcher::{VideoProof, VideoStitcher},
    storage::ArtifactStorage,
};

/// How many chunks may run at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Concurrency {
    /// At most so many, never 0.
    pub limit: usize,
    /// The number as it was asked for; this is what is printed.
    pub asked: String,
}

impl Concurrency {
    /// What is meant by a JavaScript number: fractions are rounded down, what is below 1 or no number means 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded, at least 1; saturates"
    )]
    pub fn from_number(number: f64) -> Self {
        if number >= 1.0 {
            Self { limit: number as usize, asked: json::display(number).to_string() }
        } else {
            Self::default()
        }
    }
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { limit: 1, asked: "1".to_owned() }
    }
}

/// How a caller ends a job before its time.
#[derive(Clone, Default)]
pub struct AbortSource {
    /// Cancelled by the caller.
    pub token: CancellationToken,
    /// Asks the caller, for signals that only have a property.
    pub probe: Option<Rc<dyn Fn() -> bool>>,
    /// What listens to the caller, as long as there is something to end.
    pub listener: Option<Rc<dyn Any>>,
}

impl AbortSource {
    /// Whether the caller has ended the job, asking him once more.
    pub fn is_aborted(&self) -> bool {
        if !self.token.is_cancelled() && self.probe.as_ref().is_some_and(|probe| probe()) {
            self.token.cancel();
        }
        self.token.is_cancelled()
    }
}

impl fmt::Debug for AbortSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortSource").field("token", &self.token).finish_non_exhaustive()
    }
}

/// The first thing that went wrong in a job. Also filled from outside the executor, by callbacks that fail.
#[derive(Clone, Debug, Default)]
pub struct FailureSlot(Rc<FailureState>);

#[derive(Debug, Default)]
struct FailureState {
    failed: Cell<bool>,
    error: RefCell<Option<Error>>,
    stop: OnceCell<CancellationToken>,
}

impl FailureSlot {
    /// Fails the job, unless it has failed already.
    pub fn fail(&self, error: Error) {
        if !self.0.failed.replace(true) {
            *self.0.error.borrow_mut() = Some(error);
            if let Some(stop) = self.0.stop.get() {
                stop.cancel();
            }
        }
    }

    /// Whether the job has failed.
    pub fn is_failed(&self) -> bool {
        self.0.failed.get()
    }

    /// What it failed with, once.
    pub(crate) fn take(&self) -> Option<Error> {
        self.0.error.borrow_mut().take()
    }

    /// Lets a failure cancel `stop`.
    pub(crate) fn cancels(&self, stop: &CancellationToken) {
        if self.is_failed() {
            stop.cancel();
        }
        // Set twice only when one slot is used for two runs, which nobody does.
        drop(self.0.stop.set(stop.clone()));
    }
}

/// The two streams of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a caller wants to hear of a job while it runs. What goes wrong in hearing it goes to the job's [`FailureSlot`];
/// the futures then say `false`.
pub trait JobObserver: fmt::Debug {
    /// `done` of `total` chunks are done.
    fn progress(&self, done: usize, total: usize) -> LocalBoxFuture<'_, bool>;

    /// A chunk is done.
    fn chunk_complete<'a>(
        &'a self,
        id: ChunkId,
        result: &'a WorkerResult,
    ) -> LocalBoxFuture<'a, bool>;

    /// A chunk is done, and with it `done` of `total`. The worker's next step waits for this.
    fn chunk_done<'a>(
        &'a self,
        id: ChunkId,
        result: &'a WorkerResult,
        done: usize,
        total: usize,
    ) -> LocalBoxFuture<'a, bool> {
        async move { self.progress(done, total).await && self.chunk_complete(id, result).await }
            .boxed_local()
    }

    /// Another phase of the job begins.
    fn phase(&self, phase: JobPhase) {
        let _ = phase;
    }

    /// An attempt at a chunk has failed.
    fn attempt_failed(&self, id: ChunkId) {
        let _ = id;
    }

    /// Who hears what the chunk writes.
    fn output(&self, id: ChunkId, stream: OutputStream) -> Option<Arc<dyn OutputSink>>;

    /// The video is there, and whole.
    fn proven(&self, _proof: &VideoProof) {}

    /// Waits for what the others have set going.
    fn settle(&self) -> LocalBoxFuture<'_, ()>;

    /// Waits until what was heard so far is stored, where it is.
    fn saved(&self) -> LocalBoxFuture<'_, Result<()>> {
        std::future::ready(Ok(())).boxed_local()
    }
}

/// Whether the files of chunks are looked at when their commands have succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerifyChunks {
    /// Where a stitcher that can look into them will join them. Elsewhere only an empty file is a failure: a command need
    /// not write one.
    #[default]
    Auto,
    /// Always, where they are on this machine.
    Always,
    /// Never.
    Never,
}

/// What a caller asks for.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the caller's own")]
pub struct JobExecutionOptions {
    /// The id that its manager gave the job. Default: none; then each run has one of its own.
    pub job_id: Option<Rc<str>>,
    /// How many chunks may run at once. Default 1.
    pub concurrency: Concurrency,
    /// The job's place among those that share what may run at once. Default: it has that to itself.
    pub lane: Option<Lane>,
    /// The folder the commands run in, and to which files are relative. Default: `own_dir`.
    pub job_dir: Option<String>,
    /// The folder of the process that the job was submitted by. Default: the one of this process.
    pub own_dir: Option<String>,
    /// Whether the chunks are joined at the end. Default `true`.
    pub merge: bool,
    /// How often a chunk is tried again. Default 0; a whole number or infinite.
    pub retries: f64,
    /// The pause before a chunk is tried again. Default one second.
    pub retry_delay: Duration,
    /// How that pause grows. Default: not at all.
    pub retry_backoff: Option<RetryBackoff>,
    /// The owner's own judgement of failures.
    pub retry_judge: Option<Rc<dyn RetryJudge>>,
    /// Whether the job ends when a chunk has failed for good, or renders the others first. Default `true`.
    pub fail_fast: bool,
    /// The longest an attempt at a chunk may take. Default: no limit.
    pub chunk_timeout: Option<Duration>,
    /// The longest an attempt may show no sign of life, where that can be seen. Default: no limit.
    pub stall_timeout: Option<Duration>,
    /// How long work may take to end by itself once it was told to. Default [`KILL_GRACE`].
    pub kill_grace: Duration,
    /// How many bytes of each stream of a chunk are kept in logs and errors. Default [`MAX_LOG`].
    pub max_log: usize,
    /// How many bytes of each stream of a chunk are kept in its result. Default: all.
    pub max_output: Option<usize>,
    /// How the caller ends the job.
    pub abort: AbortSource,
    /// Who runs the merge command. Default: the adapter of the chunks, or this machine where that one
    /// renders chunks only.
    pub merge_adapter: Option<Rc<dyn WorkerAdapter>>,
    /// Who joins the chunks, together with `output_file`, instead of the merge command.
    pub stitcher: Option<Rc<dyn VideoStitcher>>,
    /// The video, relative to `job_dir`.
    pub output_file: Option<String>,
    /// Chunks that are done already.
    pub completed: Vec<ChunkId>,
    /// Who hears of the job.
    pub observer: Option<Rc<dyn JobObserver>>,
    /// Where failures meet.
    pub failure: FailureSlot,
    /// Where the definition of the job was uploaded to, for workers elsewhere.
    pub job_def_url: Option<String>,
    /// What is run in the place of the chunks' own commands, by adapters that render chunks.
    pub render_command: Option<String>,
    /// Where workers elsewhere find what they need, and leave what they have rendered.
    pub storage: Option<Rc<dyn ArtifactStorage>>,
    /// Whether the folder of the job is among what they need. Default `true`.
    pub upload_assets: bool,
    /// Whether the executor puts a job that is not in the storage there while it runs. Default `true`.
    pub stores_job: bool,
    /// Whether local workers look at the files of their chunks when these are done.
    pub see_outputs: bool,
    /// Whether the files of chunks are looked at.
    pub verify_chunks: VerifyChunks,
    /// Who looks into the files of chunks where `stitcher` cannot and they always have to be looked at.
    pub inspector: Option<Rc<dyn VideoStitcher>>,
    /// What the embedding wants to find again in its own adapters and executors.
    pub extensions: Option<Rc<dyn Any>>,
    /// The options as JSON, to be kept with the job for whoever goes on with it in another process.
    pub recorded: Option<Arc<str>>,
    /// The options as the embedding was given them, for a job that goes on.
    pub source: Option<Rc<dyn Any>>,
}

impl Default for JobExecutionOptions {
    fn default() -> Self {
        Self {
            job_id: None,
            concurrency: Concurrency::default(),
            lane: None,
            job_dir: None,
            own_dir: None,
            merge: true,
            retries: 0.0,
            retry_delay: Duration::from_secs(1),
            retry_backoff: None,
            retry_judge: None,
            fail_fast: true,
            chunk_timeout: None,
            stall_timeout: None,
            kill_grace: KILL_GRACE,
            max_log: MAX_LOG,
            max_output: None,
            abort: AbortSource::default(),
            merge_adapter: None,
            stitcher: None,
            output_file: None,
            completed: Vec::new(),
            observer: None,
            failure: FailureSlot::default(),
            job_def_url: None,
            render_command: None,
            storage: None,
            upload_assets: true,
            stores_job: true,
            see_outputs: false,
            verify_chunks: VerifyChunks::default(),
            inspector: None,
            extensions: None,
            recorded: None,
            source: None,
        }
    }
}

impl JobExecutionOptions {
    /// The folder the commands run in.
    pub fn folder(&self) -> String {
        let own = || {
            std::env::current_dir()
                .map_or_else(|_| ".".to_owned(), |dir| dir.to_string_lossy().into_owned())
        };
        self.job_dir.clone().or_else(|| self.own_dir.clone()).unwrap_or_else(own)
    }
}

impl fmt::Debug for JobExecutionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobExecutionOptions")
            .field("concurrency", &self.concurrency)
            .field("job_dir", &self.job_dir)
            .field("merge", &self.merge)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}
