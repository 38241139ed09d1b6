//! Settings of workers, what they are asked and what they answer.

use std::{ffi::CStr, path::PathBuf, rc::Rc, time::Duration};

use tokio::time::Instant;

use super::super::{
    js::UserStorage,
    realm::Realm,
    value::{Type, Value},
};
use crate::{
    Error, Result,
    model::ChunkId,
    storage::ArtifactStorage,
    worker::{Answer, ChunkRun},
};

/// How long before the end of a function's time its chunk is ended.
const MARGIN: Duration = Duration::from_secs(2);

/// The settings of a worker.
pub(in super::super) struct WorkerConfig {
    /// The folder it works in.
    pub(in super::super) workspace: Option<PathBuf>,
    /// Where assets and outputs are.
    pub(in super::super) storage: Option<Rc<dyn ArtifactStorage>>,
}

/// The time that is left for a chunk.
pub(in super::super) struct TimeLeft {
    /// When it has to be over.
    deadline: Option<Instant>,
    /// How long its command may take to end then.
    kill_grace: Duration,
}

impl TimeLeft {
    /// A part of a short time is not worth the margin of a long one.
    fn new(left: Duration) -> Self {
        let margin = MARGIN.min(left / 4);
        let deadline = Instant::now().checked_add(left.saturating_sub(margin));
        Self { deadline, kill_grace: margin / 2 }
    }

    /// The run, to be over in time.
    pub(in super::super) fn limit(self, run: ChunkRun) -> ChunkRun {
        ChunkRun { deadline: self.deadline, kill_grace: self.kill_grace, ..run }
    }
}

impl Realm {
    /// Reads the settings of a worker; none are as good as empty ones.
    pub(in super::super) fn read_worker_config(
        self: &Rc<Self>,
        config: Value,
    ) -> Result<WorkerConfig> {
        let js = self.state.js;
        if js.is_nothing(config) {
            return Ok(WorkerConfig { workspace: None, storage: None });
        }
        super::require_object(js, config, "config")?;
        let workspace =
            self.caught(super::optional_string(js, config, c"workspaceDir", "config"))??;
        let storage = self.caught(js.get_some(config, c"storage"))?;
        if storage.is_some_and(|storage| !js.is_object(storage)) {
            return Err(Error::invalid("config.storage", "an ArtifactStorage"));
        }
        let storage = storage.map(|storage| UserStorage::shared(self, storage)).transpose()?;
        Ok(WorkerConfig { workspace: workspace.map(PathBuf::from), storage })
    }

    /// Reads what a function is asked to do: a path and a chunk, or what to answer where that cannot be.
    pub(in super::super) fn read_event(&self, event: Value) -> Result<(String, ChunkId), Answer> {
        let js = self.state.js;
        if js.type_of(event) != Type::Object {
            return Err(Answer::message(400, "Invalid payload: must be an object"));
        }
        // A getter that throws gives nothing.
        let get = |name: &CStr| js.get(event, name).ok();
        let path = get(c"jobPath").and_then(|path| js.as_string(path));
        let chunk = get(c"chunkIndex").and_then(|chunk| js.as_number(chunk));
        match (path.filter(|path| !path.is_empty()), chunk.filter(|chunk| !chunk.is_nan())) {
            (Some(path), Some(chunk)) => Ok((path, ChunkId::new(chunk))),
            _ => Err(Answer::message(400, "Invalid payload: missing jobPath or chunkIndex")),
        }
    }

    /// The time that is left, if the context of a function tells.
    pub(in super::super) fn read_time_left(&self, context: Value) -> Result<Option<TimeLeft>> {
        let js = self.state.js;
        if !js.is_object(context) {
            return Ok(None);
        }
        let ask = self.caught(js.get(context, c"getRemainingTimeInMillis"))?;
        if js.type_of(ask) != Type::Function {
            return Ok(None);
        }
        let left = self.caught(js.call(context, ask, &[]))?;
        Ok(js.as_number(left).and_then(super::duration).map(TimeLeft::new))
    }
}
