//! The record of a job: what repositories store.

use std::{any::Any, collections::HashSet, rc::Rc, sync::Arc};

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    ChunkId, Fields, JobPhase, JobSpec, JobState, LogEntry, Logs,
    document::{JobDocument, Piece},
    job::SpecView,
    json,
};
use crate::{Error, Result};

/// What was seen of a chunk's output file when the chunk ended.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileSeen {
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, in milliseconds since the epoch.
    pub modified_ms: f64,
}

impl FileSeen {
    /// The fields as a JSON object.
    pub(super) fn json(&self) -> String {
        format!(r#"{{"size":{},"modifiedMs":{}}}"#, self.size, json::number(self.modified_ms))
    }
}

/// The record of a job. Fields that a record of the user's does not have stay away when it is saved again; fields
/// this type does not know stay as they are, in `rest`.
#[derive(Clone, Debug, Default)]
pub struct JobStatus {
    /// The job's own id; empty in a record that has none.
    pub id: String,
    /// The job.
    pub spec: Option<JobSpec>,
    /// Where it is in its life; `None` for a state nobody knows.
    pub state: Option<JobState>,
    /// How much of it is done, in percent.
    pub progress: Option<f64>,
    /// How many chunks it has.
    pub total_chunks: Option<f64>,
    /// How many of them are done.
    pub completed_chunks: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
    /// What is being done for it, or was when it ended.
    pub phase: Option<JobPhase>,
    /// When it was submitted, in milliseconds since the epoch.
    pub created_at: Option<f64>,
    /// When it last changed, in milliseconds since the epoch.
    pub updated_at: Option<f64>,
    /// When it was first run, in milliseconds since the epoch.
    pub started_at: Option<f64>,
    /// When it ended, in milliseconds since the epoch.
    pub finished_at: Option<f64>,
    /// How long its chunks took together, in milliseconds.
    pub total_duration_ms: Option<f64>,
    /// Where its definition was uploaded to.
    pub job_def_url: Option<String>,
    /// What its chunks wrote.
    pub logs: Option<Logs>,
    /// What was seen of the chunks' output files.
    pub outputs: Option<IndexMap<String, FileSeen>>,
    /// How often chunks were tried.
    pub attempts: Option<IndexMap<String, u32>>,
    /// What it was submitted with, as JSON: as much of it as has such a form.
    pub options: Option<Arc<str>>,
    /// The name of the manager that runs it.
    pub manager: Option<String>,
    /// What came of it, as JSON, where that has just been found out. One that was stored before is in `rest`.
    pub result: Option<Arc<str>>,
    /// Everything else.
    pub rest: Rest,
}

/// The record that a [`JobStatus`] was read from, for the fields it does not know.
#[derive(Clone, Debug, Default)]
pub enum Rest {
    /// There was none.
    #[default]
    Nothing,
    /// A JSON object.
    Json(Rc<Fields>),
    /// An object of the embedding language.
    Foreign(Rc<dyn Any>),
}

impl JobStatus {
    /// Reads a record. Fields of another type than expected are left to `rest`.
    ///
    /// # Errors
    /// When `text` is not a JSON object.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(RecordView::parse(text).map_err(Error::Syntax)?.into_status())
    }

    /// Records what was seen of a chunk's output, in the place that JavaScript would give it: chunks end in any order.
    pub fn see_output(&mut self, chunk: String, seen: FileSeen) {
        insert_in_order(self.outputs.get_or_insert_default(), chunk, seen);
    }

    /// Counts an attempt at a chunk.
    pub fn count_attempt(&mut self, chunk: String) {
        let attempts = self.attempts.get_or_insert_default();
        let count = attempts.get(&chunk).copied().unwrap_or_default();
        insert_in_order(attempts, chunk, count.saturating_add(1));
    }

    /// Counts what is done.
    #[expect(clippy::cast_precision_loss, reason = "no job has 2^53 chunks")]
    pub fn set_progress(&mut self, done: usize, total: usize) {
        self.completed_chunks = Some(done as f64);
        // Math.round: halves go up.
        self.progress = Some((done as f64 / total as f64 * 100.0 + 0.5).floor())
            .filter(|progress| progress.is_finite());
    }

    /// The chunks that are recorded as done.
    pub fn completed_ids(&self) -> Vec<ChunkId> {
        let mut seen = HashSet::new();
        let entries = self.logs.iter().flat_map(Logs::to_vec);
        entries.filter_map(|entry| entry.chunk_id).filter(|id| seen.insert(id.key())).collect()
    }

    /// The record as it will be stored. Cheap: the work is left to [`JobDocument::write_to`], for another thread.
    ///
    /// # Errors
    /// When the spec cannot be written as JSON.
    pub fn document(&self) -> Result<JobDocument> {
        let nothing = Fields::default();
        let rest = if let Rest::Json(fields) = &self.rest { &**fields } else { &nothing };
        let mut known: IndexMap<&str, Piece> = IndexMap::new();
        if !self.id.is_empty() {
            known.insert("id", Piece::Json(json::string(&self.id).into()));
        }
        if let Some(spec) = &self.spec {
            known.insert("spec", Piece::Json(spec.json()?));
        }
        let mut text = |name: &'static str, value: Option<String>| {
            if let Some(value) = value {
                known.insert(name, Piece::Json(value.into()));
            }
        };
        text("state", self.state.map(|state| json::string(state.as_str())));
        text("progress", self.progress.map(json::number));
        text("totalChunks", self.total_chunks.map(json::number));
        text("completedChunks", self.completed_chunks.map(json::number));
        text("createdAt", self.created_at.map(json::number));
        text("updatedAt", self.updated_at.map(json::number));
        text("startedAt", self.started_at.map(json::number));
        text("finishedAt", self.finished_at.map(json::number));
        text("error", self.error.as_deref().map(json::string));
        text("phase", self.phase.map(|phase| json::string(phase.as_str())));
        let metrics = self
            .total_duration_ms
            .map(|ms| rest.merged("metrics", "totalDurationMs", json::number(ms)));
        text("metrics", metrics);
        text(
            "meta",
            self.job_def_url
                .as_deref()
                .map(|url| rest.merged("meta", "jobDefUrl", json::string(url))),
        );
        text("attempts", self.attempts.as_ref().map(json::compact));
        text("outputs", self.outputs.as_ref().map(outputs_json));
        text("options", self.options.as_deref().map(str::to_owned));
        text("manager", self.manager.as_deref().map(json::string));
        text("result", self.result.as_deref().map(str::to_owned));
        if let Some(logs) = &self.logs {
            known.insert("logs", Piece::Logs(logs.clone()));
        }
        let mut pieces: Vec<(String, Piece)> = Vec::with_capacity(known.len());
        for (name, value) in rest.iter() {
            let piece = match known.shift_remove(name) {
                Some(piece) => piece,
                None if is_ours(name, rest) => continue,
                None => Piece::Json(value.into()),
            };
            pieces.push((name.to_owned(), piece));
        }
        pieces.extend(known.into_iter().map(|(name, piece)| (name.to_owned(), piece)));
        Ok(JobDocument { pieces })
    }
}

/// Whether a field of a record that was read is one that comes and goes with the state of the job. One of another type than
/// ours is the user's.
fn is_ours(name: &str, rest: &Fields) -> bool {
    match name {
        "error" | "manager" => rest.read::<String>(name).is_some(),
        "phase" => {
            rest.read::<String>(name).is_some_and(|name| JobPhase::from_name(&name).is_some())
        }
        "finishedAt" => rest.read::<f64>(name).is_some(),
        _ => false,
    }
}

fn insert_in_order<T>(map: &mut IndexMap<String, T>, chunk: String, value: T) {
    if let Some(there) = map.get_mut(&chunk) {
        *there = value;
        return;
    }
    let order = key_order(&chunk);
    let place = map.partition_point(|other, _| key_order(other) <= order);
    map.insert_before(place, chunk, value);
}

/// Where JavaScript has the key of an object: those that are numbers first, the smallest before the others.
fn key_order(key: &str) -> u32 {
    let number = key.parse::<u32>().ok().filter(|number| number.to_string() == key);
    number.unwrap_or(u32::MAX)
}

fn outputs_json(outputs: &IndexMap<String, FileSeen>) -> String {
    let mut fields = Fields::default();
    for (chunk, seen) in outputs {
        fields.set(chunk, seen.json());
    }
    fields.json()
}

/// The typed part of a stored record, read on whichever thread has its text.
#[derive(Debug)]
pub struct RecordView {
    fields: Fields,
    spec: Option<SpecView>,
    logs: Option<Logs>,
}

impl RecordView {
    /// Reads a record.
    ///
    /// # Errors
    /// When `text` is not a JSON object.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let fields = Fields::parse(text)?;
        let logs = fields.read::<Vec<Box<RawValue>>>("logs");
        let logs = logs.map(|entries| entries.into_iter().map(LogEntry::parse).collect());
        let spec = fields.text("spec").and_then(|spec| SpecView::parse(spec.into()).ok());
        Ok(Self { fields, spec, logs })
    }

    /// The record, with the text it was read from as its `rest`.
    pub fn into_status(self) -> JobStatus {
        let Self { fields, spec, logs } = self;
        let number = |name: &str| fields.read::<f64>(name);
        JobStatus {
            id: fields.read("id").unwrap_or_default(),
            spec: spec.map(SpecView::into_spec),
            state: fields.read::<String>("state").and_then(|name| JobState::from_name(&name)),
            progress: number("progress"),
            total_chunks: number("totalChunks"),
            completed_chunks: number("completedChunks"),
            error: fields.read("error"),
            created_at: number("createdAt"),
            updated_at: number("updatedAt"),
            total_duration_ms: fields
                .read::<Fields>("metrics")
                .and_then(|metrics| metrics.read("totalDurationMs")),
            job_def_url: fields.read::<Fields>("meta").and_then(|meta| meta.read("jobDefUrl")),
            logs,
            outputs: fields.read("outputs"),
            attempts: fields.read("attempts"),
            phase: fields.read::<String>("phase").and_then(|name| JobPhase::from_name(&name)),
            started_at: number("startedAt"),
            finished_at: number("finishedAt"),
            options: fields.text("options").map(Arc::from),
            manager: fields.read("manager"),
            result: None,
            rest: Rest::Json(Rc::new(fields)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{
  "id": "a",
  "spec": {
    "id": "s",
    "chunks": []
  },
  "state": "running",
  "odd": [
    1.50
  ],
  "meta": {
    "team": "x"
  },
  "logs": [
    {
      "chunkId": 2,
      "durationMs": 3,
      "stdout": "",
      "stderr": "",
      "extra": true
    }
  ]
}"#;

    fn text(status: &JobStatus) -> String {
        let mut out = Vec::new();
        status.document().unwrap().write_to(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn reading_and_writing_changes_nothing() {
        assert_eq!(text(&JobStatus::parse(RECORD).unwrap()), RECORD);
    }

    #[test]
    fn outputs_are_in_the_order_javascript_gives_them() {
        let mut status = JobStatus::default();
        for id in ["11", "-1", "2", "1.5", "0", "4294967295"] {
            status.see_output(id.to_owned(), FileSeen { size: 1, modified_ms: 2.0 });
        }
        let names: Vec<_> = status.outputs.unwrap().into_keys().collect();
        assert_eq!(names, ["0", "2", "11", "-1", "1.5", "4294967295"]);
    }

    #[test]
    fn known_fields_replace_and_unknown_ones_stay() {
        let mut status = JobStatus::parse(RECORD).unwrap();
        status.state = Some(JobState::Completed);
        status.job_def_url = Some("u".into());
        let text = text(&status);
        assert!(text.contains("\"state\": \"completed\",\n  \"odd\": [\n    1.50\n  ]"), "{text}");
        assert!(text.contains("\"team\": \"x\",\n    \"jobDefUrl\": \"u\""), "{text}");
    }

    #[test]
    fn what_came_with_a_state_goes_with_it() {
        let record = r#"{"state":"failed","error":"no","odd":1,"manager":"m","phase":"merging","finishedAt":5}"#;
        let mut status = JobStatus::parse(record).unwrap();
        assert_eq!(status.document().unwrap().json(), record);
        (status.error, status.manager, status.phase, status.finished_at) = Default::default();
        assert_eq!(status.document().unwrap().json(), r#"{"state":"failed","odd":1}"#);
        let users = r#"{"error":{"code":1},"manager":7,"phase":"of the moon"}"#;
        assert_eq!(JobStatus::parse(users).unwrap().document().unwrap().json(), users);
    }

    #[test]
    fn attempts_are_counted_in_the_order_of_chunks() {
        let mut status = JobStatus::default();
        for chunk in ["10", "2", "10"] {
            status.count_attempt(chunk.to_owned());
        }
        assert_eq!(status.document().unwrap().json(), r#"{"attempts":{"2":1,"10":2}}"#);
    }

    #[test]
    fn thin_records_stay_thin() {
        let mut status = JobStatus::parse(r#"{"state":"pending"}"#).unwrap();
        status.state = Some(JobState::Running);
        assert_eq!(status.document().unwrap().json(), r#"{"state":"running"}"#);
    }

    #[test]
    fn completed_chunks_come_from_the_logs() {
        let ids = JobStatus::parse(RECORD).unwrap().completed_ids();
        assert_eq!(ids, [ChunkId::new(2.0)]);
    }
}
