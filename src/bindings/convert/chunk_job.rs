//! Chunks for services, as callers hand them over.

use super::{
    super::{callback::Listeners, realm::Realm, value::Value},
    DirectJob,
};
use crate::{Result, model::WorkerJob, orchestrator::FailureSlot};

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
        self.read_meta(value, &mut read.job)?;
        Ok(read)
    }

    /// Reads as much of a `WorkerJob` as a service needs that renders a chunk of it. Its command may be left to the definition.
    fn read_chunk_job(self: &std::rc::Rc<Self>, value: Value) -> Result<DirectJob> {
        let js = self.state.js;
        super::require_object(js, value, "job")?;
        let (timeout, max_output) = self.read_limits(value)?;
        let abort = self.read_signal(value, "job")?;
        let failure = FailureSlot::default();
        failure.cancels(&abort.token);
        let listeners = Listeners::new(self, failure.clone());
        let (stdout, _) = self.target(value, c"onStdout", &listeners, false)?;
        let (stderr, _) = self.target(value, c"onStderr", &listeners, false)?;
        let command = self.caught(js.get(value, c"command"))?;
        let mut job = WorkerJob {
            command: js.as_string(command).unwrap_or_default(),
            args: self.read_args(value)?,
            timeout,
            cancel: abort.token,
            stdout,
            stderr,
            max_output,
            observed: true,
            ..WorkerJob::default()
        };
        self.read_meta(value, &mut job)?;
        Ok(DirectJob { job, failure, listeners, ropes: [None, None], listener: abort.listener })
    }

    /// `job.meta`: which chunk it is, and where the definition of its job is.
    fn read_meta(&self, value: Value, job: &mut WorkerJob) -> Result<()> {
        let js = self.state.js;
        let Some(meta) = self.caught(js.get_some(value, c"meta"))? else { return Ok(()) };
        super::require_object(js, meta, "job.meta")?;
        let number = |name, path| {
            let number = self.caught(js.get_some(meta, name))?;
            number.map(|number| super::chunk_id(self, number, path)).transpose()
        };
        job.chunk_id = number(c"chunkId", "job.meta.chunkId")?;
        job.chunk_index = number(c"chunkIndex", "job.meta.chunkIndex")?;
        job.render_command =
            self.caught(super::optional_string(js, meta, c"renderCommand", "job.meta"))??;
        job.job_def_url =
            self.caught(super::optional_string(js, meta, c"jobDefUrl", "job.meta"))??;
        Ok(())
    }
}
