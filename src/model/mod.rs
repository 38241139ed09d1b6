//! What travels: jobs, chunks, statuses, results and the text in them. No I/O.

mod document;
mod event;
mod fields;
mod job;
pub mod json;
mod logs;
mod state;
mod status;
mod text;
mod worker;

pub use document::JobDocument;
pub use event::{EventKind, JobEvent, Progress};
pub use fields::Fields;
pub use job::{Chunk, ChunkId, JobSpec, JsonSpec, SpecSource};
pub use logs::{LogEntry, Logs};
pub use state::{JobPhase, JobState};
pub use status::{FileSeen, JobStatus, RecordView, Rest};
pub use text::Text;
pub(crate) use text::{clip, decode_utf8};
pub use worker::{
    ExitCode, JobChunk, OutputSink, OutputTarget, RetryHint, RetryKind, WorkerJob, WorkerResult,
};
