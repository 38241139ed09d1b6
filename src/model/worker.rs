//! What an adapter gets and what it gives back.

use std::{any::Any, fmt, path::PathBuf, rc::Rc, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{ChunkId, FileSeen, JobSpec, Text};

/// Where output goes while a child is still writing it.
pub trait OutputSink: Send + Sync + fmt::Debug {
    /// Takes text as it comes, never cut inside a character. Waiting here slows the writer down, which is how memory
    /// stays bounded.
    fn write<'a>(&'a self, text: &'a [u8]) -> BoxFuture<'a, ()>;

    /// Called on the thread of the caller when everything has been written: what was written has been heard when this
    /// returns.
    fn flush(&self) {}
}

/// What happens to one stream of a child.
#[derive(Clone, Debug)]
pub struct OutputTarget {
    /// Who hears it while it is written.
    pub sink: Option<Arc<dyn OutputSink>>,
    /// Whether all of it comes back with the result. Off when the sink keeps it already.
    pub keep: bool,
}

impl OutputTarget {
    /// Everything has been written; see [`OutputSink::flush`].
    pub fn flush(&self) {
        if let Some(sink) = &self.sink {
            sink.flush();
        }
    }
}

impl Default for OutputTarget {
    fn default() -> Self {
        Self { sink: None, keep: true }
    }
}

/// The chunk that a [`WorkerJob`] renders.
#[derive(Clone, Debug)]
pub struct JobChunk {
    /// The job it belongs to.
    pub spec: Rc<JobSpec>,
    /// Its place in `spec.chunks`.
    pub index: usize,
    /// Its number.
    pub id: ChunkId,
}

/// One command for a worker to run.
#[derive(Clone, Debug, Default)]
pub struct WorkerJob {
    /// The program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The folder it runs in; default the one of this process.
    pub cwd: Option<String>,
    /// Changes to the environment of this process: a value, or `None` to unset.
    pub env: Vec<(String, Option<String>)>,
    /// The longest it may take; default no limit.
    pub timeout: Option<Duration>,
    /// The longest it may show no sign of life, for adapters that can see; default no limit.
    pub stall_timeout: Option<Duration>,
    /// Ends it before its time.
    pub cancel: CancellationToken,
    /// How long it may take to end by itself once it was told to.
    pub kill_grace: Option<Duration>,
    /// Its standard output.
    pub stdout: OutputTarget,
    /// Its standard error.
    pub stderr: OutputTarget,
    /// How many bytes of each stream are kept in the result, beginning and end; default all.
    pub max_output: Option<usize>,
    /// How many bytes of each stream are kept in an error; default 1 MiB.
    pub max_log: Option<usize>,
    /// The file it is expected to write, for adapters that can look at it afterwards.
    pub output_file: Option<PathBuf>,
    /// The job it belongs to: the id that its manager gave it, or else one of its run.
    pub job_id: Option<Rc<str>>,
    /// The chunk it renders, if it is one.
    pub chunk: Option<JobChunk>,
    /// The number of that chunk; all that is known of it where a caller hands a command over himself.
    pub chunk_id: Option<ChunkId>,
    /// The number that workers elsewhere are told, where a caller gives another one.
    pub chunk_index: Option<ChunkId>,
    /// What is to be run in the place of its own command, by adapters that render chunks.
    pub render_command: Option<String>,
    /// Where the definition of the job was uploaded to, for workers elsewhere.
    pub job_def_url: Option<String>,
    /// Whether anybody looks at more of the result than whether it succeeded.
    pub observed: bool,
    /// What the embedding wants to find again in its own adapters.
    pub extensions: Option<Rc<dyn Any>>,
}

/// How a worker's command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// An exit code; -1 when a signal ended the process.
    Code(i32),
    /// What an adapter of the user's gave in the place of an integer, as text. Never a success.
    Odd(String),
}

impl ExitCode {
    /// Whether the command did its work.
    pub fn is_success(&self) -> bool {
        *self == Self::Code(0)
    }
}

impl Default for ExitCode {
    fn default() -> Self {
        Self::Code(0)
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => code.fmt(f),
            Self::Odd(text) => text.fmt(f),
        }
    }
}

/// What an adapter, or the owner of a job, makes of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryHint {
    /// What kind of failure it is.
    pub kind: RetryKind,
    /// When to try again.
    pub after: Option<Duration>,
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryKind {
    /// It may go well the next time.
    Transient,
    /// Whoever was asked has too much to do.
    Throttled,
    /// It will go wrong every time.
    Fatal,
}

/// What became of a [`WorkerJob`].
#[derive(Clone, Debug, Default)]
pub struct WorkerResult {
    /// How it ended.
    pub exit_code: ExitCode,
    /// What it wrote to standard output.
    pub stdout: Text,
    /// What it wrote to standard error.
    pub stderr: Text,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// The name of the signal that ended it.
    pub signal: Option<&'static str>,
    /// The id of its process, if it ran here.
    pub pid: Option<u32>,
    /// Whether its adapter says that it took too long.
    pub timed_out: bool,
    /// What its adapter makes of a failure.
    pub retry: Option<RetryHint>,
    /// What was seen of its output file, when the adapter looked and it was there.
    pub output: Option<FileSeen>,
    /// Where a worker elsewhere put its output file.
    pub output_url: Option<String>,
    /// The result object of a user's adapter, with all its fields.
    pub foreign: Option<Rc<dyn Any>>,
}
