//! Jobs and their chunks, as their owners wrote them.

use std::{any::Any, fmt, rc::Rc, sync::Arc};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Fields, json};
use crate::{Error, Result};

/// The number of a chunk. Compares and prints as in JavaScript.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub struct ChunkId(f64);

impl ChunkId {
    /// The id with the given number.
    pub fn new(id: f64) -> Self {
        Self(id)
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Something that can be looked up: both zeros are one.
    pub fn key(self) -> u64 {
        (self.0 + 0.0).to_bits()
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        json::display(self.0).fmt(f)
    }
}

impl PartialEq for ChunkId {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for ChunkId {}

/// What the orchestrator needs to know of a chunk. The rest of it stays in the job's [`SpecSource`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Chunk {
    /// The chunk's number; may be missing as long as the chunk does not run.
    pub id: Option<ChunkId>,
    /// The command line that renders the chunk.
    pub command: Option<String>,
    /// The file the command writes, relative to the job's folder.
    pub output_file: Option<String>,
    /// How many frames it has; anything else than a number is left out.
    #[serde(deserialize_with = "number_or_nothing")]
    pub frame_count: Option<f64>,
}

impl Chunk {
    /// How many frames its file has to have, if that is known.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be whole and small"
    )]
    pub fn frames(&self) -> Option<u64> {
        let is_count = |count: &f64| count.fract() == 0.0 && (1.0..1e15).contains(count);
        self.frame_count.filter(is_count).map(|count| count as u64)
    }
}

fn number_or_nothing<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    let text = Box::<RawValue>::deserialize(from)?;
    Ok(serde_json::from_str(text.get()).ok())
}

/// The owner's own form of a job: a JSON text, or an object of the embedding language.
pub trait SpecSource: fmt::Debug {
    /// The whole job as JSON text.
    ///
    /// # Errors
    /// When the object cannot be written as JSON (cycles, BigInt).
    fn json(&self) -> Result<Arc<str>>;
    /// For the embedding to get its own type back.
    fn as_any(&self) -> &dyn Any;
}

/// A job: a typed view of what the orchestrator uses, beside the owner's own form with everything in it.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// The chunks, in the order in which they start.
    pub chunks: Rc<[Chunk]>,
    /// The command line that joins the chunks.
    pub merge_command: Option<String>,
    /// Where the assets of the job are.
    pub assets_url: Option<String>,
    /// Whether `assets_url` was set after the owner wrote the job, so that `source` does not have it.
    pub assets_uploaded: bool,
    /// The job as its owner wrote it.
    pub source: Rc<dyn SpecSource>,
}

impl JobSpec {
    /// The same job with its assets at `url`. The owner's form stays as it is.
    #[must_use]
    pub fn with_assets_at(&self, url: String) -> Self {
        Self { assets_url: Some(url), assets_uploaded: true, ..self.clone() }
    }

    /// The id that its owner gave it; empty when there is none.
    ///
    /// # Errors
    /// When the owner's form cannot be written as JSON.
    pub fn id(&self) -> Result<String> {
        let fields = Fields::parse(&self.source.json()?).map_err(Error::Syntax)?;
        Ok(fields.read("id").unwrap_or_default())
    }

    /// How many frames per second its video is meant to have, if its `metadata` says so.
    pub fn frame_rate(&self) -> Option<f64> {
        let fields = Fields::parse(&self.source.json().ok()?).ok()?;
        fields.read::<Fields>("metadata")?.read("fps").filter(|rate| *rate > 0.0)
    }

    /// The whole job as JSON text.
    ///
    /// # Errors
    /// When the owner's form cannot be written as JSON.
    pub fn json(&self) -> Result<Arc<str>> {
        let text = self.source.json()?;
        let Some(url) = self.assets_url.as_deref().filter(|_| self.assets_uploaded) else {
            return Ok(text);
        };
        let mut fields = Fields::parse(&text).map_err(Error::Syntax)?;
        fields.set("assetsUrl", json::string(url));
        Ok(fields.json().into())
    }
}

/// A job read from JSON text.
#[derive(Debug)]
pub struct JsonSpec(Arc<str>);

impl JsonSpec {
    /// Reads a job. What is missing or of another type than expected is left out of the view, not refused: the
    /// executor says what it needs.
    ///
    /// # Errors
    /// When `text` is not a JSON object.
    pub fn parse(text: Arc<str>) -> Result<JobSpec> {
        Ok(SpecView::parse(text).map_err(Error::Syntax)?.into_spec())
    }
}

impl SpecSource for JsonSpec {
    fn json(&self) -> Result<Arc<str>> {
        Ok(Arc::clone(&self.0))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A job that was read on whichever thread had its text: thousands of chunks take milliseconds.
#[derive(Debug)]
pub(super) struct SpecView {
    text: Arc<str>,
    chunks: Vec<Chunk>,
    merge_command: Option<String>,
    assets_url: Option<String>,
}

impl SpecView {
    pub(super) fn parse(text: Arc<str>) -> Result<Self, serde_json::Error> {
        let fields = Fields::parse(&text)?;
        let chunks = fields.read::<Vec<Box<RawValue>>>("chunks").unwrap_or_default();
        let chunk = |text: Box<RawValue>| serde_json::from_str(text.get()).unwrap_or_default();
        Ok(Self {
            chunks: chunks.into_iter().map(chunk).collect(),
            merge_command: fields.read("mergeCommand"),
            assets_url: fields.read("assetsUrl"),
            text,
        })
    }

    pub(super) fn into_spec(self) -> JobSpec {
        JobSpec {
            chunks: self.chunks.into(),
            merge_command: self.merge_command,
            assets_url: self.assets_url,
            assets_uploaded: false,
            source: Rc::new(JsonSpec(self.text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_survive_an_upload() {
        let spec = JsonSpec::parse(r#"{"id":"a","odd":[1e400],"chunks":[{"id":0,"x":1}]}"#.into())
            .unwrap();
        let uploaded = spec.with_assets_at("s3://b/a".into());
        assert_eq!(
            &*uploaded.json().unwrap(),
            r#"{"id":"a","odd":[1e400],"chunks":[{"id":0,"x":1}],"assetsUrl":"s3://b/a"}"#
        );
        assert_eq!(&*spec.json().unwrap(), r#"{"id":"a","odd":[1e400],"chunks":[{"id":0,"x":1}]}"#);
    }

    #[test]
    fn frames_are_whole_numbers() {
        let table =
            [("30", Some(30)), ("0", None), ("1.5", None), ("\"30\"", None), ("null", None)];
        for (count, frames) in table {
            let text = format!(r#"{{"chunks":[{{"id":1,"command":"x","frameCount":{count}}}]}}"#);
            let spec = JsonSpec::parse(text.into()).unwrap();
            let chunk = &spec.chunks[0];
            assert_eq!((chunk.frames(), chunk.command.as_deref()), (frames, Some("x")), "{count}");
        }
    }

    #[test]
    fn thin_specs_are_read() {
        let spec = JsonSpec::parse("{}".into()).unwrap();
        assert!(spec.chunks.is_empty() && spec.merge_command.is_none());
    }
}
