//! Runs chunks for others and answers about them.

use super::{Answer, AnswerForm, ChunkRun, WorkerRuntime};
use crate::task;

/// A runtime behind a function or a server of some cloud.
#[derive(Debug)]
pub struct ChunkService {
    runtime: WorkerRuntime,
    form: AnswerForm,
}

impl ChunkService {
    /// A service that answers in the given form.
    pub fn new(runtime: WorkerRuntime, form: AnswerForm) -> Self {
        Self { runtime, form }
    }

    /// Runs a chunk; see [`WorkerRuntime::run`]. Whatever goes wrong is in the answer.
    pub async fn answer(&self, run: ChunkRun) -> Answer {
        let form = self.form;
        let run = ChunkRun { max_output: Some(form.max_output()), ..run };
        match self.runtime.run(&run).await {
            // Escaping megabytes takes a while.
            Ok(result) => {
                let (code, url) = (result.exit_code, result.output_url);
                let (out, err) = (result.stdout, result.stderr);
                let answer = move || form.result(&code, out.as_str(), err.as_str(), url.as_deref());
                task::blocking(answer).await
            }
            Err(error) => Answer::message(500, &error.to_string()),
        }
    }
}
