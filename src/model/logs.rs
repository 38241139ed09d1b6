//! What a job keeps of the output of its chunks.

use std::{
    fmt,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use serde_json::value::RawValue;

use super::{ChunkId, Fields, Text, json};

type LazyText = LazyLock<Box<str>, Box<dyn FnOnce() -> Box<str> + Send>>;

/// One entry of a job's `logs`: `{chunkId, durationMs, stdout, stderr}`.
pub struct LogEntry {
    /// The chunk, when the entry names one.
    pub chunk_id: Option<ChunkId>,
    /// How long the chunk took, in milliseconds.
    pub duration_ms: f64,
    size: usize,
    // Escaping megabytes of output belongs to the thread that writes, not to the one that reports.
    text: LazyText,
}

impl LogEntry {
    /// The entry for a chunk that ended.
    pub fn new(chunk_id: ChunkId, duration_ms: f64, stdout: Text, stderr: Text) -> Self {
        let size = stdout.as_str().len() + stderr.as_str().len();
        let text = move || {
            format!(
                r#"{{"chunkId":{},"durationMs":{},"stdout":{},"stderr":{}}}"#,
                json::number(chunk_id.get()),
                json::number(duration_ms),
                json::string(stdout.as_str()),
                json::string(stderr.as_str()),
            )
            .into_boxed_str()
        };
        Self { chunk_id: Some(chunk_id), duration_ms, size, text: LazyLock::new(Box::new(text)) }
    }

    /// An entry whose JSON text is known, such as one read from a file.
    pub fn from_json(chunk_id: Option<ChunkId>, duration_ms: f64, text: Box<str>) -> Self {
        let size = text.len();
        let text: LazyText = LazyLock::new(Box::new(move || text));
        Self { chunk_id, duration_ms, size, text }
    }

    /// An entry of a record or a journal.
    pub(super) fn parse(text: Box<RawValue>) -> Arc<Self> {
        let view = serde_json::from_str::<Fields>(text.get()).unwrap_or_default();
        let duration = view.read("durationMs").unwrap_or_default();
        Arc::new(Self::from_json(view.read("chunkId"), duration, Box::<str>::from(text)))
    }

    /// The entry as JSON, on one line. May take long the first time.
    pub fn json(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for LogEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogEntry")
            .field("chunk_id", &self.chunk_id)
            .field("duration_ms", &self.duration_ms)
            .finish_non_exhaustive()
    }
}

/// The entries of a job's `logs`. Entries are only ever added, so that a copy shares them all and costs nothing: a
/// snapshot of a job of 10,000 chunks is taken after each of them.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    entries: Arc<Mutex<Vec<Arc<LogEntry>>>>,
    len: usize,
    size: usize,
}

impl Logs {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// How many bytes of output they hold.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an entry. Copies made before do not see it.
    pub fn push(&mut self, entry: impl Into<Arc<LogEntry>>) {
        self.push_shared(entry.into());
    }

    fn push_shared(&mut self, entry: Arc<LogEntry>) {
        {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            if entries.len() == self.len {
                self.len += 1;
                self.size += entry.size;
                entries.push(entry);
                return;
            }
        }
        // Somebody else went on from the same entries: part from him.
        *self = self.range(0, self.len).into_iter().collect();
        self.push_shared(entry);
    }

    /// The entries from `start` up to `end`.
    pub fn range(&self, start: usize, end: usize) -> Vec<Arc<LogEntry>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries[start..end.min(self.len)].to_vec()
    }

    /// All entries as a JSON list on one line.
    pub fn json(&self) -> String {
        let mut out = String::from("[");
        for (index, entry) in self.to_vec().iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(entry.json());
        }
        out.push(']');
        out
    }

    /// All entries.
    pub fn to_vec(&self) -> Vec<Arc<LogEntry>> {
        self.range(0, self.len)
    }
}

impl FromIterator<Arc<LogEntry>> for Logs {
    fn from_iter<I: IntoIterator<Item = Arc<LogEntry>>>(iter: I) -> Self {
        let entries: Vec<_> = iter.into_iter().collect();
        let size = entries.iter().map(|entry| entry.size).sum();
        Self { len: entries.len(), size, entries: Arc::new(Mutex::new(entries)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: f64) -> LogEntry {
        LogEntry::new(ChunkId::new(id), 1.0, "out".into(), "".into())
    }

    #[test]
    fn entry_is_written_as_javascript_would() {
        let entry = LogEntry::new(ChunkId::new(3.0), 12.5, "a\"b\n".into(), "ü".into());
        assert_eq!(
            entry.json(),
            r#"{"chunkId":3,"durationMs":12.5,"stdout":"a\"b\n","stderr":"ü"}"#
        );
    }

    #[test]
    fn copies_do_not_see_later_entries() {
        let mut logs = Logs::default();
        logs.push(entry(0.0));
        let mut copy = logs.clone();
        logs.push(entry(1.0));
        copy.push(entry(2.0));
        let ids = |logs: &Logs| {
            logs.to_vec().iter().map(|e| e.chunk_id.unwrap().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            (ids(&logs), ids(&copy)),
            (vec!["0".into(), "1".into()], vec!["0".into(), "2".into()])
        );
    }
}
