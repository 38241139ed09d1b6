//! Jobs.

use std::{any::Any, cell::OnceCell, rc::Rc, sync::Arc};

use super::super::{realm::Realm, reference::JsRef, text::JsText, value::Value};
use crate::{
    Error, Result,
    model::{Chunk, ChunkId, JobSpec, SpecSource},
    worker,
};

/// A job as its owner's object.
#[derive(Debug)]
pub(in super::super) struct JsSpec {
    realm: Rc<Realm>,
    object: JsRef,
    /// The chunks as they were when the job was given; the owner may go on with his array.
    chunks: JsRef,
    json: OnceCell<Arc<str>>,
    /// A deep copy of the object, made when it is first asked for.
    copy: OnceCell<Rc<dyn SpecSource>>,
}

impl SpecSource for JsSpec {
    fn json(&self) -> Result<Arc<str>> {
        if let Some(text) = self.json.get() {
            return Ok(Arc::clone(text));
        }
        let text = self.realm.caught(self.realm.stringify(self.object.get()))?;
        let text: Arc<str> = match text.map(String::from_utf8) {
            Some(Ok(text)) => text.into(),
            _ => return Err(Error::invalid("job", "an object with a JSON form")),
        };
        Ok(Arc::clone(self.json.get_or_init(|| text)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The id of a chunk given as an argument.
pub(in super::super) fn chunk_id(realm: &Realm, value: Value, path: &str) -> Result<ChunkId> {
    realm
        .state
        .js
        .as_number(value)
        .map(ChunkId::new)
        .ok_or_else(|| Error::invalid(path, "a number"))
}

impl Realm {
    /// Reads a job. `path` is what errors call it.
    pub(in super::super) fn read_spec(self: &Rc<Self>, job: Value, path: &str) -> Result<JobSpec> {
        let js = self.state.js;
        super::require_object(js, job, path)?;
        let list = self.caught(js.get(job, c"chunks"))?;
        if !js.is_array(list) {
            return Err(Error::invalid(format_args!("{path}.chunks"), "an array"));
        }
        self.spec_with(job, list, path)
    }

    /// Reads what a server gave for a job.
    pub(in super::super) fn read_fetched_spec(self: &Rc<Self>, job: Value) -> Result<JobSpec> {
        let js = self.state.js;
        let chunks = |job| self.caught(js.get(job, c"chunks"));
        if !js.is_object(job) || !js.is_array(chunks(job)?) {
            return Err(worker::Error::NoChunks.into());
        }
        self.read_spec(job, "job spec")
    }

    /// Reads the job of a record, which may have no chunks.
    pub(in super::super) fn read_recorded_spec(self: &Rc<Self>, job: Value) -> Result<JobSpec> {
        let js = self.state.js;
        let list = self.caught(js.get(job, c"chunks"))?;
        let list = if js.is_array(list) { list } else { self.parse_json("[]")? };
        self.spec_with(job, list, "job.spec")
    }

    /// Reads a job that is only stored: all it must have is a JSON form.
    pub(in super::super) fn read_stored_spec(self: &Rc<Self>, job: Value) -> Result<JobSpec> {
        super::require_object(self.state.js, job, "spec")?;
        self.read_recorded_spec(job)
    }

    fn spec_with(self: &Rc<Self>, job: Value, list: Value, path: &str) -> Result<JobSpec> {
        let js = self.state.js;
        let list = self.caught(self.glue(c"copyList", &[list]))?;
        let chunks = match self.read_chunks(list)? {
            Some(chunks) => chunks,
            // Something is odd: find out what, one by one.
            None => (0..self.caught(js.len(list))?)
                .map(|index| js.scope(|| self.read_chunk(list, index, path)))
                .collect::<Result<_>>()?,
        };
        let source = JsSpec {
            realm: Rc::clone(self),
            object: self.caught(JsRef::new(&self.state, job))?,
            chunks: self.caught(JsRef::new(&self.state, list))?,
            json: OnceCell::new(),
            copy: OnceCell::new(),
        };
        Ok(JobSpec {
            chunks: chunks.into(),
            merge_command: self.caught(super::optional_string(
                js,
                job,
                c"mergeCommand",
                path,
            ))??,
            assets_url: self.caught(super::optional_string(js, job, c"assetsUrl", path))??,
            assets_uploaded: false,
            source: Rc::new(source),
        })
    }

    /// Reads chunks that are as they should be, all with a few calls: one by one they take ten.
    fn read_chunks(&self, list: Value) -> Result<Option<Vec<Chunk>>> {
        let js = self.state.js;
        let view = self.caught(self.glue(c"chunks", &[list]))?;
        if js.is_nothing(view) {
            return Ok(None);
        }
        let get = |name| self.caught(js.get(view, name));
        let text = |name| -> Result<String> { Ok(js.as_string(get(name)?).unwrap_or_default()) };
        let (commands, files) = (text(c"commands")?, text(c"files")?);
        let ids = js.as_numbers(get(c"ids")?).unwrap_or_default();
        let frames = js.as_numbers(get(c"frames")?).unwrap_or_default();
        let commands: Vec<&str> = commands.split('\0').collect();
        let named = self.caught(js.to_number(get(c"named")?))?;
        let files: Vec<&str> = if named > 0.0 { files.split('\0').collect() } else { Vec::new() };
        // A name with a NUL in it looks like two.
        let fits = commands.len() == ids.len()
            && frames.len() == ids.len()
            && (files.is_empty() || files.len() == ids.len());
        if !fits {
            return Ok(None);
        }
        let mut files = files.into_iter();
        let chunk = |((id, frames), command): ((f64, f64), &str)| Chunk {
            id: Some(ChunkId::new(id)),
            command: Some(command.to_owned()),
            output_file: files.next().map(str::to_owned),
            frame_count: Some(frames).filter(|frames| !frames.is_nan()),
        };
        Ok(Some(ids.into_iter().zip(frames).zip(commands).map(chunk).collect()))
    }

    fn read_chunk(&self, list: Value, index: u32, path: &str) -> Result<Chunk> {
        let js = self.state.js;
        let chunk = self.caught(js.element(list, index))?;
        let place = || format!("{path}.chunks[{index}]");
        if !js.is_object(chunk) {
            return Err(Error::invalid(place(), "an object"));
        }
        let text = |name| {
            let value = self.caught(js.get_some(chunk, name))?;
            let wrong = || {
                Error::invalid(format_args!("{}.{}", place(), name.to_string_lossy()), "a string")
            };
            value.map(|value| js.as_string(value).ok_or_else(wrong)).transpose()
        };
        let id = match self.caught(js.get_some(chunk, c"id"))? {
            Some(id) => Some(chunk_id(self, id, &format!("{}.id", place()))?),
            None => None,
        };
        let frame_count = self.caught(js.get_some(chunk, c"frameCount"))?;
        Ok(Chunk {
            id,
            command: text(c"command")?,
            output_file: text(c"outputFile")?,
            frame_count: frame_count.and_then(|count| js.as_number(count)),
        })
    }

    /// The object of a job: its owner's own, or a copy where something was added to it.
    pub(in super::super) fn spec_value(&self, spec: &JobSpec) -> Result<Value> {
        let js = self.state.js;
        let Some(source) = spec.source.as_any().downcast_ref::<JsSpec>() else {
            return self.parse_json(&spec.json()?);
        };
        let object = source.object.get();
        match &spec.assets_url {
            Some(url) if spec.assets_uploaded => self
                .caught(self.glue(c"replace", &[object, js.string("assetsUrl"), js.string(url)])),
            _ => Ok(object),
        }
    }

    /// A job that does not change with its owner's object.
    pub(in super::super) fn spec_copy(self: &Rc<Self>, spec: &JobSpec) -> Result<JobSpec> {
        let Some(source) = spec.source.as_any().downcast_ref::<JsSpec>() else {
            return Ok(spec.clone());
        };
        if source.copy.get().is_none() {
            let object = self.caught(self.glue(c"clone", &[source.object.get()]))?;
            let copy = self.read_recorded_spec(object)?.source;
            // Empty until now.
            drop(source.copy.set(copy));
        }
        let copy = source.copy.get().map_or(&spec.source, |copy| copy);
        Ok(JobSpec { source: Rc::clone(copy), ..spec.clone() })
    }

    /// The array of a job's chunks.
    pub(in super::super) fn chunks_value(&self, spec: &JobSpec) -> Result<Value> {
        match spec.source.as_any().downcast_ref::<JsSpec>() {
            Some(source) => Ok(source.chunks.get()),
            None => self.caught(self.state.js.get(self.spec_value(spec)?, c"chunks")),
        }
    }

    /// `JSON.parse(text)`, for texts of ours.
    pub(in super::super) fn parse_json(&self, text: &str) -> Result<Value> {
        let value = JsText::new(&text.into()).into_value(self.state.js)?;
        self.caught(self.parse(value))
    }
}
