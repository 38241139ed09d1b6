//! The options of a job.

use std::{cell::OnceCell, ffi::CStr, rc::Rc, sync::Arc, time::Duration};

use super::{
    super::{
        abort::AbortListener,
        callback::{JobCallbacks, Listeners},
        classes::plain_stitcher,
        js::{UserStitcher, UserStorage, UserWorkerAdapter},
        realm::Realm,
        reference::JsRef,
        value::{Type, Value},
    },
    execution::{JsExecution, Signal},
};
use crate::{
    Error, Result,
    model::ChunkId,
    orchestrator::{
        AbortSource, Concurrency, FailureSlot, JobExecutionOptions, JobManagerOptions, JobObserver,
        VerifyChunks,
    },
    process::{KILL_GRACE, MAX_LOG, MAX_OUTPUT},
    stitcher::VideoStitcher,
};

/// The field of recorded options that has the folder of the process they were given in.
pub(super) const OWN_DIR: &CStr = c"submittedIn";

impl Realm {
    /// Reads the options of a job. `own_signal` says whether adapters of the user's get the owner's own signal.
    pub(in super::super) fn read_options(
        self: &Rc<Self>,
        value: Value,
        own_signal: bool,
    ) -> Result<JobExecutionOptions> {
        let js = self.state.js;
        let object = if js.is_nothing(value) { self.parse_json("{}")? } else { value };
        super::require_object(js, object, "options")?;
        let reader = Reader { realm: self, object };
        let failure = FailureSlot::default();
        let callbacks = Rc::new(reader.callbacks(failure.clone())?);
        let abort = self.read_signal(object, "options")?;
        let signal = reader.field(c"signal")?.filter(|_| own_signal);
        let execution = Rc::new(JsExecution {
            options: Rc::clone(&callbacks.options),
            meta: reader.field(c"meta")?.map(|meta| reader.keep(meta)).transpose()?,
            signal: OnceCell::new(),
            callbacks: Rc::clone(&callbacks),
            context: OnceCell::new(),
        });
        if own_signal {
            let signal = signal
                .map(|signal| reader.keep(signal))
                .transpose()?
                .map_or(Signal::Nothing, Signal::Own);
            // Empty until now.
            drop(execution.signal.set(signal));
        }
        let verify_chunks = reader.verify_chunks()?;
        Ok(JobExecutionOptions {
            concurrency: reader.concurrency()?,
            job_dir: reader.string(c"jobDir")?.filter(|dir| !dir.is_empty()),
            own_dir: reader.string(OWN_DIR)?,
            merge: reader.merge()?,
            retries: reader
                .number(c"retries")?
                .filter(|retries| *retries > 0.0)
                .unwrap_or(0.0)
                .floor(),
            retry_delay: reader.delay(c"retryDelay")?.unwrap_or(Duration::from_secs(1)),
            retry_backoff: reader
                .field(c"retryBackoff")?
                .map(|backoff| self.read_backoff(backoff))
                .transpose()?,
            retry_judge: reader
                .field(c"retryOn")?
                .map(|rules| self.read_retry_judge(&callbacks.options, rules))
                .transpose()?,
            fail_fast: reader.boolean(c"failFast")?.unwrap_or(true),
            chunk_timeout: reader.number(c"chunkTimeout")?.and_then(super::duration),
            stall_timeout: reader.number(c"stallTimeout")?.and_then(super::duration),
            kill_grace: reader.delay(c"killGraceMs")?.unwrap_or(KILL_GRACE),
            max_log: reader.bytes(c"maxLogBytes")?.unwrap_or(MAX_LOG),
            max_output: reader.bytes(c"maxOutputBytes")?.filter(|max| *max < MAX_OUTPUT),
            abort,
            merge_adapter: reader
                .object(c"mergeAdapter")?
                .map(|adapter| UserWorkerAdapter::shared(self, adapter))
                .transpose()?,
            stitcher: reader
                .object(c"stitcher")?
                .map(|stitcher| UserStitcher::shared(self, stitcher))
                .transpose()?,
            output_file: reader.string(c"outputFile")?.filter(|file| !file.is_empty()),
            completed: reader.completed()?,
            observer: callbacks.any().then(|| Rc::clone(&callbacks) as Rc<dyn JobObserver>),
            failure,
            source: Some(Rc::clone(&callbacks.options) as _),
            verify_chunks,
            inspector: (verify_chunks == VerifyChunks::Always)
                .then(|| Rc::new(plain_stitcher(self)) as Rc<dyn VideoStitcher>),
            job_def_url: reader.meta(c"jobDefUrl")?,
            render_command: reader.meta(c"renderCommand")?,
            storage: reader
                .object(c"storage")?
                .map(|storage| UserStorage::shared(self, storage))
                .transpose()?,
            upload_assets: reader.boolean(c"uploadAssets")?.unwrap_or(true),
            extensions: Some(execution),
            ..JobExecutionOptions::default()
        })
    }
}

impl Realm {
    /// The settings of a manager.
    pub(in super::super) fn read_manager_options(
        self: &Rc<Self>,
        options: Value,
    ) -> Result<JobManagerOptions> {
        let (supervisor, remains) =
            (Arc::clone(&self.state.supervisor), self.state.remains.clone());
        if self.state.js.is_nothing(options) {
            return Ok(JobManagerOptions { supervisor, remains, max_concurrency: None });
        }
        super::require_object(self.state.js, options, "options")?;
        let max = Reader { realm: self, object: options }.number(c"maxConcurrency")?;
        let max_concurrency = max.map(|max| Concurrency::from_number(max).limit);
        Ok(JobManagerOptions { supervisor, remains, max_concurrency })
    }

    /// The signal in `options`, which may be missing.
    pub(in super::super) fn read_abort(self: &Rc<Self>, options: Value) -> Result<AbortSource> {
        if self.state.js.is_nothing(options) {
            return Ok(AbortSource::default());
        }
        super::require_object(self.state.js, options, "options")?;
        self.read_signal(options, "options")
    }

    /// The signal of the object at `path`.
    pub(super) fn read_signal(self: &Rc<Self>, object: Value, path: &str) -> Result<AbortSource> {
        match self.caught(self.state.js.get_some(object, c"signal"))? {
            None => Ok(AbortSource::default()),
            Some(signal) if self.state.js.is_object(signal) => {
                self.caught(AbortListener::listen(self, signal))
            }
            Some(_) => Err(Error::invalid(format_args!("{path}.signal"), "an AbortSignal")),
        }
    }
}

struct Reader<'a> {
    realm: &'a Rc<Realm>,
    object: Value,
}

impl Reader<'_> {
    fn field(&self, name: &CStr) -> Result<Option<Value>> {
        self.realm.caught(self.realm.state.js.get_some(self.object, name))
    }

    fn keep(&self, value: Value) -> Result<JsRef> {
        self.realm.caught(JsRef::new(&self.realm.state, value))
    }

    fn object(&self, name: &CStr) -> Result<Option<Value>> {
        let Some(value) = self.field(name)? else { return Ok(None) };
        let path = format!("options.{}", name.to_string_lossy());
        super::require_object(self.realm.state.js, value, &path).map(|()| Some(value))
    }

    /// A string of `meta` that says something, such as where the owner has put the definition of the job himself.
    fn meta(&self, name: &CStr) -> Result<Option<String>> {
        let js = self.realm.state.js;
        let meta = self.field(c"meta")?.filter(|meta| js.is_object(*meta));
        let text = meta.map(|meta| js.get(meta, name)).transpose();
        let text = self.realm.caught(text)?.and_then(|text| js.as_string(text));
        Ok(text.filter(|text| !text.is_empty()))
    }

    fn string(&self, name: &CStr) -> Result<Option<String>> {
        self.realm.caught(super::optional_string(
            self.realm.state.js,
            self.object,
            name,
            "options",
        ))?
    }

    /// A number; a numeric string counts.
    fn number(&self, name: &CStr) -> Result<Option<f64>> {
        let js = self.realm.state.js;
        let Some(value) = self.field(name)? else { return Ok(None) };
        match js.type_of(value) {
            Type::Number | Type::String => self.realm.caught(js.to_number(value)).map(Some),
            _ => {
                Err(Error::invalid(format_args!("options.{}", name.to_string_lossy()), "a number"))
            }
        }
    }

    /// A time of which 0 is one too.
    fn delay(&self, name: &CStr) -> Result<Option<Duration>> {
        let ms = self.number(name)?.filter(|ms| !ms.is_nan());
        Ok(ms.map(|ms| super::duration(ms).unwrap_or_default()))
    }

    /// A number of bytes.
    fn bytes(&self, name: &CStr) -> Result<Option<usize>> {
        Ok(self.number(name)?.and_then(super::bytes))
    }

    fn boolean(&self, name: &CStr) -> Result<Option<bool>> {
        Ok(self.field(name)?.map(|value| self.realm.state.js.truthy(value)))
    }

    fn concurrency(&self) -> Result<Concurrency> {
        Ok(self.number(c"concurrency")?.map(Concurrency::from_number).unwrap_or_default())
    }

    /// `merge` is off only when it is `false`, `skipMerge` on when it is anything true.
    fn merge(&self) -> Result<bool> {
        let js = self.realm.state.js;
        let off = self
            .field(c"merge")?
            .is_some_and(|merge| js.type_of(merge) == Type::Boolean && !js.truthy(merge));
        Ok(!off && !self.boolean(c"skipMerge")?.unwrap_or(false))
    }

    fn verify_chunks(&self) -> Result<VerifyChunks> {
        let js = self.realm.state.js;
        let Some(value) = self.field(c"verifyChunks")? else { return Ok(VerifyChunks::Auto) };
        match js.type_of(value) {
            Type::Boolean if js.truthy(value) => Ok(VerifyChunks::Always),
            Type::Boolean => Ok(VerifyChunks::Never),
            _ if js.as_string(value).is_some_and(|text| text == "auto") => Ok(VerifyChunks::Auto),
            _ => Err(Error::invalid("options.verifyChunks", "'auto', true or false")),
        }
    }

    fn completed(&self) -> Result<Vec<ChunkId>> {
        let js = self.realm.state.js;
        let Some(list) = self.field(c"completedChunkIds")? else { return Ok(Vec::new()) };
        if !js.is_array(list) {
            return Err(Error::invalid("options.completedChunkIds", "an array"));
        }
        let id = |index| {
            let value = self.realm.caught(js.element(list, index))?;
            super::chunk_id(self.realm, value, &format!("options.completedChunkIds[{index}]"))
        };
        (0..self.realm.caught(js.len(list))?).map(id).collect()
    }

    fn callbacks(&self, failure: FailureSlot) -> Result<JobCallbacks> {
        let function = |name: &CStr| match self.field(name)? {
            None => Ok(None),
            Some(function) if self.realm.state.js.type_of(function) == Type::Function => {
                self.keep(function).map(Some)
            }
            Some(_) => Err(Error::invalid(
                format_args!("options.{}", name.to_string_lossy()),
                "a function",
            )),
        };
        Ok(JobCallbacks {
            listeners: Listeners::new(self.realm, failure),
            options: Rc::new(self.keep(self.object)?),
            on_progress: function(c"onProgress")?,
            on_chunk_complete: function(c"onChunkComplete")?,
            on_chunk_stdout: function(c"onChunkStdout")?.map(Rc::new),
            on_chunk_stderr: function(c"onChunkStderr")?.map(Rc::new),
        })
    }
}
