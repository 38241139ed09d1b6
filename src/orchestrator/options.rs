//! What a caller asks for when he has a job run.

use std::{any::Any, fmt, rc::Rc, sync::Arc, time::Duration};

use super::{AbortSource, FailureSlot, JobObserver, Lane, RetryBackoff, RetryJudge};
use crate::{
    adapters::WorkerAdapter,
    model::{ChunkId, json},
    process::{KILL_GRACE, MAX_LOG},
    stitcher::VideoStitcher,
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
