//! What happens in a running job, one change of its record after the other.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ChunkId, FileSeen, JobPhase, JobStatus, LogEntry, json};

/// Something that happened in a running job.
#[derive(Clone, Debug)]
pub struct JobEvent {
    /// When, in milliseconds since the epoch.
    pub at: f64,
    /// What.
    pub kind: EventKind,
}

/// What can happen in a running job.
#[derive(Clone, Debug)]
pub enum EventKind {
    /// Another phase begins.
    Phase(JobPhase),
    /// An attempt at a chunk has failed.
    AttemptFailed(ChunkId),
    /// So many chunks are done.
    Progress(Progress),
    /// A chunk is done.
    ChunkDone {
        /// The chunk and what it wrote.
        entry: Arc<LogEntry>,
        /// What was seen of its file.
        output: Option<FileSeen>,
        /// How many are done with it, where that is known.
        progress: Option<Progress>,
    },
}

/// How much of a job is done, in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Progress {
    /// Those that are done.
    pub done: usize,
    /// All of them.
    pub total: usize,
}

impl JobEvent {
    /// Changes the record of the job.
    pub fn apply(&self, status: &mut JobStatus) {
        status.updated_at = Some(self.at);
        match &self.kind {
            EventKind::Phase(phase) => status.phase = Some(*phase),
            EventKind::AttemptFailed(chunk) => status.count_attempt(chunk.to_string()),
            EventKind::Progress(progress) => status.set_progress(progress.done, progress.total),
            EventKind::ChunkDone { entry, output, progress } => {
                if let Some(progress) = progress {
                    status.set_progress(progress.done, progress.total);
                }
                *status.total_duration_ms.get_or_insert_default() += entry.duration_ms;
                if let Some(chunk) = entry.chunk_id {
                    status.count_attempt(chunk.to_string());
                    if let Some(seen) = output {
                        status.see_output(chunk.to_string(), *seen);
                    }
                }
                status.logs.get_or_insert_default().push(Arc::clone(entry));
            }
        }
    }

    /// The event as JSON, on one line.
    pub fn json(&self) -> String {
        let counts = |progress: &Progress| {
            format!(r#","progress":{{"done":{},"total":{}}}"#, progress.done, progress.total)
        };
        let (name, rest) = match &self.kind {
            EventKind::Phase(phase) => ("phase", format!(r#","phase":"{}""#, phase.as_str())),
            EventKind::AttemptFailed(chunk) => {
                ("attemptFailed", format!(r#","chunkId":{}"#, json::number(chunk.get())))
            }
            EventKind::Progress(progress) => ("progress", counts(progress)),
            EventKind::ChunkDone { entry, output, progress } => {
                let progress = progress.as_ref().map(counts).unwrap_or_default();
                let output = output.map(|seen| format!(r#","output":{}"#, seen.json()));
                let output = output.unwrap_or_default();
                ("chunkDone", format!(r#"{progress}{output},"entry":{}"#, entry.json()))
            }
        };
        format!(r#"{{"event":"{name}","at":{}{rest}}}"#, json::number(self.at))
    }

    /// Reads an event. `None` for what is none, or one of a later version.
    pub fn parse(text: &str) -> Option<Self> {
        let line: Line = serde_json::from_str(text).ok()?;
        let kind = match line.event {
            "phase" => EventKind::Phase(JobPhase::from_name(line.phase?)?),
            "attemptFailed" => EventKind::AttemptFailed(line.chunk_id?),
            "progress" => EventKind::Progress(line.progress?),
            "chunkDone" => EventKind::ChunkDone {
                entry: LogEntry::parse(line.entry?),
                output: line.output,
                progress: line.progress,
            },
            _ => return None,
        };
        Some(Self { at: line.at, kind })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    event: &'a str,
    at: f64,
    phase: Option<&'a str>,
    chunk_id: Option<ChunkId>,
    progress: Option<Progress>,
    output: Option<FileSeen>,
    entry: Option<Box<RawValue>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_were_written() {
        let progress = Progress { done: 1, total: 3 };
        let entry = LogEntry::new(ChunkId::new(1.5), 12.25, "a\"b\n".into(), "ü".into());
        let kinds = [
            EventKind::Phase(JobPhase::Merging),
            EventKind::AttemptFailed(ChunkId::new(2.0)),
            EventKind::Progress(progress),
            EventKind::ChunkDone {
                entry: Arc::new(entry),
                output: Some(FileSeen { size: 7, modified_ms: 1.5 }),
                progress: Some(progress),
            },
        ];
        let (mut once, mut again) = (JobStatus::default(), JobStatus::default());
        for (at, kind) in (1_u8..).zip(kinds) {
            let event = JobEvent { at: at.into(), kind };
            event.apply(&mut once);
            let read = JobEvent::parse(&event.json()).unwrap();
            assert_eq!(read.json(), event.json());
            read.apply(&mut again);
        }
        let json = |status: &JobStatus| status.document().unwrap().json();
        assert_eq!(json(&once), json(&again));
        assert_eq!(
            json(&once),
            r#"{"progress":33,"completedChunks":1,"updatedAt":4,"phase":"merging","metrics":{"totalDurationMs":12.25},"attempts":{"2":1,"1.5":1},"outputs":{"1.5":{"size":7,"modifiedMs":1.5}},"logs":[{"chunkId":1.5,"durationMs":12.25,"stdout":"a\"b\n","stderr":"ü"}]}"#
        );
    }

    #[test]
    fn events_of_a_later_version_are_not_guessed() {
        assert!(JobEvent::parse(r#"{"event":"teleported","at":1}"#).is_none());
    }
}
