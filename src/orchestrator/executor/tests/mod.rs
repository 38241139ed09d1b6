//! The executor among scripted adapters, stitchers and observers.

mod abort;
mod bring;
mod chunks;
mod failures;
mod input;
mod merge;
mod observers;
mod verify;

use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt,
    future::ready,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::{
    console::testing::Recorder,
    error::Foreign,
    model::{ExitCode, JsonSpec, OutputSink},
    orchestrator::{Concurrency, JobObserver, VerifyChunks},
    stitcher::VideoStitcher,
};

/// The lines that open every job here.
fn opening(concurrency: &str, chunks: usize) -> Vec<String> {
    vec![
        format!("Starting job execution with concurrency {concurrency}..."),
        "Job Directory: /jobs/1".to_owned(),
        format!("Chunks: {chunks}"),
    ]
}

fn job(ids: &[u32]) -> Rc<JobSpec> {
    spec(&json!({ "chunks": chunks(ids) }))
}

fn merging(ids: &[u32], command: &str) -> Rc<JobSpec> {
    spec(&json!({ "chunks": chunks(ids), "mergeCommand": command }))
}

fn chunks(ids: &[u32]) -> Value {
    let chunk = |id| json!({ "id": id, "command": format!("render {id}"), "outputFile": format!("{id}.mp4") });
    ids.iter().map(chunk).collect()
}

fn spec(value: &Value) -> Rc<JobSpec> {
    Rc::new(JsonSpec::parse(value.to_string().into()).unwrap())
}

fn ids(ids: &[u32]) -> Vec<ChunkId> {
    ids.iter().map(|id| ChunkId::new(f64::from(*id))).collect()
}

type Answer = Result<WorkerResult>;
/// Makes an answer; errors cannot be copied.
type Make = fn() -> Answer;

#[expect(clippy::unnecessary_wraps, reason = "an answer of a script")]
fn ok() -> Answer {
    Ok(WorkerResult::default())
}

#[expect(clippy::unnecessary_wraps, reason = "an answer of a script")]
fn exit(code: i32, stderr: &str) -> Answer {
    Ok(WorkerResult {
        exit_code: ExitCode::Code(code),
        stderr: stderr.into(),
        ..WorkerResult::default()
    })
}

/// What native work that was ended answers.
fn ended() -> Answer {
    Err(process::Error::Aborted.into())
}

#[derive(Debug)]
struct Thrown(&'static str);

impl Foreign for Thrown {
    fn message(&self) -> String {
        self.0.to_owned()
    }
    fn is_abort(&self) -> bool {
        false
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A value that somebody may throw, and that must come out of the job as the same.
fn value(text: &'static str) -> Rc<dyn Foreign> {
    Rc::new(Thrown(text))
}

fn thrown(value: &Rc<dyn Foreign>) -> CrateError {
    CrateError::Foreign(Rc::clone(value))
}

fn is_very(error: &CrateError, value: &Rc<dyn Foreign>) -> bool {
    matches!(error, CrateError::Foreign(foreign) if Rc::ptr_eq(foreign, value))
}

/// One call of a scripted adapter.
struct Call {
    /// The chunk's id, or `merge`.
    who: String,
    /// Counts the calls for it, from 1.
    attempt: usize,
    job: WorkerJob,
}

type Script = Box<dyn Fn(Call) -> LocalBoxFuture<'static, Answer>>;

/// An adapter that answers as its script says.
struct Scripted {
    script: Script,
    ends_on_cancel: bool,
    calls: RefCell<Vec<(String, WorkerJob, Instant)>>,
    attempts: RefCell<HashMap<String, usize>>,
    active: Rc<Cell<usize>>,
    most: Cell<usize>,
}

impl Scripted {
    fn new<F: Future<Output = Answer> + 'static>(
        script: impl Fn(Call) -> F + 'static,
        ends_on_cancel: bool,
    ) -> Rc<Self> {
        Rc::new(Self {
            script: Box::new(move |call| script(call).boxed_local()),
            ends_on_cancel,
            calls: RefCell::default(),
            attempts: RefCell::default(),
            active: Rc::default(),
            most: Cell::default(),
        })
    }

    /// Who was run, in order.
    fn started(&self) -> Vec<String> {
        self.calls.borrow().iter().map(|(who, ..)| who.clone()).collect()
    }

    /// The job of the call with the given number.
    fn job(&self, index: usize) -> WorkerJob {
        self.calls.borrow()[index].1.clone()
    }

    /// When the calls came, since `start`.
    fn times(&self, start: Instant) -> Vec<Duration> {
        self.calls.borrow().iter().map(|(_, _, at)| *at - start).collect()
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

impl WorkerAdapter for Scripted {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Answer> {
        let who = job.chunk.as_ref().map_or_else(|| "merge".to_owned(), |c| c.id.to_string());
        self.calls.borrow_mut().push((who.clone(), job.clone(), Instant::now()));
        let attempt = {
            let mut attempts = self.attempts.borrow_mut();
            let attempt = attempts.entry(who.clone()).or_default();
            *attempt += 1;
            *attempt
        };
        self.active.set(self.active.get() + 1);
        self.most.set(self.most.get().max(self.active.get()));
        let (work, active) = ((self.script)(Call { who, attempt, job }), Rc::clone(&self.active));
        async move {
            let answer = work.await;
            active.set(active.get() - 1);
            answer
        }
        .boxed_local()
    }

    fn ends_on_cancel(&self) -> bool {
        self.ends_on_cancel
    }
}

type Heard = Box<dyn Fn(&str) -> LocalBoxFuture<'static, bool>>;

/// An observer that notes what it hears among the lines of the console, and answers as it is told to.
struct Watcher {
    console: Rc<Recorder>,
    answer: Heard,
    sink: Option<Arc<dyn OutputSink>>,
}

impl Watcher {
    fn hear(&self, event: String) -> LocalBoxFuture<'static, bool> {
        let answer = (self.answer)(&event);
        self.console.lines.borrow_mut().push(event);
        answer
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watcher")
    }
}

impl JobObserver for Watcher {
    fn progress(&self, done: usize, total: usize) -> LocalBoxFuture<'_, bool> {
        self.hear(format!("progress {done}/{total}"))
    }

    fn chunk_complete<'a>(
        &'a self,
        id: ChunkId,
        result: &'a WorkerResult,
    ) -> LocalBoxFuture<'a, bool> {
        self.hear(format!("complete {id} {}", result.stdout.as_str()))
    }

    fn output(&self, _id: ChunkId, stream: OutputStream) -> Option<Arc<dyn OutputSink>> {
        self.sink.clone().filter(|_| stream == OutputStream::Stdout)
    }

    fn settle(&self) -> LocalBoxFuture<'_, ()> {
        self.hear("settle".to_owned()).map(drop).boxed_local()
    }
}

/// An executor and all that it meets.
struct Scene {
    console: Rc<Recorder>,
    adapter: Rc<Scripted>,
    options: JobExecutionOptions,
}

impl Scene {
    /// With an adapter whose work can be ended, as that of the native ones.
    fn new<F: Future<Output = Answer> + 'static>(script: impl Fn(Call) -> F + 'static) -> Self {
        Self::with(Scripted::new(script, true))
    }

    /// With an adapter whose work cannot be ended, as that of a user's.
    fn lasting<F: Future<Output = Answer> + 'static>(script: impl Fn(Call) -> F + 'static) -> Self {
        Self::with(Scripted::new(script, false))
    }

    /// With an adapter that does whatever it is asked for.
    fn well() -> Self {
        Self::new(|_| ready(ok()))
    }

    fn with(adapter: Rc<Scripted>) -> Self {
        let options =
            JobExecutionOptions { job_dir: Some("/jobs/1".to_owned()), ..Default::default() };
        Self { console: Rc::default(), adapter, options }
    }

    fn concurrent(mut self, concurrency: f64) -> Self {
        self.options.concurrency = Concurrency::from_number(concurrency);
        self
    }

    /// Up to `retries` more attempts, `delay` milliseconds apart.
    fn trying(mut self, retries: f64, delay: u64) -> Self {
        (self.options.retries, self.options.retry_delay) = (retries, Duration::from_millis(delay));
        self
    }

    fn watched<F: Future<Output = bool> + 'static>(
        mut self,
        answer: impl Fn(&str) -> F + 'static,
    ) -> Self {
        let answer: Heard = Box::new(move |event| answer(event).boxed_local());
        let console = Rc::clone(&self.console);
        self.options.observer = Some(Rc::new(Watcher { console, answer, sink: None }));
        self
    }

    async fn run(&self, job: &Rc<JobSpec>) -> Result<()> {
        let adapter: Rc<dyn WorkerAdapter> = Rc::clone(&self.adapter) as _;
        let executor = JobExecutor::new(adapter, Rc::clone(&self.console) as _);
        executor.execute(Rc::clone(job), self.options.clone()).await
    }

    async fn error(&self, job: &Rc<JobSpec>) -> CrateError {
        self.run(job).await.unwrap_err()
    }

    fn lines(&self) -> Vec<String> {
        self.console.lines.borrow().clone()
    }

    /// What is written after the opening lines.
    fn story(&self) -> Vec<String> {
        self.lines().split_off(3)
    }

    /// The lines about a failure.
    fn complaints(&self) -> Vec<String> {
        let is_complaint =
            |line: &String| line.starts_with("warn: ") || line.starts_with("error: ");
        self.lines().into_iter().filter(is_complaint).collect()
    }
}
