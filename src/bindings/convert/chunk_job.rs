//! Chunks for services, as callers hand them over.

use super::{
    super::{callback::Listeners, realm::Realm, value::Value},
    DirectJob,
};
use crate::{
    Result,
    model::{ChunkId, WorkerJob},
    orchestrator::FailureSlot,
};

impl Realm {
    /// Reads a `WorkerJob` for a service: its command, where it `runs_commands`, and which chunk it is.
    pub(in super::super) fn read_service_job(
        self: &std::rc::Rc<Self>,
        value: Value,
        runs_commands: bool,
    ) -> Result<DirectJob> {
        if !runs_commands {
            return self.read_chunk_job(value);
        }
        let mut read = self.read_worker_job(value, false)?;
        (read.job.chunk_id, read.job.job_def_url) = self.read_meta(value)?;
        Ok(read)
    }

    /// Reads as much of a `WorkerJob` as a service needs that renders a chunk of it. Its command is in the definition.
    fn read_chunk_job(self: &std::rc::Rc<Self>, value: Value) -> Result<DirectJob> {
        let js = self.state.js;
        super::require_object(js, value, "job")?;
        let (chunk_id, job_def_url) = self.read_meta(value)?;
        let (timeout, max_output) = self.read_limits(value)?;
        let abort = self.read_signal(value, "job")?;
        let failure = FailureSlot::default();
        failure.cancels(&abort.token);
        let listeners = Listeners::new(self, failure.clone());
        let (stdout, _) = self.target(value, c"onStdout", &listeners, false)?;
        let (stderr, _) = self.target(value, c"onStderr", &listeners, false)?;
        let job = WorkerJob {
            timeout,
            cancel: abort.token,
            stdout,
            stderr,
            max_output,
            chunk_id,
            job_def_url,
            observed: true,
            ..WorkerJob::default()
        };
        Ok(DirectJob { job, failure, listeners, ropes: [None, None], listener: abort.listener })
    }

    /// `job.meta`: which chunk it is, and where the definition of its job is.
    fn read_meta(&self, job: Value) -> Result<(Option<ChunkId>, Option<String>)> {
        let js = self.state.js;
        let Some(meta) = self.caught(js.get_some(job, c"meta"))? else { return Ok((None, None)) };
        super::require_object(js, meta, "job.meta")?;
        let chunk = self.caught(js.get_some(meta, c"chunkId"))?;
        let chunk = chunk.map(|chunk| super::chunk_id(self, chunk, "job.meta.chunkId"));
        let url = self.caught(super::optional_string(js, meta, c"jobDefUrl", "job.meta"))??;
        Ok((chunk.transpose()?, url))
    }
}
